"""Scores of a second text, or by a second model, at the place where a token is to be drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from itwidgets.engine.decoding.calls import tokens_at_once
from itwidgets.engine.decoding.generation import ContextFullError
from itwidgets.engine.decoding.kept import KeptRows
from itwidgets.engine.decoding.memory import pass_after, retried
from itwidgets.engine.decoding.sources import Sources
from itwidgets.engine.kv.pool import Pool
from itwidgets.engine.kv.store import BranchStore
from itwidgets.engine.model.runner import Runner
from itwidgets.engine.worker import Job, Steps, Worker, put_back
from itwidgets.interventions import Step
from itwidgets.tree import Vocabulary


class ModelSource:
    """Raw scores by one model, after a prompt of its own and the new tokens of a step.

    Made by :meth:`Engine.source <itwidgets.engine.Engine.source>`, for operators that mix distributions. A
    pure function of the step: what is kept of texts seen before saves time and changes nothing but the
    noise of the dtype.

    Parameters
    ----------
    name
        What JSON calls it.
    prompt_ids
        What stands before the new tokens; None is what stands before them in the step.
    worker, wear
        The thread that owns the model, and what puts the right adapter on there.
    """

    def __init__(
        self,
        name: str,
        prompt_ids: Sequence[int] | None,
        vocabulary: Vocabulary,
        runner: Runner,
        pool: Pool,
        snapshot_interval: int,
        worker: Worker,
        wear: Callable[[], None],
    ) -> None:
        self.name = name
        self._vocabulary = vocabulary
        self._runner = runner
        self._pool = pool
        self._worker = worker
        self._wear = wear
        self._read: Sequence[int] | None = None
        self._start: Sequence[int] | None = None
        if prompt_ids is not None:
            self._read, self._start = runner.begin(prompt_ids)
        self._store = BranchStore(runner.config, runner.new_cache(), pool, snapshot_interval)
        self._store.name = f"the text of {name}"
        self._sources = Sources(self._store, pool)
        self._kept = KeptRows()
        if not runner.keeps_hidden:
            pool.add(self._kept)
        # Texts seen so far, as a tree: what follows a row by a token has a number of its own.
        self._rows: dict[tuple[int, int], int] = {}

    def __repr__(self) -> str:
        return f"<scores of {self.name}>"

    def __call__(self, step: Step) -> torch.Tensor:
        """Return raw scores, shape ``[V]``, as wide as those of the step where its vocabulary is known.

        Raises
        ------
        ValueError
            When the step's tokens are those of another tokenizer.
        ContextFullError
            When the text is longer than the model's context.
        """
        self._require_same_tokens(step)
        before = step.token_ids if self._start is None else [*self._start, *step.new_ids]
        token_ids = [int(i) for i in before]
        limit = self._runner.context_length
        if limit is not None and len(token_ids) > limit:
            raise ContextFullError(
                f"the context of {self.name} is full: it holds {limit} tokens, its text has {len(token_ids)}"
            )
        scores = self._on_its_thread(token_ids)
        return scores if step.vocabulary is None else _fitted(scores, len(step.vocabulary))

    def _on_its_thread(self, token_ids: Sequence[int]) -> torch.Tensor:
        """Compute scores at once inside a step of the model's own thread, else as a job there."""
        if self._worker.is_here:
            self._wear()
            try:
                return self._scores(token_ids)
            finally:
                put_back()

        def body(_: Job[torch.Tensor]) -> Steps[torch.Tensor]:
            yield
            return self._scores(token_ids)

        job = Job("scores", body)
        job.before_turn = self._wear
        return self._worker.submit(("source", id(self)), job).wait()

    def _require_same_tokens(self, step: Step) -> None:
        theirs = step.vocabulary
        if isinstance(theirs, Vocabulary) and theirs.fingerprint != self._vocabulary.fingerprint:
            raise ValueError(
                f"{self.name} has another tokenizer than the session, so its scores are of other tokens"
            )

    def _scores(self, token_ids: Sequence[int]) -> torch.Tensor:
        path = self._path(token_ids)
        if path[-1] not in self._kept:
            try:
                self._pass(token_ids, path)
            except BaseException:
                self._store.rollback()
                raise
        kept = self._kept[path[-1]]
        return retried(lambda: self._runner.logits(kept), self._pool, self._store)

    def _path(self, token_ids: Sequence[int]) -> list[int]:
        path, row = list[int](), -1
        for token_id in token_ids:
            row = self._rows.setdefault((row, token_id), len(self._rows))
            path.append(row)
        return path

    def _pass(self, token_ids: Sequence[int], path: Sequence[int]) -> None:
        """Pass what is not held through the model, and the last token in any case."""
        self._sources.use(self._read)
        place = retried(lambda: self._store.activate(path[:-1]), self._pool, self._store)
        while place < len(path):
            count = tokens_at_once(self._runner, len(path) - place, begins=place == 0)
            stop = place + count
            kept = pass_after(self._runner, self._store, self._pool, token_ids[place:stop], path[:place])
            self._store.commit(path[place:stop])
            self._kept.add(path[place:stop], kept)
            place = stop


def _fitted(scores: torch.Tensor, size: int) -> torch.Tensor:
    """Cut or fill up scores to another width: heads over one tokenizer are padded differently."""
    missing = size - len(scores)
    return torch.nn.functional.pad(scores, (0, missing), value=-torch.inf) if missing else scores
