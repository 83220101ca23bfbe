"""Forward calls over many windows: several short ones at once, long ones in chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from itwidgets.engine.decoding.memory import pass_after, retried
from itwidgets.engine.kv.pool import Pool
from itwidgets.engine.kv.store import BranchStore
from itwidgets.engine.model.runner import Runner
from itwidgets.engine.scoring.windows import Window


@dataclass(frozen=True)
class Passed:
    """What a forward call left, for the tokens that follow and are to be scored.

    Attributes
    ----------
    kept
        What is kept of each token to give the scores of the next, ``[n, D]``.
    token_ids
        The tokens that follow, ``[n]``.
    contexts
        How many tokens stand before each, ``[n]``.
    rows
        Their rows of the table, ``[n]``.
    count
        How many tokens passed.
    """

    kept: torch.Tensor
    token_ids: npt.NDArray[np.int64]
    contexts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    count: int


def passes(
    runner: Runner, pool: Pool, windows: Sequence[Window], batch_tokens: int, batch_size: int
) -> Iterator[Passed]:
    """Pass windows through the model, the longest first; give what each forward call left.

    Windows stand below each other, filled up at their ends, where what is filled up comes too late to
    count: no mask is needed, and models with states are right too. Neighbours in length go together, so
    there is little of it. To put them behind each other under a mask would need none, but took longer.

    Parameters
    ----------
    pool
        Has to have room for the keys and values of a window that passes in chunks.
    batch_tokens
        Tokens in one call, at most, padding included. A longer window goes alone, in chunks of so many.
    batch_size
        Windows in one call, at most.
    """
    ordered = sorted(windows, key=lambda window: -len(window.token_ids))
    for pack in _packs(ordered, batch_tokens, batch_size):
        if len(pack) == 1:
            yield from _chunks(runner, pool, pack[0], batch_tokens)
        else:
            kept = _together(runner, pool, [window.token_ids for window in pack])
            parts = [_passed(window, 0, one) for window, one in zip(pack, kept, strict=True)]
            yield retried(partial(_joined, parts), pool)


def _packs(windows: Sequence[Window], batch_tokens: int, batch_size: int) -> Iterator[Sequence[Window]]:
    """Neighbours that go together; their lengths fall, so the first of each is its longest."""
    start = 0
    while start < len(windows):
        fitting = batch_tokens // len(windows[start].token_ids)
        stop = start + max(1, min(fitting, batch_size))
        yield windows[start:stop]
        start = stop


def _chunks(runner: Runner, pool: Pool, window: Window, batch_tokens: int) -> Iterator[Passed]:
    ids = window.token_ids
    store = BranchStore(runner.config, runner.trial_cache(), pool, batch_tokens)
    store.name = f"a text of {len(ids)} tokens"
    step = batch_tokens if len(ids) <= batch_tokens or runner.continues_in_chunks else len(ids)
    # Lent to itself: what has passed is not given up before the rest has.
    with store.lent():
        for start in range(0, len(ids), step):
            chunk = ids[start : start + step]
            coming = len(ids) - start - len(chunk)
            kept = pass_after(runner, store, pool, chunk, range(start), coming)
            store.commit(range(start, start + len(chunk)))
            yield _passed(window, start, kept)


def _together(runner: Runner, pool: Pool, texts: Sequence[Sequence[int]]) -> Sequence[torch.Tensor]:
    """Pass texts below each other, or one half after the other where a device has no memory for them all."""
    longest = max(map(len, texts))
    rows = torch.tensor([[*ids, *[ids[-1]] * (longest - len(ids))] for ids in texts])
    try:
        found = retried(lambda: runner.forward_texts(rows), pool)
        return [one[: len(ids)] for one, ids in zip(found, texts, strict=True)]
    except MemoryError:
        if len(texts) == 1:
            raise
    # Only here, where what was caught holds nothing of the pass that failed any more.
    half = len(texts) // 2
    return [*_together(runner, pool, texts[:half]), *_together(runner, pool, texts[half:])]


def _passed(window: Window, start: int, kept: torch.Tensor) -> Passed:
    """Return what is asked of a window's rows from ``start`` on."""
    stop = start + len(kept)
    places = np.arange(min(max(start, window.skipped), stop), stop)
    scored = np.array(window.scored, dtype=np.int64)
    return Passed(
        kept=kept[len(kept) - len(places) :],
        token_ids=scored[places - window.skipped],
        contexts=places + 1,
        rows=window.row + places - window.skipped,
        count=len(kept),
    )


def _joined(parts: Sequence[Passed]) -> Passed:
    return Passed(
        torch.cat([part.kept for part in parts]),
        np.concatenate([part.token_ids for part in parts]),
        np.concatenate([part.contexts for part in parts]),
        np.concatenate([part.rows for part in parts]),
        sum(part.count for part in parts),
    )
