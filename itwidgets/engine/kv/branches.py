"""What is held of all branches of a tree beside the buffers of the current one."""

from __future__ import annotations

from collections.abc import Sequence

from itwidgets.engine.kv.held import Index, Segment, Snapshot
from itwidgets.engine.kv.pool import Pool


class Branches:
    """Keys and values of rows, and states at rows, as long as the pool has room for them.

    Attributes
    ----------
    segments
        Of each row that is held: in which segment, and at which place there.
    snapshots
        Of each row at which states are held: those.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.segments = Index[tuple[Segment, int]]()
        self.snapshots = Index[Snapshot]()

    def hold(self, rows: Sequence[int], segment: Segment) -> None:
        """Hold keys and values for rows."""
        segment.hold(self.segments, rows)
        self._pool.add(segment)

    def hold_states(self, row: int, snapshot: Snapshot) -> None:
        """Hold the states after a row."""
        snapshot.hold(self.snapshots, row)
        self._pool.add(snapshot)

    def adopt(self, rows: Sequence[int], segment: Segment | None, snapshot: Snapshot | None) -> None:
        """Hold for rows what was computed for them elsewhere, if it is still there."""
        if segment is not None and segment.layers:
            self.hold(rows, segment)
        if snapshot is not None and snapshot.content is not None:
            self.hold_states(rows[-1], Snapshot(snapshot.content, on_host=snapshot.on_host))

    def discard(self, rows: Sequence[int]) -> None:
        """Give up the copies that are held of some rows, and the states at them."""
        for row in rows:
            self.segments.pop(row, None)
            self.snapshots.pop(row, None)

    def clear(self) -> None:
        """Give everything up."""
        self.segments.clear()
        self.snapshots.clear()

    @property
    def segment_bytes(self) -> int:
        """Bytes of keys and values."""
        return sum(segment.nbytes for segment in {segment for segment, _ in self.segments.values()})

    @property
    def snapshot_bytes(self) -> int:
        """Bytes of states."""
        return sum(snapshot.nbytes for snapshot in self.snapshots.values())
