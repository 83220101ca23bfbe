"""A sequence of tokens: what it costs to encode it, and whether it is typical of its model.

Functions take surprisals, entropies and varentropies of tokens along the last axis, in bits and bits².
Missing values (NaN), as a first token without context has, are left out.
"""

from __future__ import annotations

import math

import torch

from itwidgets.information.estimates import Estimate, estimate_like, mean_and_error, mean_estimate
from itwidgets.information.kernel import Array, beside, check_number, float64, in_kind


@in_kind
def total_surprisal(surprisals: Array) -> torch.Tensor:
    """Bits of the whole sequence, the sum of its surprisals; its probability is ``2 ** -total``.

    Examples
    --------
    >>> float(total_surprisal(torch.tensor([torch.nan, 1.0, 3.0])))
    4.0
    """
    return float64(surprisals).nansum(-1)


@in_kind
def length_penalised_score(surprisals: Array, penalty: float = 1.0) -> torch.Tensor:
    """Score of a beam, ``-total / n ** penalty`` over `n` tokens, in bits.

    Penalty 0 gives the log-probability, 1 its mean, and more favours longer sequences, as in transformers.

    Examples
    --------
    >>> float(length_penalised_score(torch.tensor([1.0, 3.0]), penalty=1.0))
    -2.0
    """
    check_number("penalty", penalty, math.isfinite, "a finite number")
    bits = float64(surprisals)
    return -bits.nansum(-1) / (~bits.isnan()).sum(-1).double() ** penalty


def cross_entropy_rate(surprisals: Array) -> Estimate:
    """Bits a token, the mean surprisal, with its standard error; ``2 ** mean`` is the perplexity.

    Under a text that was sampled from the model it estimates the entropy rate, as the mean of the entropies
    does with less variance.

    Returns
    -------
    Estimate
        Shape ``[...]`` each.

    Examples
    --------
    >>> float(cross_entropy_rate(torch.tensor([1.0, 3.0])).mean)
    2.0
    """
    return mean_estimate(surprisals)


def bits_per_unit(surprisals: Array, units: float | Array) -> Estimate:
    """Bits a byte, a character or a word: the total over how many of them the scored tokens spell.

    Join the surprisals of several texts for the rate of a corpus, in which each byte counts the same.

    Parameters
    ----------
    surprisals
        Bits, shape ``[..., n]``.
    units
        How many UTF-8 bytes, characters or words, a number or shape ``[...]``; above 0.

    Returns
    -------
    Estimate
        The rate, its standard error, with the count of units as given, and `n`, the number of tokens.

    Raises
    ------
    ValueError
        If a count is not above 0.

    Examples
    --------
    >>> float(bits_per_unit(torch.tensor([4.0, 12.0]), units=8).mean)
    2.0
    """
    return estimate_like(surprisals, *_bits_per_unit(float64(surprisals), units))


def compression_ratio(surprisals: Array, n_bytes: float | Array) -> Estimate:
    """Bits of the text over bits that the model needs for it, ``8 / bits per byte``.

    The standard error is that of the bits per byte times the derivative of the ratio (delta method).

    Examples
    --------
    >>> float(compression_ratio(torch.tensor([4.0, 12.0]), n_bytes=8).mean)
    4.0
    """
    rate, error, n = _bits_per_unit(float64(surprisals), n_bytes)
    return estimate_like(surprisals, 8 / rate, 8 / rate.square() * error, n)


@in_kind
def calibration_z(surprisals: Array, entropies: Array, varentropies: Array) -> torch.Tensor:
    """Test of whether a text was sampled from the model, ``Z = sum(I - H) / sqrt(sum V)``.

    Each ``I - H`` has mean 0 and variance `V` given its context, so for text sampled from `p` at temperature
    1 `Z` tends to the standard normal distribution (martingale central limit theorem). Greedy text has `Z`
    far below 0, text that surprises the model far above.

    Parameters
    ----------
    surprisals, entropies, varentropies
        Of the same tokens, in bits, bits and bits², shape ``[..., n]``.

    Examples
    --------
    >>> float(calibration_z(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 1.0]), torch.tensor([2.0, 2.0])))
    1.0
    """
    bits = float64(surprisals)
    deviations, variances = bits - beside(entropies, bits), beside(varentropies, bits)
    missing = deviations.isnan() | variances.isnan()
    total, variance = (x.masked_fill(missing, 0).sum(-1) for x in (deviations, variances))
    return total / variance.sqrt()


@in_kind
def typical_set_distance(surprisals: Array, entropies: Array) -> torch.Tensor:
    """Distance from the typical set, ``|mean I - mean H|`` in bits a token (Cover and Thomas 2006, ch. 3).

    Examples
    --------
    >>> float(typical_set_distance(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 1.0])))
    1.0
    """
    bits = float64(surprisals)
    return (bits - beside(entropies, bits)).nanmean(-1).abs()


def _bits_per_unit(
    bits: torch.Tensor, units: float | Array
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    counts = beside(units, bits)
    if not bool((counts > 0).all()):
        raise ValueError(f"units are {units!r}, but must be counts above 0")
    mean, error, n = mean_and_error(bits)
    return mean * n / counts, error * n / counts, n
