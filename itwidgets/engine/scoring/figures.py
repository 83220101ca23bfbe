"""The figures of scored tokens: filled in as forward calls come back, then made a table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from itwidgets.engine.decoding.memory import retried
from itwidgets.engine.kv.pool import Pool
from itwidgets.engine.model.runner import Runner
from itwidgets.engine.scoring.passes import Passed
from itwidgets.engine.worker import Steps
from itwidgets.information import row_statistics
from itwidgets.tree import Vocabulary

if TYPE_CHECKING:
    import pandas as pd

LOGITS_BYTES = 2**25
"""Of logits that stand in memory together: many rows of most vocabularies, and few of the largest."""


class Figures:
    """Figures of every token of some texts, one row a token; missing until they are filled in.

    Parameters
    ----------
    texts
        Token ids of each text.
    top_k
        How many of the most probable tokens to keep of each row.
    """

    def __init__(self, texts: Sequence[Sequence[int]], vocabulary: Vocabulary, top_k: int) -> None:
        self._texts = texts
        self._vocabulary = vocabulary
        self._undecodable = torch.from_numpy(np.flatnonzero(vocabulary.undecodable))
        rows = sum(map(len, texts))
        self._context = np.zeros(rows, dtype=np.int64)
        self._rank = np.zeros(rows, dtype=np.int64)
        self._surprisal, self._entropy, self._varentropy, self._mass = np.full((4, rows), np.nan)
        self._top_ids = np.full((rows, top_k), -1, dtype=np.int64)
        self._top_log_probs = np.full((rows, top_k), np.nan)

    def fill(self, runner: Runner, pool: Pool, passed: Passed) -> Steps[None]:
        """Fill in the rows that a forward call is about, a few at a time.

        Raises
        ------
        FloatingPointError
            When the model's scores are no numbers.
        """
        step = max(1, LOGITS_BYTES // (4 * runner.vocabulary_size))
        for start in range(0, len(passed.rows), step):
            here = slice(start, start + step)
            self._context[passed.rows[here]] = passed.contexts[here]
            retried(partial(self._score, runner, passed, here), pool)
            yield

    def _score(self, runner: Runner, passed: Passed, here: slice) -> None:
        self._put(passed.rows[here], passed.token_ids[here], runner.all_logits(passed.kept[here]))

    def _put(
        self, rows: npt.NDArray[np.int64], token_ids: npt.NDArray[np.int64], scores: torch.Tensor
    ) -> None:
        top_k = self._top_ids.shape[1]
        found = row_statistics(scores, torch.from_numpy(token_ids), max(1, top_k))
        if np.isnan(found.entropy).any():
            raise FloatingPointError("the model's scores are no numbers (NaN or infinite): try another dtype")
        self._surprisal[rows], self._rank[rows] = found.surprisal, found.rank
        self._entropy[rows], self._varentropy[rows] = found.entropy, found.varentropy
        self._top_ids[rows] = found.top_ids[:, :top_k]
        self._top_log_probs[rows] = found.top_log_probs[:, :top_k]
        if len(self._undecodable):
            relative = scores[:, self._undecodable.to(scores.device)] - scores.amax(-1, keepdim=True)
            weights = relative.cpu().double().exp().sum(-1).numpy()
            self._mass[rows] = weights * np.exp(found.top_log_probs[:, 0])

    def to_frame(self) -> pd.DataFrame:
        """Return them as a table, with units in the column names."""
        import pandas as pd

        pieces = [[self._vocabulary.token_bytes(i) for i in text] for text in self._texts]
        spans = np.concatenate([self._spans(text) for text in pieces])
        lengths = [len(text) for text in self._texts]
        is_missing = np.isnan(self._surprisal)
        columns: dict[str, Any] = {
            "text_index": np.repeat(np.arange(len(lengths)), lengths),
            "token_index": np.concatenate([np.arange(length) for length in lengths]),
            "token_id": np.concatenate([np.asarray(text, dtype=np.int64) for text in self._texts]),
            "token": [piece.decode(errors="replace") for text in pieces for piece in text],
            "surprisal_bits": self._surprisal,
            "entropy_bits": self._entropy,
            "varentropy_bits2": self._varentropy,
            "rank": pd.Series(self._rank, dtype="Int64").mask(is_missing),
            "context_length": self._context,
            "byte_start": spans[:, 0],
            "byte_end": spans[:, 1],
        }
        if len(self._undecodable):
            columns["undecodable_mass"] = self._mass
        if self._top_ids.shape[1]:
            columns["top_ids"] = self._lists(self._top_ids)
            columns["top_log_probs_nats"] = self._lists(self._top_log_probs)
        return pd.DataFrame(columns)

    def _spans(self, pieces: Sequence[bytes]) -> npt.NDArray[np.int64]:
        """Where each token begins and ends in the UTF-8 text that they spell together, ``[n, 2]``."""
        edges = np.cumsum([0, *map(len, pieces)])
        if self._vocabulary.strips_first_space and pieces[0].startswith(b" "):
            edges = np.maximum(edges - 1, 0)
        return np.stack([edges[:-1], edges[1:]], axis=1)

    def _lists(self, values: npt.NDArray[Any]) -> list[list[Any] | None]:
        is_missing = np.isnan(self._surprisal).tolist()
        return [None if gone else row for gone, row in zip(is_missing, values.tolist(), strict=True)]
