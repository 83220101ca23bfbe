"""The place of the text that is looked at."""

from __future__ import annotations

from itwidgets.engine import Generation
from itwidgets.tree import TokenTree


class Selection:
    """A position of the text that is shown: it stays when another branch takes the place of this one.

    The page keeps it in the same way, so that both mean the same token wherever the head goes.
    """

    def __init__(self, tree: TokenTree) -> None:
        self._tree = tree
        self._position: int | None = None
        self._followed: Generation | None = None
        # What was found last, to walk only over what the text has grown by since.
        self._found: tuple[int, int | None] = (-1, None)

    def move(self, row: int | None) -> None:
        """Look at the position of a row, or at none."""
        self._position = None if row is None else self._tree[row].position
        self._found, self._followed = (-1, None), None

    def follow(self, job: Generation | None) -> None:
        """Look at the first token that a job makes, once it is there, unless something else is chosen."""
        self._followed = job

    def row(self, head: int) -> int | None:
        """Row at the position on the branch that ends at ``head``; None where there is none."""
        if self._followed is not None and self._followed.nodes:
            self.move(self._followed.nodes[0].row)
        wanted, (last_head, last_row) = self._position, self._found
        length = self._tree[head].position + 1 if head >= 0 else 0
        if wanted is None or wanted >= length:
            return None
        parents, row = self._tree.column("parent"), head
        # Rows of one text stand in a line, so its length says how far to walk.
        for _ in range(length - 1 - wanted):
            if row == last_head:
                break
            row = int(parents[row])
        found = last_row if row == last_head else row
        self._found = (head, found)
        return found
