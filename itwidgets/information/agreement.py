"""Whether two distributions order the vocabulary alike."""

from __future__ import annotations

import torch

from itwidgets.information.kernel import Array, check_whole, in_kind, pair


@in_kind
def top_k_agreement(log_p: Array, log_q: Array, k: int = 1) -> torch.Tensor:
    """Share of the `k` most probable tokens that two distributions have in common.

    Of tokens that tie, the lower id comes first.
    With ``k=1`` it says whether both would choose the same token greedily.

    Parameters
    ----------
    log_p, log_q
        Scores of one vocabulary, shape ``[..., V]``.
    k
        From 1 to `V`.

    Raises
    ------
    ValueError
        If ``k`` is out of that range.

    Examples
    --------
    >>> log_p, log_q = (
    ...     torch.tensor([0.5, 0.3, 0.2]).double().log(),
    ...     torch.tensor([0.5, 0.2, 0.3]).double().log(),
    ... )
    >>> float(top_k_agreement(log_p, log_q)), float(top_k_agreement(log_p, log_q, k=2))
    (1.0, 0.5)
    """
    p, q = pair(log_p, log_q)
    check_whole("k", k, least=1)
    if k > p.shape[-1]:
        raise ValueError(f"k is {k}, but must be at most the size of the vocabulary, {p.shape[-1]}")
    in_p, in_q = (_is_among_best(rows, k) for rows in (p, q))
    return (in_p & in_q).sum(-1).double() / k


@in_kind
def rank_correlation(log_p: Array, log_q: Array) -> torch.Tensor:
    """Spearman's correlation of the ranks of all tokens (Spearman 1904).

    Tokens that tie share their mean rank. It is NaN where all tokens of a row tie.

    Examples
    --------
    >>> float(
    ...     rank_correlation(
    ...         torch.tensor([0.5, 0.3, 0.2]).double().log(), torch.tensor([0.2, 0.3, 0.5]).double().log()
    ...     )
    ... )
    -1.0
    """
    a, b = (_centred_ranks(rows.contiguous()) for rows in pair(log_p, log_q))
    return (a * b).sum(-1) / (a.square().sum(-1) * b.square().sum(-1)).sqrt()


def _is_among_best(rows: torch.Tensor, k: int) -> torch.Tensor:
    order = rows.sort(descending=True, stable=True).indices[..., :k]
    return torch.zeros_like(rows, dtype=torch.bool).scatter(-1, order, True)


def _centred_ranks(rows: torch.Tensor) -> torch.Tensor:
    """Twice the mean rank of each token less its mean, whole numbers all, so that perfect orders give 1."""
    ordered = rows.sort().values
    below = torch.searchsorted(ordered, rows)
    up_to = torch.searchsorted(ordered, rows, right=True)
    return (below + up_to - rows.shape[-1]).double()
