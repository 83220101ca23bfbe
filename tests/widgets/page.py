"""A page without a browser: a comm that keeps what the kernel sends, and builds the table from it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from comm.base_comm import BaseComm

from itwidgets import TokenStream
from itwidgets.tree import WIRE_COLUMNS
from itwidgets.widgets.protocol import decode_slice, decode_tokens

Columns = dict[str, npt.NDArray[Any]]
TIMEOUT_S = 60


class RecordingComm(BaseComm):
    """Hands every message to its page, in place of a socket; keeps what is sent before there is one."""

    def __init__(self, *args: Any, **keys: Any) -> None:
        self.page: FakePage | None = None
        self._early: list[tuple[dict[str, Any], list[bytes]]] = []
        self._lock = threading.Lock()
        super().__init__(*args, **keys)

    def publish_msg(
        self,
        msg_type: str,
        data: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        buffers: list[bytes] | None = None,
        **keys: Any,
    ) -> None:
        if msg_type != "comm_msg" or data is None:
            return
        with self._lock:
            message = data, [bytes(buffer) for buffer in buffers or []]
            if self.page is None:
                self._early.append(message)
                return
        self.page.hear(*message)

    def attach(self, page: FakePage) -> None:
        """Let a page hear, and first what was sent before it was there."""
        with self._lock:
            for message in self._early:
                page.hear(*message)
            self.page = page


class FakePage:
    """Follows the stream of deltas as the front end does, and asks as it asks."""

    _ids = itertools.count(1)

    def __init__(self, viewer: TokenStream) -> None:
        self.viewer = viewer
        self.state: dict[str, Any] = {}
        self.columns: Columns = {}
        self.tokens: dict[int, bytes] = {}
        self.faults: list[str] = []
        self.replies: dict[int, tuple[dict[str, Any], list[bytes]]] = {}
        self.deltas = 0
        self.updates: list[dict[str, Any]] = []
        self._news = threading.Condition()
        viewer.comm.attach(self)

    # ------------------------------------------------------------ what the kernel sends

    def hear(self, data: dict[str, Any], buffers: list[bytes]) -> None:
        with self._news:
            if data["method"] == "update":
                self.updates.append(data["state"])
            elif data["content"]["kind"] == "delta":
                try:
                    self._delta(data["content"], buffers)
                except Exception as error:
                    # The kernel's thread only logs it.
                    self.faults.append(repr(error))
                    raise
            else:
                self.replies[data["content"]["id"]] = (data["content"], buffers)
            self._news.notify_all()

    def _delta(self, content: dict[str, Any], buffers: list[bytes]) -> None:
        state, header = content["state"], content["header"]
        if self.state and state["seq"] != self.state["seq"] + 1:
            self.faults.append(f"delta {state['seq']} after {self.state['seq']}")
        if state["session"] != self.state.get("session"):
            self.columns, self.tokens = {}, {}
        if header["first"] != self.rows:
            self.faults.append(f"row {header['first']} after {self.rows} rows")
        self.add(header, buffers)
        if state["rows"] != self.rows:
            self.faults.append(f"{self.rows} rows, but the state says {state['rows']}")
        self.deltas += 1
        self.state = state

    @property
    def rows(self) -> int:
        return len(self.columns["parent"]) if self.columns else 0

    def add(self, header: Any, buffers: list[bytes]) -> None:
        columns = decode_slice(header, buffers)
        for name, values in columns.items():
            self.columns[name] = np.concatenate(
                [self.columns[name], values] if self.columns.get(name) is not None else [values]
            )
        self.tokens |= decode_tokens(buffers[len(columns) :])

    # ------------------------------------------------------------ what the page does

    def tell(self, kind: Any, **fields: Any) -> int:
        """Send a request and return its id."""
        number = next(self._ids)
        self.send({"kind": kind, "id": number, **fields})
        return number

    def send(self, content: Any) -> None:
        data = {"method": "custom", "content": content}
        self.viewer.comm.handle_msg({"content": {"data": data}, "buffers": []})

    def answer(self, number: int) -> tuple[dict[str, Any], list[bytes]]:
        """Wait for the reply to a request."""
        self.wait_until(lambda: number in self.replies)
        return self.replies[number]

    def ask(self, kind: Any, **fields: Any) -> dict[str, Any]:
        """Send a request and return its answer; it must not be an error."""
        content, _ = self.answer(self.tell(kind, **fields))
        assert "error" not in content, content["error"]
        assert content["kind"] == f"{kind}-response"
        return content

    def refused(self, kind: Any, **fields: Any) -> dict[str, str]:
        """Send a request that must be refused and return the error."""
        content, buffers = self.answer(self.tell(kind, **fields))
        assert content["kind"] == f"{kind}-response"
        assert buffers == []
        error: dict[str, str] = content["error"]
        assert set(error) == {"type", "message"}
        assert error["message"]
        assert "\n" not in error["message"]
        return error

    def wait_until(self, holds: Callable[[], object]) -> None:
        """Wait for a message after which something holds."""
        with self._news:
            assert self._news.wait_for(holds, TIMEOUT_S), f"it never came to that; state {self.state}"

    def settle(self) -> None:
        """Wait until nothing runs and the page knows every row."""
        tree = self.viewer.session.tree
        self.wait_until(
            lambda: self.state and self.state["job"] is None and self.rows == self.state["rows"] == len(tree)
        )


def assert_same_tree(page: FakePage, viewer: TokenStream) -> None:
    """The page's table and tokens are those of the kernel, to the bit."""
    tree = viewer.session.tree
    assert page.faults == []
    assert page.rows == len(tree)
    for column in WIRE_COLUMNS:
        np.testing.assert_array_equal(page.columns[column.name], tree.column(column.name), strict=True)
    mentioned = {int(i) for name in ("token_id", "top_ids") for i in np.unique(page.columns[name]) if i >= 0}
    assert set(page.tokens) == mentioned
    for token_id, text in page.tokens.items():
        assert text == tree.vocabulary.token_bytes(token_id)
