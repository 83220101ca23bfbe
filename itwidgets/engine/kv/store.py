"""Keys and values of a token tree: which rows they are held for, and how a branch is made current."""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from transformers.cache_utils import Cache, LinearAttentionLayer

from itwidgets.engine.kv.branches import Branches
from itwidgets.engine.kv.held import Layers, LayerStates, Segment, Snapshot, States, WholeCache
from itwidgets.engine.kv.layers import GrowingLayer, is_known
from itwidgets.engine.kv.pool import BudgetError, Pool, is_out_of_memory
from itwidgets.tree import shared

_BLOCK = 64
"""Rows that are copied out together before they are written over."""

_NO_ROW = -1
_TORN = -2


class BranchStore:
    """The cache of one tree: it holds the current branch, and copies of what other branches do not share.

    Places of the buffers behind the current length keep the rows of the branch that was left, until they
    are written over. So forcing a token in the middle of a long text copies nothing but the block that
    the new branch grows into, and going back to a branch copies only what it lost.

    Attributes
    ----------
    cache
        For the model's forward calls.
    branches
        What is held of the branches that are not current.
    name
        What its current branch is called where it does not fit.
    used, on_host, is_lent
        For the pool, which may drop the buffers of a session that rests, unless they are lent.
    """

    name = "this branch"
    on_host = False
    used = 0
    is_lent = False

    def __init__(self, config: Any, cache: Cache, pool: Pool, snapshot_interval: int) -> None:
        self.cache = cache
        self._pool = pool
        self._interval = snapshot_interval
        self._growing = [layer for layer in self.cache.layers if isinstance(layer, GrowingLayer)]
        self._states = self._find_states(config)
        self._slots: list[int] = []
        self._length = 0
        self.branches = Branches(pool)
        self._live = _NO_ROW
        pool.add(self)

    def _find_states(self, config: Any) -> States | None:
        if not is_known(config):
            return WholeCache(self.cache)
        layers = [layer for layer in self.cache.layers if isinstance(layer, LinearAttentionLayer)]
        return LayerStates(layers) if layers else None

    # ---------------------------------------------------------------- the current branch

    @property
    def rows(self) -> list[int]:
        """Rows of the current branch, whose keys and values the cache holds."""
        return self._slots[: self._length]

    def stands_at(self, row: int) -> bool:
        """Whether the next token that passes through the model would follow ``row``."""
        last = self._slots[self._length - 1] if self._length else _NO_ROW
        return last == row and (self._states is None or self._live == row)

    def activate(self, path: Sequence[int]) -> int:
        """Make the cache hold the longest prefix of ``path`` that is known; return its length."""
        self._pool.touch(self)
        self.mark()
        # Before anything is written over: an error on the way leaves what the branches share.
        self._cut(shared(self.rows, path))
        length = self._restore_keys(path[: self._deepest_state(path, len(path))])
        length = self._deepest_state(path, length)
        self._restore_state(path[length - 1] if length else _NO_ROW)
        self._slots[:length] = path[:length]
        self._cut(length)
        return length

    def reserve(self, count: int, again: Sequence[int] = (), coming: int = 0) -> None:
        """Make room behind the current branch for tokens that will pass through the model next.

        Parameters
        ----------
        coming
            How many will come after these: where there is room for them, buffers grow once for all.
        again
            Rows that pass again: what the buffers hold of them need not be kept.

        Raises
        ------
        BudgetError
            When the branch alone would not fit; nothing has changed then.
        """
        stop = self._length + count
        self._grow(stop, stop + coming)
        self._vacate(self._length, stop, again)

    def commit(self, rows: Sequence[int]) -> None:
        """Say which rows the states belong to that the last forward call appended."""
        self._slots[self._length : self._length + len(rows)] = rows
        before, self._length = self._length, self._length + len(rows)
        self._live = rows[-1]
        if len(rows) > 1 or before // self._interval < self._length // self._interval:
            self.mark()

    def rollback(self) -> None:
        """Forget what a torn forward call may have appended since the last commit."""
        self._live = _TORN
        self._cut(self._length)

    def mark(self) -> None:
        """Take a snapshot where the cache stands, unless keys and values say it all or there is one."""
        if self._states is None or self._live < 0 or self._live in self.branches.snapshots:
            return
        try:
            snapshot = Snapshot(self._states.take())
        except Exception as error:
            # One that is missing costs time later, and no memory now.
            if is_out_of_memory(error):
                return
            raise
        self.branches.hold_states(self._live, snapshot)
        self._pool.trim(keep=self)

    def _cut(self, length: int) -> None:
        self._length = length
        for layer in self._growing:
            layer.length = length

    # ---------------------------------------------------------------- lending

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Leave the current branch as it is while someone writes behind it."""
        self.is_lent = True
        try:
            yield
        finally:
            self.is_lent = False
            self._cut(self._length)

    def lengthen(self, extra: int, count: int, most: int) -> None:
        """Make room for ``count`` tokens more behind ``extra`` that were written behind the branch.

        Parameters
        ----------
        most
            How many there will be at most.
        """
        start = self._length + extra
        self._grow(start + count, most=self._length + most)
        self._vacate(start, start + count)
        for layer in self._growing:
            layer.length = start

    def take_out(self, places: Sequence[int]) -> Layers:
        """Copy what someone wrote at some places behind the branch, and give back the room for it."""
        while self._slots and self._slots[-1] == _NO_ROW:
            self._slots.pop()
        layers = []
        for layer in self._growing:
            # Layer by layer, so that never more than one is there twice.
            layers.append(layer.gather(places))
            layer.shrink(max(self._length, len(self._slots)))
        return layers

    def make_room_for_copies(self, count: int) -> None:
        """Make room for so many copies of the current branch beside it.

        Raises
        ------
        BudgetError
            When they would not fit even alone.
        """
        states = self._states.nbytes if self._states else 0
        branch = states + self.bytes_of(self._length)
        self._pool.make_room(count * branch, keep=self, what=f"{count} copies of this branch")

    def bytes_of(self, tokens: int) -> int:
        """Bytes of the keys and values of so many tokens."""
        return sum(layer.token_bytes for layer in self._growing) * tokens

    # ---------------------------------------------------------------- other branches

    def forget(self) -> None:
        """Give up all that can be computed again."""
        self.drop()
        self.branches.clear()

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers of the current branch."""
        states = self._states.nbytes if self._states else 0
        return states + sum(layer.nbytes for layer in self._growing)

    def move_to_host(self) -> None:
        """Keep what the buffers hold as copies in the host's memory, and give the buffers back."""
        if self._states is not None and self._live >= 0 and self._live not in self.branches.snapshots:
            # Copied there at once: the device may have no memory for another copy.
            snapshot = Snapshot(self._states.take(on_host=True))
            snapshot.move_to_host()
            self.branches.hold_states(self._live, snapshot)
        for first, last in self._runs(0, len(self._slots), set()):
            layers = [layer.view(first, last) for layer in self._growing]
            segment = Segment(layers)
            segment.move_to_host()
            self.branches.hold(self._slots[first:last], segment)
        self.drop()

    def drop(self) -> None:
        """Give the buffers back; the branch will have to be restored or to pass through the model again."""
        self._slots.clear()
        for layer in self._growing:
            layer.reset()
        if self._states is not None:
            self._states.release()
        self._length = 0
        self._live = _NO_ROW

    # ---------------------------------------------------------------- keys and values

    def _restore_keys(self, path: Sequence[int]) -> int:
        """Bring keys and values of ``path`` into place, as far as they are held; return how far."""
        if not self._growing:
            return len(path)
        place = 0
        while place < len(path):
            if place < len(self._slots) and self._slots[place] == path[place]:
                place += 1
            elif path[place] in self.branches.segments:
                place += self._copy_in(path, place)
            else:
                break
        return place

    def _copy_in(self, path: Sequence[int], place: int) -> int:
        """Copy rows that lie side by side in one segment into the buffers; return how many."""
        segment, offset = self.branches.segments[path[place]]
        count = 1
        while place + count < len(path) and self.branches.segments.get(path[place + count]) == (
            segment,
            offset + count,
        ):
            count += 1
        # Held here: the pool may drop the segment while it makes room for the copy.
        layers = segment.layers
        self._pool.touch(segment)
        self._grow(place + count)
        self._vacate(place, place + count)
        for layer, (keys, values) in zip(self._growing, layers, strict=True):
            layer.write(place, keys[:, :, offset : offset + count], values[:, :, offset : offset + count])
        self._slots[place : place + count] = path[place : place + count]
        return count

    def _grow(self, needed: int, wanted: int = 0, most: int | None = None) -> None:
        capacity = min((layer.capacity for layer in self._growing), default=needed)
        if needed <= capacity:
            self._pool.make_room(0, self, self.name)
            return
        # Before the first forward call no one knows what a token takes, and this is nothing.
        try:
            best = max(needed, wanted)
            larger = max((layer.enlarged(best) for layer in self._growing), default=best)
            larger = larger if most is None else max(needed, min(larger, most))
            self._pool.make_room(self.bytes_of(larger - capacity), self, self.name)
        except BudgetError:
            larger = needed
            self._pool.make_room(self.bytes_of(larger - capacity), self, self.name)
        for layer in self._growing:
            layer.grow(larger)

    def _vacate(self, start: int, stop: int, again: Sequence[int] = ()) -> None:
        """Copy out what stands at places that will be written over, if it is held nowhere else."""
        end = min(-(-stop // _BLOCK) * _BLOCK, len(self._slots))
        for first, last in self._runs(start, end, set(again)):
            layers = [layer.copy(first, last) for layer in self._growing]
            self.branches.hold(self._slots[first:last], Segment(layers))
            self._pool.trim(keep=self)
        last = min(stop, len(self._slots))
        self._slots[start:last] = [_NO_ROW] * (last - start)

    def _runs(self, start: int, stop: int, again: Container[int]) -> Iterator[tuple[int, int]]:
        """Stretches of places whose rows are held in the buffers alone."""
        places = range(start, stop)
        for is_free, run in itertools.groupby(places, key=lambda place: self._is_free(place, again)):
            if not is_free:
                found = list(run)
                yield found[0], found[-1] + 1

    def _is_free(self, place: int, again: Container[int]) -> bool:
        row = self._slots[place]
        return row == _NO_ROW or row in self.branches.segments or row in again

    # ---------------------------------------------------------------- states

    def _deepest_state(self, path: Sequence[int], limit: int) -> int:
        """How many rows of ``path``, at most ``limit``, lead to a state that is held."""
        if self._states is None:
            return limit
        while limit and path[limit - 1] != self._live and path[limit - 1] not in self.branches.snapshots:
            limit -= 1
        return limit

    def _restore_state(self, row: int) -> None:
        if self._states is None or row == self._live:
            return
        self._live = _TORN
        if row == _NO_ROW:
            self._states.reset()
        else:
            self._pool.touch(self.branches.snapshots[row])
            self._states.put_back(self.branches.snapshots[row].content)
        self._live = row
