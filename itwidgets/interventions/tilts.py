"""Tilts: rows raised to a power, mixed and pooled with others, and programs that act in part."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from itwidgets.information import log_probabilities
from itwidgets.information.kernel import float64
from itwidgets.interventions.exponential import in_kind_of, part_of_the_way
from itwidgets.interventions.operators import Operator, excluding, ids_in_row
from itwidgets.interventions.parameters import check_number
from itwidgets.interventions.program import Program, as_program
from itwidgets.interventions.projection import LN2, Target
from itwidgets.interventions.step import Step


@dataclass(frozen=True)
class Power(Operator):
    """Raise the distribution to a power and renormalise: ``q ∝ p ** exponent``.

    The same as a temperature of ``1 / exponent``, but as an intervention: it makes `q` and has a cost.

    Parameters
    ----------
    exponent
        At least 0; 0 makes all possible tokens equal.

    Examples
    --------
    >>> Power(2)(Step(0, [1], 1), torch.tensor([1.0, -0.5, -torch.inf]))
    tensor([ 2., -1., -inf])
    """

    exponent: float

    def __post_init__(self) -> None:
        check_number("exponent", self.exponent, lambda e: 0 <= e < math.inf, "at least 0 and finite")

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row times the exponent."""
        return excluding(scores * self.exponent, scores == -torch.inf)


@dataclass(frozen=True)
class Mix(Operator):
    """Mix probabilities with those of another row: ``q = (1 - share) * p + share * r``.

    It brings back tokens that were excluded, if `r` has them.

    Parameters
    ----------
    share
        Between 0 and 1.
    other
        `r`: a program, which makes it of the same row, or a mapping from token ids to probabilities that sum
        to 1, the same at each position.

    Examples
    --------
    >>> Mix(0.5, {0: 1.0})(Step(0, [1], 1), torch.zeros(4)).softmax(-1)
    tensor([0.6250, 0.1250, 0.1250, 0.1250])
    """

    share: float
    other: Program | Operator | Mapping[int, float]

    def __post_init__(self) -> None:
        check_number("share", self.share, lambda x: 0 <= x <= 1, "between 0 and 1")
        object.__setattr__(self, "other", _program_or_fixed(self.other))

    def __hash__(self) -> int:
        """Hash by the pairs, since a mapping has no hash of its own."""
        other = self.other
        return hash((self.share, tuple(sorted(other.items())) if isinstance(other, Mapping) else other))

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the mixed row; its scores sum to as much as they did."""
        if self.share == 0:
            return scores
        rows = float64(scores)
        mixed = torch.logaddexp(
            log_probabilities(rows) + _log(1 - self.share), self._other(step, scores) + _log(self.share)
        )
        return in_kind_of(scores, mixed + rows.logsumexp(-1))

    def _other(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        if not isinstance(self.other, Mapping):
            return log_probabilities(as_program(self.other).last_row(step, scores))
        rows = torch.zeros_like(float64(scores))
        rows[ids_in_row(self.other, rows)] = rows.new_tensor(list(self.other.values()))
        return rows.log()


@dataclass(frozen=True)
class Pool(Operator):
    """Pool what several programs make of the row: ``q ∝ prod q_i ** weight_i``, a log-linear pool.

    A token that any of them excludes is excluded (Genest and Zidek 1986). Weights that sum to 1 make a mean;
    weights of 1 make a product of experts (Hinton 2002).

    Parameters
    ----------
    programs
        At least one; ``Program()`` stands for the row as it is.
    weights
        Above 0, one a program; by default equal ones that sum to 1.

    Examples
    --------
    >>> from itwidgets.interventions import Bias
    >>> Pool([Program(), Bias({0: 3.0})], [1, 2])(Step(0, [1], 1), torch.zeros(2))
    tensor([6., 0.])
    """

    programs: Sequence[Program | Operator]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "programs", tuple(as_program(program) for program in self.programs))
        if not self.programs:
            raise ValueError("programs is empty, but must have at least one program")
        if self.weights is None:
            return
        object.__setattr__(self, "weights", tuple(self.weights))
        if len(self.weights) != len(self.programs):
            raise ValueError(
                f"weights are {len(self.weights)} numbers, but must be {len(self.programs)}, one a program"
            )
        for weight in self.weights:
            check_number("weight", weight, lambda w: 0 < w < math.inf, "above 0 and finite")

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the weighted sum of the rows that the programs make."""
        weights = self.weights or (1 / len(self.programs),) * len(self.programs)
        rows = [float64(as_program(program).last_row(step, scores)) for program in self.programs]
        pooled = torch.stack([row * weight for row, weight in zip(rows, weights, strict=True)]).sum(0)
        return in_kind_of(scores, pooled)


@dataclass(frozen=True)
class Mask(Operator):
    """Exclude what a program excludes; what is left keeps its proportions, whatever else the program does.

    Examples
    --------
    The nucleus of a flattened row, with the probabilities of the row itself.

    >>> from itwidgets.interventions import Temperature, TopP
    >>> wide = Mask(Temperature(2.0) >> TopP(0.9))
    >>> wide(Step(0, [1], 1), torch.tensor([4.0, 2.0, 0.0, -2.0]))
    tensor([4., 2., 0., -inf])
    """

    then: Program | Operator

    def __post_init__(self) -> None:
        object.__setattr__(self, "then", as_program(self.then))

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row without what the program excludes."""
        return excluding(scores, as_program(self.then).last_row(step, scores) == -torch.inf)


@dataclass(frozen=True)
class KLBudget(Target):
    """Let a program act as far as some bits of cost allow: ``q_l ∝ p**(1 - l) * q**l``, `l` at most 1.

    `q` is what the program makes of the row that comes in, `p`, and `l` the greatest for which
    ``KL(q_l || p) <= bits``. Exclusion has no half: where what the program excludes costs more by itself than
    the budget, the row stays as it is. Tokens that `p` excludes stay excluded.

    Parameters
    ----------
    then
        The program, or an operator.
    bits
        The budget, at least 0.

    Examples
    --------
    >>> from itwidgets.interventions import Bias
    >>> KLBudget(Bias({0: 9.0}), bits=0.5)(Step(0, [1], 1), torch.zeros(4)).softmax(-1)
    tensor([0.6455, 0.1182, 0.1182, 0.1182])
    """

    then: Program | Operator
    bits: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "then", as_program(self.then))
        check_number("bits", self.bits, lambda b: 0 <= b < math.inf, "at least 0 and finite")

    @property
    def promise(self) -> str:
        """The most that it costs, in words."""
        return f"a cost of at most {self.bits} bits"

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row a part of the way to what the program makes of it."""
        return part_of_the_way(scores, as_program(self.then).last_row(step, scores), self.bits * LN2)


def _program_or_fixed(other: object) -> Program | dict[int, float]:
    if not isinstance(other, Mapping) or "operators" in other:
        return as_program(other)
    fixed = {int(token): value for token, value in other.items()}
    for token, value in fixed.items():
        check_number(f"the probability of token {token}", value, lambda x: 0 <= x <= 1, "between 0 and 1")
    if not math.isclose(total := math.fsum(fixed.values()), 1, abs_tol=1e-6):
        raise ValueError(f"other has probabilities that sum to {total:.6g}, but they must sum to 1")
    return fixed


def _log(share: float) -> float:
    return math.log(share) if share else -math.inf
