"""Estimates under one distribution from samples of another: importance weights and sampled divergences.

Log-weights are natural logarithms, and samples lie along the last axis.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from itwidgets.information.kernel import Array, beside, expectation, float64, in_kind, unit

_ESTIMATORS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "k1": lambda log_ratio: -log_ratio,
    "k2": lambda log_ratio: log_ratio.square() / 2,
    "k3": lambda log_ratio: log_ratio.expm1() - log_ratio,
}


@in_kind
def log_importance_weights(path_costs: Array, *, base: float = 2.0) -> torch.Tensor:
    """Natural log of the weights ``w = p(x) / q(x)`` that make texts drawn from `q` stand for `p`.

    It is minus the realised path cost. The mean of `w` under `q` is the probability under `p` of what `q` can
    draw: 1 if `q` excludes nothing that `p` allows.

    Parameters
    ----------
    path_costs
        Realised cost of each whole text, in the unit of ``base``.

    Examples
    --------
    >>> log_importance_weights(torch.tensor([0.0, 1.0])).exp()
    tensor([1.0000, 0.5000], dtype=torch.float64)
    """
    return -float64(path_costs) * unit(base)


@in_kind
def effective_sample_size(log_weights: Array) -> torch.Tensor:
    """Effective number of samples, ``(sum w)**2 / sum w**2`` (Kong 1992).

    Examples
    --------
    >>> round(float(effective_sample_size(torch.zeros(5))), 9)
    5.0
    """
    weights = float64(log_weights)
    return (2 * weights.logsumexp(-1) - (2 * weights).logsumexp(-1)).exp()


@in_kind
def self_normalised_estimate(log_weights: Array, values: Array) -> torch.Tensor:
    """Mean of values under `p` from samples of `q`, ``sum w x / sum w``.

    Biased by the order of one over the number of samples, and consistent if `q` excludes nothing that `p`
    allows; else it is the mean under `p` given what `q` can draw. Values of weight 0 count for nothing.

    Parameters
    ----------
    log_weights, values
        Shape ``[..., n]``.

    Examples
    --------
    >>> float(self_normalised_estimate(torch.tensor([0.75, 0.25]).double().log(), torch.tensor([0.0, 4.0])))
    1.0
    """
    weights = float64(log_weights)
    return expectation(weights.log_softmax(-1), beside(values, weights))


@in_kind
def sampled_kl(
    log_p_token: Array, log_q_token: Array, estimator: str = "k1", *, base: float = 2.0
) -> torch.Tensor:
    """One-sample estimates of ``KL(q || p)`` from tokens drawn from `q`; their mean is the estimate.

    With ``r = p(x) / q(x)``: ``k1 = -log r``, ``k2 = (log r)**2 / 2`` and ``k3 = r - 1 - log r`` (Schulman
    2020). ``k1`` is unbiased always. ``k2`` is biased. ``k3`` is never negative and varies less, but it is
    unbiased only if `q` excludes nothing that `p` allows: under a mask it is too low by ``1 - p(A)`` nats.
    With the whole rows at hand, :func:`~itwidgets.information.expected_cost` is exact.

    Parameters
    ----------
    log_p_token, log_q_token
        Natural log-probabilities of the drawn tokens or texts, of one shape.
    estimator
        ``"k1"``, ``"k2"`` or ``"k3"``.

    Returns
    -------
    Array
        Of the same shape.

    Raises
    ------
    ValueError
        If the estimator is none of these.

    Examples
    --------
    >>> import math
    >>> forced = torch.tensor([0.25]).double().log(), torch.tensor([1.0]).double().log()
    >>> [round(float(sampled_kl(*forced, name, base=math.e)), 3) for name in ("k1", "k2", "k3")]
    [1.386, 0.961, 0.636]
    """
    if estimator not in _ESTIMATORS:
        raise ValueError(
            f"estimator is {estimator!r}, but must be one of {', '.join(map(repr, _ESTIMATORS))}"
        )
    log_p = float64(log_p_token)
    return _ESTIMATORS[estimator](log_p - beside(log_q_token, log_p)) / unit(base)
