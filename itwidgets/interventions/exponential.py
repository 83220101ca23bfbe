"""Exponential families through a row of scores: where on them a distribution meets what is asked of it.

All rows are float64. The minimum-KL way to give `p` some means and an entropy lies on such a family (Csiszár
1975; Khalifa, Elsahar and Dymetman 2021), and its dual problem is convex with one variable a condition.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from itwidgets.information.kernel import float64, relative_entropy

_MOST_STEPS = 200
_PRECISION = 1e-15
_TOLERANCE = 1e-13

_NOISE = 1e-12
"""By how much sums over a vocabulary may be off."""

_MOST_NATS = 30.0
"""How far log-odds against what is likely may rise in one Newton step: beyond, the curvature says nothing."""

_NEARLY = 1e-9
"""How near to the goals means are where they can be met, whatever the rounding."""

_FACTOR = 2.0
"""How much the temperature grows or shrinks at once on the search for a bracket."""

_MOST_FACTORS = 100


def in_kind_of(scores: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
    """Return a row in the dtype and on the device of some scores."""
    # The dtype first: MPS has no float64.
    return row.to(scores.dtype).to(scores.device)


def part_of_the_way(scores: torch.Tensor, other: torch.Tensor, nats: float) -> torch.Tensor:
    """Return ``q_l ∝ p**(1 - l) * q**l`` with the greatest `l` up to 1 for which ``KL(q_l || p) <= nats``.

    ``KL(q_l || p)`` rises with `l`, by ``l * Var(log q - log p)``. As `l` goes to 0 it goes to ``-log`` of
    the mass that `q` does not exclude: what excludes more than the budget allows is left undone.

    Parameters
    ----------
    scores, other
        Scores of `p` and of `q`, shape ``[V]``. Tokens that `p` excludes stay excluded.

    Returns
    -------
    torch.Tensor
        ``scores`` itself where `l` is 0.
    """
    p, q = float64(scores), float64(other)
    kept = (p > -torch.inf) & (q > -torch.inf)
    log_p, way = p.log_softmax(-1), torch.where(kept, q - p, 0.0)

    def at(share: float) -> torch.Tensor:
        return (p + share * way).masked_fill(~kept, -torch.inf)

    def excess(share: float) -> tuple[float, float]:
        log_q = at(share).log_softmax(-1)
        weights = log_q.exp()
        spread = weights @ (way - weights @ way).square()
        return float(relative_entropy(log_q, log_p)) - nats, share * float(spread)

    if not kept.any() or excess(1.0)[0] <= 0:
        return other.masked_fill(~kept.to(other.device), -torch.inf)
    if excess(0.0)[0] >= 0:
        return scores
    return in_kind_of(scores, at(_root(excess, 0.0, 1.0)))


def _root(function: Callable[[float], tuple[float, float]], low: float, high: float) -> float:
    """Zero of a rising function, given with its slope, by Newton's method kept within a bracket."""
    at, most = high, high - low
    for _ in range(_MOST_STEPS):
        value, slope = function(at)
        low, high = (at, high) if value < 0 else (low, at)
        step = value / slope if slope > 0 else math.inf
        if not (low <= at - step <= high and abs(step) <= most):
            step = at - (low + high) / 2
        at, most = at - step, abs(step) / 2
        if abs(step) <= _PRECISION * at:
            break
    return at


@dataclass(frozen=True)
class _Dual:
    """The dual problem at one temperature `T` and multipliers `m` of the means.

    It is to minimise ``T log sum exp(u) - m·goals`` by `m`, with ``u = (log p + m·values) / T``. Without an
    entropy to meet `T` is 1; with an entropy `h`, what is least by `m` is to be least of ``... - T h`` by
    `T`: that is convex too, and ``H - h`` is its slope.

    Attributes
    ----------
    gradient
        By `m`, shape ``[k]``.
    hessian
        By `m` and `T`, shape ``[k + 1, k + 1]``.
    scale
        Of what the means are the sums, shape ``[k]``.
    """

    multipliers: torch.Tensor
    temperature: float
    value: float
    gradient: torch.Tensor
    hessian: torch.Tensor
    scale: torch.Tensor
    scores: torch.Tensor
    entropy: float

    def is_met(self, tolerance: float) -> bool:
        """Whether the means are as near to the goals as that."""
        return bool((self.gradient.abs() <= tolerance * self.scale).all())

    def path(self) -> tuple[torch.Tensor, float]:
        """Return how fast `m` and the entropy change with `T` while the means stay."""
        k = len(self.multipliers)
        mixed = self.hessian[:k, k]
        tangent = -_inverse(self.hessian[:k, :k]) @ mixed
        return tangent, float(self.hessian[k, k] + mixed @ tangent)


