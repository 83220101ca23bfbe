"""What all measures share: kinds of arrays, units, and sums in which ``0 * log 0`` is 0.

Measures think in float64 tensors of natural log-probabilities whose last axis is the vocabulary; ``-inf``
excludes a token. What they answer has the kind of their first argument, and the unit that ``base`` names.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Concatenate, ParamSpec, Protocol, cast, overload

import numpy as np
import numpy.typing as npt
import torch

Array = torch.Tensor | npt.NDArray[Any]
P = ParamSpec("P")

TINY = torch.finfo(torch.float64).tiny
"""Stands for probabilities that underflow, which are not 0: times an infinite value they are infinite."""


class Measuring(Protocol[P]):
    """A function that answers in the kind of its first argument."""

    @overload
    def __call__(self, rows: torch.Tensor, /, *args: P.args, **kwargs: P.kwargs) -> torch.Tensor: ...
    @overload
    def __call__(self, rows: npt.NDArray[Any], /, *args: P.args, **kwargs: P.kwargs) -> npt.NDArray[Any]: ...


def in_kind(function: Callable[Concatenate[Array, P], torch.Tensor]) -> Measuring[P]:
    """Let a function that makes a tensor answer in the kind of its first argument."""

    @functools.wraps(function)
    def wrapper(rows: Array, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        return like(rows, function(rows, *args, **kwargs))

    return cast("Measuring[P]", wrapper)


def like(rows: Array, result: torch.Tensor) -> Any:
    """Return a tensor in the kind of `rows`."""
    return result.numpy() if isinstance(rows, np.ndarray) else result


def reducible(rows: torch.Tensor) -> torch.Tensor:
    """Return rows where they can be summed in float64: on the CPU if MPS has them, else where they are."""
    return rows.cpu() if rows.device.type == "mps" else rows


def tensor(values: Array | float) -> torch.Tensor:
    """Return values as a tensor, which may share their memory; numbers of Python keep all their digits."""
    if isinstance(values, torch.Tensor):
        return values
    array = np.asarray(values)
    # torch shares neither what is read-only nor what runs backwards.
    return torch.from_numpy(array if array.flags.writeable and array.flags.c_contiguous else array.copy())


def float64(rows: Array) -> torch.Tensor:
    """Return rows as a float64 tensor, which may share their memory."""
    return reducible(tensor(rows)).double()


def sequences(values: Array) -> torch.Tensor:
    """Return values of tokens along the last axis as float64.

    Raises
    ------
    ValueError
        If there is no axis.
    """
    numbers = float64(values)
    if numbers.ndim == 0:
        raise ValueError("the values have shape (), but must have a last axis, the tokens")
    return numbers


def beside(values: Array | float, rows: torch.Tensor) -> torch.Tensor:
    """Return values in float64 on the device of `rows`."""
    return tensor(values).to(rows.device).double()


def pair(log_p: Array, log_q: Array) -> tuple[torch.Tensor, torch.Tensor]:
    """Return two blocks of rows over one vocabulary, in float64 on one device."""
    p = float64(log_p)
    q = beside(log_q, p)
    if p.shape[-1:] != q.shape[-1:]:
        raise ValueError(
            f"the rows have shapes {tuple(p.shape)} and {tuple(q.shape)}, but must share a vocabulary, "
            "their last axis"
        )
    return p, q


def token_ids(token: Array, rows: torch.Tensor) -> torch.Tensor:
    """Return ids of one token a row, on the device of the rows."""
    index = tensor(token).to(rows.device)
    if index.shape != rows.shape[:-1] or index.is_floating_point():
        raise ValueError(
            f"the token ids have shape {tuple(index.shape)} and dtype {index.dtype}, but must be whole "
            f"numbers of shape {tuple(rows.shape[:-1])}, one for each row"
        )
    return index.long()


def at(rows: torch.Tensor, token: Array) -> torch.Tensor:
    """Return the value of each row at its token."""
    return rows.gather(-1, token_ids(token, rows)[..., None])[..., 0]


def unit(base: float) -> float:
    """Nats in one unit of the logarithm to a base, which must be a positive number other than 1."""
    accepted = "a positive number other than 1, such as 2 for bits or math.e for nats"
    check_number("base", base, lambda x: 0 < x < math.inf and x != 1, accepted)
    return math.log(base)


def check_number(name: str, value: Any, holds: Callable[[Any], bool], accepted: str) -> None:
    """Refuse what is not a number for which ``holds`` is true; truth values are not numbers here."""
    if isinstance(value, bool) or not isinstance(value, Real) or not holds(value):
        raise ValueError(f"{name} is {value!r}, but must be {accepted}")


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, of Python or of numpy; truth values are not."""
    return not isinstance(value, bool) and isinstance(value, Integral)


