"""Entropy of a partition of the vocabulary: what is decided between classes, and what within them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from itwidgets.information.kernel import Array, float64, like, moments, tensor, unit


@dataclass(frozen=True)
class PartitionEntropy:
    """The parts of the chain rule ``H(p) = H(class) + sum P(class) H(p | class)``.

    Attributes
    ----------
    between
        ``H(class)``, shape ``[...]``.
    within
        ``sum P(class) H(p | class)``, shape ``[...]``.
    masses
        ``P(class)``, shape ``[..., C]``.
    conditional
        ``H(p | class)``, shape ``[..., C]``; NaN where no token of the class is possible.
    """

    between: Array
    within: Array
    masses: Array
    conditional: Array


def partition_entropy(log_p: Array, classes: Array, *, base: float = 2.0) -> PartitionEntropy:
    """Entropy of the class of the next token, and of the token within its class (Shannon 1948).

    Classes may be word classes, first bytes, or whether a token begins a word.

    Parameters
    ----------
    log_p
        Natural log-probabilities, shape ``[..., V]``.
    classes
        The class of each vocabulary id, whole numbers from 0, shape ``[V]``.

    Returns
    -------
    PartitionEntropy
        In the kind of ``log_p``; `C` is one more than the greatest class.

    Raises
    ------
    ValueError
        If there is not one class, a whole number of at least 0, for each id of the vocabulary.

    Examples
    --------
    >>> parts = partition_entropy(torch.full((4,), 0.25).log(), torch.tensor([0, 0, 0, 1]))
    >>> round(float(parts.between), 4), round(float(parts.within), 4)
    (0.8113, 1.1887)
    """
    rows = float64(log_p)
    index = tensor(classes).to(rows.device)
    if index.shape != rows.shape[-1:] or index.is_floating_point() or bool((index < 0).any()):
        raise ValueError(
            f"classes have shape {tuple(index.shape)} and dtype {index.dtype}, but must be whole numbers of "
            f"at least 0 and of shape {tuple(rows.shape[-1:])}, one for each id of the vocabulary"
        )
    log_masses, conditional = _by_class(rows, index.long(), int(index.max()) + 1)
    masses = log_masses.exp()
    within = (masses * conditional).masked_fill(log_masses == -torch.inf, 0).sum(-1)
    nats = unit(base)
    return PartitionEntropy(
        between=like(log_p, moments(log_masses)[1] / nats),
        within=like(log_p, within / nats),
        masses=like(log_p, masses),
        conditional=like(log_p, conditional / nats),
    )


def _by_class(rows: torch.Tensor, index: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-mass of each class and entropy within it, in nats, as :func:`moments` finds them of a row."""
    index = index.expand(rows.shape)
    empty = rows.new_full((*rows.shape[:-1], count), -torch.inf)
    peak = empty.scatter_reduce(-1, index, rows, "amax")
    shifted = (rows - peak.gather(-1, index)).clamp(min=-1e4)
    # A class of excluded tokens alone has -inf - -inf.
    weights = shifted.exp().nan_to_num(0)
    total = torch.zeros_like(peak).scatter_add(-1, index, weights)
    mean = torch.zeros_like(peak).scatter_add(-1, index, weights * shifted.nan_to_num(0)) / total
    return peak + total.log(), total.log() - mean
