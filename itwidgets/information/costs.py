"""What interventions cost: the model's distribution `p` against the intervened one, `q`.

The expected cost of a step is ``D = KL(q || p)``; the realised cost of the token that came is
``c = log q(x) - log p(x)``, whose mean under `q` is `D`. A forced token costs its surprisal.

``log_p`` and ``log_q`` hold natural log-probabilities of normalised rows, shape ``[..., V]``; results have
shape ``[...]``.
"""

from __future__ import annotations

import math

import torch

from itwidgets.information.kernel import (
    Array,
    at,
    beside,
    check_number,
    float64,
    in_kind,
    log_mass,
    mask_of,
    moments,
    pair,
    relative_entropy,
    unit,
)


@in_kind
def expected_cost(log_p: Array, log_q: Array, *, base: float = 2.0) -> torch.Tensor:
    """Mean cost of a step under `q`, ``D = KL(q || p)``: note the direction.

    Examples
    --------
    >>> float(expected_cost(torch.tensor([0.5, 0.5]).double().log(), torch.tensor([1.0, 0.0]).double().log()))
    1.0
    """
    p, q = pair(log_p, log_q)
    return relative_entropy(q, p) / unit(base)


@in_kind
def realised_cost(log_p: Array, log_q: Array, token: Array, *, base: float = 2.0) -> torch.Tensor:
    """Cost of the token that came, ``c = log q(x) - log p(x)``; negative where `q` made it less probable.

    It is NaN for a token that both exclude.

    Examples
    --------
    >>> log_p, log_q = torch.tensor([0.5, 0.5]).double().log(), torch.tensor([0.25, 0.75]).double().log()
    >>> float(realised_cost(log_p, log_q, torch.tensor(0)))
    -1.0
    """
    p, q = pair(log_p, log_q)
    return (at(q, token) - at(p, token)) / unit(base)


@in_kind
def mask_cost(log_p: Array, allowed: Array, *, base: float = 2.0) -> torch.Tensor:
    """Cost of a hard mask, ``D = c = -log p(A)``: the same whichever of the allowed tokens is drawn.

    Parameters
    ----------
    log_p
        Natural log-probabilities, shape ``[..., V]``.
    allowed
        `A` as a mask, shape ``[V]`` or ``[..., V]``.

    Examples
    --------
    >>> float(mask_cost(torch.tensor([0.25, 0.25, 0.5]).double().log(), torch.tensor([True, True, False])))
    1.0
    """
    rows = float64(log_p)
    return -log_mass(rows, mask_of(allowed, rows)) / unit(base) + 0.0


@in_kind
def mass_cost(mass: Array, target: Array | float, *, base: float = 2.0) -> torch.Tensor:
    """Cost of giving a set of tokens the mass `a`, ``a log(a / p(A)) + (1 - a) log((1 - a) / (1 - p(A)))``.

    It is what the cheapest intervention with ``q(A) = a`` costs, the one that scales `A` and its complement.

    Parameters
    ----------
    mass
        ``p(A)``, from 0 to 1.
    target
        ``a``, from 0 to 1.

    Raises
    ------
    ValueError
        If a mass is out of that range.

    Examples
    --------
    >>> float(mass_cost(torch.tensor(0.25), 1.0))
    2.0
    """
    before = float64(mass)
    after = beside(target, before)
    for name, values in (("mass", before), ("target", after)):
        if not bool(((values >= 0) & (values <= 1)).all()):
            raise ValueError(f"{name} is {values.tolist()}, but must lie between 0 and 1")
    q, p = (torch.stack([x.log(), (-x).log1p()], -1) for x in (after, before))
    return relative_entropy(q, p) / unit(base)


