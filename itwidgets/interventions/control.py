"""Control: operators that let others act at some places only, or with a parameter that moves."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from itwidgets.interventions.described import parts
from itwidgets.interventions.operators import Operator, Stage
from itwidgets.interventions.parameters import check_whole, is_whole
from itwidgets.interventions.predicates import Compare, Predicate, require_predicate
from itwidgets.interventions.program import Program, as_program
from itwidgets.interventions.step import Step


class Control(Operator):
    """An operator that lets a program act where its condition holds, and leaves the row elsewhere.

    An operator that is given as the program stands for the program of it alone.
    """

    then: Program | Operator

    @property
    def stage(self) -> Stage:
        """That of what it lets act: an intervention, unless all of it are sampler stages."""
        return _stage_of(self.then)

    @abstractmethod
    def acts(self, step: Step, scores: torch.Tensor) -> bool:
        """Whether the condition holds."""

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return what the program makes of the row, or the row."""
        return as_program(self.then).last_row(step, scores) if self.acts(step, scores) else scores


@dataclass(frozen=True)
class At(Control):
    """Act at some positions among the new tokens; 0 is the first after the prompt.

    Examples
    --------
    >>> from itwidgets.interventions import Ban
    >>> program = At([0], Ban([2])) >> At([5], Ban([3]))
    """

    positions: Sequence[int]
    then: Program | Operator

    def __post_init__(self) -> None:
        positions: Any = [self.positions] if is_whole(self.positions) else self.positions
        for position in positions:
            check_whole("position", position, least=0)
        object.__setattr__(self, "positions", tuple(int(position) for position in positions))
        object.__setattr__(self, "then", as_program(self.then))

    def acts(self, step: Step, scores: torch.Tensor) -> bool:
        """Whether the step is at one of the positions."""
        return step.position in self.positions


@dataclass(frozen=True)
class Every(Control):
    """Act at every ``n``-th position, the first of them ``start``."""

    n: int
    then: Program | Operator
    start: int = 0

    def __post_init__(self) -> None:
        check_whole("n", self.n, least=1)
        check_whole("start", self.start, least=0)
        object.__setattr__(self, "then", as_program(self.then))

    def acts(self, step: Step, scores: torch.Tensor) -> bool:
        """Whether the step is at one of the positions."""
        return step.position >= self.start and (step.position - self.start) % self.n == 0


@dataclass(frozen=True)
class When(Control):
    """Act where a predicate holds, and let another program act where it does not, if there is one.

    Examples
    --------
    >>> from itwidgets.interventions import Compare, Temperature
    >>> cautious = When(Compare("entropy", ">", 3.0), Temperature(0.5), otherwise=Temperature(1.0))
    >>> cautious.stage
    'sampler'
    """

    condition: Predicate
    then: Program | Operator
    otherwise: Program | Operator | None = None

    def __post_init__(self) -> None:
        require_predicate(self.condition)
        object.__setattr__(self, "then", as_program(self.then))
        if self.otherwise is not None:
            object.__setattr__(self, "otherwise", as_program(self.otherwise))

    @property
    def stage(self) -> Stage:
        """That of what it lets act: an intervention, unless all of it are sampler stages."""
        return _stage_of(self.then, *([] if self.otherwise is None else [self.otherwise]))

    def acts(self, step: Step, scores: torch.Tensor) -> bool:
        """Whether the condition holds."""
        return self.condition(step, scores)

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return what the program makes of the row for which this is the place."""
        if self.otherwise is None or self.acts(step, scores):
            return super().__call__(step, scores)
        return as_program(self.otherwise).last_row(step, scores)


@dataclass(frozen=True)
class Until(Control):
    """Act until a predicate holds for the first time, and not at that place either.

    What it asks of the past is looked up in the text and in recorded figures, so it needs no memory of
    its own: predicates that ask for the ``"current"`` distribution, or for a measure of `p` that is not
    recorded, are refused.
    """

    condition: Predicate
    then: Program | Operator

    def __post_init__(self) -> None:
        require_predicate(self.condition)
        for part in parts(self.condition):
            if isinstance(part, Compare) and not part.is_recorded:
                raise ValueError(f"{part} cannot be asked of the past: give entropy or varentropy of p")
        object.__setattr__(self, "then", as_program(self.then))

    def acts(self, step: Step, scores: torch.Tensor) -> bool:
        """Whether the predicate has not held yet."""
        return not self.condition(step, scores) and not self.condition.has_held(step)


@dataclass(frozen=True)
class Schedule(Operator):
    """An operator with one parameter that moves with the position, on straight lines between points.

    Parameters
    ----------
    then
        The operator; what it has in place of the parameter plays no part.
    parameter
        Name of a parameter of it that is a number.
    points
        Pairs of a position and a value; before the first and behind the last the value stands still.

    Examples
    --------
    >>> from itwidgets.interventions import Temperature
    >>> cooling = Schedule(Temperature(1.0), "temperature", [(0, 1.5), (10, 0.5)])
    >>> cooling.at(5)
    Temperature(temperature=1.0)
    """

    then: Operator
    parameter: str
    points: Sequence[tuple[int, float]]

    def __post_init__(self) -> None:
        if not isinstance(self.then, Operator):
            raise TypeError(f"{self.then!r} was given, but an operator is needed")
        names = list(self.then.parameters())
        if self.parameter not in names:
            raise ValueError(
                f"parameter is {self.parameter!r}, but {self.then} has {', '.join(names) or 'none'}"
            )
        points = tuple(sorted((int(position), float(value)) for position, value in self.points))
        if not points or len({position for position, _ in points}) < len(points):
            raise ValueError(
                f"points are {self.points!r}, but must be pairs (position, value), one a position"
            )
        object.__setattr__(self, "points", points)
        for position, _ in points:
            # An operator refuses a value that it cannot have, and between two that it can have lie others.
            self.at(position)

    @property
    def stage(self) -> Stage:
        """That of the operator."""
        return self.then.stage

    def at(self, position: int) -> Operator:
        """Return the operator as it is at a position."""
        positions, values = zip(*self.points, strict=True)
        value = float(np.interp(position, positions, values))
        is_float = self.then.declares_float(self.parameter)
        return dataclasses.replace(self.then, **{self.parameter: value if is_float else round(value)})  # type: ignore[type-var]

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return what the operator makes of the row, as it is here."""
        return self.at(step.position)(step, scores)


def _stage_of(*programs: Program | Operator) -> Stage:
    """Return the stage of what may be any of some programs."""
    operators = [operator for program in programs for operator in as_program(program).operators]
    is_sampler = operators and all(operator.stage == "sampler" for operator in operators)
    return "sampler" if is_sampler else "intervention"
