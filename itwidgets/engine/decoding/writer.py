"""Appends tokens to a tree as they pass through the model. Runs on the engine's thread alone."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from itwidgets.engine.decoding.calls import decoded_joined, tokens_at_once
from itwidgets.engine.decoding.choice import require_numbers
from itwidgets.engine.decoding.figures import KnownToken, PendingToken, model_figures
from itwidgets.engine.decoding.kept import KeptRows
from itwidgets.engine.decoding.measured import Measured
from itwidgets.engine.decoding.memory import Memory, retried, tried_twice
from itwidgets.engine.decoding.sources import Sources
from itwidgets.engine.kv.layers import can_be_cut
from itwidgets.engine.kv.pool import Pool
from itwidgets.engine.kv.store import BranchStore
from itwidgets.engine.model.runner import Runner
from itwidgets.engine.worker import Steps
from itwidgets.tree import Origin, Route, TokenTree
from itwidgets.tree.files import ModelIdentity

if TYPE_CHECKING:
    from itwidgets.engine.decoding.rollout import Continuation

T = TypeVar("T")

SCORED_ROWS = 48
"""Rows of a prefill whose logits stand in memory together."""

_SPARE = 64
"""Places for what is generated after a prompt, so that the first token need not enlarge the buffers."""


class TreeWriter:
    """One tree, its keys and values, and what is kept of each row to give its distribution again.

    The contract: a row is appended only after its forward call succeeded, and then at once with its
    figures and its keys and values. So tree and store agree after a stop and after any error.
    """

    def __init__(
        self, runner: Runner, tree: TokenTree, pool: Pool, snapshot_interval: int, identity: ModelIdentity
    ) -> None:
        self.runner = runner
        self.tree = tree
        self.store = BranchStore(runner.config, runner.new_cache(), pool, snapshot_interval)
        self._identity, self._noted_route = identity, ""
        self.pool = pool
        self._interval = snapshot_interval
        self._kept = KeptRows()
        self._measured = Measured(tree)
        self._sources = Sources(self.store, pool)
        if not runner.keeps_hidden:
            pool.add(self._kept)

    # ---------------------------------------------------------------- reading

    def holds(self, row: int) -> bool:
        """Whether the distribution after ``row`` can be given without running the model's layers."""
        return row in self._kept

    def scores(self, row: int) -> Steps[torch.Tensor]:
        """Raw scores, shape ``[V]``, of the token that follows ``row``."""
        kept = yield from self._kept_of(row)
        return self.retried(lambda: self.runner.logits(kept))

    def scores_of(self, rows: Sequence[int]) -> Steps[torch.Tensor]:
        """Raw scores, ``[n, V]``, of what follows some rows: as :meth:`scores`, to the dtype's noise."""
        kept = []
        for row in rows:
            kept.append((yield from self._kept_of(row)))
        return self.retried(lambda: self.runner.all_logits(torch.stack(kept)))

    def _kept_of(self, row: int) -> Steps[torch.Tensor]:
        if row not in self._kept:
            yield from self.activate(row)
        if row not in self._kept:
            # Its keys and values are held but not what followed them: it passes through the model again.
            yield from self.activate(int(self.tree.column("parent")[row]))
            self._again([row])
        self.pool.touch(self._kept)
        return self._kept[row]

    def memory(self) -> Memory:
        """Return what this tree holds."""
        return Memory(
            budget=self.pool.budget.device_bytes,
            current_branch=self.store.nbytes,
            other_branches=self.store.branches.segment_bytes,
            snapshots=self.store.branches.snapshot_bytes,
            rows=self._kept.nbytes,
            sources=self._sources.nbytes,
            all_sessions=self.pool.device_bytes,
            on_host=self.pool.host_bytes,
        )

    def forget(self) -> Steps[None]:
        """Give up all keys and values; they are computed again when they are needed."""
        while self.store.is_lent:
            yield
        self.store.forget()
        self._sources.forget()

    def measures_of(self, scores: torch.Tensor, token_id: int) -> dict[str, Any]:
        """Compute the registered measures of a token from the row of scores, ``[V]``, that it stands in."""
        return self._measured.figures(scores[None], [token_id])[0] if self._measured else {}

    # ---------------------------------------------------------------- writing

    def activate(self, row: int) -> Steps[None]:
        """Make the branch that ends at ``row`` current; recompute in chunks what is not held.

        It is current when this returns, and until the next ``yield``: whoever has a turn then may need the
        memory.
        """
        others_may_come = True
        while not (yield from self._brought(row, others_may_come)):
            # They took what was computed here. To let them again could go on for ever.
            others_may_come = False

    def _brought(self, row: int, others_may_come: bool) -> Steps[bool]:
        """Make a branch current; return whether nobody took it away meanwhile."""
        while self.store.is_lent:
            yield
        self.pool.touch(self.store)
        self._sources.use(self.tree.source(row))
        if self.store.stands_at(row):
            return True
        path = self.tree.path(row)
        missing = path[self.retried(lambda: self.store.activate(path)) :]
        coming = len(missing)
        for rows in self._groups(missing):
            coming -= len(rows)
            self._again(rows, coming)
            if others_may_come and rows[-1] != row:
                yield
                if not self.store.stands_at(rows[-1]):
                    return False
        if missing:
            # Where a branch was made current, others are likely to part.
            self.store.mark()
        return True

    def prefill(
        self, parent: int, token_ids: Sequence[int], origin: Origin, source: Sequence[int] | None = None
    ) -> Generator[None, None, int]:
        """Append given tokens after ``parent``, scored; return the row of the last.

        Parameters
        ----------
        source
            What the encoder is to read for them, if there is one.
        """
        while token_ids:
            count = self._at_once(parent, len(token_ids))
            chunk, token_ids = token_ids[:count], token_ids[count:]
            coming = len(token_ids) + _SPARE if token_ids else 0
            before = [] if parent < 0 else [(yield from self._kept_of(parent))]
            yield from self.activate(parent)
            with self._rolled_back_on_error():
                kept = self._pass(parent, chunk, source=source, coming=coming)
                made = {"forward": self.tree.record.next_forward, "route": Route.PREFILL}
                rows = []
                for token_id, figures in zip(chunk, self._scored(before, chunk, kept), strict=True):
                    begins = {"source": source} if parent < 0 else {}
                    parent = self._append(parent, token_id, origin, figures | made | begins)
                    rows.append(parent)
                self._commit(rows, kept)
            yield
        return parent

    def recompute(self, rows: Sequence[int], renewed: Sequence[int]) -> Steps[None]:
        """Pass rows through the model again in one call, held or not: as a record says that they did."""
        self._kept.discard(renewed)
        yield from self.activate(int(self.tree.column("parent")[rows[0]]))
        self._again(rows)
        self.store.mark()

    def decode(self, parent: int, token: PendingToken | KnownToken, origin: Origin, recipe: int = -1) -> int:
        """Append one token after ``parent``, whose branch is current; return its row.

        An accelerator is waited for once, while the token's own forward call is under way.
        """
        with self._rolled_back_on_error():
            kept = self._pass(parent, token.token)
            figures = require_numbers(self.retried(token.read))
            before = self._kept.get(parent)
            figures = figures | self.retried(lambda: self._measures_after(before, token.token_id))
            made = {"forward": self.tree.record.next_forward, "route": Route.DECODE, "recipe": recipe}
            row = self._append(parent, token.token_id, origin, figures | made)
            self._commit([row], kept)
        return row

    def adopt(self, one: Continuation) -> int:
        """Append the tokens of a continuation, which passed through the model in a rollout."""
        # What needs memory comes first: no branch is to be half made.
        kept = self.retried(lambda: torch.stack(one.kept))
        segment = self.retried(lambda: one.segment and one.segment.part(one.place, len(one.token_ids)))
        parent, rows = one.parent, []
        for i, (token_id, figures) in enumerate(zip(one.token_ids, one.figures, strict=True)):
            made = {"forward": self.tree.record.next_forward, "route": Route.ROLLOUT}
            if i:
                made["recipe"] = self.tree.record.intern(one.plan.recipe)
            origin = Origin.SAMPLED if i else Origin.FORCED
            parent = self._append(parent, token_id, origin, figures | made)
            rows.append(parent)
        self._kept.add(rows, kept)
        self.store.branches.adopt(rows, segment, one.snapshot)
        return parent

    def _append(self, parent: int, token_id: int, origin: Origin, figures: dict[str, Any]) -> int:
        return self.tree.append(parent=parent, token_id=token_id, origin=origin, **figures)

    def _again(self, rows: Sequence[int], coming: int = 0) -> None:
        """Pass rows through the model whose keys and values are not held any more."""
        with self._rolled_back_on_error():
            parent = int(self.tree.column("parent")[rows[0]])
            kept = self._pass(
                parent, [int(i) for i in self.tree.column("token_id")[list(rows)]], rows, coming=coming
            )
            renewed = [row for row in rows if row not in self._kept]
            # Of what was computed twice the last counts, wherever the first may still be held.
            self.store.branches.discard(rows)
            self._commit(rows, kept)
            self.tree.record.note_recomputed(rows, renewed)

    def _groups(self, rows: Sequence[int]) -> Iterator[Sequence[int]]:
        """Which rows pass again together: those that did before, so that they give the same bits.

        Tokens that were decoded go together too, unless they are so few that doing it one by one, as
        before, costs little: that is what snapshots of states are for.
        """
        forward = self.tree.column("forward")
        calls = [list(call) for _, call in itertools.groupby(rows, key=lambda row: int(forward[row]))]
        if can_be_cut(self.runner.config) or len(rows) > self._interval:
            calls = decoded_joined(calls)
        for call in calls:
            while call:
                count = self._at_once(int(self.tree.column("parent")[call[0]]), len(call))
                yield call[:count]
                call = call[count:]

    def _at_once(self, parent: int, count: int) -> int:
        return tokens_at_once(self.runner, count, begins=parent < 0)

    def _pass(
        self,
        parent: int,
        token_ids: Sequence[int] | torch.Tensor,
        again: Sequence[int] = (),
        source: Sequence[int] | None = None,
        coming: int = 0,
    ) -> torch.Tensor:
        """Run the model on tokens after ``parent``; once more if the device has no memory for it."""
        if not self.store.stands_at(parent):
            # The figures would be those of another text, and nothing would show it.
            raise RuntimeError(f"the cache does not stand at row {parent}, after which tokens were to pass")
        self._sources.use(source or self.tree.source(again[0] if again else parent))

        def step() -> torch.Tensor:
            self.store.reserve(len(token_ids), again, coming)
            return self.runner.forward(token_ids, self.store.cache)

        def repair() -> None:
            self.store.rollback()
            for _ in self.activate(parent):
                """Only states that were torn pass through the model again here."""

        kept = tried_twice(step, repair, self.store, self.pool)
        self._note_route()
        return kept

    def _note_route(self) -> None:
        """Put on record by which code tokens pass, where it is another than before."""
        if self.runner.route != self._noted_route:
            self._noted_route = self.runner.route
            self.tree.record.note_maker(replace(self._identity, route=self._noted_route))

    def _scored(
        self, before: list[torch.Tensor], token_ids: Sequence[int], kept: torch.Tensor
    ) -> list[dict[str, Any]]:
        """Figures of given tokens; the first of a text has none, since it has no context."""
        rows = torch.cat([before[0][None], kept[:-1]]) if before else kept[:-1]
        known = token_ids[len(token_ids) - len(rows) :]
        figures: list[dict[str, Any]] = [{}] * (len(token_ids) - len(rows))
        for start in range(0, len(rows), SCORED_ROWS):
            part = slice(start, start + SCORED_ROWS)
            figures += self.retried(partial(self._figures_of, rows[part], known[part]))
        return figures

    def _figures_of(self, rows: torch.Tensor, token_ids: Sequence[int]) -> list[dict[str, Any]]:
        scores = self.runner.all_logits(rows)
        found = model_figures(scores, token_ids)
        if not self._measured:
            return found
        return list(map(operator.or_, found, self._measured.figures(scores, token_ids)))

    def _measures_after(self, kept: torch.Tensor | None, token_id: int) -> dict[str, Any]:
        """Compute the registered measures of a token from what is kept of the row before it."""
        # What is kept of the row may have been dropped, where that is as large as the row: then they miss.
        if not self._measured or kept is None:
            return {}
        return self.measures_of(self.runner.logits(kept), token_id)

    def retried(self, compute: Callable[[], T]) -> T:
        """Compute something that the cache plays no part in; once more if the device has no memory for it."""
        return retried(compute, self.pool, self.store)

    def _commit(self, rows: Sequence[int], kept: torch.Tensor) -> None:
        self.store.commit(rows)
        self._kept.add(rows, kept)

    @contextmanager
    def _rolled_back_on_error(self) -> Generator[None, None, None]:
        # A torn step leaves layers of different lengths, and the next one would be silently wrong.
        try:
            yield
        except BaseException:
            self.store.rollback()
            raise
