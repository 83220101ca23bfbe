"""Truncation: sampler stages that cut the tail, or the head, of the row that they are given.

Typical, Eta and Epsilon keep the conventions of the processors of those names in transformers, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from itwidgets.information import log_probabilities
from itwidgets.information.kernel import moments
from itwidgets.interventions.operators import excluding
from itwidgets.interventions.parameters import check_number, check_seed, checked_ids
from itwidgets.interventions.samplers import SamplerStage
from itwidgets.interventions.step import Step


@dataclass(frozen=True)
class Typical(SamplerStage):
    """Keep tokens whose surprisal is nearest to the entropy, as many as hold a mass (Meister et al. 2023).

    Parameters
    ----------
    mass
        Above 0 and at most 1, where nothing is cut.

    Examples
    --------
    The best token goes where it is less surprising than is typical.

    >>> row = torch.tensor([0.4, 0.15, 0.15, 0.15, 0.15]).log()
    >>> Typical(0.2)(Step(0, [1], 1), row).isfinite()
    tensor([False,  True,  True,  True,  True])
    """

    mass: float

    def __post_init__(self) -> None:
        check_number("mass", self.mass, lambda mass: 0 < mass <= 1, "above 0 and at most 1")

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row with what is not typical excluded."""
        if self.mass == 1:
            return scores
        log_p = scores.log_softmax(-1)
        nats = -(log_p * log_p.exp()).nansum(-1)
        distance = (-log_p - nats).abs()
        ascending, order = distance.sort(descending=False)
        cumulative = scores.gather(0, order).softmax(-1).cumsum(-1)
        last = (cumulative < self.mass).sum(-1, keepdim=True).clamp(max=len(scores) - 1)
        removed = ascending > ascending.gather(0, last)
        removed[0] = False
        return excluding(scores, torch.zeros_like(removed).scatter(0, order, removed))


@dataclass(frozen=True)
class Epsilon(SamplerStage):
    """Keep tokens of at least a probability, and the best one (Hewitt, Manning and Liang 2022).

    Parameters
    ----------
    epsilon
        Between 0 and 1.
    """

    epsilon: float

    def __post_init__(self) -> None:
        check_number("epsilon", self.epsilon, lambda e: 0 < e < 1, "between 0 and 1, and neither")

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row with improbable tokens excluded."""
        return _at_least(scores, self.epsilon)


@dataclass(frozen=True)
class Eta(SamplerStage):
    """Keep tokens of at least a probability that falls with the entropy, and the best one.

    It is ``min(epsilon, sqrt(epsilon) * exp(-H))``, `H` the entropy in nats: where the row is flat, less
    probable tokens stay than by :class:`Epsilon` (Hewitt, Manning and Liang 2022).

    Parameters
    ----------
    epsilon
        Between 0 and 1.
    """

    epsilon: float

    def __post_init__(self) -> None:
        check_number("epsilon", self.epsilon, lambda e: 0 < e < 1, "between 0 and 1, and neither")

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row with improbable tokens excluded."""
        # As a row of a batch: beside it, a number of no dimension leaves the dtype as transformers has it.
        row: Any = torch.distributions.Categorical(logits=scores[None], validate_args=False)
        epsilon = torch.tensor(self.epsilon, dtype=torch.float32)
        return _at_least(scores, torch.min(epsilon, epsilon.sqrt() * torch.exp(-row.entropy())))


@dataclass(frozen=True)
class TopA(SamplerStage):
    """Keep tokens of at least ``a * p_max ** 2``, `p_max` the best one's probability (BlinkDL 2022).

    Where the best token is sure, more is cut than by :class:`~itwidgets.interventions.MinP`.

    Parameters
    ----------
    a
        From 0, where nothing is cut, to 1.
    """

    a: float

    def __post_init__(self) -> None:
        check_number("a", self.a, lambda a: 0 <= a <= 1, "between 0 and 1")

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row with improbable tokens excluded."""
        return _at_least(scores, self.a * scores.softmax(-1).max().square())


@dataclass(frozen=True)
class TopNSigma(SamplerStage):
    """Keep scores at most ``n`` standard deviations below the best (Tang et al. 2024).

    The deviation is that of all scores in the row that are not excluded, so a temperature before or after
    it changes nothing of what is kept.

    Parameters
    ----------
    n
        Above 0.

    Examples
    --------
    >>> TopNSigma(1.0)(Step(0, [1], 1), torch.tensor([9.0, 8.0, 1.0, 0.0]))
    tensor([9., 8., -inf, -inf])
    """

    n: float

    def __post_init__(self) -> None:
        check_number("n", self.n, lambda n: 0 < n < float("inf"), "above 0")

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row with low scores excluded."""
        row = scores.to(torch.promote_types(scores.dtype, torch.float32))
        kept = row > -torch.inf
        mean = row.masked_fill(~kept, 0).sum() / kept.sum()
        variance = (row - mean).square().masked_fill(~kept, 0).sum() / kept.sum()
        return excluding(scores, row < row.max() - self.n * variance.sqrt())


