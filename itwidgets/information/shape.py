"""The shape of one distribution: how much choice it leaves, and how far from uniform it is.

As in :mod:`~itwidgets.information.measures`, ``log_p`` holds natural log-probabilities of shape ``[..., V]``
and the result has shape ``[...]``.
"""

from __future__ import annotations

import math

import torch

from itwidgets.information.kernel import (
    Array,
    check_number,
    expectation,
    float64,
    gaps,
    in_kind,
    moments,
    relative_entropy,
    unit,
)
from itwidgets.information.row_measures import row_measure


@row_measure
@in_kind
def renyi_entropy(log_p: Array, alpha: float, *, base: float = 2.0) -> torch.Tensor:
    """Rényi entropy ``H_a(p) = log(sum p**a) / (1 - a)`` (Rényi 1961).

    Order 0 is the logarithm of the number of possible tokens, order 1 the Shannon entropy, order 2 the
    collision entropy and order infinity the min-entropy ``-log max p``.

    Parameters
    ----------
    log_p
        Natural log-probabilities, shape ``[..., V]``.
    alpha
        The order, from 0 to ``math.inf``.
    base
        Unit of the result: 2 gives bits.

    Raises
    ------
    ValueError
        If ``alpha`` is negative or no number.

    Examples
    --------
    >>> p = torch.tensor([0.5, 0.25, 0.25])
    >>> [round(float(renyi_entropy(p.log(), alpha)), 3) for alpha in (0, 1, 2, math.inf)]
    [1.585, 1.5, 1.415, 1.0]
    """
    return _renyi(float64(log_p), alpha) / unit(base)


@row_measure
@in_kind
def min_entropy(log_p: Array, *, base: float = 2.0) -> torch.Tensor:
    """Min-entropy ``-log max p``, the Rényi entropy of order infinity: the surprisal of the best token.

    Examples
    --------
    >>> float(min_entropy(torch.tensor([0.25, 0.5, 0.25]).double().log()))
    1.0
    """
    return _renyi(float64(log_p), math.inf) / unit(base)


@row_measure
@in_kind
def tsallis_entropy(log_p: Array, alpha: float) -> torch.Tensor:
    """Tsallis entropy ``S_a(p) = (1 - sum p**a) / (a - 1)``, without a unit (Tsallis 1988).

    Order 1 is the Shannon entropy in nats; order 2 is the probability that two draws differ.

    Examples
    --------
    >>> float(tsallis_entropy(torch.tensor([0.5, 0.5]).double().log(), 2))
    0.5
    """
    rows = float64(log_p)
    _check_order(alpha)
    if alpha == 1:
        return moments(rows)[1]
    if alpha == math.inf:
        return torch.zeros_like(rows[..., 0])
    return _power_excess(rows, alpha) / (1 - alpha) + 0.0


@row_measure
@in_kind
def hill_number(log_p: Array, alpha: float) -> torch.Tensor:
    """Effective number of tokens of order `a`, ``exp(H_a)`` in nats (Hill 1973).

    Order 0 counts the possible tokens, order 1 is :func:`effective_choices`, order 2 the participation
    ratio ``1 / sum p**2`` and order infinity ``1 / max p``.

    Examples
    --------
    >>> round(float(hill_number(torch.tensor([0.5, 0.25, 0.25]).double().log(), 2)), 3)
    2.667
    """
    return _renyi(float64(log_p), alpha).exp()


@row_measure
@in_kind
def effective_choices(log_p: Array) -> torch.Tensor:
    """Local perplexity, ``exp(H)`` in nats: how many equally likely tokens have the same entropy.

    Examples
    --------
    >>> round(float(effective_choices(torch.zeros(8).log_softmax(-1))), 6)
    8.0
    """
    return moments(log_p)[1].exp()


@row_measure
@in_kind
def normalised_entropy(log_p: Array) -> torch.Tensor:
    """Entropy over its maximum on the same support, ``H / log |{p > 0}|``: 1 is uniform.

    It is 0 where only one token is possible.

    Examples
    --------
    >>> round(float(normalised_entropy(torch.tensor([0.5, 0.5, 0.0]).double().log())), 6)
    1.0
    """
    most = _support(float64(log_p)).log()
    return torch.where(most > 0, moments(log_p)[1] / most, 0.0)


@row_measure
@in_kind
def redundancy(log_p: Array, *, base: float = 2.0) -> torch.Tensor:
    """Distance of the entropy from its maximum, ``log V - H(p) = KL(p || uniform)`` (Shannon 1948).

    Also called negentropy.

    Examples
    --------
    >>> float(redundancy(torch.tensor([1.0, 0.0, 0.0, 0.0]).double().log()))
    2.0
    """
    rows = float64(log_p)
    return relative_entropy(rows, _uniform(rows)) / unit(base)


