"""Confidence intervals of means, by Student's distribution."""

from __future__ import annotations

import math

from itwidgets.information import Estimate


def confidence_interval(estimate: Estimate, confidence: float) -> tuple[float, float]:
    """Return the interval that holds the true mean with some confidence, ``mean ± t * s / sqrt(n)``.

    Exact for independent values of a normal distribution (Student 1908), and for many of any with a
    variance. NaN for fewer than two values.

    Parameters
    ----------
    estimate
        A single mean.
    confidence
        Between 0 and 1.

    Examples
    --------
    >>> import torch
    >>> from itwidgets.information import mean_estimate
    >>> low, high = confidence_interval(mean_estimate(torch.tensor([1.0, 2.0, 3.0])), 0.95)
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    n = int(estimate.n)
    if n < 2:
        return math.nan, math.nan
    reach = student_quantile(confidence, n - 1) * float(estimate.standard_error)
    return float(estimate.mean) - reach, float(estimate.mean) + reach


def student_quantile(confidence: float, degrees: int) -> float:
    """Return the `t` for which Student's variable lies in ``(-t, t)`` with some probability.

    Solved by halving the angle ``arctan(t / sqrt(degrees))``, in which the probability is a finite sum.

    Examples
    --------
    >>> round(student_quantile(0.95, 4), 6)
    2.776445
    """
    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        if _probability_within(middle, degrees) < confidence:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan(middle)


def _probability_within(angle: float, degrees: int) -> float:
    """Return ``P(|T| < sqrt(degrees) * tan(angle))`` (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4)."""
    is_odd = degrees % 2
    square = math.cos(angle) ** 2
    term = math.cos(angle) if is_odd else 1.0
    terms = []
    for power in range(1 + is_odd, degrees, 2):
        terms.append(term)
        term *= square * power / (power + 1)
    total = math.sin(angle) * math.fsum(terms)
    return 2 / math.pi * (angle + total) if is_odd else total
