"""Conditions on a step and a row, under which control operators let others act."""

from __future__ import annotations

import math
import operator
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch

from itwidgets.information import best, log_probabilities, registered_measures, row_measures
from itwidgets.information.names import FIGURES
from itwidgets.interventions.described import Described, registered
from itwidgets.interventions.parameters import check_choice, check_number, check_whole, checked_ids
from itwidgets.interventions.step import Step

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
)


class Predicate(Described):
    """A pure function of (step, scores) that holds or does not.

    ``scores`` is None at a step of the past, whose row is gone: what is asked of `p` is then looked up
    in the figures that were recorded. Combine with ``&``, ``|`` and ``~``.

    Subclasses are frozen dataclasses whose fields are their parameters.
    """

    json_key = "predicate"
    by_name: ClassVar[dict[str, type[Any]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make the package's own predicates known to programs that are read from JSON."""
        super().__init_subclass__(**kwargs)
        registered(cls)

    @abstractmethod
    def __call__(self, step: Step, scores: torch.Tensor | None) -> bool:
        """Whether it holds at a step."""

    def has_held(self, step: Step) -> bool:
        """Whether it held at any new token before this one."""
        return any(self(step.before(index), None) for index in range(len(step.new_ids)))

    def __and__(self, other: Predicate) -> Predicate:
        """Return what holds where both do."""
        return AllOf((self, other))

    def __or__(self, other: Predicate) -> Predicate:
        """Return what holds where either does."""
        return AnyOf((self, other))

    def __invert__(self) -> Predicate:
        """Return what holds where this does not."""
        return Not(self)


@dataclass(frozen=True)
class Compare(Predicate):
    """A measure is above, below or at a value; one that is no number (NaN) is neither.

    Parameters
    ----------
    measure
        Of a distribution: any that :func:`~itwidgets.information.row_measures` lists, such as ``"entropy"``
        (bits), ``"top_margin"`` or ``"effective_choices"``, or a registered measure, whose token is then
        the most probable one, since none has come yet. Of the previous token: any figure that is recorded,
        such as ``"surprisal"`` or ``"cost"`` (bits), or a registered measure.
    comparison
        One of ``">"``, ``">="``, ``"<"``, ``"<="``.
    value
        In the unit of the measure.
    of
        ``"p"``: the model's own distribution here. ``"current"``: what the operators before have made of
        it. ``"previous"``: the token before this one; it does not hold where there is none.
    argument
        The number that a measure of a distribution takes besides it: the order ``alpha`` of
        ``"renyi_entropy"``, ``"tsallis_entropy"`` and ``"hill_number"``, the ``k`` of ``"head_mass"`` and
        ``"tail_mass"``, the ``mass`` of ``"nucleus_size"``, and so on. None for all others.

    Raises
    ------
    ValueError
        If the measure is unknown here, or the argument none that it takes.

    Examples
    --------
    >>> uncertain = Compare("entropy", ">", 2.0)
    >>> uncertain(Step(0, [], 0, scores=torch.zeros(8)), torch.zeros(8))
    True
    >>> spread = Compare("head_mass", "<", 0.5, argument=2)
    >>> spread(Step(0, [], 0, scores=torch.zeros(8)), torch.zeros(8))
    True
    """

    measure: str
    comparison: str
    value: float
    of: str = "p"
    argument: float | None = None

    def __post_init__(self) -> None:
        check_choice("comparison", self.comparison, _COMPARISONS)
        check_choice("of", self.of, ("p", "current", "previous"))
        self._check_measure()
        check_number("value", self.value, math.isfinite, "a finite number")
        if self.argument is not None:
            check_number("argument", self.argument, math.isfinite, "a finite number")
        known = None if self.of == "previous" else row_measures().get(self.measure)
        if known is not None:
            known.check(self.argument)
        elif self.argument is not None:
            raise ValueError(f"argument is {self.argument!r}, but must be None: {self.measure} takes none")

    def __call__(self, step: Step, scores: torch.Tensor | None) -> bool:
        """Whether the comparison holds."""
        found = self._found(step, scores)
        return found is not None and _COMPARISONS[self.comparison](found, self.value)

    @property
    def is_recorded(self) -> bool:
        """Whether it can be asked of a token of the past, whose row of scores is gone."""
        return self.of == "previous" or (self.of == "p" and self.measure in FIGURES)

    def _check_measure(self) -> None:
        accepted = [*(FIGURES if self.of == "previous" else row_measures())]
        if self.measure not in (*accepted, *registered_measures()):
            raise ValueError(
                f"measure is {self.measure!r}, but must be one of {', '.join(map(repr, accepted))}, "
                "or a measure that register_measure has added here"
            )

    def _found(self, step: Step, scores: torch.Tensor | None) -> float | None:
        if self.of == "previous":
            values = step.figures(self.measure)
            return float(values[-1]) if len(values) else None
        if scores is not None:
            return self._of_row(scores if self.of == "current" else step.require_scores(self))
        if self.is_recorded and self.measure in step.came:
            return float(step.came[self.measure])
        raise ValueError(f"{self} cannot be asked of a token of the past: its row of scores is gone")

    def _of_row(self, scores: torch.Tensor) -> float:
        log_p = log_probabilities(scores)
        known = row_measures().get(self.measure)
        if known is not None:
            return float(known(log_p, self.argument))
        # It may have been taken away since.
        self._check_measure()
        return registered_measures()[self.measure].of(log_p[None], best(log_p, 1))[0]


@dataclass(frozen=True)
class TextMatches(Predicate):
    """The end of the text so far matches a regular expression.

    Parameters
    ----------
    pattern
        As :mod:`re` reads it; it is searched for, so anchor it with ``$`` to ask how the text ends.
    characters
        How much of the end is searched.
    """

    pattern: str
    characters: int = 200

    def __post_init__(self) -> None:
        check_whole("characters", self.characters, least=1)
        try:
            re.compile(self.pattern)
        except (re.error, TypeError) as error:
            raise ValueError(
                f"pattern is {self.pattern!r}, which is no regular expression: {error}"
            ) from None

    def __call__(self, step: Step, scores: torch.Tensor | None) -> bool:
        """Whether the pattern is found."""
        # A character takes four tokens at most, one for each of its bytes.
        ids = step.token_ids[-4 * self.characters :]
        text = step.require_vocabulary(self).text(ids)
        return re.search(self.pattern, text[-self.characters :]) is not None


@dataclass(frozen=True)
class PositionIn(Predicate):
    """The position among the new tokens is at least ``start`` and below ``stop``."""

    start: int = 0
    stop: int | None = None

    def __post_init__(self) -> None:
        check_whole("start", self.start, least=0)
        if self.stop is not None:
            check_whole("stop", self.stop, least=0)

    def __call__(self, step: Step, scores: torch.Tensor | None) -> bool:
        """Whether the position is in the range."""
        return self.start <= step.position and (self.stop is None or step.position < self.stop)


@dataclass(frozen=True)
class LastToken(Predicate):
    """The token before this one is one of some."""

    token_ids: Sequence[int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "token_ids", checked_ids("token_ids", self.token_ids))

    def __call__(self, step: Step, scores: torch.Tensor | None) -> bool:
        """Whether it is one of them."""
        return bool(step.token_ids) and step.token_ids[-1] in self.token_ids


@dataclass(frozen=True)
class AllOf(Predicate):
    """All of several hold."""

    predicates: Sequence[Predicate]

    def __post_init__(self) -> None:
        object.__setattr__(self, "predicates", _predicates(self.predicates))

    def __call__(self, step: Step, scores: torch.Tensor | None) -> bool:
        """Whether all hold."""
        return all(one(step, scores) for one in self.predicates)


@dataclass(frozen=True)
class AnyOf(Predicate):
    """At least one of several holds."""

    predicates: Sequence[Predicate]

    def __post_init__(self) -> None:
        object.__setattr__(self, "predicates", _predicates(self.predicates))

    def __call__(self, step: Step, scores: torch.Tensor | None) -> bool:
        """Whether any holds."""
        return any(one(step, scores) for one in self.predicates)


@dataclass(frozen=True)
class Not(Predicate):
    """Another does not hold."""

    negated: Predicate

    def __post_init__(self) -> None:
        require_predicate(self.negated)

    def __call__(self, step: Step, scores: torch.Tensor | None) -> bool:
        """Whether the other does not."""
        return not self.negated(step, scores)


def _predicates(values: Sequence[Predicate]) -> tuple[Predicate, ...]:
    for value in values:
        require_predicate(value)
    return tuple(values)


def require_predicate(value: object) -> None:
    """Refuse what is no predicate."""
    if not isinstance(value, Predicate):
        raise TypeError(f"{value!r} was given, but a predicate is needed, such as Compare or TextMatches")
