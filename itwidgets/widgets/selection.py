"""The place of the text that is looked at, now and at every point that undo and redo come back to."""

from __future__ import annotations

import threading

from itwidgets.engine import Generation, Session


class Selection:
    """A position of the text that is shown: it stays when another branch takes the place of this one.

    The page keeps it in the same way, so that both mean the same token wherever the head goes. Undo and redo
    bring back what was looked at where they lead. Used from any thread.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._position: int | None = None
        self._point = session.point
        self._left: dict[int, int | None] = {}
        self._followed: tuple[Generation, int] | None = None
        # What was found last, to walk only over what the text has grown by since.
        self._found: tuple[int, int | None] = (-1, None)
        self._lock = threading.Lock()

    def move(self, row: int | None) -> None:
        """Look at the position of a row, or at none."""
        position = None if row is None else self._session.tree[row].position
        with self._lock:
            self._keep_up()
            self._look(position)
            self._followed = None

    def follow(self, job: Generation, point: int) -> None:
        """Look at the first token that a job makes, once it is there, unless something else is chosen.

        Parameters
        ----------
        point
            Where the history of the session was before the job.
        """
        with self._lock:
            self._followed = job, point

    def row(self) -> int | None:
        """Row at the position on the current branch; None where there is none."""
        head = self._session.head
        with self._lock:
            self._keep_up()
            return None if head is None else self._row_before(head.row, head.position + 1)

    def _look(self, position: int | None) -> None:
        self._position, self._found = position, (-1, None)

    def _keep_up(self) -> None:
        """Take in what the history and the followed job have done since the last look."""
        point = self._session.point
        if point != self._point:
            self._left[self._point] = self._position
            self._look(self._left.get(point, self._position))
            self._point = point
        if self._followed is None:
            return
        job, before = self._followed
        if job.nodes and point != before:
            self._look(job.nodes[0].position)
        # A job that was undone before anyone looked has nothing to show.
        if job.nodes or job.done:
            self._followed = None

    def _row_before(self, head: int, length: int) -> int | None:
        wanted, (last_head, last_row) = self._position, self._found
        if wanted is None or wanted >= length:
            return None
        parents, row = self._session.tree.column("parent"), head
        # Rows of one text stand in a line, so its length says how far to walk.
        for _ in range(length - 1 - wanted):
            if row == last_head:
                break
            row = int(parents[row])
        found = last_row if row == last_head else row
        self._found = (head, found)
        return found
