"""Where the head has been: undo and redo as moves, since the tree itself never changes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Point(NamedTuple):
    """A place in the history: where the head was, and a number of its own."""

    number: int
    head: int


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
        self._numbers = itertools.count(1)
        self._number = 0
        self._past: list[Point] = []
        self._future: list[Point] = []
        self._within = self._begun = False

    @property
    def number(self) -> int:
        """Of the point at which the head is. Undo and redo come back to it, a new move to another.

        What else belongs to a point, whoever keeps it finds it again by this number.
        """
        return self._number

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier head."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether a head was left by undo."""
        return bool(self._future)

    def move(self, head: int) -> None:
        """Move the head: a step of its own, or a part of the one that has begun."""
        if head != self.head and not self._begun:
            # From an empty tree there is nothing to go back to.
            if self.head != -1:
                self._past.append(Point(self._number, self.head))
                self._future.clear()
                self._number = next(self._numbers)
            self._begun = self._within
        self.head = head

    @contextmanager
    def one_move(self) -> Iterator[None]:
        """Count all moves inside as one step, also when it ends early."""
        self._within = True
        try:
            yield
        finally:
            self._within = self._begun = False

    def undo(self) -> bool:
        """Go back one step; return whether there was one."""
        return self._step(self._past, self._future)

    def redo(self) -> bool:
        """Go forward one step; return whether there was one."""
        return self._step(self._future, self._past)

    def _step(self, source: list[Point], target: list[Point]) -> bool:
        if not source:
            return False
        target.append(Point(self._number, self.head))
        self._number, self.head = source.pop()
        return True
