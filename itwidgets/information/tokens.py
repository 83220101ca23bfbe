"""A token against the distribution it came from; surprisal and rank are in `measures`.

``log_p`` holds natural log-probabilities of shape ``[..., V]``, ``token`` ids of shape ``[...]``, and so has
the result.
"""

from __future__ import annotations

import torch

from itwidgets.information.kernel import Array, at, beside, float64, in_kind, moments, sequences, unit


@in_kind
def ties(log_p: Array, token: Array) -> torch.Tensor:
    """How many tokens are exactly as probable as the token, itself included.

    Examples
    --------
    >>> int(ties(torch.tensor([0.5, 0.25, 0.25]).double().log(), torch.tensor(2)))
    2
    """
    rows = float64(log_p)
    return (rows == at(rows, token)[..., None]).sum(-1)


@in_kind
def mass_above(log_p: Array, token: Array) -> torch.Tensor:
    """Probability of all tokens that are strictly more probable: top-p keeps the token if it is below `p`.

    Examples
    --------
    >>> float(mass_above(torch.tensor([0.5, 0.25, 0.25]).double().log(), torch.tensor(2)))
    0.5
    """
    rows = float64(log_p)
    return rows.masked_fill(rows <= at(rows, token)[..., None], -torch.inf).exp().sum(-1)


@in_kind
def quantile(log_p: Array, token: Array) -> torch.Tensor:
    """Where the token lies in the distribution, best first: the mass above it and half of the mass at it.

    The mid-distribution function (Parzen 2004): its mean under `p` is 1/2 for every `p`, ties or not, so over
    a text it shows whether tokens come too often from the head (below 1/2) or from the tail.

    Examples
    --------
    >>> float(quantile(torch.tensor([0.5, 0.25, 0.25]).double().log(), torch.tensor(2)))
    0.75
    """
    rows = float64(log_p)
    own = at(rows, token)[..., None]
    weights = (rows > own).double() + 0.5 * (rows == own)
    return (weights * rows.exp()).sum(-1)


@in_kind
def surprisal_deviation(log_p: Array, token: Array, *, base: float = 2.0) -> torch.Tensor:
    """Surprisal less its mean, ``I(x) - H(p)``; its magnitude is what typical sampling orders by.

    Its mean under `p` is 0 (Meister et al. 2023, locally typical sampling).

    Examples
    --------
    >>> round(float(surprisal_deviation(torch.tensor([0.5, 0.25, 0.25]).log(), torch.tensor(0))), 6)
    -0.5
    """
    rows = float64(log_p)
    return _deviation(rows, token, moments(rows)[1]) / unit(base)


@in_kind
def surprisal_z_score(log_p: Array, token: Array) -> torch.Tensor:
    """Deviation of the surprisal in standard deviations, ``(I(x) - H(p)) / sqrt(V(p))``, without a unit.

    It is NaN for a token of a uniform distribution, whose surprisal cannot vary.

    Examples
    --------
    >>> round(float(surprisal_z_score(torch.tensor([0.5, 0.25, 0.25]).log(), torch.tensor(0))), 6)
    -1.0
    """
    rows = float64(log_p)
    _, entropy, varentropy = moments(rows)
    deviation = _deviation(rows, token, entropy)
    return torch.where((varentropy == 0) & deviation.isfinite(), torch.nan, deviation / varentropy.sqrt())


@in_kind
def regret(log_p: Array, token: Array, *, base: float = 2.0) -> torch.Tensor:
    """Surprisal beyond the most probable token's, ``log max p - log p(x)``: the price of not being greedy.

    Examples
    --------
    >>> float(regret(torch.tensor([0.5, 0.25, 0.25]).double().log(), torch.tensor(2)))
    1.0
    """
    rows = float64(log_p)
    return (rows.amax(-1) - at(rows, token)) / unit(base)


@in_kind
def entropy_reduction(before: Array, after: Array) -> torch.Tensor:
    """Uncertainty that a token removed, ``max(0, H before - H after)`` (Hale 2006).

    Parameters
    ----------
    before, after
        Entropies of the distribution that the token came from and of the one after it, of one shape.

    Examples
    --------
    >>> entropy_reduction(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 2.0]))
    tensor([2., 0.], dtype=torch.float64)
    """
    first = float64(before)
    return (first - beside(after, first)).clamp_min(0)


@in_kind
def successor(values: Array) -> torch.Tensor:
    """Value of the next token beside each one, such as its surprisal or entropy; NaN beside the last.

    Reading times of a word depend on what comes behind it too.

    Parameters
    ----------
    values
        Of the tokens of a sequence, in any unit, shape ``[..., n]``.

    Raises
    ------
    ValueError
        If there is a single number, and no sequence.

    Examples
    --------
    >>> successor(torch.tensor([1.0, 2.0, 3.0]))
    tensor([2., 3., nan], dtype=torch.float64)
    """
    numbers = sequences(values)
    return torch.cat([numbers[..., 1:], torch.full_like(numbers[..., :1], torch.nan)], -1)


def _deviation(rows: torch.Tensor, token: Array, entropy: torch.Tensor) -> torch.Tensor:
    return -at(rows, token) - entropy
