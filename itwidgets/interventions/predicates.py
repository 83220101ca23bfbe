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

from itwidgets.information import entropy, log_probabilities, varentropy
from itwidgets.interventions.described import Described, registered
from itwidgets.interventions.parameters import check_choice, check_number, check_whole, checked_ids
from itwidgets.interventions.step import Step

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
)
_MEASURES: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = MappingProxyType(
    {
        "entropy": entropy,
        "varentropy": varentropy,
        "top_probability": lambda log_p: log_p.max(-1).values.exp(),
    }
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
    """A measure is above, below or at a value.

    Parameters
    ----------
    measure
        Of a distribution: one of ``"entropy"`` (bits), ``"varentropy"`` (bits²), ``"top_probability"``. Of
        the previous token, any figure that is recorded, such as ``"surprisal"`` or ``"cost"`` (bits).
    comparison
        One of ``">"``, ``">="``, ``"<"``, ``"<="``.
    value
        In the unit of the measure.
    of
        ``"p"``: the model's own distribution here. ``"current"``: what the operators before have made of
        it. ``"previous"``: the token before this one; it does not hold where there is none.

    Examples
    --------
    >>> uncertain = Compare("entropy", ">", 2.0)
    >>> uncertain(Step(0, [], 0, scores=torch.zeros(8)), torch.zeros(8))
    True
    """

    measure: str
    comparison: str
    value: float
    of: str = "p"

    def __post_init__(self) -> None:
        check_choice("comparison", self.comparison, _COMPARISONS)
        check_choice("of", self.of, ("p", "current", "previous"))
        if self.of != "previous":
            check_choice("measure", self.measure, _MEASURES)
        check_number("value", self.value, math.isfinite, "a finite number")

    def __call__(self, step: Step, scores: torch.Tensor | None) -> bool:
        """Whether the comparison holds."""
        found = self._found(step, scores)
        return found is not None and _COMPARISONS[self.comparison](found, self.value)

    @property
    def is_recorded(self) -> bool:
        """Whether it can be asked of a token of the past, whose row of scores is gone."""
        return self.of == "previous" or (self.of == "p" and self.measure in ("entropy", "varentropy"))

    def _found(self, step: Step, scores: torch.Tensor | None) -> float | None:
        if self.of == "previous":
            values = step.figures(self.measure)
            return float(values[-1]) if len(values) else None
        if scores is not None:
            row = scores if self.of == "current" else step.require_scores(self)
            return float(_MEASURES[self.measure](log_probabilities(row)))
        if self.of == "p" and self.measure in step.came:
            return float(step.came[self.measure])
        raise ValueError(f"{self} cannot be asked of a token of the past: its row of scores is gone")


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
