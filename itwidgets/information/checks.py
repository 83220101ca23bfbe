"""Checks of what people hand in as probabilities; rows from a model need none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from itwidgets.information.kernel import Array, check_number, float64, like


def check_distribution(probabilities: Array | Sequence[float], *, tolerance: float = 1e-4) -> Array:
    """Check that each row is a distribution, and return its natural log-probabilities for the measures.

    Nothing is rescaled: what sums to one but for rounding stays as it is.

    Parameters
    ----------
    probabilities
        Shape ``[..., V]``, or a list of numbers.
    tolerance
        How far from 1 a sum may be.

    Returns
    -------
    Array
        Float64, in the kind of ``probabilities``; a tensor for a list.

    Raises
    ------
    ValueError
        If there is no vocabulary axis or it is empty, if a probability is NaN or negative, or if a row does
        not sum to 1.

    Examples
    --------
    >>> check_distribution([0.5, 0.5]).exp()
    tensor([0.5000, 0.5000], dtype=torch.float64)
    >>> check_distribution([0.5, 0.4])
    Traceback (most recent call last):
    ValueError: the probabilities sum to 0.9, but each row must sum to 1
    """
    check_number("tolerance", tolerance, lambda x: 0 <= x < 1, "at least 0 and below 1")
    given = probabilities
    if not isinstance(given, torch.Tensor | np.ndarray):
        given = torch.tensor(given, dtype=torch.float64)
    rows = float64(given)
    if rows.ndim == 0 or rows.numel() == 0:
        raise ValueError(
            f"the probabilities have shape {tuple(rows.shape)}, but must have a last axis, the tokens"
        )
    if rows.isnan().any():
        raise ValueError("a probability is NaN, but all must be numbers")
    if (rows < 0).any():
        raise ValueError(f"a probability is {float(rows.min()):.6g}, but none may be negative")
    sums = rows.sum(-1)
    worst = sums.flatten()[(sums - 1).abs().argmax()]
    if not abs(worst - 1) <= tolerance:
        raise ValueError(f"the probabilities sum to {float(worst):.6g}, but each row must sum to 1")
    log_probabilities: Array = like(given, rows.log())
    return log_probabilities
