"""What a kernel that many tests share keeps for their cells."""

from __future__ import annotations

import functools

import itwidgets
from itwidgets import Engine


@functools.cache
def engine() -> Engine:
    """Give the embedded model, loaded once in the life of the kernel."""
    return itwidgets.load()
