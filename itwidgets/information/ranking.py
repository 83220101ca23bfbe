"""The most probable tokens of rows of scores, and how many come before a given one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from itwidgets.information.kernel import check_whole

_BLOCKS = 8
"""Blocks of a row for each of its `k` best tokens: few to sort, and so many that those seldom share one."""

_ALIGNED = 32
"""Block lengths are multiples of it: whole registers make the maxima five times as fast."""

Rows = npt.NDArray[Any]
Ids = npt.NDArray[np.int64]
Found = tuple[Ids, Ids, Rows]
"""Scores that were picked out: their row, their place in it, and themselves."""


def best(scores: torch.Tensor, k: int) -> torch.Tensor:
    """Ids of the `k` highest scores, best first; of tokens that tie, the lower id first.

    ``topk`` breaks ties as it likes, and bfloat16 logits tie often: a list that goes on elsewhere would
    then name some tokens twice and others never.

    Parameters
    ----------
    scores
        Shape ``[..., V]``; NaN counts as ``-inf``.
    k
        At least 1.

    Returns
    -------
    torch.Tensor
        int64, shape ``[..., min(k, V)]``, on the device of the scores.

    Examples
    --------
    >>> best(torch.tensor([1.0, 3.0, 1.0, 1.0]), 2)
    tensor([1, 0])
    """
    check_whole("k", k, least=1)
    if scores.device.type != "cpu":
        # What is done below would wait for the device.
        return scores.sort(dim=-1, descending=True, stable=True).indices[..., :k]
    k = min(k, scores.shape[-1])
    rows = scores.detach().reshape(-1, scores.shape[-1])
    if rows.dtype == torch.bfloat16:
        # numpy does not know it.
        rows = rows.float()
    peaks = _blocks(rows, k).amax(-1).numpy()
    # The maximum of a block with NaN is NaN; one behind the last whole block reaches no bar.
    if np.isnan(peaks).any():
        rows = rows.masked_fill(rows.isnan(), -torch.inf)
        peaks = _blocks(rows, k).amax(-1).numpy()
    ids = (_best_of_one if len(rows) == 1 else _best_of_each)(rows, peaks, k)
    return torch.from_numpy(ids).view(*scores.shape[:-1], k)


def _best_of_one(scores: torch.Tensor, peaks: Rows, k: int) -> Ids:
    values = scores[0].numpy()
    ids = np.flatnonzero(values >= _bars(peaks, k))
    return ids[np.argsort(-values[ids], kind="stable")[:k]]


def _best_of_each(scores: torch.Tensor, peaks: Rows, k: int) -> Ids:
    rows, ids, values = _candidates(scores, peaks, k)
    order = np.lexsort((ids, -values, rows))
    first = np.searchsorted(rows[order], np.arange(len(scores)))
    found: Ids = ids[order[first[:, None] + np.arange(k)]]
    return found


def _candidates(scores: torch.Tensor, peaks: Rows, k: int) -> Found:
    """Pick out at least `k` scores of each row, the best among them, and hardly more.

    All that reach the bar are in blocks whose maximum reaches it, or behind the last whole block.
    """
    blocks = _blocks(scores, k)
    bars = _bars(peaks, k)
    rows, places = np.nonzero(peaks >= bars[:, None])
    among, offsets, values = _reaching(blocks.numpy()[rows, places], bars[rows])
    whole, size = blocks.shape[1] * blocks.shape[2], blocks.shape[2]
    behind, tail, tail_values = _reaching(scores[:, whole:].numpy(), bars)
    return (
        np.concatenate([rows[among], behind]),
        np.concatenate([places[among] * size + offsets, whole + tail]),
        np.concatenate([values, tail_values]),
    )


def _blocks(scores: torch.Tensor, k: int) -> torch.Tensor:
    size = max(1, scores.shape[1] // (_BLOCKS * k))
    size -= size % _ALIGNED if size > _ALIGNED else 0
    count = scores.shape[1] // size
    return scores[:, : count * size].view(len(scores), count, size)


def _bars(peaks: Rows, k: int) -> Rows:
    """Scores that at least `k` of each row reach and hardly more: the `k`-th best maxima of its blocks."""
    bars: Rows = np.partition(peaks, -k, axis=-1)[:, -k]
    return bars


def _reaching(scores: Rows, bars: Rows) -> Found:
    rows, places = np.nonzero(scores >= bars[:, None])
    return rows, places, scores[rows, places]


def above(scores: torch.Tensor, top: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
    """How many scores of each row are greater than one of them.

    Parameters
    ----------
    scores
        Shape ``[n, V]``.
    top
        The best of them, shape ``[n, k]``, best first.
    score
        Shape ``[n, 1]``.

    Returns
    -------
    torch.Tensor
        float64, shape ``[n, 1]``, on the device of the scores.

    Examples
    --------
    >>> above(torch.tensor([[1.0, 3.0, 2.0]]), torch.tensor([[3.0]]), torch.tensor([[1.0]]))
    tensor([[2.]], dtype=torch.float64)
    """
    if scores.device.type != "cpu":
        return (scores > score).sum(-1, keepdim=True, dtype=torch.float64)
    # What is greater than a score in the list stands in the list; numpy counts faster than torch.
    counts = [
        np.count_nonzero((few if own >= few[-1] else row) > own)
        for row, few, own in zip(scores.numpy(), top.numpy(), score.numpy(), strict=True)
    ]
    return torch.tensor(counts, dtype=torch.float64)[:, None]
