"""Measuring by turns: what is compared runs in one process, round by round, in another order each round.

The machine is never quiet and its memory is shared, so a time means little and a ratio of two times from
the same round means something. Medians over rounds are reported, with the middle half of the rounds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

Turn = Callable[[], float]
"""Does the work once and returns the seconds that one unit of it took."""


@dataclass(frozen=True)
class Measured:
    """What the rounds gave, in their order."""

    values: tuple[float, ...]

    @classmethod
    def once(cls, value: float) -> Measured:
        """Return what does not vary, or was measured a single time."""
        return cls((value,))

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.values)

    @property
    def middle_half(self) -> tuple[float, float]:
        """The quartiles."""
        low, high = np.quantile(self.values, [0.25, 0.75])
        return float(low), float(high)

    def __truediv__(self, other: Measured) -> Measured:
        """Divide round by round, so that what slowed a whole round down cancels out."""
        return Measured(tuple(a / b for a, b in zip(self.values, other.values, strict=True)))

    def __mul__(self, factor: float) -> Measured:
        """Scale every round."""
        return Measured(tuple(factor * value for value in self.values))


@dataclass(frozen=True)
class Target:
    """What a figure is to reach."""

    limit: float
    at_least: bool

    def reached_by(self, value: float) -> bool:
        """Whether a figure is on the right side of the limit."""
        return value >= self.limit if self.at_least else value <= self.limit


def at_least(limit: float) -> Target:
    """More is better."""
    return Target(limit, at_least=True)


def at_most(limit: float) -> Target:
    """Less is better."""
    return Target(limit, at_least=False)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    what
        What was measured, against what.
    measured
        ``None`` where it could not be measured; the note then says why.
    target
        ``None`` where the figure is there for comparison alone.
    """

    what: str
    measured: Measured | None
    unit: str = ""
    target: Target | None = None
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the median reaches the target; ``None`` without a target or a figure."""
        if self.measured is None or self.target is None:
            return None
        return self.target.reached_by(self.measured.median)


def take_turns(turns: Mapping[str, Turn], rounds: int, seed: int = 0) -> dict[str, Measured]:
    """Run every turn once a round, in a new order each round, after one round that does not count."""

    def one_round() -> dict[str, float]:
        order = noise.permutation(list(turns))
        taken = {str(name): turns[str(name)]() for name in order}
        return {name: taken[name] for name in turns}

    noise = np.random.default_rng(seed)
    return repeat(one_round, rounds)


def repeat(one_round: Callable[[], Mapping[str, float]], rounds: int) -> dict[str, Measured]:
    """Collect what each round gives by name, after one round that does not count."""
    one_round()
    found = [one_round() for _ in range(rounds)]
    return {name: Measured(tuple(one[name] for one in found)) for name in found[0]}


class Stopwatch:
    """Seconds that a ``with`` block took."""

    seconds = float("nan")


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Time a block."""
    watch = Stopwatch()
    start = time.perf_counter()
    yield watch
    watch.seconds = time.perf_counter() - start
