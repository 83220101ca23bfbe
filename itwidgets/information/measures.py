"""Measures of distributions over a vocabulary, from rows of natural log-probabilities.

Every function takes a torch tensor or a numpy array whose last axis is the vocabulary, works in
float64 and returns the kind it was given, with the leading axes left. ``base`` is the unit of the
result: 2 for bits, ``math.e`` for nats.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Protocol, cast, overload

import numpy as np
import numpy.typing as npt
import torch

Array = torch.Tensor | npt.NDArray[Any]
P = ParamSpec("P")


class _Measure(Protocol[P]):
    """A function that answers in the kind of its first argument."""

    @overload
    def __call__(self, rows: torch.Tensor, /, *args: P.args, **kwargs: P.kwargs) -> torch.Tensor: ...
    @overload
    def __call__(self, rows: npt.NDArray[Any], /, *args: P.args, **kwargs: P.kwargs) -> npt.NDArray[Any]: ...


def _in_kind(function: Callable[Concatenate[Array, P], torch.Tensor]) -> _Measure[P]:
    @functools.wraps(function)
    def wrapper(rows: Array, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        result = function(rows, *args, **kwargs)
        return result.numpy() if isinstance(rows, np.ndarray) else result

    return cast("_Measure[P]", wrapper)


def reducible(rows: torch.Tensor) -> torch.Tensor:
    """Return rows where they can be summed in float64: on the CPU if MPS has them, else where they are."""
    return rows.cpu() if rows.device.type == "mps" else rows


def _float64(rows: Array) -> torch.Tensor:
    return reducible(torch.as_tensor(rows)).double()


def moments(scores: Array) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log-normaliser, entropy and varentropy of rows of unnormalised scores, in nats, in one go.

    Scores are shifted by their maximum, so that ``H = ln Z - E[d]`` loses no digits to large logits
    (Shannon 1948; the varentropy is centred before it is squared).

    Parameters
    ----------
    scores
        Shape ``[..., V]``; logits and log-probabilities give the same entropy.
    """
    rows = _float64(scores)
    peak = rows.amax(-1, keepdim=True)
    # exp(-1e4) is 0, so excluded tokens add exactly nothing where -inf would add NaN.
    shifted = (rows - peak).clamp_(min=-1e4)
    weights = shifted.exp()
    total = weights.sum(-1)
    mean = (weights * shifted).sum(-1) / total
    spread = (weights * (shifted - mean[..., None]).square_()).sum(-1) / total
    return peak[..., 0] + total.log(), total.log() - mean, spread


@_in_kind
def log_probabilities(logits: Array) -> torch.Tensor:
    """Natural log-probabilities of rows of scores, ``logits - logsumexp(logits)`` in float64.

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
    return torch.log_softmax(_float64(logits), dim=-1)


@_in_kind
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
    return moments(log_p)[1] / math.log(base)


@_in_kind
def varentropy(log_p: Array, *, base: float = 2.0) -> torch.Tensor:
    """Variance of the surprisal, ``V = sum p (log p + H)**2``, in squared units of ``base``.

    It is zero exactly when `p` is uniform on its support, and ``dH / d ln T`` at temperature 1.

    Examples
    --------
    >>> varentropy(log_probabilities(torch.zeros(8)))
    tensor(0., dtype=torch.float64)
    """
    return moments(log_p)[2] / math.log(base) ** 2


@_in_kind
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
    return -_at(_float64(log_p), token) / math.log(base)


@_in_kind
def rank(log_p: Array, token: Array) -> torch.Tensor:
    """1 + the number of tokens that are strictly more probable; ties share the better rank.

    Examples
    --------
    >>> rank(torch.tensor([0.2, 0.5, 0.3]).log(), torch.tensor(2))
    tensor(2)
    """
    rows = _float64(log_p)
    return 1 + (rows > _at(rows, token)[..., None]).sum(-1)


@_in_kind
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
    p, q = _float64(log_p), _float64(log_q)
    ratio = q - p
    terms = p.exp() * (torch.expm1(ratio) - ratio)
    return torch.where(p == -torch.inf, q.exp(), terms).sum(-1) / math.log(base)


@_in_kind
def perplexity(surprisals: Array) -> torch.Tensor:
    """``2 ** mean`` of surprisals in bits over the last axis; missing values (NaN) are left out.

    Examples
    --------
    >>> perplexity(torch.tensor([1.0, 3.0]))
    tensor(4., dtype=torch.float64)
    """
    return _float64(surprisals).nanmean(-1).exp2()


def _at(log_p: torch.Tensor, token: Array) -> torch.Tensor:
    index = torch.as_tensor(token, device=log_p.device).long()
    return log_p.gather(-1, index[..., None])[..., 0]
