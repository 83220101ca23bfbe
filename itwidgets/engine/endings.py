"""What is done when a job ends: those who asked are told, and what its error refers to is let go of."""

from __future__ import annotations

import asyncio
import logging
import threading
import traceback
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any

_log = logging.getLogger(__name__)


class Ending:
    """An event that happens once, and the functions to be called then: each once, and then let go of."""

    has_come = False

    def __init__(self) -> None:
        self._callbacks: list[Callable[[], None]] = []
        self._lock, self._ahead = threading.Lock(), threading.Lock()
        self._ahead.acquire()

    def wait(self, timeout: float) -> bool:
        """Wait so many seconds for it; return whether it has come.

        Not by a condition: an interrupt in the middle of one may leave its lock taken for ever.
        """
        if self._ahead.acquire(timeout=timeout):
            self._ahead.release()
        return self.has_come

    def then(self, callback: Callable[[], None]) -> None:
        """Call a function when it comes, or at once if it has come."""
        with self._lock:
            if not self.has_come:
                self._callbacks.append(callback)
                return
        _told(callback)

    def __await__(self) -> Generator[Any, None, None]:
        # A future for this alone: one that is wrapped is part of a cycle, and so would its result be.
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()
        self.then(lambda: future.set_result(None))
        # Shielded: a cancelled await must not mark as cancelled what others wait for.
        yield from asyncio.shield(asyncio.wrap_future(future)).__await__()

    def come(self) -> None:
        """Call the functions, in the order in which they were given."""
        with self._lock:
            self.has_come = True
            callbacks, self._callbacks = self._callbacks, []
        self._ahead.release()
        for callback in callbacks:
            _told(callback)


def _told(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception:  # noqa: BLE001 - what someone does with the news must not end the thread
        _log.exception("what was to be called at the end of a job failed")


def without_frames(error: BaseException) -> BaseException:
    """Let go of what the frames of an error hold, such as tensors of a torn step; it prints as before.

    The first is that of the caller, which runs still and cannot be cleared: it is left out.
    """
    error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
    seen: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in seen:
        seen.append(one)
        traceback.clear_frames(one.__traceback__)
        one = one.__cause__ or one.__context__
    return error
