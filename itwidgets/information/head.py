"""The head of a distribution, its most probable tokens, and what can be said from the head alone.

``log_p`` holds natural log-probabilities of shape ``[..., V]`` and the result has shape ``[...]``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from itwidgets.information.kernel import (
    Array,
    check_number,
    check_whole,
    expectation,
    float64,
    in_kind,
    like,
    unit,
)
from itwidgets.information.row_measures import row_measure

_ROUNDING = 1e-5
"""By how much probabilities that came in few digits may miss a sum."""


class EntropyInterval(NamedTuple):
    """Bounds that an entropy surely lies between, each of shape ``[...]``."""

    lower: Array
    upper: Array


@row_measure
@in_kind
def top_probability(log_p: Array) -> torch.Tensor:
    """Probability of the most probable token.

    Examples
    --------
    >>> round(float(top_probability(torch.tensor([0.25, 0.75]).double().log())), 6)
    0.75
    """
    return float64(log_p).amax(-1).exp()


@row_measure
@in_kind
def top_margin(log_p: Array) -> torch.Tensor:
    """Difference of the two greatest probabilities, ``p1 - p2``; 0 where they tie.

    Examples
    --------
    >>> round(float(top_margin(torch.tensor([0.25, 0.75]).double().log())), 6)
    0.5
    """
    first, second = _two_best(float64(log_p))
    return first.exp() * -torch.expm1(second - first)


@row_measure
@in_kind
def log_odds_margin(log_p: Array, *, base: float = 2.0) -> torch.Tensor:
    """Log-odds of the most probable token against the second, ``log(p1 / p2)``.

    It is infinite where only one token is possible.

    Examples
    --------
    >>> round(float(log_odds_margin(torch.tensor([0.2, 0.8]).double().log())), 6)
    2.0
    """
    first, second = _two_best(float64(log_p))
    return (first - second) / unit(base)


@row_measure
@in_kind
def head_mass(log_p: Array, k: int) -> torch.Tensor:
    """Probability of the `k` most probable tokens together.

    Raises
    ------
    ValueError
        If ``k`` is no whole number of at least 0.

    Examples
    --------
    >>> round(float(head_mass(torch.tensor([0.5, 0.3, 0.2]).double().log(), 2)), 6)
    0.8
    """
    check_whole("k", k, least=0)
    rows = float64(log_p)
    return rows.topk(min(k, rows.shape[-1])).values.exp().sum(-1)


@row_measure
@in_kind
def tail_mass(log_p: Array, k: int) -> torch.Tensor:
    """Probability of all but the `k` most probable tokens, summed there: a tiny tail keeps its digits.

    Raises
    ------
    ValueError
        If ``k`` is no whole number of at least 0.

    Examples
    --------
    >>> round(float(tail_mass(torch.tensor([0.5, 0.3, 0.2]).double().log(), 2)), 6)
    0.2
    """
    check_whole("k", k, least=0)
    rows = float64(log_p)
    head = rows.topk(min(k, rows.shape[-1])).indices
    return rows.scatter(-1, head, -torch.inf).exp().sum(-1)


@row_measure
@in_kind
def nucleus_size(log_p: Array, mass: float) -> torch.Tensor:
    """Size of the nucleus: the fewest tokens that hold at least ``mass`` (Holtzman et al. 2020).

    Parameters
    ----------
    log_p
        Natural log-probabilities, shape ``[..., V]``.
    mass
        Above 0 and at most 1, where all possible tokens count.

    Raises
    ------
    ValueError
        If ``mass`` is out of that range.

    Examples
    --------
    >>> int(nucleus_size(torch.tensor([0.5, 0.3, 0.2]).double().log(), 0.7))
    2
    """
    check_number("mass", mass, lambda m: 0 < m <= 1, "above 0 and at most 1")
    # What is left over is summed from the least probable token up, as top-p samplers do.
    tails = float64(log_p).exp().sort().values.cumsum(-1)
    return (tails > 1 - mass).sum(-1).clamp_min(1)


@row_measure
@in_kind
def min_p_size(log_p: Array, min_p: float) -> torch.Tensor:
    """How many tokens are at least ``min_p`` times as probable as the best one (Nguyen et al. 2024).

    Raises
    ------
    ValueError
        If ``min_p`` is not above 0 and at most 1.

    Examples
    --------
    >>> int(min_p_size(torch.tensor([0.5, 0.3, 0.2]).double().log(), 0.5))
    2
    """
    check_number("min_p", min_p, lambda m: 0 < m <= 1, "above 0 and at most 1")
    rows = float64(log_p)
    return (rows - rows.amax(-1, keepdim=True) >= math.log(min_p)).sum(-1)


def certified_entropy_interval(
    top_log_p: Array, vocabulary_size: int, *, base: float = 2.0
) -> EntropyInterval:
    """Bounds of the entropy from the most probable tokens alone, as an API lists them.

    The rest of the mass, `r`, is shared by ``V - k`` tokens that are at most as probable as the least listed,
    ``p_k``. Entropy is least where as few tokens as possible take it, ``m = floor(r / p_k)`` whole shares and
    a remainder, and greatest where all take the same: with ``H_k = -sum p log p`` over the list,
    ``H_k + m p_k log(1/p_k) + s log(1/s) <= H <= H_k + r log((V - k) / r)``, ``s = r - m p_k``.

    Parameters
    ----------
    top_log_p
        Natural log-probabilities of the `k` most probable tokens, in any order, shape ``[..., k]``.
    vocabulary_size
        `V`, at least `k`.

    Returns
    -------
    EntropyInterval
        Shape ``[...]`` each, in the kind of ``top_log_p``.

    Raises
    ------
    ValueError
        If the vocabulary is smaller than the list, or the listed probabilities sum to more than 1 or to less
        than they must where no other token is more probable than the least of them.

    Examples
    --------
    >>> bounds = certified_entropy_interval(torch.tensor([0.5, 0.25]).double().log(), vocabulary_size=4)
    >>> float(bounds.lower), float(bounds.upper)
    (1.5, 1.75)
    """
    rows = float64(top_log_p)
    k = rows.shape[-1]
    check_whole("vocabulary_size", vocabulary_size, least=k)
    listed = rows.exp().sum(-1)
    if (listed > 1 + _ROUNDING).any():
        raise ValueError(f"the listed probabilities sum to {float(listed.max())}, but must sum to at most 1")
    others = vocabulary_size - k
    least = rows.amin(-1).exp()
    if (listed + others * least < 1 - _ROUNDING).any():
        most = float((listed + others * least).min())
        raise ValueError(
            f"the listed probabilities and {others} others of at most the least of them sum to at most "
            f"{most}, but all must sum to 1: list the most probable tokens"
        )
    rest = (1 - listed).clamp_min(0) * (others > 0)
    shares = torch.where(least > 0, (rest / least).floor(), 0.0)
    remainder = (rest - shares * least).clamp_min(0)
    head = expectation(rows, -rows)
    lower = head - torch.xlogy(shares * least, least) - torch.xlogy(remainder, remainder)
    upper = head - torch.xlogy(rest, rest / max(others, 1))
    nats = unit(base)
    return EntropyInterval(like(top_log_p, torch.minimum(lower, upper) / nats), like(top_log_p, upper / nats))


def _two_best(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    if rows.shape[-1] == 1:
        return rows[..., 0], torch.full_like(rows[..., 0], -torch.inf)
    best = rows.topk(2).values
    return best[..., 0], best[..., 1]
