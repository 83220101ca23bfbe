"""Means with their standard errors."""

from __future__ import annotations

from typing import NamedTuple

import torch

from itwidgets.information.kernel import Array, beside, float64, like


class Estimate(NamedTuple):
    """A mean, its standard error and how many values it is of, each of shape ``[...]``.

    The standard error takes the values for independent; it is NaN for fewer than two.
    """

    mean: Array
    standard_error: Array
    n: Array


def mean_estimate(values: Array) -> Estimate:
    """Mean over the last axis and its standard error ``s / sqrt(n)``; missing values (NaN) are left out.

    Parameters
    ----------
    values
        Shape ``[..., n]``.

    Examples
    --------
    >>> found = mean_estimate(torch.tensor([1.0, 3.0, torch.nan]))
    >>> float(found.mean), float(found.standard_error), int(found.n)
    (2.0, 1.0, 2)
    """
    return estimate_like(values, *mean_and_error(float64(values)))


def paired_difference(changed: Array, baseline: Array) -> Estimate:
    """Mean of ``changed - baseline`` over pairs, the last axis, and its standard error.

    Pairs that share their sampling noise differ less than independent samples do, so fewer are needed.

    Examples
    --------
    >>> found = paired_difference(torch.tensor([2.0, 4.0]), torch.tensor([1.0, 2.0]))
    >>> float(found.mean), float(found.standard_error)
    (1.5, 0.5)
    """
    numbers = float64(changed)
    return estimate_like(changed, *mean_and_error(numbers - beside(baseline, numbers)))


def mean_and_error(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean over the last axis, its standard error and the number of values that are there."""
    present = ~values.isnan()
    n = present.sum(-1)
    mean = values.nanmean(-1)
    squares = (values - mean[..., None]).square().masked_fill(~present, 0).sum(-1)
    return mean, (squares / (n - 1).clamp_min(0) / n).sqrt(), n


def estimate_like(
    values: Array, mean: torch.Tensor, standard_error: torch.Tensor, n: torch.Tensor
) -> Estimate:
    """Return an estimate in the kind of `values`."""
    return Estimate(like(values, mean), like(values, standard_error), like(values, n))
