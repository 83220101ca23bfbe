"""The garbage collector, held back while millions of objects are made that all stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collector() -> Iterator[None]:
    """Let no garbage be collected meanwhile.

    Importing a model's modules makes so many objects that looking through them again and again takes a
    sixth of the time of a load, and finds nothing.
    """
    runs = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if runs:
            gc.enable()
