"""Several targets at once: the one nearest distribution that meets them all, whatever their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from itwidgets.interventions.operators import Operator
from itwidgets.interventions.projection import MeanTarget, Target, projected
from itwidgets.interventions.step import Step
from itwidgets.interventions.targets import TargetEntropy


@dataclass(frozen=True)
class Constrain(Target):
    """Meet several targets together, at the least ``KL(q || p)``.

    One after another, targets undo each other. Together they have one solution
    ``q ∝ p**(1 / T) exp(sum m_i f_i)`` on the tokens that are left, one multiplier for each mean and `T` for
    the entropy (1 where none is asked for), found by Newton's method on the convex dual problem (Csiszár
    1975; Boyd and Vandenberghe 2004).

    Parameters
    ----------
    targets
        Any of :class:`Mass`, :class:`TargetSurprisal`, :class:`TargetMoment` and at most one
        :class:`TargetEntropy`.
    support
        Operators of which only counts which tokens they exclude, each from the row that comes in.

    Raises
    ------
    ValueError
        Where no distribution meets them all; the sentence says which one fails, and by how much.

    Examples
    --------
    >>> from itwidgets.interventions import Ban, Mass
    >>> both = Constrain([Mass([0], 0.5), TargetEntropy(1.2)], support=[Ban([3])])
    >>> row = both(Step(0, [1], 1), torch.tensor([1.0, 2.0, 3.0, 4.0]).double())
    >>> row.softmax(-1)
    tensor([0.5000, 0.0397, 0.4603, 0.0000], dtype=torch.float64)
    """

    targets: Sequence[Target]
    support: Sequence[Operator] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        object.__setattr__(self, "support", tuple(self.support))
        for target in self.targets:
            if not isinstance(target, (MeanTarget, TargetEntropy)):
                raise TypeError(
                    f"{target!r} is among the targets, but must be a Mass, a TargetSurprisal, a TargetMoment "
                    "or a TargetEntropy"
                )
        for operator in self.support:
            if not isinstance(operator, Operator):
                raise TypeError(
                    f"{operator!r} is in the support, but must be an operator that excludes tokens"
                )
        if not self.targets:
            raise ValueError("targets is empty, but must have at least one target")
        if len(self._entropies) > 1:
            raise ValueError(f"targets has {len(self._entropies)} entropies, but may have one")

    @property
    def _entropies(self) -> list[float]:
        return [target.bits for target in self.targets if isinstance(target, TargetEntropy)]

    @property
    def promise(self) -> str:
        """What all targets ask for, in words."""
        return " and ".join(target.promise for target in self.targets)

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row that meets all targets."""
        kept = scores > -torch.inf
        for operator in self.support:
            kept = kept & (operator(step, scores) > -torch.inf)
        means = [target for target in self.targets if isinstance(target, MeanTarget)]
        bits = self._entropies[0] if self._entropies else None
        return projected(self, step, scores.masked_fill(~kept, -torch.inf), means, bits)
