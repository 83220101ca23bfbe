"""How far the distributions of branches are apart at aligned places."""

from __future__ import annotations

from collections.abc import Sequence

from itwidgets.engine.decoding.writer import TreeWriter
from itwidgets.engine.worker import Steps
from itwidgets.information import kl_divergence, log_probabilities
from itwidgets.tree import Comparison

_PAIRS = 8
"""Compared in one turn: of each of the two rows a few copies over the whole vocabulary stand in memory."""


def diverging(
    comparison: Comparison, pairs: Sequence[tuple[int, int]], writer: TreeWriter
) -> Steps[Comparison]:
    """Fill in the divergences of a comparison between pairs of rows; return it."""
    for start in range(0, len(pairs), _PAIRS):
        some = pairs[start : start + _PAIRS]
        comparison.divergences.update(zip(some, (yield from _divergences(writer, some)), strict=True))
        yield
    return comparison


def _divergences(writer: TreeWriter, pairs: Sequence[tuple[int, int]]) -> Steps[list[float]]:
    first = yield from writer.scores_of([row for row, _ in pairs])
    other = yield from writer.scores_of([row for _, row in pairs])

    def compute() -> list[float]:
        values: list[float] = kl_divergence(log_probabilities(first), log_probabilities(other)).tolist()
        return values

    return writer.retried(compute)
