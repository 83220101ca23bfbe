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

_MOST_FACTOR = 4.0
"""How much the temperature may grow or shrink in one Newton step."""


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
    """The dual problem at one point: its value, gradient and Hessian, and the scores there.

    With multipliers `m` of the means and temperature `T`, it is
    ``T log sum exp(u) - m·goals - T h`` with ``u = (log p + m·values) / T``.
    """

    value: float
    gradient: torch.Tensor
    hessian: torch.Tensor
    scale: torch.Tensor
    scores: torch.Tensor


def nearest(
    log_p: torch.Tensor, values: torch.Tensor, goals: torch.Tensor, entropy: float | None = None
) -> torch.Tensor:
    """Scores of the distribution with the least ``KL(q || p)`` that has some means, and an entropy if given.

    Damped Newton steps on the dual problem. Where no distribution has them all, the scores are those of one
    that comes near.

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
    count = len(goals)
    point = torch.zeros(count + (entropy is not None), dtype=torch.float64, device=log_p.device)
    if entropy is not None:
        point[-1] = 1.0
    here = _dual(point, log_p, values, goals, entropy)
    for _ in range(_MOST_STEPS):
        if bool((here.gradient.abs() <= _TOLERANCE * here.scale).all()):
            break
        step = -_inverse(here.hessian) @ here.gradient
        slope = float(here.gradient @ step)
        size = _first_size(here, 1.0 if entropy is None else float(point[-1]), values, step)
        while True:
            there = _dual(point + size * step, log_p, values, goals, entropy)
            slack = _NOISE * (1 + abs(here.value))
            if there.value <= here.value + 1e-4 * size * slope + slack or size < _PRECISION:
                break
            size /= 2
        point, here = point + size * step, there
        if bool((size * step.abs() <= _PRECISION * (1 + point.abs())).all()):
            break
    return here.scores


def _dual(
    point: torch.Tensor,
    log_p: torch.Tensor,
    values: torch.Tensor,
    goals: torch.Tensor,
    entropy: float | None,
) -> _Dual:
    multipliers = point[: len(goals)]
    temperature = 1.0 if entropy is None else float(point[-1])
    scores = (log_p + multipliers @ values) / temperature
    total = scores.logsumexp(-1)
    q = (scores - total).exp()
    value = temperature * total - multipliers @ goals
    rows, offsets = values, -goals
    if entropy is not None:
        # By the temperature the dual has the slope H - h, and H is the mean of -log q.
        value = value - temperature * entropy
        rows = torch.cat([values, (total - scores)[None]])
        offsets = torch.cat([offsets, offsets.new_tensor([-entropy])])
    means = rows @ q
    centred = rows - means[:, None]
    return _Dual(
        value=float(value),
        gradient=means + offsets,
        hessian=(centred * q) @ centred.T / temperature,
        scale=rows.abs() @ q,
        scores=scores,
    )


def _inverse(hessian: torch.Tensor) -> torch.Tensor:
    """Pseudo-inverse, of correlations: variances may lie many orders of magnitude apart."""
    deviations = hessian.diagonal().sqrt()
    deviations = deviations.masked_fill(deviations == 0, 1.0)
    scales = deviations[:, None] * deviations
    inverse: torch.Tensor = torch.linalg.pinv(hessian / scales, rtol=_TOLERANCE, hermitian=True)
    return inverse / scales


def _first_size(here: _Dual, temperature: float, values: torch.Tensor, step: torch.Tensor) -> float:
    """Return how much of a step to try first, so that it stays where the curvature says something."""
    change = float(step[len(values) :].sum())
    most = (_MOST_FACTOR - 1) * temperature if change > 0 else (1 - 1 / _MOST_FACTOR) * temperature
    moved = step[: len(values)] @ values / temperature
    rise = float(moved.max() - here.scores.softmax(-1) @ moved)
    return min(1.0, most / abs(change) if change else 1.0, _MOST_NATS / rise if rise > 0 else 1.0)