@in_kind
def temperature_cost(log_p: Array, temperature: float, *, base: float = 2.0) -> torch.Tensor:
    """Cost of a temperature, ``D = (b - 1) E_q[log p] - log sum p**b`` with ``b = 1 / T``.

    No distribution of the same entropy costs less.

    Raises
    ------
    ValueError
        If the temperature is not above 0.

    Examples
    --------
    >>> round(float(temperature_cost(torch.tensor([0.8, 0.2]).double().log(), 0.5)), 6)
    0.116818
    """
    check_number("temperature", temperature, lambda t: 0 < t < math.inf, "above 0 and finite")
    rows = float64(log_p)
    return relative_entropy((rows / temperature).log_softmax(-1), rows) / unit(base)


@in_kind
def path_cost(costs: Array) -> torch.Tensor:
    """Cost of a path, the sum of its steps' costs over the last axis; missing values (NaN) are left out.

    Of realised costs it is ``C = log q(x) - log p(x)`` of the whole text. The sum of the expected costs along
    the path has the same mean, ``KL(q || p)`` of whole texts, and varies less.

    Examples
    --------
    >>> float(path_cost(torch.tensor([1.5, -0.5, torch.nan])))
    1.0
    """
    return float64(costs).nansum(-1)


@in_kind
def entropy_change(log_p: Array, log_q: Array, *, base: float = 2.0) -> torch.Tensor:
    """Change of the entropy, ``H(q) - H(p)``.

    Examples
    --------
    >>> float(
    ...     entropy_change(torch.tensor([0.5, 0.5]).double().log(), torch.tensor([1.0, 0.0]).double().log())
    ... )
    -1.0
    """
    p, q = pair(log_p, log_q)
    return (moments(q)[1] - moments(p)[1]) / unit(base)


@in_kind
def entropy_efficiency(log_p: Array, log_q: Array) -> torch.Tensor:
    """Change of the entropy for the cost, ``(H(q) - H(p)) / KL(q || p)``: bits a bit, without a unit.

    It is NaN where `q` is `p`. For its change of entropy, a temperature is the cheapest intervention.

    Examples
    --------
    >>> float(
    ...     entropy_efficiency(
    ...         torch.tensor([0.5, 0.5]).double().log(), torch.tensor([1.0, 0.0]).double().log()
    ...     )
    ... )
    -1.0
    """
    p, q = pair(log_p, log_q)
    return (moments(q)[1] - moments(p)[1]) / relative_entropy(q, p)


@in_kind
def boost_efficiency(log_p: Array, log_q: Array, tokens: Array, *, base: float = 2.0) -> torch.Tensor:
    """Change of the mass of some tokens for the cost, ``(q(A) - p(A)) / KL(q || p)``; NaN where `q` is `p`.

    Parameters
    ----------
    log_p, log_q
        Natural log-probabilities, shape ``[..., V]``.
    tokens
        `A` as a mask, shape ``[V]`` or ``[..., V]``.

    Examples
    --------
    >>> log_p, log_q = torch.tensor([0.5, 0.5]).double().log(), torch.tensor([1.0, 0.0]).double().log()
    >>> float(boost_efficiency(log_p, log_q, torch.tensor([True, False])))
    0.5
    """
    p, q = pair(log_p, log_q)
    gain = (q.exp() - p.exp()).masked_fill(~mask_of(tokens, p), 0).sum(-1)
    return gain * unit(base) / relative_entropy(q, p)


@in_kind
def half_life(divergences: Array) -> torch.Tensor:
    """Half-life of an effect, in tokens: after how many steps half of the summed divergence has come.

    Parameters
    ----------
    divergences
        Divergence of each step after an intervention from the same step without it, shape ``[..., n]``, as
        ``KL(p(.|forced) || p(.|baseline))`` along one continuation; their sum is the downstream effect.

    Returns
    -------
    Array
        Whole numbers from 1, shape ``[...]``.

    Examples
    --------
    >>> int(half_life(torch.tensor([2.0, 1.0, 1.0, 1.0])))
    2
    """
    reached = float64(divergences).nan_to_num(0).cumsum(-1)
    return 1 + (reached < reached[..., -1:] / 2).sum(-1)
