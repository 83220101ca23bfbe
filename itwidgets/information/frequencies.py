"""Entropy from counts, with corrections for how few there are.

Counts of each class lie along the last axis; the plug-in entropy of their frequencies is too low by about
``(classes - 1) / 2 n`` nats.
"""

from __future__ import annotations

import torch

from itwidgets.information.estimates import Estimate, estimate_like
from itwidgets.information.kernel import Array, float64, in_kind, unit


@in_kind
def plug_in_entropy(counts: Array, *, base: float = 2.0) -> torch.Tensor:
    """Entropy of the frequencies themselves; NaN without a single count.

    Parameters
    ----------
    counts
        At least 0, shape ``[..., C]``.

    Examples
    --------
    >>> float(plug_in_entropy(torch.tensor([2, 2])))
    1.0
    """
    return _plug_in(_counts(counts)) / unit(base)


@in_kind
def miller_madow_entropy(counts: Array, *, base: float = 2.0) -> torch.Tensor:
    """Plug-in entropy and ``(observed classes - 1) / 2 n`` nats for its bias (Miller 1955).

    Examples
    --------
    >>> round(float(miller_madow_entropy(torch.tensor([2, 2]))), 4)
    1.1803
    """
    numbers = _counts(counts)
    return (_plug_in(numbers) + ((numbers > 0).sum(-1) - 1) / (2 * numbers.sum(-1))) / unit(base)


def jackknife_entropy(counts: Array, *, base: float = 2.0) -> Estimate:
    """Entropy with the bias that leaving out one observation at a time shows, and its standard error.

    ``n H - (n - 1) mean H_without`` over `n` observations (Zahl 1977); the standard error is
    ``sqrt((n - 1) var H_without)``.

    Returns
    -------
    Estimate
        Shape ``[...]`` each; `n` is the number of observations.

    Examples
    --------
    >>> found = jackknife_entropy(torch.tensor([2, 2]))
    >>> round(float(found.mean), 4), float(found.standard_error)
    (1.2451, 0.0)
    """
    numbers = _counts(counts)
    n = numbers.sum(-1)
    classes = numbers.shape[-1]
    # Row c lacks one observation of class c; classes without any are never left out.
    without = numbers[..., None, :] - torch.eye(classes, device=numbers.device).double()
    entropies = _plug_in(without.clamp_min(0))
    mean = (numbers * entropies).sum(-1) / n
    variance = (numbers * (entropies - mean[..., None]).square()).sum(-1) / n
    nats = unit(base)
    return estimate_like(
        counts,
        (n * _plug_in(numbers) - (n - 1) * mean) / nats,
        ((n - 1) * variance).sqrt() / nats,
        n.long(),
    )


def _counts(counts: Array) -> torch.Tensor:
    numbers = float64(counts)
    if bool((numbers < 0).any()):
        raise ValueError(f"the least count is {float(numbers.min())}, but counts must be at least 0")
    return numbers


def _plug_in(numbers: torch.Tensor) -> torch.Tensor:
    shares = numbers / numbers.sum(-1, keepdim=True)
    return -torch.xlogy(shares, shares).sum(-1) + 0.0
