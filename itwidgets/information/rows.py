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
    log_total, entropy, varentropy = moments(scores)
    score = scores[token]
    top = scores.topk(min(k, len(scores)))
    numbers = torch.stack([(log_total - score) / LN2, entropy / LN2, varentropy / LN2**2])
    top_log_probs = top.values.to(log_total.dtype).to(log_total.device) - log_total
    return (
        *numbers.cpu().numpy(),
        (1 + (scores > score).sum()).cpu().numpy(),
        _filled(top.indices.cpu().numpy(), k, -1),
        _filled(top_log_probs.cpu().numpy(), k, np.nan),
    )


def _filled(values: npt.NDArray[Any], k: int, missing: float) -> npt.NDArray[Any]:
    return np.pad(values, (0, k - len(values)), constant_values=missing)
