"""Temperature: the free energy of a row of scores, and the temperature that gives an entropy.

``H`` rises with the temperature `T` from the logarithm of the number of best tokens to that of possible ones,
and ``dH / d ln T`` is the varentropy at `T`: Newton's method in ``ln T`` needs nothing else.
"""

from __future__ import annotations

import math

import torch

from itwidgets.information.kernel import Array, beside, check_number, float64, in_kind, moments, unit

_MOST_STEPS = 200
_PRECISION = 1e-15
_MOST_LOG_T = 690.0
"""exp of it is still a float64, and so is exp of minus it."""


@in_kind
def free_energy(scores: Array, temperature: float = 1.0, *, base: float = 2.0) -> torch.Tensor:
    """Free energy ``F_T = -T log sum exp(z / T)`` of scores `z`.

    It is ``E[-z] - T H`` of the tempered distribution; at temperature 1 of log-probabilities it is 0.

    Parameters
    ----------
    scores
        Logits or natural log-probabilities, shape ``[..., V]``.
    temperature
        `T`, above 0.
    base
        Unit of the result; 2 gives bits, where scores are in nats.

    Raises
    ------
    ValueError
        If the temperature is not above 0.

    Examples
    --------
    >>> float(free_energy(torch.zeros(8)))
    -3.0
    """
    check_number("temperature", temperature, lambda t: 0 < t < math.inf, "above 0 and finite")
    return -temperature * (float64(scores) / temperature).logsumexp(-1) / unit(base)


@in_kind
def temperature_for_entropy(scores: Array, target: float | Array, *, base: float = 2.0) -> torch.Tensor:
    """Temperature `T` at which ``softmax(scores / T)`` has an entropy.

    Solved by Newton's method in ``ln T``, kept within a bracket and halving it where a step is poor. A row
    that has the entropy already gets exactly 1.

    Parameters
    ----------
    scores
        Logits or log-probabilities, shape ``[..., V]``.
    target
        The entropy, a number or shape ``[...]``, in the unit of ``base``.

    Returns
    -------
    Array
        Shape ``[...]``.

    Raises
    ------
    ValueError
        If a target is out of reach: entropies lie strictly between the logarithm of the number of tokens that
        tie for the best (temperature towards 0) and that of possible tokens (temperature towards infinity).

    Examples
    --------
    >>> p = torch.tensor([0.7, 0.2, 0.1])
    >>> temperature = temperature_for_entropy(p.log(), 1.0)
    >>> tempered = (p.log() / temperature).softmax(-1)
    >>> round(float(-(tempered * tempered.log2()).sum()), 9)
    1.0
    """
    rows = float64(scores)
    rows = rows - rows.amax(-1, keepdim=True)
    wanted = (beside(target, rows) * unit(base)).expand(rows.shape[:-1])
    _check_reach(rows, wanted, unit(base))
    return _log_temperature(rows.reshape(-1, rows.shape[-1]), wanted.reshape(-1)).exp().reshape(wanted.shape)


def _check_reach(rows: torch.Tensor, wanted: torch.Tensor, nats: float) -> None:
    lower = (rows == 0).sum(-1).double().log()
    upper = (rows > -torch.inf).sum(-1).double().log()
    met = _is_met(wanted, moments(rows)[1])
    outside = ~(((wanted > lower) & (wanted < upper)) | met)
    if not outside.any():
        return
    found = [float(x[outside][0]) / nats for x in (wanted, lower, upper)]
    raise ValueError(
        f"the target entropy is {found[0]:.6g}, but temperatures of this row reach only entropies "
        f"above {found[1]:.6g} and below {found[2]:.6g}"
    )


def _is_met(wanted: torch.Tensor, entropy: torch.Tensor) -> torch.Tensor:
    # The target may have come through bits, which rounds twice.
    return (wanted - entropy).abs() <= 4 * torch.finfo(torch.float64).eps * entropy


def _log_temperature(rows: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Solve H = wanted for the logarithm of the temperature of each row."""
    low, high = _bracket(rows, wanted)
    log_t = torch.zeros_like(wanted)
    most = high - low
    for _ in range(_MOST_STEPS):
        entropy, varentropy = _tempered_moments(rows, log_t)
        error = entropy - wanted
        low, high = torch.where(error < 0, log_t, low), torch.where(error > 0, log_t, high)
        newton = error / varentropy
        # Where H is as good as flat, Newton's steps leave the bracket or hardly shrink.
        good = (log_t - newton >= low) & (log_t - newton <= high) & (newton.abs() <= most)
        step = torch.where(good, newton, log_t - (low + high) / 2)
        step = step.masked_fill((step.abs() < _PRECISION) | _is_met(wanted, entropy), 0)
        if not step.any():
            break
        log_t, most = log_t - step, step.abs() / 2
    return log_t


def _bracket(rows: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-temperatures of which one is 0 and between which the solution lies."""
    zero = torch.zeros_like(wanted)
    direction = (wanted - _tempered_moments(rows, zero)[0]).sign()
    far = direction
    while True:
        short = (wanted - _tempered_moments(rows, far)[0]).sign() == direction
        further = torch.where(short, (2 * far).clamp(-_MOST_LOG_T, _MOST_LOG_T), far)
        if torch.equal(further, far):
            return torch.minimum(zero, far), torch.maximum(zero, far)
        far = further


def _tempered_moments(rows: torch.Tensor, log_t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    _, entropy, varentropy = moments(rows / log_t.exp()[:, None])
    return entropy, varentropy
