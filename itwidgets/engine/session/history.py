"""Where the head has been: undo and redo as moves, since the tree itself never changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class History:
    """The head of a session and the heads before it.

    Examples
    --------
    >>> history = History(3)
    >>> history.move(7)
    >>> history.undo(), history.head
    (True, 3)
    """

    def __init__(self, head: int) -> None:
        self.head = head
        self._past: list[int] = []
        self._future: list[int] = []

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier head."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether a head was left by undo."""
        return bool(self._future)

    def move(self, head: int) -> None:
        """Move the head in one step."""
        with self.one_move():
            self.head = head

    @contextmanager
    def one_move(self) -> Iterator[None]:
        """Count all that moves the head inside as one step, also when it ends early."""
        before = self.head
        try:
            yield
        finally:
            # From an empty tree there is nothing to go back to.
            if before not in (self.head, -1):
                self._past.append(before)
                self._future.clear()

    def undo(self) -> bool:
        """Go back one step; return whether there was one."""
        return self._step(self._past, self._future)

    def redo(self) -> bool:
        """Go forward one step; return whether there was one."""
        return self._step(self._future, self._past)

    def _step(self, source: list[int], target: list[int]) -> bool:
        if not source:
            return False
        target.append(self.head)
        self.head = source.pop()
        return True
