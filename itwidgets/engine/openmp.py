"""The threads that torch keeps ready for parallel work, one set for each thread that ever did any."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch

_SOFT = 1
"""``omp_pause_soft`` of OpenMP 5.0: the threads end, and come back with the next parallel work."""


def release_threads() -> None:
    """End the threads that wait for parallel work of the calling thread, until it has some again.

    GNU OpenMP, with which torch comes on Linux, lets waiting threads spin for a moment, but lets them
    sleep at once while the process has more of them than processors (the manual of libgomp, under
    ``GOMP_SPINCOUNT``). Waking one costs more than a small product: a set that an idle thread keeps makes
    decoding on another one up to twice as slow. With another OpenMP this does nothing.
    """
    pause = _pause()
    if pause is not None:
        pause(_SOFT)


@cache
def gnu_openmp() -> ctypes.CDLL | None:
    """Return the library with torch's own copy of GNU OpenMP, wherever that lies, or None without one."""
    if sys.platform != "linux":
        return None
    try:
        # What a library was linked with is found through it.
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
    except OSError:
        return None
    is_gnu = hasattr(library, "GOMP_parallel") and not hasattr(library, "kmp_set_blocktime")
    return library if is_gnu else None


@cache
def _pause() -> Callable[[int], int] | None:
    # LLVM's and Intel's would end the threads of everyone, also of those who are at work.
    return getattr(gnu_openmp(), "omp_pause_resource_all", None)
