"""What the page has been told: the stream of deltas, snapshots and the durable traits."""

from __future__ import annotations

from typing import Any

from itwidgets.engine import Session
from itwidgets.widgets.protocol import State, encode_slice

Message = tuple[dict[str, Any], list[bytes]]
"""A custom message and its buffers."""


class Page:
    """Keeps count of the rows and tokens that have travelled. Used by the link's thread alone."""

    def __init__(self) -> None:
        self.seq = 0
        self._session: Session | None = None
        self._rows = 0
        self._known: set[int] = set()

    def delta(self, session: Session, state: State) -> Message:
        """Rows that are new since the last delta, and the state."""
        if session is not self._session:
            self._session, self._rows, self._known = session, 0, set()
        self.seq += 1
        first, self._rows = self._rows, len(session.tree)
        header, buffers = encode_slice(session.tree, session.tree.vocabulary, first, self._rows, self._known)
        return {"kind": "delta", "state": self._stamped(state), "header": header}, buffers

    def snapshot(self, state: State) -> Message:
        """All rows that have travelled, for a page that lost some; the next delta goes on from there."""
        table = self.table()
        return {"state": self._stamped(state), "header": table["header"]}, table["buffers"]

    def table(self) -> dict[str, Any]:
        """All rows that have travelled, as the durable trait holds them."""
        if self._session is None:
            return {}
        tree = self._session.tree
        header, buffers = encode_slice(tree, tree.vocabulary, 0, self._rows, set())
        return {"seq": self.seq, "header": header, "buffers": buffers}

    def state(self, state: State) -> dict[str, Any]:
        """Return the state as the durable trait holds it."""
        return dict(self._stamped(state))

    def _stamped(self, state: State) -> State:
        # Only rows that travelled are named, even if the tree has grown since.
        last = self._rows - 1
        selected = state["selected"]
        return state | {
            "seq": self.seq,
            "rows": self._rows,
            "head": min(state["head"], last),
            "selected": None if selected is None or selected > last else selected,
            "labels": [label for label in state["labels"] if label["start"] <= last],
        }