def check_whole(name: str, value: Any, *, least: int) -> None:
    """Refuse what is not a whole number of at least ``least``."""
    if not is_whole(value) or value < least:
        raise ValueError(f"{name} is {value!r}, but must be a whole number of at least {least}")


def weighted(log_p: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """``p`` times values: excluded tokens give exactly 0, whatever their value.

    Examples
    --------
    >>> log_p = torch.tensor([1.0, 0.0]).double().log()
    >>> weighted(log_p, log_p)
    tensor([0., 0.], dtype=torch.float64)
    """
    return (log_p.exp().clamp_min(TINY) * values).masked_fill(log_p == -torch.inf, 0)


def expectation(log_p: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Mean of values under `p`, over the last axis."""
    return weighted(log_p, values).sum(-1)


def moments(scores: Array) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log-normaliser, entropy and varentropy of rows of unnormalised scores, in nats, in one go.

    Scores are shifted by their maximum, so that ``H = ln Z - E[d]`` loses no digits to large logits, nor,
    with the peak's own weight left out of ``ln(1 + rest)``, to rows that are nearly certain (Shannon 1948;
    the varentropy is centred before it is squared).

    Parameters
    ----------
    scores
        Shape ``[..., V]``; logits and log-probabilities give the same entropy.
    """
    rows = float64(scores)
    peak = rows.max(-1, keepdim=True)
    # exp(-1e4) is 0, so excluded tokens add exactly nothing where -inf would add NaN.
    shifted = (rows - peak.values).clamp_(min=-1e4)
    weights = shifted.exp()
    log_total = weights.scatter(-1, peak.indices, 0).sum(-1).log1p()
    total = weights.sum(-1)
    mean = (weights * shifted).sum(-1) / total
    spread = (weights * (shifted - mean[..., None]).square_()).sum(-1) / total
    return peak.values[..., 0] + log_total, log_total - mean, spread


def relative_entropy(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """``KL(p || q)`` in nats, summed as ``p * (expm1(l) - l)`` with ``l = log q - log p``.

    Where `p` is 0, or as good as 0 beside `q`, the term is `q`. Every term is non-negative, so tiny
    divergences keep their digits and never turn negative.
    """
    ratio = log_q - log_p
    terms = log_p.exp().clamp_min(TINY) * (torch.expm1(ratio) - ratio)
    # expm1 overflows above 709.
    return torch.where((log_p == -torch.inf) | (ratio > 600), log_q.exp(), terms).sum(-1)


def mask_of(tokens: Array, rows: torch.Tensor) -> torch.Tensor:
    """Return a mask over the vocabulary on the device of the rows."""
    mask = tensor(tokens).to(rows.device)
    if mask.dtype != torch.bool or mask.shape[-1:] != rows.shape[-1:]:
        raise ValueError(
            f"the mask has shape {tuple(mask.shape)} and dtype {mask.dtype}, but must hold a truth value for "
            f"each of {rows.shape[-1]} vocabulary ids"
        )
    return mask


def log_mass(log_p: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Log-probability of a set of tokens, of normalised rows; near 0 from what the set lacks."""
    outside = log_p.exp().masked_fill(mask, 0).sum(-1)
    inside = log_p.masked_fill(~mask, -torch.inf).logsumexp(-1)
    return torch.where(outside < 0.5, torch.log1p(-outside), inside)


def gaps(log_p: torch.Tensor, log_q: torch.Tensor, power: float = 1) -> torch.Tensor:
    """``|p ** power - q ** power|`` of each token, with all its digits where `p` and `q` are close."""
    high, low = torch.maximum(log_p, log_q), torch.minimum(log_p, log_q)
    return ((power * high).exp() * -torch.expm1(power * (low - high))).masked_fill(high == -torch.inf, 0)
