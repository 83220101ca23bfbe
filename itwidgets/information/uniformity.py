"""How evenly information is spread over a sequence: the measures of uniform information density.

Functions take surprisals along the last axis, in bits; missing values (NaN) are left out. All but the
super-linear sum are 0 where every token carries the same information (Meister et al. 2021).
"""

from __future__ import annotations

import math

import torch

from itwidgets.information.kernel import Array, beside, check_number, check_whole, float64, in_kind


@in_kind
def surprisal_variance(surprisals: Array, mean: float | Array | None = None) -> torch.Tensor:
    """Global unevenness, the mean of ``(I - m)**2`` in bits².

    Parameters
    ----------
    surprisals
        Shape ``[..., n]``.
    mean
        `m`: the mean of a corpus, a number or shape ``[...]``; by default that of the sequence itself.

    Examples
    --------
    >>> (
    ...     float(surprisal_variance(torch.tensor([1.0, 3.0]))),
    ...     float(surprisal_variance(torch.tensor([1.0, 3.0]), 1)),
    ... )
    (1.0, 2.0)
    """
    bits = float64(surprisals)
    centre = bits.nanmean(-1) if mean is None else beside(mean, bits)
    return (bits - centre[..., None]).square().nanmean(-1)


@in_kind
def local_surprisal_variance(surprisals: Array) -> torch.Tensor:
    """Local unevenness, the mean square of the difference to the token before, in bits².

    Examples
    --------
    >>> float(local_surprisal_variance(torch.tensor([1.0, 3.0, 3.0])))
    2.0
    """
    return float64(surprisals).diff().square().nanmean(-1)


@in_kind
def local_surprisal_change(surprisals: Array) -> torch.Tensor:
    """Local unevenness, the mean magnitude of the difference to the token before, in bits.

    Examples
    --------
    >>> float(local_surprisal_change(torch.tensor([1.0, 3.0, 3.0])))
    1.0
    """
    return float64(surprisals).diff().abs().nanmean(-1)


@in_kind
def superlinear_surprisal(surprisals: Array, power: float = 1.25) -> torch.Tensor:
    """Effort that grows faster than information, ``sum I ** power``: least, of a given sum, where it is even.

    Raises
    ------
    ValueError
        If the power is not above 1, or a surprisal is negative: most powers of it are no numbers.

    Examples
    --------
    >>> float(superlinear_surprisal(torch.tensor([1.0, 3.0]), power=2))
    10.0
    """
    check_number("power", power, lambda k: 1 < k < math.inf, "above 1")
    bits = float64(surprisals)
    if (bits < 0).any():
        raise ValueError(f"a surprisal is {float(bits[bits < 0][0])}, but must be at least 0")
    return (bits ** float(power)).nansum(-1)


@in_kind
def maximum_surprisal(surprisals: Array) -> torch.Tensor:
    """Surprisal of the most surprising token; NaN where all are missing.

    Examples
    --------
    >>> float(maximum_surprisal(torch.tensor([torch.nan, 1.0, 3.0])))
    3.0
    """
    bits = float64(surprisals)
    missing = bits.isnan()
    return bits.masked_fill(missing, -torch.inf).amax(-1).masked_fill(missing.all(-1), torch.nan)


@in_kind
def coefficient_of_variation(surprisals: Array) -> torch.Tensor:
    """Relative unevenness, the standard deviation over the mean, without a unit; NaN where the mean is 0.

    Examples
    --------
    >>> float(coefficient_of_variation(torch.tensor([1.0, 3.0])))
    0.5
    """
    bits = float64(surprisals)
    mean = bits.nanmean(-1)
    return (bits - mean[..., None]).square().nanmean(-1).sqrt() / mean


@in_kind
def gini(surprisals: Array) -> torch.Tensor:
    """Gini coefficient, half of the mean difference of two tokens over the mean: 0 is even, near 1 one token.

    Computed of the sorted values as ``sum (2 i - n - 1) x_i / (n sum x)``; NaN where all are 0.

    Examples
    --------
    >>> float(gini(torch.tensor([0.0, 0.0, 0.0, 4.0])))
    0.75
    """
    ordered = float64(surprisals).sort(-1).values
    n = (~ordered.isnan()).sum(-1)
    # NaN sorts last, so the first n positions are the values.
    place = torch.arange(1, ordered.shape[-1] + 1, device=ordered.device)
    weighted = (2 * place - n[..., None] - 1) * ordered
    return weighted.nansum(-1) / (n * ordered.nansum(-1))


@in_kind
def autocorrelation(values: Array, lag: int = 1) -> torch.Tensor:
    """Autocorrelation, ``sum (x_t - m)(x_{t+lag} - m) / sum (x_t - m)**2``; NaN for a constant sequence.

    Pairs with a missing value are left out.

    Parameters
    ----------
    values
        Shape ``[..., n]``.
    lag
        In tokens, at least 0 and below `n`.

    Raises
    ------
    ValueError
        If the lag is out of that range.

    Examples
    --------
    >>> float(autocorrelation(torch.tensor([1.0, -1.0, 1.0, -1.0])))
    -0.75
    """
    check_whole("lag", lag, least=0)
    numbers = float64(values)
    if lag >= numbers.shape[-1]:
        raise ValueError(f"lag is {lag}, but must be below the number of values, {numbers.shape[-1]}")
    centred = numbers - numbers.nanmean(-1, keepdim=True)
    products = centred[..., : numbers.shape[-1] - lag] * centred[..., lag:]
    return products.nansum(-1) / centred.square().nansum(-1)


@in_kind
def moving_mean(values: Array, window: int) -> torch.Tensor:
    """Mean over the last ``window`` values up to each one, fewer at the start; shape ``[..., n]``.

    Raises
    ------
    ValueError
        If the window is no whole number of at least 1.

    Examples
    --------
    >>> moving_mean(torch.tensor([1.0, 3.0, 5.0]), window=2)
    tensor([1., 2., 4.], dtype=torch.float64)
    """
    check_whole("window", window, least=1)
    numbers = float64(values)
    missing = numbers.new_full((*numbers.shape[:-1], window - 1), torch.nan)
    return torch.cat([missing, numbers], -1).unfold(-1, window, 1).nanmean(-1)