@dataclass(frozen=True)
class TopH(SamplerStage):
    """Keep the best tokens, as many as have together at most a share of the entropy (Potraghloo et al. 2025).

    The largest set of best tokens that, renormalised, has ``H(kept) <= alpha * H(row)``; of tokens that
    tie, the lower id first. The best one always stays.

    The processor of that name in transformers sums ``-p log p`` over the hundred best tokens without
    renormalising, and so keeps other sets, some of them above the bound; this is the rule as published.

    Parameters
    ----------
    alpha
        Above 0 and at most 1, where nothing is cut.

    Examples
    --------
    >>> TopH(0.5)(Step(0, [1], 1), torch.zeros(16)).isfinite().sum()
    tensor(4)
    """

    alpha: float

    def __post_init__(self) -> None:
        check_number("alpha", self.alpha, lambda alpha: 0 < alpha <= 1, "above 0 and at most 1")

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row with the tail excluded."""
        if self.alpha == 1:
            return scores
        log_p, order = log_probabilities(scores).sort(descending=True, stable=True)
        p = log_p.exp()
        mass = p.cumsum(-1)
        # Entropy of the k best, renormalised: log Z - E[log p]; it grows with k.
        kept = mass.log() - (p * log_p).nan_to_num(0).cumsum(-1) / mass
        # Sums of many terms round: equal entropies may differ by this much.
        removed = kept > self.alpha * moments(log_p)[1] + 1e-12
        removed[0] = False
        return excluding(scores, torch.zeros_like(removed).scatter(0, order, removed).to(scores.device))


@dataclass(frozen=True)
class XTC(SamplerStage):
    """At some positions, exclude the top choices: all tokens of at least ``threshold`` but the last of them.

    Where fewer than two reach the threshold, nothing is excluded (p-e-w 2024, "exclude top choices").

    Parameters
    ----------
    threshold
        Probability from which on a token is a top choice, above 0 and at most 1.
    probability
        Of acting at a position, between 0 and 1.
    protected
        Ids, such as those of line breaks and of the end: where one of them would be excluded, nothing is.
    seed
        Of the chance of acting, which depends on seed and position alone.

    Examples
    --------
    >>> row = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    >>> XTC(threshold=0.1, probability=1.0)(Step(0, [1], 1), row).isfinite()
    tensor([False, False,  True,  True])
    """

    threshold: float = 0.1
    probability: float = 0.5
    protected: Sequence[int] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        check_number("threshold", self.threshold, lambda t: 0 < t <= 1, "above 0 and at most 1")
        check_number("probability", self.probability, lambda p: 0 <= p <= 1, "between 0 and 1")
        check_seed(self.seed)
        object.__setattr__(self, "protected", checked_ids("protected", self.protected))

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row without its top choices, or the row."""
        if chance(self.seed, step.position) >= self.probability:
            return scores
        p, order = scores.softmax(-1).sort(descending=True, stable=True)
        removed = torch.zeros_like(p, dtype=torch.bool)
        removed[:-1] = p[1:] >= self.threshold
        removed = torch.zeros_like(removed).scatter(0, order, removed)
        if any(bool(removed[i]) for i in self.protected):
            return scores
        return excluding(scores, removed)


def chance(seed: int, position: int) -> float:
    """Return a number from 0 up to 1 that is uniform over seeds and positions, and depends on nothing else.

    It shares no bits with the noise by which tokens are drawn, whatever the seeds.
    """
    # The noise of one position counts from 0 up, and never comes to this.
    bits = np.random.Philox(counter=2**255, key=np.array([seed, position], np.uint64)).random_raw()
    return int(bits >> 11) * 2.0**-53


def _at_least(scores: torch.Tensor, probability: torch.Tensor | float) -> torch.Tensor:
    """Return the row with all tokens below a probability excluded but the best."""
    return excluding(scores, (scores.softmax(-1) < probability) & (scores < scores.max()))
