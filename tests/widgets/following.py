"""Waiting for what follows a viewer."""

from __future__ import annotations

import threading

from itwidgets.widgets.figures.following import Following
from tests.widgets.page import TIMEOUT_S


def wait_for(beside: Following, text: str) -> None:
    """Wait until the heading, which is written last, holds a text."""
    heading, came = beside.children[0], threading.Event()

    def look(*_: object) -> None:
        if text in heading.value:
            came.set()

    heading.observe(look, "value")
    look()
    assert came.wait(TIMEOUT_S), heading.value
