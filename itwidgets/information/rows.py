"""All statistics that the token table keeps of a distribution, computed together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from itwidgets.information.measures import moments

LN2 = math.log(2)


@dataclass(frozen=True)
class RowStatistics:
    """Statistics of the rows that tokens were drawn from, exact over the whole vocabulary.

    Attributes
    ----------
    surprisal, entropy
        Bits, shape ``[n]``.
    varentropy
        Bits², shape ``[n]``.
    rank
        1 is the most probable token, shape ``[n]``.
    top_ids, top_log_probs
        The most probable tokens, best first, and their natural log-probabilities, shape ``[n, k]``;
        filled up with -1 and NaN where the vocabulary is smaller than `k`.
    """

    surprisal: npt.NDArray[np.float64]
    entropy: npt.NDArray[np.float64]
    varentropy: npt.NDArray[np.float64]
    rank: npt.NDArray[np.int64]
    top_ids: npt.NDArray[np.int64]
    top_log_probs: npt.NDArray[np.float64]


def row_statistics(logits: torch.Tensor, tokens: Sequence[int], k: int) -> RowStatistics:
    """Statistics of each row and of the token that came of it.

    Parameters
    ----------
    logits
        Untouched scores of the model, shape ``[n, V]``.
    tokens
        Ids of the tokens that came, `n` of them, each below `V`.
    k
        How many of the most probable tokens to keep.
    """
    # Row by row: a batch of float64 rows of a large vocabulary does not fit the processor's caches.
    rows = [_statistics(row, token, k) for row, token in zip(logits, tokens, strict=True)]
    return RowStatistics(*(np.stack(column) for column in zip(*rows, strict=True)))


def _statistics(scores: torch.Tensor, token: int, k: int) -> tuple[npt.NDArray[Any], ...]:
    if scores.device.type == "mps":
        # It has no float64, and its float32 cannot be mixed with the CPU's.
        scores = scores.cpu()
    log_total, entropy, varentropy = moments(scores)
    score = scores[token]
    top_ids = best(scores, k)
    numbers = torch.stack([(log_total - score) / LN2, entropy / LN2, varentropy / LN2**2])
    top_log_probs = scores[top_ids].to(log_total.dtype) - log_total
    return (
        *numbers.cpu().numpy(),
        (1 + (scores > score).sum()).cpu().numpy(),
        _filled(top_ids.cpu().numpy(), k, -1),
        _filled(top_log_probs.cpu().numpy(), k, np.nan),
    )


def best(scores: torch.Tensor, k: int) -> torch.Tensor:
    """Ids of the `k` highest scores, best first; of tokens that tie, the lower id first.

    ``topk`` breaks ties as it likes, and bfloat16 logits tie often: a list that goes on elsewhere would
    then name some tokens twice and others never.

    Examples
    --------
    >>> best(torch.tensor([1.0, 3.0, 1.0, 1.0]), 2)
    tensor([1, 0])
    """
    last = scores.topk(min(k, len(scores))).values[-1]
    ids = (scores >= last).nonzero()[:, 0]
    return ids[scores[ids].sort(descending=True, stable=True).indices[:k]]


def _filled(values: npt.NDArray[Any], k: int, missing: float) -> npt.NDArray[Any]:
    return np.pad(values, (0, k - len(values)), constant_values=missing)
