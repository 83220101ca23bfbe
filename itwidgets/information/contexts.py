"""What a context does: the same tokens with it and without it.

Token-wise functions take natural log-probabilities of the same tokens in two contexts and keep their shape;
missing values (NaN) stay missing.
"""

from __future__ import annotations

import torch

from itwidgets.information.kernel import Array, beside, float64, in_kind, pair, relative_entropy, tensor, unit


@in_kind
def pointwise_mutual_information(
    log_p_given: Array, log_p_without: Array, *, base: float = 2.0
) -> torch.Tensor:
    """Pointwise mutual information of context and tokens, ``log p(y | x) - log p(y | x0)`` (Fano 1961).

    Positive where the context makes the token more probable. ``x0`` is the beginning of the text alone or,
    for the domain-conditional form, a neutral prompt (Holtzman et al. 2021). The sum over a continuation is
    that of the whole.

    Parameters
    ----------
    log_p_given, log_p_without
        Natural log-probabilities of the tokens after `x` and after ``x0``, of one shape.

    Examples
    --------
    >>> given, without = torch.tensor([0.5]), torch.tensor([0.125])
    >>> round(float(pointwise_mutual_information(given.log(), without.log())), 6)
    2.0
    """
    return _gain(log_p_given, log_p_without) / unit(base)


@in_kind
def p_cxmi(log_p_in_context: Array, log_p_bare: Array, *, base: float = 2.0) -> torch.Tensor:
    """Pointwise conditional cross-mutual information of whole texts, ``log p(y | x, C) - log p(y | x)``.

    The sum over the last axis. The sign is that of a gain: positive where the added context `C` helps, as in
    ``-log(p(y | x) / p(y | x, C))`` (Fernandes et al. 2021, Yin et al. 2021).

    Parameters
    ----------
    log_p_in_context, log_p_bare
        Natural log-probabilities of the tokens of `y`, shape ``[..., n]``.

    Examples
    --------
    >>> float(p_cxmi(torch.tensor([0.5, 0.5]).double().log(), torch.tensor([0.5, 0.25]).double().log()))
    1.0
    """
    return _gain(log_p_in_context, log_p_bare).nansum(-1) / unit(base)


@in_kind
def pvi(log_p_informed: Array, log_p_null: Array, *, base: float = 2.0) -> torch.Tensor:
    """Pointwise V-information of an input for a label, ``-log g0(y) + log g(y)`` (Ethayarajh et al. 2022).

    The sum over the last axis. `g` is the model with the input, ``g0`` the one that was given, or was fitted
    to, an empty input. Instances with low or negative values are hard for the model.

    Parameters
    ----------
    log_p_informed, log_p_null
        Natural log-probabilities of the tokens of the label under `g` and ``g0``, shape ``[..., n]``.

    Examples
    --------
    >>> float(pvi(torch.tensor([0.5]).double().log(), torch.tensor([0.25]).double().log()))
    1.0
    """
    return _gain(log_p_informed, log_p_null).nansum(-1) / unit(base)


@in_kind
def information_flow(log_p: Array, log_p_without: Array, *, base: float = 2.0) -> torch.Tensor:
    """Effect of a span of the context on all that follows, ``sum_t KL(p(. | c) || p(. | c without span))``.

    Also the downstream effect of an intervention, with the rows after it and those of the baseline along the
    same continuation.

    Parameters
    ----------
    log_p, log_p_without
        Rows of natural log-probabilities at the same `n` positions, shape ``[..., n, V]``.

    Returns
    -------
    Array
        Shape ``[...]``.

    Examples
    --------
    >>> with_span, without = (
    ...     torch.tensor([[1.0, 0.0]]).double().log(),
    ...     torch.tensor([[0.5, 0.5]]).double().log(),
    ... )
    >>> float(information_flow(with_span, without))
    1.0
    """
    return relative_entropy(*pair(log_p, log_p_without)).sum(-1) / unit(base)


@in_kind
def context_length_curve(surprisals: Array, context_lengths: Array) -> torch.Tensor:
    """Mean surprisal at each length of context; NaN where no token has that length.

    Parameters
    ----------
    surprisals
        Any shape; missing values (NaN) are left out.
    context_lengths
        How many tokens each was predicted from, whole numbers of the same shape.

    Returns
    -------
    Array
        Shape ``[1 + greatest length]``.

    Raises
    ------
    ValueError
        If the shapes differ or a length is no whole number of at least 0.

    Examples
    --------
    >>> context_length_curve(torch.tensor([4.0, 2.0, 1.0]), torch.tensor([0, 1, 1]))
    tensor([4.0000, 1.5000], dtype=torch.float64)
    """
    values = float64(surprisals)
    lengths = tensor(context_lengths).to(values.device)
    if lengths.shape != values.shape or lengths.is_floating_point() or bool((lengths < 0).any()):
        raise ValueError(
            f"context_lengths have shape {tuple(lengths.shape)} and dtype {lengths.dtype}, but must be whole "
            f"numbers of at least 0 and of shape {tuple(values.shape)}"
        )
    present = ~values.isnan()
    sums = torch.bincount(lengths[present], values[present], minlength=int(lengths.max()) + 1)
    return sums / torch.bincount(lengths[present], minlength=len(sums))


def _gain(log_p_given: Array, log_p_without: Array) -> torch.Tensor:
    given = float64(log_p_given)
    return given - beside(log_p_without, given)
