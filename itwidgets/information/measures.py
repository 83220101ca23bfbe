"""Measures of distributions over a vocabulary, from rows of natural log-probabilities.

Every function takes a torch tensor or a numpy array whose last axis is the vocabulary, works in
float64 and returns the kind it was given, with the leading axes left. ``base`` is the unit of the
result: 2 for bits, ``math.e`` for nats.
"""

from __future__ import annotations

import torch

from itwidgets.information.kernel import (
    Array,
    at,
    float64,
    in_kind,
    moments,
    pair,
    relative_entropy,
    unit,
)
from itwidgets.information.row_measures import row_measure

_NEARLY_CERTAIN = -0.1
"""Log-probabilities above it lose digits as a difference from ``logsumexp``."""


@in_kind
def log_probabilities(logits: Array) -> torch.Tensor:
    """Natural log-probabilities of rows of scores, ``logits - logsumexp(logits)`` in float64.

    That of a token that is nearly certain keeps its digits: it is ``ln(1 - rest)``, with the probability of
    all others.

    Parameters
    ----------
    logits
        Scores of any float dtype, shape ``[..., V]``; ``-inf`` excludes a token.

    Returns
    -------
    Array
        Shape ``[..., V]``, nats.

    Examples
    --------
    >>> log_probabilities(torch.tensor([0.0, 0.0])).exp()
    tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    log_p = float64(logits).log_softmax(-1)
    peak = log_p.max(-1, keepdim=True)
    certain = peak.values > _NEARLY_CERTAIN
    # A shortcut for the processor: to ask another device would wait for it.
    if certain.is_cpu and not certain.any():
        return log_p
    rest = log_p.exp().scatter(-1, peak.indices, 0).sum(-1, keepdim=True)
    return log_p.scatter(-1, peak.indices, torch.where(certain, torch.log1p(-rest), peak.values))


@row_measure
@in_kind
def entropy(log_p: Array, *, base: float = 2.0) -> torch.Tensor:
    """Shannon entropy ``H(p) = -sum p log p`` (Shannon 1948).

    Parameters
    ----------
    log_p
        Natural log-probabilities, shape ``[..., V]``.
    base
        Unit of the result: 2 gives bits.

    Returns
    -------
    Array
        Shape ``[...]``.

    Examples
    --------
    >>> entropy(log_probabilities(torch.zeros(8)))
    tensor(3., dtype=torch.float64)
    """
    return moments(log_p)[1] / unit(base)


@row_measure
@in_kind
def varentropy(log_p: Array, *, base: float = 2.0) -> torch.Tensor:
    """Variance of the surprisal, ``V = sum p (log p + H)**2``, in squared units of ``base``.

    It is zero exactly when `p` is uniform on its support, and ``dH / d ln T`` at temperature 1.

    Examples
    --------
    >>> varentropy(log_probabilities(torch.zeros(8)))
    tensor(0., dtype=torch.float64)
    """
    return moments(log_p)[2] / unit(base) ** 2


@in_kind
def surprisal(log_p: Array, token: Array, *, base: float = 2.0) -> torch.Tensor:
    """Shannon information of the tokens that came, ``-log p(x)``.

    Parameters
    ----------
    log_p
        Natural log-probabilities, shape ``[..., V]``.
    token
        Token ids, shape ``[...]``.

    Examples
    --------
    >>> surprisal(log_probabilities(torch.zeros(8)), torch.tensor(5))
    tensor(3., dtype=torch.float64)
    """
    return -at(float64(log_p), token) / unit(base)


@in_kind
def rank(log_p: Array, token: Array) -> torch.Tensor:
    """1 + the number of tokens that are strictly more probable; ties share the better rank.

    Examples
    --------
    >>> rank(torch.tensor([0.2, 0.5, 0.3]).log(), torch.tensor(2))
    tensor(2)
    """
    rows = float64(log_p)
    return 1 + (rows > at(rows, token)[..., None]).sum(-1)


@in_kind
def kl_divergence(log_p: Array, log_q: Array, *, base: float = 2.0) -> torch.Tensor:
    """Kullback-Leibler divergence ``KL(p || q)``, infinite where `q` excludes what `p` allows.

    Summed as ``p * (expm1(l) - l)`` with ``l = log q - log p``, and ``q`` where ``p = 0``: every term is
    non-negative, so tiny divergences keep their digits and never turn negative.

    Parameters
    ----------
    log_p, log_q
        Natural log-probabilities of normalised rows, shape ``[..., V]``.

    Examples
    --------
    >>> half = torch.tensor([0.5, 0.5]).log()
    >>> round(float(kl_divergence(torch.tensor([1.0, 0.0]).log(), half)), 6)
    1.0
    """
    return relative_entropy(*pair(log_p, log_q)) / unit(base)


@in_kind
def perplexity(surprisals: Array) -> torch.Tensor:
    """``2 ** mean`` of surprisals in bits over the last axis; missing values (NaN) are left out.

    Examples
    --------
    >>> perplexity(torch.tensor([1.0, 3.0]))
    tensor(4., dtype=torch.float64)
    """
    return float64(surprisals).nanmean(-1).exp2()
