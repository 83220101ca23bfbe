"""Where a token is to be drawn: what operators may know of the text before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from itwidgets.information.names import FIGURES
from itwidgets.interventions import Step
from itwidgets.interventions.past import Figures
from itwidgets.tree import TokenTree, Vocabulary


class BranchPast(Figures):
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

    @property
    def names(self) -> Sequence[str]:
        """What is recorded: what the tree has columns of."""
        return (*FIGURES, *(measure.name for measure in self._tree.measures))

    def of_all(self, name: str) -> Sequence[float]:
        """Return one figure of all tokens."""
        column = self._tree.column(name)
        # In the precision of the table, so that a replay that reads them there finds the same numbers.
        behind = [figures[name] for figures in self._figures]
        found: list[float] = [*column[list(self._rows)].tolist(), *np.array(behind, column.dtype).tolist()]
        return found


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
        Rows of the new ones, and figures of those behind them that are in no tree; see :class:`BranchPast`.
    """
    vocabulary = tree.vocabulary if isinstance(tree.vocabulary, Vocabulary) else None
    past = BranchPast(tree, tuple(rows), tuple(figures))
    position = len(token_ids) - prompt_length
    return Step(position, tuple(token_ids), prompt_length, vocabulary=vocabulary, past=past)
