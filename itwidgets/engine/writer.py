"""Appends tokens to a tree as they pass through the model. Runs on the engine's thread alone."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from itwidgets.engine.kv import kv_store
from itwidgets.engine.runner import Runner
from itwidgets.engine.worker import Steps
from itwidgets.information import kl_divergence, log_probabilities, row_statistics
from itwidgets.interventions import Outcome, Program
from itwidgets.tree import TOP_K, Origin, TokenTree

PREFILL_CHUNK = 256
"""Tokens in one forward call of a prefill: between two of them a job may be stopped."""

SCORED_ROWS = 32
"""Rows of a prefill whose logits stand in memory together."""


class TreeWriter:
    """One tree, its keys and values, and what is kept of each row to give its distribution again.

    The contract: a row is appended only after its forward call succeeded, and then at once with its
    figures and its keys and values. So tree and store agree after a stop and after any error.
    """

    def __init__(self, runner: Runner, tree: TokenTree) -> None:
        self.runner = runner
        self.tree = tree
        self._store = kv_store(runner.config)
        self._kept: dict[int, torch.Tensor] = {}

    def holds(self, row: int) -> bool:
        """Whether the distribution after ``row`` can be given without running the model's layers."""
        return row in self._kept

    def scores(self, row: int) -> Steps[torch.Tensor]:
        """Raw scores, shape ``[V]``, of the token that follows ``row``."""
        if row not in self._kept:
            yield from self.activate(row)
        return self.runner.logits(self._kept[row])

    def activate(self, row: int) -> Steps[None]:
        """Make the branch that ends at ``row`` current; recompute in chunks what is not held."""
        path = self.tree.path(row)
        held = self._store.activate(path)
        ids = self.tree.token_ids(row)
        for start in range(held, len(path), PREFILL_CHUNK):
            rows = path[start : start + PREFILL_CHUNK]
            with self._rolled_back_on_error():
                kept = self.runner.forward(ids[start : start + len(rows)], self._store.cache)
                self._commit(rows, kept)
            yield

    def prefill(self, parent: int, token_ids: Sequence[int], origin: Origin) -> Generator[None, None, int]:
        """Append given tokens after ``parent``, scored; return the row of the last."""
        yield from self.activate(parent)
        for start in range(0, len(token_ids), PREFILL_CHUNK):
            chunk = token_ids[start : start + PREFILL_CHUNK]
            with self._rolled_back_on_error():
                kept = self.runner.forward(chunk, self._store.cache)
                figures = self._scored(parent, chunk, kept)
                rows = []
                for token_id, values in zip(chunk, figures, strict=True):
                    parent = self._append(parent, token_id, origin, values)
                    rows.append(parent)
                self._commit(rows, kept)
            yield
        return parent

    def decode(self, parent: int, token_id: int, origin: Origin, figures: dict[str, Any]) -> int:
        """Append one token after ``parent``, whose branch is current; return its row."""
        with self._rolled_back_on_error():
            kept = self.runner.forward([token_id], self._store.cache)
            row = self._append(parent, token_id, origin, figures)
            self._commit([row], kept)
        return row

    def _scored(self, parent: int, token_ids: Sequence[int], kept: torch.Tensor) -> list[dict[str, Any]]:
        """Figures of given tokens; the first of a text has none, since it has no context."""
        before = kept[:-1] if parent < 0 else torch.cat([self._kept[parent][None], kept[:-1]])
        known = token_ids[len(token_ids) - len(before) :]
        figures: list[dict[str, Any]] = [{}] * (len(token_ids) - len(before))
        for start in range(0, len(before), SCORED_ROWS):
            scores = self.runner.all_logits(before[start : start + SCORED_ROWS])
            figures += _model_figures(scores, known[start : start + SCORED_ROWS])
        return figures

    def _append(self, parent: int, token_id: int, origin: Origin, figures: dict[str, Any]) -> int:
        return self.tree.append(
            parent=parent, token_id=token_id, origin=origin, forward=self.runner.calls, **figures
        )

    def _commit(self, rows: Sequence[int], kept: torch.Tensor) -> None:
        self._store.commit(rows)
        for row, value in zip(rows, kept, strict=True):
            self._kept.setdefault(row, value)

    @contextmanager
    def _rolled_back_on_error(self) -> Generator[None, None, None]:
        # A torn step leaves layers of different lengths, and the next one would be silently wrong.
        try:
            yield
        except BaseException:
            self._store.rollback()
            raise


def _model_figures(scores: torch.Tensor, token_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Figures of tokens that stand in the rows ``scores``, one by one."""
    columns = vars(row_statistics(scores, token_ids, TOP_K))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def drawn_figures(scores: torch.Tensor, outcome: Outcome, token_id: int, program: Program) -> dict[str, Any]:
    """Figures of a token drawn by a program from the row ``scores``."""
    (figures,) = _model_figures(scores[None], [token_id])
    surprisal_q, divergence = figures["surprisal"], 0.0
    if program.intervenes:
        log_q = log_probabilities(outcome.q)
        surprisal_q = _bits(log_q, token_id)
        divergence = float(kl_divergence(log_q, log_probabilities(scores)))
    return figures | {
        "surprisal_q": surprisal_q,
        "surprisal_s": _bits(log_probabilities(outcome.s), token_id),
        "cost": figures["surprisal"] - surprisal_q,
        "expected_cost": divergence,
    }


def _bits(log_probs: torch.Tensor, token_id: int) -> float:
    # Plus zero, so that a certain token has 0.0 bits and not -0.0.
    return -float(log_probs[token_id]) / math.log(2) + 0.0


def forced_figures(scores: torch.Tensor, token_id: int) -> dict[str, Any]:
    """Figures of a forced token: `q` and `s` hold nothing else, so it costs its surprisal."""
    (figures,) = _model_figures(scores[None], [token_id])
    cost = figures["surprisal"]
    return figures | {"surprisal_q": 0.0, "surprisal_s": 0.0, "cost": cost, "expected_cost": cost}
