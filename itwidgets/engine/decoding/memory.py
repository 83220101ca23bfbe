"""Memory: what a session holds of it, and what is done when a device has none left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

import psutil
import torch

from itwidgets.engine.kv.pool import MIB, Pool, is_out_of_memory
from itwidgets.engine.kv.store import BranchStore
from itwidgets.engine.model.runner import Runner

T = TypeVar("T")


@dataclass(frozen=True)
class Memory:
    """What a session holds, in bytes.

    Attributes
    ----------
    budget
        What keys, values and states of all sessions of the engine may take together.
    current_branch
        Keys, values and states of the branch that is being extended, with room to grow.
    other_branches
        Keys and values that only other branches have.
    snapshots
        States of recurrent layers, to go back to.
    rows
        What is kept of each token to give its distribution again.
    sources
        What an encoder made of source texts, with their keys and values in the decoder.
    all_sessions
        What counts against the budget, of all sessions of the engine.
    on_host
        What was moved from the device to the host's memory, of all sessions.
    """

    budget: int
    current_branch: int
    other_branches: int
    snapshots: int
    rows: int
    sources: int
    all_sessions: int
    on_host: int

    def __repr__(self) -> str:
        parts = (f"{name}={nbytes / MIB:.1f} MiB" for name, nbytes in asdict(self).items())
        return f"Memory({', '.join(parts)})"


def pass_after(
    runner: Runner,
    store: BranchStore,
    pool: Pool,
    token_ids: Sequence[int],
    before: Sequence[int],
    coming: int = 0,
) -> torch.Tensor:
    """Pass tokens through a model after rows that a store holds; once more if a device has no memory for it.

    Parameters
    ----------
    coming
        How many will pass after these.

    Raises
    ------
    MemoryError
        When there is no memory even so, or what is before them was lost.
    """

    def step() -> torch.Tensor:
        store.reserve(len(token_ids), coming=coming)
        return runner.forward(token_ids, store.cache)

    def repair() -> None:
        store.rollback()
        if store.activate(before) < len(before):
            raise MemoryError(f"the device has no memory for {store.name}")

    return tried_twice(step, repair, store, pool)


def retried(compute: Callable[[], T], pool: Pool, store: BranchStore | None = None) -> T:
    """Compute something that no cache plays a part in; once more if a device has no memory for it.

    Parameters
    ----------
    store
        Is not given up; None where texts are scored, which are not kept.
    """
    return tried_twice(compute, lambda: None, store, pool)


def tried_twice(
    step: Callable[[], T], repair: Callable[[], None], store: BranchStore | None, pool: Pool
) -> T:
    """Run a step, and once more with everything else given up if a device has no memory for it.

    Parameters
    ----------
    repair
        Puts the cache back to where it was before the step.
    store
        Has that cache, if the step has one.

    Raises
    ------
    MemoryError
        When there is no memory for it even so: what was needed, and what would fit.
    """
    try:
        return step()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    repair()
    pool.drop_all(keep=store)
    _release_cached()
    try:
        return step()
    except Exception as error:
        if is_out_of_memory(error):
            raise _out_of_memory(error, store) from error
        raise


def _release_cached() -> None:
    """Give the memory that torch keeps for later back to the devices."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


def _out_of_memory(error: BaseException, store: BranchStore | None) -> MemoryError:
    what, would = "scoring", "fewer tokens at once (batch_tokens), a smaller model or dtype"
    if store is not None:
        what, per_token = f"a step after {len(store.rows)} tokens", store.bytes_of(1)
        # What failed may have enlarged some of the buffers: they would be used.
        room = _free_bytes() + store.nbytes
        would = f"about {room // per_token} tokens" if per_token else "a smaller model or dtype"
    where = f"{what} found no memory even with all other branches dropped"
    return MemoryError(f"{where}: {would} would fit ({' '.join(str(error).split())[:200]})")


def _free_bytes() -> int:
    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    return int(psutil.virtual_memory().available)
