"""Measures that users add: each becomes a figure of every token, beside the built-in ones."""

from __future__ import annotations

import keyword
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch

from itwidgets.information.kernel import check_number
from itwidgets.information.names import COLUMN_NAMES
from itwidgets.information.row_measures import row_measures

MeasureFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Takes natural log-probabilities ``[..., V]`` and token ids ``[...]``; gives numbers of shape ``[...]``."""


@dataclass(frozen=True)
class Measure:
    """A measure that was registered.

    Attributes
    ----------
    name
        An identifier.
    function
        From natural log-probabilities ``[..., V]`` and token ids ``[...]`` to numbers ``[...]``.
    unit
        What the numbers are in, as shown beside them; empty for none.
    label
        The name as people read it.
    limit
        Where the scale of its colours ends, in its unit.
    """

    name: str
    function: MeasureFunction
    unit: str
    label: str
    limit: float

    def of(self, log_p: torch.Tensor, token_ids: torch.Tensor) -> list[float]:
        """Return its numbers for tokens, one for each.

        Parameters
        ----------
        log_p
            Natural log-probabilities, ``[n, V]``; not written to.
        token_ids
            Shape ``[n]``.

        Raises
        ------
        ValueError
            When the function gives other than one number a token; the sentence names the measure.
        """
        # A copy: what a user's function writes into it must not reach the next one.
        found = torch.as_tensor(self.function(log_p.clone(), token_ids))
        if found.shape != token_ids.shape:
            raise ValueError(
                f"the measure {self.name!r} gave numbers of shape {tuple(found.shape)} for {len(token_ids)} "
                f"tokens, but must give {tuple(token_ids.shape)}: one for each"
            )
        values: list[float] = found.double().tolist()
        return values


_lock = threading.Lock()
# Replaced as a whole and never changed, so that reading needs no lock.
_measures: Mapping[str, Measure] = MappingProxyType({})


def register_measure(
    name: str, function: MeasureFunction, *, unit: str = "bits", label: str | None = None, limit: float = 12.0
) -> Measure:
    """Add a measure of a token against its distribution.

    Sessions that begin afterwards have a column of it, by which the viewer can colour their tokens, and
    conditions of programs can ask for it by its name.

    Parameters
    ----------
    name
        An identifier that no registered measure has, no measure of a row, and no column that every tree has.
    function
        Called with natural log-probabilities ``[..., V]``, a float64 tensor, and token ids ``[...]``; gives
        numbers of shape ``[...]``.
    unit
        What the numbers are in.
    label
        The name as people read it; by default ``name`` with spaces for underscores.
    limit
        Where the scale of its colours ends, in its unit; above 0.

    Returns
    -------
    Measure
        As :func:`registered_measures` lists it.

    Raises
    ------
    ValueError
        If the name is no identifier or taken, or the limit is not above 0.
    TypeError
        If the function cannot be called, or the unit or the label is no text.

    Examples
    --------
    >>> from itwidgets.information import regret
    >>> register_measure("regret", regret).label
    'regret'
    >>> list(registered_measures())
    ['regret']
    >>> unregister_measure("regret")
    """
    _check(name, function, unit, name if label is None else label, limit)
    title = name.replace("_", " ") if label is None else label
    measure = Measure(name, function, unit, title, float(limit))
    global _measures
    with _lock:
        if name in _measures:
            raise ValueError(
                f"the measure {name!r} is registered already; unregister it first or choose another name"
            )
        _measures = MappingProxyType({**_measures, name: measure})
    return measure


def unregister_measure(name: str) -> None:
    """Take a registered measure away.

    Raises
    ------
    ValueError
        If no measure has the name.
    """
    global _measures
    with _lock:
        if name not in _measures:
            known = ", ".join(map(repr, _measures)) or "none"
            raise ValueError(f"no measure {name!r} is registered, only {known}")
        _measures = MappingProxyType({key: measure for key, measure in _measures.items() if key != name})


def registered_measures() -> Mapping[str, Measure]:
    """Return the registered measures by name, in the order in which they were registered.

    The mapping cannot be changed, and later registrations do not show in it.
    """
    return _measures


def _check(name: Any, function: Any, unit: Any, label: Any, limit: Any) -> None:
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"the name of the measure is {name!r}, but must be an identifier, as my_measure is")
    if name in COLUMN_NAMES:
        raise ValueError(
            f"the measure {name!r} has the name of a column that every tree has: choose another name"
        )
    if name in row_measures():
        raise ValueError(f"the measure {name!r} has the name of a measure of a row: choose another name")
    if not callable(function):
        raise TypeError(
            f"the measure {name!r} is {function!r}, but must be a function of log-probabilities and token ids"
        )
    for what, text in (("unit", unit), ("label", label)):
        if not isinstance(text, str):
            raise TypeError(f"the {what} of the measure {name!r} is {text!r}, but must be text")
    check_number(f"the limit of the measure {name!r}", limit, lambda x: 0 < x < math.inf, "a number above 0")
