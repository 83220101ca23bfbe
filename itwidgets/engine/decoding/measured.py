"""Figures of the measures that users have registered, for the columns that a tree has for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from itwidgets.information import log_probabilities, registered_measures
from itwidgets.tree import MeasureColumn, TokenTree
from itwidgets.tree.columns import measure_column


def measure_columns() -> list[MeasureColumn]:
    """Return the columns of all measures that are registered now."""
    return [
        measure_column(one.name, one.unit, one.label, one.limit) for one in registered_measures().values()
    ]


class Measured:
    """Computes the registered measures of tokens for a tree.

    A measure whose name is not registered any more, as in a file from elsewhere, stays missing.
    """

    def __init__(self, tree: TokenTree) -> None:
        known = registered_measures()
        self._measures = [known[column.name] for column in tree.measures if column.name in known]

    def __bool__(self) -> bool:
        """Whether there is anything to compute."""
        return bool(self._measures)

    def figures(self, scores: torch.Tensor, token_ids: Sequence[int]) -> list[dict[str, Any]]:
        """Figures of tokens by column.

        Parameters
        ----------
        scores
            Raw scores of `p`, ``[n, V]``, in which the tokens stand; not written to.
        token_ids
            The `n` tokens.

        Raises
        ------
        ValueError
            When a measure gives other than one number a token; the sentence names it.
        """
        log_p = log_probabilities(scores)
        ids = torch.tensor(list(token_ids), device=log_p.device)
        columns = {one.name: one.of(log_p, ids) for one in self._measures}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