@row_measure
@in_kind
def self_certainty(log_p: Array, *, base: float = 2.0) -> torch.Tensor:
    """Divergence of the uniform distribution, ``KL(uniform || p) = -log V - mean(log p)`` (Kang et al. 2025).

    It is infinite where a token is excluded.

    Examples
    --------
    >>> round(float(self_certainty(torch.tensor([0.5, 0.25, 0.25]).double().log())), 4)
    0.0817
    """
    rows = float64(log_p)
    return relative_entropy(_uniform(rows), rows) / unit(base)


@row_measure
@in_kind
def fisher_rao_to_uniform(log_p: Array) -> torch.Tensor:
    """Fisher-Rao distance to the uniform distribution, ``(2 / pi) arccos sum sqrt(p / V)``.

    It is 0 for the uniform distribution and below 1 for all (Darrin et al. 2022). Computed from the chord,
    ``2 arcsin(c / 2)``, because the arccos of a number near 1 keeps half of the digits.

    Examples
    --------
    >>> round(float(fisher_rao_to_uniform(torch.tensor([1.0, 0.0, 0.0, 0.0]).double().log())), 6)
    0.666667
    """
    rows = float64(log_p)
    chord = gaps(rows, _uniform(rows), 0.5).square().sum(-1).sqrt()
    return 4 / math.pi * (chord / 2).asin()


@row_measure
@in_kind
def information_skewness(log_p: Array) -> torch.Tensor:
    """Skewness of the surprisal, ``E[(I - H)**3] / V**1.5``, without a unit.

    It is positive where rare tokens far from the others' surprisal remain possible, and NaN where the
    varentropy is 0. At temperature 1, ``d²H/dT² = -(3 V - E[(I - H)**3])`` in nats.

    Examples
    --------
    >>> round(float(information_skewness(torch.tensor([0.9, 0.1]).double().log())), 3)
    2.667
    """
    rows = float64(log_p)
    information = (rows.amax(-1, keepdim=True) - rows).clamp_(max=1e4)
    weights = (-information).exp()
    weights = weights / weights.sum(-1, keepdim=True)
    centred = information - (weights * information).sum(-1, keepdim=True)
    deviation = (weights * centred.square()).sum(-1, keepdim=True).sqrt()
    return (weights * (centred / deviation) ** 3).sum(-1)


@row_measure
@in_kind
def spike_entropy(log_p: Array, modulus: float) -> torch.Tensor:
    """Spike entropy ``S(p, z) = sum p / (1 + z p)`` (Kirchenbauer et al. 2023).

    It bounds how strongly a green-list watermark can show: least, ``1 / (1 + z)``, where one token is
    certain, greatest, ``V / (V + z)``, where all are equal.

    Parameters
    ----------
    log_p
        Natural log-probabilities, shape ``[..., V]``.
    modulus
        `z`, at least 0; ``(1 - g) (e^d - 1) / (1 + (e^d - 1) g)`` for a watermark of green fraction `g` and
        bias `d` nats.

    Raises
    ------
    ValueError
        If the modulus is negative or infinite.

    Examples
    --------
    >>> float(spike_entropy(torch.tensor([1.0, 0.0]).double().log(), modulus=1))
    0.5
    """
    check_number("modulus", modulus, lambda z: 0 <= z < math.inf, "at least 0")
    rows = float64(log_p)
    return expectation(rows, 1 / (1 + modulus * rows.exp()))


def _check_order(alpha: float) -> None:
    check_number("alpha", alpha, lambda a: a >= 0, "an order of at least 0, math.inf included")


def _renyi(rows: torch.Tensor, alpha: float) -> torch.Tensor:
    """Rényi entropy in nats."""
    _check_order(alpha)
    if alpha == 0:
        return _support(rows).log()
    if alpha == 1:
        return moments(rows)[1]
    if alpha == math.inf:
        return -rows.amax(-1) + 0.0
    excess = _power_excess(rows, alpha)
    log_sum = torch.where(excess.abs() < 0.5, excess.log1p(), (alpha * rows).logsumexp(-1))
    return log_sum / (1 - alpha) + 0.0


def _power_excess(rows: torch.Tensor, alpha: float) -> torch.Tensor:
    """``sum p**a - 1``, with all its digits for orders near 1 and for rows that are nearly certain."""
    exponent = (alpha - 1) * rows
    terms = torch.where(exponent.abs() < 1, rows.exp() * exponent.expm1(), (alpha * rows).exp() - rows.exp())
    return terms.masked_fill(rows == -torch.inf, 0).sum(-1)


def _support(rows: torch.Tensor) -> torch.Tensor:
    """How many tokens are possible, as float64."""
    return (rows > -torch.inf).sum(-1).double()


def _uniform(rows: torch.Tensor) -> torch.Tensor:
    return torch.full_like(rows, -math.log(rows.shape[-1]))
