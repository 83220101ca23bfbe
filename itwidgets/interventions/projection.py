"""Information projections: what targets are, and the row nearest to a row that meets several of them."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch

from itwidgets.information import entropy
from itwidgets.information.kernel import float64
from itwidgets.interventions.exponential import in_kind_of, nearest
from itwidgets.interventions.operators import Operator
from itwidgets.interventions.step import Step

LN2 = math.log(2)

_CLOSE = 1e-9
"""How near to what is asked counts as met."""


class Target(Operator):
    """An operator that gives the row that comes in a property, whatever the row.

    `p` stands for the row that comes in: the model's own where no operator came before.
    """

    @property
    @abstractmethod
    def promise(self) -> str:
        """What the row has afterwards, in words: operators that come later may take it away again."""

    def unreached(self, step: Step, why: object) -> ValueError:
        """Return the error that says why a row cannot have the property."""
        return ValueError(
            f"{type(self).__name__} cannot give {self.promise} at position {step.position}: {why}"
        )


class MeanTarget(Target):
    """A target that asks for the mean of a number that each token has."""

    @property
    @abstractmethod
    def goal(self) -> float:
        """The mean."""

    @abstractmethod
    def numbers(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the number of each token, float64, shape ``[V]``, on the device of the scores."""


def projected(
    asking: Target,
    step: Step,
    scores: torch.Tensor,
    targets: Sequence[MeanTarget],
    bits: float | None = None,
) -> torch.Tensor:
    """Return the row of the `q` with the least ``KL(q || p)`` that meets all targets at once.

    Parameters
    ----------
    asking
        Named by errors.
    targets
        The means.
    bits
        The entropy, if one is asked for.

    Raises
    ------
    ValueError
        When no distribution over the possible tokens meets them all.
    """
    rows = float64(scores)
    numbers = (
        torch.stack([target.numbers(rows) for target in targets]) if targets else rows.new_empty(0, len(rows))
    )
    goals = rows.new_tensor([target.goal for target in targets])
    kept = _support(rows, numbers, goals)
    if not kept.any():
        raise asking.unreached(step, "no token is left that they allow together")
    log_p = rows[kept].log_softmax(-1)
    numbers = numbers[:, kept]
    # A number that all tokens share has its mean whatever is done.
    varies = numbers.amin(-1) < numbers.amax(-1)
    met = nearest(log_p, numbers[varies], goals[varies], None if bits is None else bits * LN2)
    _check_met(asking, step, met, targets, numbers, bits)
    row = torch.full_like(rows, -torch.inf)
    # The best score stays as it is, so that the row keeps its scale.
    row[kept] = met - met.max() + rows.max()
    return in_kind_of(scores, row)


def _support(rows: torch.Tensor, numbers: torch.Tensor, goals: torch.Tensor) -> torch.Tensor:
    """Tokens that may come: a mean that equals the least or the greatest number leaves those tokens alone."""
    kept = rows > -torch.inf
    while True:
        before = kept
        for number, goal in zip(numbers, goals, strict=True):
            least, greatest = number[kept].aminmax() if kept.any() else (goal, goal)
            if goal in (least, greatest):
                kept = kept & (number == goal)
        if torch.equal(kept, before):
            return kept


def _check_met(
    asking: Target,
    step: Step,
    met: torch.Tensor,
    targets: Sequence[MeanTarget],
    numbers: torch.Tensor,
    bits: float | None,
) -> None:
    q = met.softmax(-1)
    found = [
        (target.promise, float(q @ row), target.goal, float(q @ row.abs()))
        for target, row in zip(targets, numbers, strict=True)
    ]
    if bits is not None:
        found.append((f"an entropy of {bits} bits", float(entropy(met.log_softmax(-1))), bits, 1.0))
    for promise, value, goal, scale in found:
        if not abs(value - goal) <= _CLOSE * max(scale, abs(goal)):
            raise asking.unreached(step, f"in place of {promise} it reaches {value:.6g}")
