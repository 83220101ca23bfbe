"""Where a token is to be drawn: what operators may know of the text before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from itwidgets.interventions import Step
from itwidgets.tree import TokenTree, Vocabulary

RECORDED = (
    "rank",
    "surprisal",
    "entropy",
    "varentropy",
    "surprisal_q",
    "surprisal_s",
    "cost",
    "expected_cost",
)
"""Columns whose figures of earlier tokens an operator may ask for."""


class Past(Mapping[str, Sequence[float]]):
    """Figures of the new tokens of a branch, read from the tree only when they are asked for.

    Parameters
    ----------
    rows
        Those of the tree.
    figures
        Of tokens behind them that are in no tree yet.
    """

    def __init__(
        self, tree: TokenTree, rows: Sequence[int], figures: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self._tree, self._rows, self._figures = tree, rows, figures

    def __getitem__(self, name: str) -> Sequence[float]:
        if name not in RECORDED:
            raise KeyError(name)
        column = self._tree.column(name)
        # In the precision of the table, so that a replay that reads them there finds the same numbers.
        behind = [figures[name] for figures in self._figures]
        found: list[float] = [*column[list(self._rows)].tolist(), *np.array(behind, column.dtype).tolist()]
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(RECORDED)

    def __len__(self) -> int:
        return len(RECORDED)


def step_after(
    tree: TokenTree,
    token_ids: Sequence[int],
    prompt_length: int,
    rows: Sequence[int],
    figures: Sequence[Mapping[str, Any]] = (),
) -> Step:
    """Return the step of the token that follows others.

    Parameters
    ----------
    token_ids
        All tokens before it, of which the first ``prompt_length`` are the prompt.
    rows, figures
        Rows of the new ones, and figures of those behind them that are in no tree; see :class:`Past`.
    """
    vocabulary = tree.vocabulary if isinstance(tree.vocabulary, Vocabulary) else None
    past = Past(tree, tuple(rows), tuple(figures))
    position = len(token_ids) - prompt_length
    return Step(position, tuple(token_ids), prompt_length, vocabulary=vocabulary, past=past)
