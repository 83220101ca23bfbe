"""Sampler stages: the operators that make `s`, the distribution a token is drawn from, of `q`.

Each keeps the convention of the processor of the same name in transformers, to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from itwidgets.interventions.operators import Operator, Stage, excluding
from itwidgets.interventions.parameters import check_number, check_whole
from itwidgets.interventions.step import Step


class SamplerStage(Operator):
    """An operator that belongs to how a token is drawn, and so makes `s` from `q`."""

    @property
    def stage(self) -> Stage:
        """It makes `s` from `q`."""
        return "sampler"


@dataclass(frozen=True)
class Temperature(SamplerStage):
    """Divide the scores by ``temperature``: below 1 sharpens, above 1 flattens.

    Parameters
    ----------
    temperature
        Above 0; for the limit at 0 use :class:`Greedy`.
    """

    temperature: float

    def __post_init__(self) -> None:
        check_number("temperature", self.temperature, lambda t: 0 < t < float("inf"), "above 0")

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the tempered row."""
        return scores / self.temperature


@dataclass(frozen=True)
class TopK(SamplerStage):
    """Keep the ``k`` best tokens, and all that tie with the last of them (Fan et al. 2018)."""

    k: int

    def __post_init__(self) -> None:
        check_whole("k", self.k, least=1)

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row with all but the best ``k`` excluded."""
        last = scores.topk(min(self.k, scores.shape[-1])).values[-1]
        return excluding(scores, scores < last)


@dataclass(frozen=True)
class TopP(SamplerStage):
    """Keep the smallest set of best tokens that holds at least ``p`` of the mass (Holtzman et al. 2020)."""

    p: float

    def __post_init__(self) -> None:
        check_number("p", self.p, lambda p: 0 < p <= 1, "above 0 and at most 1")

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row with the tail excluded; the best token always stays."""
        if self.p == 1:
            return scores
        ascending, order = scores.sort(descending=False)
        tail = ascending.softmax(-1).cumsum(-1) <= 1 - self.p
        tail[-1] = False
        return excluding(scores, torch.zeros_like(tail).scatter(0, order, tail))


@dataclass(frozen=True)
class MinP(SamplerStage):
    """Keep tokens at least ``p`` times as probable as the best one (Nguyen et al. 2024)."""

    p: float

    def __post_init__(self) -> None:
        check_number("p", self.p, lambda p: 0 <= p <= 1, "between 0 and 1")

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row with improbable tokens excluded."""
        probabilities = scores.softmax(-1)
        return excluding(scores, probabilities < self.p * probabilities.max())


@dataclass(frozen=True)
class Greedy(SamplerStage):
    """Keep the best token alone; of several that tie, the one with the lowest id."""

    @property
    def is_deterministic(self) -> bool:
        """It leaves one token."""
        return True

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row with one token left."""
        best = scores.max(-1, keepdim=True)
        return torch.full_like(scores, -torch.inf).scatter_(-1, best.indices, best.values)
