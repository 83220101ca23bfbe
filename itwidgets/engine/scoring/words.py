"""From the figures of tokens to those of words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from itwidgets.engine.scoring.figures import Figures
from itwidgets.engine.scoring.windows import AFTER
from itwidgets.information import (
    WordBoundaries,
    corrected_surprisals,
    log_probabilities,
    sum_over_words,
    word_boundaries,
)
from itwidgets.tree import Vocabulary

if TYPE_CHECKING:
    import pandas as pd

Mask = npt.NDArray[np.bool_]

_TOGETHER = 2**18
"""Numbers in float64 of rows that are reduced together: few enough for the processor's caches."""


def word_masks(vocabulary: Vocabulary, stop_ids: Collection[int]) -> tuple[Mask, Mask]:
    """Return which ids begin a word, and which end or delimit a text, each of shape ``[V]``.

    Parameters
    ----------
    stop_ids
        With which the model ends its text, whether the tokenizer has them for special or not.

    Raises
    ------
    ValueError
        When no token begins with whitespace.

    Examples
    --------
    >>> starts, ends = word_masks(engine.vocabulary, engine.stop_ids)
    >>> int(starts.sum()), int(ends.sum())
    (32115, 17)
    """
    ends = vocabulary.delimiters.copy()
    # A model's settings may name ids that its vocabulary does not have.
    ends[[i for i in stop_ids if 0 <= i < len(ends)]] = True
    starts = vocabulary.word_starts & ~ends
    if not starts.any():
        raise ValueError(
            "words is True, but no token of this vocabulary begins with whitespace, so its tokens do not say "
            "where words begin: leave it out"
        )
    return starts, ends


class WordFigures(Figures):
    """Figures of every word of some texts, one row a word; missing until those of their tokens are filled in.

    Parameters
    ----------
    texts
        Token ids of each text. Of each there is a row more, that after its last token.
    starts, ends
        As :func:`word_masks` gives them.
    """

    def __init__(
        self, texts: Sequence[Sequence[int]], vocabulary: Vocabulary, starts: Mask, ends: Mask
    ) -> None:
        super().__init__([[*text, AFTER] for text in texts], vocabulary, top_k=0)
        self._starts, self._ends = starts, ends
        self._boundaries = np.full((2, len(self._surprisal)), np.nan)

    def _put(
        self, rows: npt.NDArray[np.int64], token_ids: npt.NDArray[np.int64], scores: torch.Tensor
    ) -> None:
        super()._put(rows, token_ids, scores)
        step = max(1, _TOGETHER // scores.shape[-1])
        for start in range(0, len(rows), step):
            here = slice(start, start + step)
            found = word_boundaries(log_probabilities(scores[here]), self._starts, self._ends)
            for part, values in zip(self._boundaries, found, strict=True):
                part[rows[here]] = torch.as_tensor(values).cpu().numpy()

    def to_frame(self) -> pd.DataFrame:
        """Return them as a table, with units in the column names."""
        import pandas as pd

        tokens = super().to_frame()
        edges = np.cumsum([0, *map(len, self._texts)]).tolist()
        found = [
            self._words(text, slice(*rows)) for text, rows in zip(self._texts, pairwise(edges), strict=True)
        ]
        first, stop, bits = (np.concatenate(parts) for parts in zip(*found, strict=True))
        words, byte_end = self._spelled(tokens, first, stop)
        columns: dict[str, Any] = {
            "text_index": tokens["text_index"].to_numpy()[first],
            "word_index": np.concatenate([np.arange(len(one)) for one, *_ in found]),
            "word": [word.decode(errors="replace") for word in words],
            "surprisal_bits": bits,
            "first_token_index": tokens["token_index"].to_numpy()[first],
            "token_count": stop - first,
            "context_length": self._context[first],
            "byte_start": byte_end - [len(word) for word in words],
            "byte_end": byte_end,
        }
        return pd.DataFrame(columns)

    def _spelled(
        self, tokens: pd.DataFrame, first: npt.NDArray[Any], stop: npt.NDArray[Any]
    ) -> tuple[list[bytes], npt.NDArray[np.int64]]:
        """Return each word without the whitespace around it, and where it ends in the text."""
        pieces = [self._vocabulary.token_bytes(i) for i in tokens["token_id"]]
        words, behind = zip(
            *(_trimmed(b"".join(pieces[i:j])) for i, j in zip(first, stop, strict=True)), strict=True
        )
        return list(words), tokens["byte_end"].to_numpy()[stop - 1] - behind

    def _words(self, text: Sequence[int], rows: slice) -> tuple[npt.NDArray[Any], ...]:
        """Return the first token of each word of a text, the one after its last, and its bits."""
        token_ids, masks = np.array(text[:-1], dtype=np.int64), (self._starts, self._ends)
        boundaries = WordBoundaries(*self._boundaries[:, rows])
        corrected = corrected_surprisals(self._surprisal[rows][:-1], boundaries, token_ids, *masks)
        words = sum_over_words(corrected, token_ids, *masks)
        bits, first, stop = map(np.asarray, words)
        return rows.start + first, rows.start + stop, bits


def _trimmed(text: bytes) -> tuple[bytes, int]:
    """Return a word without the whitespace around it, and how many bytes of that stood behind it."""
    # Bytes that are no whole character come back as they were.
    rest = text.decode(errors="surrogateescape").lstrip()
    word = rest.rstrip()
    return word.encode(errors="surrogateescape"), len(rest[len(word) :].encode())
