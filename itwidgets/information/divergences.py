"""How far two distributions are apart; the Kullback-Leibler divergence itself is in `measures`.

``log_p`` and ``log_q`` hold natural log-probabilities of normalised rows over one vocabulary, shape
``[..., V]``, and the result has shape ``[...]`` where nothing else is said.
"""

from __future__ import annotations

import math

import torch

from itwidgets.information.kernel import (
    Array,
    beside,
    check_number,
    expectation,
    float64,
    gaps,
    in_kind,
    pair,
    relative_entropy,
    unit,
    weighted,
)


@in_kind
def offending_mass(log_p: Array, log_q: Array) -> torch.Tensor:
    """Probability under `p` of what `q` excludes: ``KL(p || q)`` is infinite where it is above 0.

    Examples
    --------
    >>> float(
    ...     offending_mass(torch.tensor([0.75, 0.25]).double().log(), torch.tensor([1.0, 0.0]).double().log())
    ... )
    0.25
    """
    p, q = pair(log_p, log_q)
    return torch.where(q == -torch.inf, p.exp(), 0.0).sum(-1)


@in_kind
def kl_contributions(log_p: Array, log_q: Array, *, base: float = 2.0) -> torch.Tensor:
    """Contribution of each token, ``p (log p - log q)``: they sum to ``KL(p || q)``.

    Contributions are negative where `q` is greater. They are 0 where ``p = 0``, infinite where only `q` is.

    Returns
    -------
    Array
        Shape ``[..., V]``.

    Examples
    --------
    >>> kl_contributions(torch.tensor([1.0, 0.0]).double().log(), torch.tensor([0.5, 0.5]).double().log())
    tensor([1., 0.], dtype=torch.float64)
    """
    p, q = pair(log_p, log_q)
    return weighted(p, p - q) / unit(base)


@in_kind
def cross_entropy(log_p: Array, log_q: Array, *, base: float = 2.0) -> torch.Tensor:
    """Cross-entropy ``H(p, q) = -sum p log q``, which is ``H(p) + KL(p || q)``.

    Examples
    --------
    >>> float(cross_entropy(torch.tensor([1.0, 0.0]).double().log(), torch.tensor([0.5, 0.5]).double().log()))
    1.0
    """
    p, q = pair(log_p, log_q)
    return expectation(p, -q) / unit(base)


@in_kind
def jensen_shannon(log_p: Array, log_q: Array, *, base: float = 2.0) -> torch.Tensor:
    """Jensen-Shannon divergence ``KL(p || m) / 2 + KL(q || m) / 2`` with ``m = (p + q) / 2`` (Lin 1991).

    It is at most 1 bit: what a token tells of which of the two it was drawn from.

    Examples
    --------
    >>> round(
    ...     float(
    ...         jensen_shannon(
    ...             torch.tensor([1.0, 0.0]).double().log(), torch.tensor([0.0, 1.0]).double().log()
    ...         )
    ...     ),
    ...     9,
    ... )
    1.0
    """
    return _jensen_shannon(*pair(log_p, log_q)) / unit(base)


@in_kind
def jensen_shannon_distance(log_p: Array, log_q: Array, *, base: float = 2.0) -> torch.Tensor:
    """Square root of :func:`jensen_shannon`, which is a metric (Endres and Schindelin 2003).

    Examples
    --------
    >>> round(
    ...     float(
    ...         jensen_shannon_distance(
    ...             torch.tensor([1.0, 0.0]).double().log(), torch.tensor([0.5, 0.5]).double().log()
    ...         )
    ...     ),
    ...     4,
    ... )
    0.5579
    """
    return (_jensen_shannon(*pair(log_p, log_q)) / unit(base)).sqrt()


@in_kind
def generalised_jensen_shannon(
    log_p: Array, weights: Array | None = None, *, base: float = 2.0
) -> torch.Tensor:
    """Divergence of `K` distributions, ``sum w_k KL(p_k || m)`` with ``m = sum w_k p_k`` (Lin 1991).

    It is the mutual information of branch and token, ``H(m) - sum w_k H(p_k)``, and at most the entropy of
    the weights.

    Parameters
    ----------
    log_p
        Natural log-probabilities, shape ``[..., K, V]``.
    weights
        Shape ``[K]``, of sum 1; by default all are equal.

    Raises
    ------
    ValueError
        If there is not one weight of at least 0 for each distribution, or they do not sum to 1.

    Examples
    --------
    >>> round(float(generalised_jensen_shannon(torch.eye(4).log())), 9)
    2.0
    """
    rows = float64(log_p)
    shares = _weights(weights, rows)
    mixture = (rows + shares.log()[:, None]).logsumexp(-2, keepdim=True)
    divergences = relative_entropy(rows, mixture)
    return (shares * divergences.masked_fill(shares == 0, 0)).sum(-1) / unit(base)


