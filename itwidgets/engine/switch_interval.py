"""How often the threads of the interpreter take turns."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_BUSY_S = 1e-4


class SwitchInterval:
    """Lets workers have the interpreter often while any has work: a busy cell would starve them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before = 0.0

    @contextmanager
    def lowered(self) -> Iterator[None]:
        """Lower the interval, and put it back when the last user leaves."""
        with self._lock:
            if self._users == 0:
                self._before = sys.getswitchinterval()
                sys.setswitchinterval(_BUSY_S)
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    sys.setswitchinterval(self._before)


switch_interval = SwitchInterval()
