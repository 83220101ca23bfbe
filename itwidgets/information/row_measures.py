"""Measures of a distribution alone, by name: what can be asked of a row before a token comes of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import torch

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class RowMeasure:
    """A measure of a row.

    Attributes
    ----------
    function
        From natural log-probabilities ``[..., V]``, and one number if it takes one, to ``[...]``, in the unit
        that its docstring says: bits where it has a ``base``.
    argument
        What it calls that number, such as the ``alpha`` of :func:`~itwidgets.information.renyi_entropy`;
        None where it takes none.
    """

    function: Callable[..., Any]
    argument: str | None

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.__name__

    def check(self, argument: float | None) -> None:
        """Refuse a number that the measure does not take, and the lack of one that it needs.

        Raises
        ------
        ValueError
            With the function's own sentence where it refuses the value.
        """
        if argument is None and self.argument is not None:
            raise ValueError(f"argument is None, but must be a number: {self.name} needs its {self.argument}")
        if argument is not None and self.argument is None:
            raise ValueError(f"argument is {argument!r}, but must be None: {self.name} takes none")
        self(torch.zeros(2, dtype=torch.float64).log_softmax(-1), argument)

    def __call__(self, log_p: torch.Tensor, argument: float | None) -> torch.Tensor:
        """Return the measure of rows, shape ``[...]``."""
        # Of whole numbers JSON may make floats, which counts are not.
        given = [] if argument is None else [int(argument) if float(argument).is_integer() else argument]
        found: torch.Tensor = self.function(log_p, *given)
        return found


_by_name: dict[str, RowMeasure] = {}


def row_measures() -> Mapping[str, RowMeasure]:
    """Return all measures of a row that the package has, sorted by name.

    Examples
    --------
    >>> from itwidgets.information import row_measures
    >>> row_measures()["renyi_entropy"].argument
    'alpha'
    """
    return MappingProxyType(dict(sorted(_by_name.items())))


def row_measure(function: _Function) -> _Function:
    """Let :func:`row_measures` list a function; if it has a further positional argument, that is a number."""
    _, *further = inspect.signature(function).parameters.values()
    arguments = [one.name for one in further if one.kind is one.POSITIONAL_OR_KEYWORD]
    _by_name[function.__name__] = RowMeasure(function, arguments[0] if arguments else None)
    return function