@in_kind
def renyi_divergence(log_p: Array, log_q: Array, alpha: float, *, base: float = 2.0) -> torch.Tensor:
    """Rényi divergence ``D_a(p || q) = log(sum p**a q**(1-a)) / (a - 1)`` (Rényi 1961).

    Order 0 is ``-log q(p > 0)``, order 1 the Kullback-Leibler divergence and order infinity the worst case
    ``log max p/q`` (van Erven and Harremoës 2014).

    Parameters
    ----------
    log_p, log_q
        Natural log-probabilities, shape ``[..., V]``.
    alpha
        The order, from 0 to ``math.inf``.

    Raises
    ------
    ValueError
        If ``alpha`` is negative or no number.

    Examples
    --------
    >>> log_p, log_q = torch.tensor([0.5, 0.5]).double().log(), torch.tensor([0.25, 0.75]).double().log()
    >>> [round(float(renyi_divergence(log_p, log_q, a)), 4) for a in (0.5, 1, 2, math.inf)]
    [0.1, 0.2075, 0.415, 1.0]
    """
    check_number("alpha", alpha, lambda a: a >= 0, "an order of at least 0, math.inf included")
    p, q = pair(log_p, log_q)
    if alpha == 0:
        nats = -q.masked_fill(p == -torch.inf, -torch.inf).logsumexp(-1)
    elif alpha == 1:
        nats = relative_entropy(p, q)
    elif alpha == math.inf:
        nats = (p - q).masked_fill(p == -torch.inf, -torch.inf).amax(-1)
    else:
        log_sum = _log_power_sum(p, q, alpha - 1) if alpha > 0.5 else _log_power_sum(q, p, -alpha)
        nats = log_sum / (alpha - 1)
    return nats / unit(base) + 0.0


@in_kind
def total_variation(log_p: Array, log_q: Array) -> torch.Tensor:
    """Total variation distance ``sum |p - q| / 2``: the greatest difference in the probability of any event.

    Examples
    --------
    >>> float(
    ...     total_variation(torch.tensor([1.0, 0.0]).double().log(), torch.tensor([0.5, 0.5]).double().log())
    ... )
    0.5
    """
    return gaps(*pair(log_p, log_q)).sum(-1) / 2


@in_kind
def overlap(log_p: Array, log_q: Array) -> torch.Tensor:
    """Overlap ``sum min(p, q)``, which is 1 less the total variation.

    The greatest rate at which speculative decoding accepts drafts of `q` for `p` (Leviathan et al. 2023).

    Examples
    --------
    >>> float(overlap(torch.tensor([1.0, 0.0]).double().log(), torch.tensor([0.5, 0.5]).double().log()))
    0.5
    """
    return torch.minimum(*pair(log_p, log_q)).exp().sum(-1)


@in_kind
def hellinger(log_p: Array, log_q: Array) -> torch.Tensor:
    """Hellinger distance ``sqrt(sum (sqrt p - sqrt q)**2 / 2)``, from 0 to 1 (Hellinger 1909).

    Examples
    --------
    >>> round(
    ...     float(
    ...         hellinger(torch.tensor([1.0, 0.0]).double().log(), torch.tensor([0.5, 0.5]).double().log())
    ...     ),
    ...     4,
    ... )
    0.5412
    """
    return _half_square_chord(*pair(log_p, log_q)).sqrt()


@in_kind
def bhattacharyya(log_p: Array, log_q: Array, *, base: float = 2.0) -> torch.Tensor:
    """Bhattacharyya distance ``-log sum sqrt(p q)``; infinite where nothing is shared (Bhattacharyya 1943).

    Examples
    --------
    >>> round(
    ...     float(
    ...         bhattacharyya(
    ...             torch.tensor([1.0, 0.0]).double().log(), torch.tensor([0.5, 0.5]).double().log()
    ...         )
    ...     ),
    ...     9,
    ... )
    0.5
    """
    p, q = pair(log_p, log_q)
    distant = _half_square_chord(p, q)
    # One form keeps the digits of distributions that are close, the other of those that share little.
    near, far = -torch.log1p(-distant), -((p + q) / 2).logsumexp(-1)
    return torch.where(distant < 0.5, near, far) / unit(base)


def _jensen_shannon(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    mixture = torch.logaddexp(p, q) - math.log(2)
    return (relative_entropy(p, mixture) + relative_entropy(q, mixture)) / 2


def _half_square_chord(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    return gaps(p, q, 0.5).square().sum(-1) / 2


def _weights(weights: Array | None, rows: torch.Tensor) -> torch.Tensor:
    count = rows.shape[-2]
    if weights is None:
        return torch.full((count,), 1 / count, dtype=torch.float64, device=rows.device)
    shares = beside(weights, rows)
    if shares.shape != (count,) or bool((shares < 0).any()) or abs(float(shares.sum()) - 1) > 1e-6:
        raise ValueError(
            f"the weights are {shares.tolist()}, but must be {count} numbers of at least 0 that sum to 1"
        )
    return shares


def _log_power_sum(p: torch.Tensor, q: torch.Tensor, excess: float) -> torch.Tensor:
    """``log sum p**(1+e) q**-e``, with its digits also where `p` and `q` are close or `e` is small.

    The sum less 1 is that of ``p**(1+e) q**-e - p + e (q - p)``, whose terms all have one sign.
    """
    ratio = p - q
    exponent = excess * ratio
    powers = ((1 + excess) * p - excess * q).masked_fill(p == -torch.inf, -torch.inf)
    tilted = torch.where(exponent.abs() < 1, p.exp() * exponent.expm1(), powers.exp() - p.exp())
    moved = torch.where(ratio.abs() < 1, p.exp() * (-ratio).expm1(), q.exp() - p.exp())
    difference = (tilted + excess * moved).sum(-1)
    return torch.where(difference.abs() < 0.5, difference.log1p(), powers.logsumexp(-1))