@dataclass(frozen=True)
class _Means:
    """Means that are asked for, and the dual problem that they make."""

    log_p: torch.Tensor
    values: torch.Tensor
    goals: torch.Tensor

    def at(self, multipliers: torch.Tensor, temperature: float) -> _Dual:
        """Return the dual problem at one point."""
        scores = (self.log_p + multipliers @ self.values) / temperature
        total = scores.logsumexp(-1)
        q = (scores - total).exp()
        rows = torch.cat([self.values, (total - scores)[None]])
        means = rows @ q
        centred = rows - means[:, None]
        return _Dual(
            multipliers=multipliers,
            temperature=temperature,
            value=float(temperature * total - multipliers @ self.goals),
            gradient=means[:-1] - self.goals,
            hessian=(centred * q) @ centred.T / temperature,
            scale=self.values.abs() @ q,
            scores=scores,
            entropy=float(means[-1]),
        )

    def solved(self, here: _Dual) -> _Dual:
        """Return where the means are met at one temperature, by damped Newton steps from a point."""
        for _ in range(_MOST_STEPS):
            if here.is_met(_TOLERANCE):
                break
            step = -_inverse(here.hessian[:-1, :-1]) @ here.gradient
            slope = float(here.gradient @ step)
            size = self._first_size(here, step)
            while True:
                there = self.at(here.multipliers + size * step, here.temperature)
                slack = _NOISE * (here.temperature + abs(here.value))
                if there.value <= here.value + 1e-4 * size * slope + slack or size < _PRECISION:
                    break
                size /= 2
            here = there
            if bool((size * step.abs() <= _PRECISION * (1 + here.multipliers.abs())).all()):
                break
        return here

    def _first_size(self, here: _Dual, step: torch.Tensor) -> float:
        """Return how much of a step to try first, so that it stays where the curvature says something."""
        moved = step @ self.values / here.temperature
        rise = float(moved.max() - here.scores.softmax(-1) @ moved)
        return min(1.0, _MOST_NATS / rise) if rise > 0 else 1.0


def nearest(
    log_p: torch.Tensor, values: torch.Tensor, goals: torch.Tensor, entropy: float | None = None
) -> torch.Tensor:
    """Scores of the distribution with the least ``KL(q || p)`` that has some means, and an entropy if given.

    Damped Newton steps on the dual problem. With the means met, the entropy rises with the temperature: it
    is met at a root in the temperature, which is bracketed first. Where no distribution has them all, the
    scores are those of one that comes near.

    Parameters
    ----------
    log_p
        Natural log-probabilities of the possible tokens, shape ``[n]``, all finite.
    values, goals
        What the means are of, shape ``[k, n]``, and the means, ``[k]``.
    entropy
        In nats.

    Returns
    -------
    torch.Tensor
        Shape ``[n]``.

    Examples
    --------
    >>> p = torch.tensor([0.5, 0.25, 0.25]).double()
    >>> nearest(p.log(), torch.eye(3).double()[:1], torch.tensor([0.8]).double()).softmax(-1)
    tensor([0.8000, 0.1000, 0.1000], dtype=torch.float64)
    """
    means = _Means(log_p, values, goals)
    here = means.solved(means.at(torch.zeros_like(goals), 1.0))
    if entropy is None or not here.is_met(_NEARLY):
        return here.scores

    def excess(temperature: float) -> tuple[float, float]:
        # Along the path, not from where the multipliers were: far from it the curvature vanishes.
        nonlocal here
        tangent, _ = here.path()
        change = temperature - here.temperature
        here = means.solved(means.at(here.multipliers + change * tangent, temperature))
        return here.entropy - entropy, here.path()[1]

    factor = _FACTOR if here.entropy < entropy else 1 / _FACTOR
    for _ in range(_MOST_FACTORS):
        before = here
        error, _ = excess(before.temperature * factor)
        if not here.is_met(_NEARLY):
            return before.scores
        if error * (factor - 1) >= 0:
            excess(_root(excess, *sorted((before.temperature, here.temperature))))
            break
    return here.scores


def _inverse(hessian: torch.Tensor) -> torch.Tensor:
    """Pseudo-inverse, of correlations: variances may lie many orders of magnitude apart."""
    deviations = hessian.diagonal().sqrt()
    deviations = deviations.masked_fill(deviations == 0, 1.0)
    scales = deviations[:, None] * deviations
    inverse: torch.Tensor = torch.linalg.pinv(hessian / scales, rtol=_TOLERANCE, hermitian=True)
    return inverse / scales
