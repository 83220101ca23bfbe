"""Telling those who want to know that something has changed."""

from __future__ import annotations

import logging
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Listeners:
    """Functions that are called on every change."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], object]] = []

    def add(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Call ``listener`` from now on; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def notify(self) -> None:
        """Call all of them, from whichever thread has the news."""
        for listener in list(self._listeners):
            try:
                listener()
            except Exception:  # noqa: BLE001 - as the next line says
                # What someone does with the news must not end the job that makes it.
                _log.exception("a listener failed")
