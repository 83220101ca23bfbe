"""The one thread that writes to a viewer's page."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

INTERVAL_S = 0.04
"""Rows that arrive faster than this travel together."""

PATIENCE_S = 5
"""For so long others wait for this thread."""

_log = logging.getLogger(__name__)


class Link:
    """Sends changes, coalesced, and replies, in the order in which they were asked for.

    Whoever has news says so from any thread and returns at once; only this thread writes, so nothing
    overtakes anything.

    Parameters
    ----------
    send_changes
        Sends what has changed since it was last called.
    """

    def __init__(self, send_changes: Callable[[], None]) -> None:
        self._send_changes = send_changes
        self._replies: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._news = threading.Event()
        self._changed = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="itwidgets link", daemon=True)
        self._thread.start()

    def changed(self) -> None:
        """Say that there is something new to show."""
        self._changed.set()
        self._news.set()

    def reply(self, send: Callable[[], None]) -> None:
        """Have a reply sent, unless the link is closed; ``send`` may take its time to make it."""
        if self._closed.is_set():
            return
        self._replies.put(send)
        self._news.set()

    def settle(self) -> None:
        """Wait until everything that there is to send now has been sent, unless that takes too long."""
        if self._closed.is_set() or threading.current_thread() is self._thread:
            return
        sent = threading.Event()
        self.reply(sent.set)
        sent.wait(PATIENCE_S)

    def close(self) -> None:
        """Send what is still waiting and end the thread."""
        self._closed.set()
        self._news.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=PATIENCE_S)

    def _run(self) -> None:
        while not self._closed.is_set():
            self._news.wait()
            self._news.clear()
            self._send_all()
            self._closed.wait(INTERVAL_S)
        self._send_all()

    def _send_all(self) -> None:
        while True:
            reply = None if self._replies.empty() else self._replies.get()
            # Changes first: a reply may speak of them. Looked at after the reply was taken, since both may
            # have come in between.
            if self._changed.is_set():
                self._changed.clear()
                self._guarded(self._send_changes)
            if reply is None:
                return
            self._guarded(reply)

    def _guarded(self, send: Callable[[], None]) -> None:
        try:
            send()
        except Exception:  # noqa: BLE001 - as the next line says
            # The page cannot be told through a link that fails, and the thread must live on.
            _log.exception("a message to the page was not sent")
