"""Runs compiled code on the threads with which torch computes."""

from __future__ import annotations

import ctypes
import importlib
from functools import cache

import torch

from itwidgets.engine.openmp import gnu_openmp

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
"""Those of weights for which code can be compiled."""

BARRIER, THREAD, THREADS = "itwidgets_barrier", "itwidgets_thread", "itwidgets_threads"
"""The names by which compiled code waits for the other threads, learns which it is, and of how many."""

_OPENMP = {BARRIER: "GOMP_barrier", THREAD: "omp_get_thread_num", THREADS: "omp_get_num_threads"}


def can_run(dtype: torch.dtype) -> bool:
    """Whether code for weights of a dtype can be compiled here, and run on the threads of torch.

    numba compiles it. torch's threads run it where torch comes with GNU OpenMP, which anyone can call into:
    on Linux.
    """
    return dtype in DTYPES and gnu_openmp() is not None and _numba_works()


@cache
def _numba_works() -> bool:
    try:
        numba = importlib.import_module("numba")
    # It refuses versions of numpy that it does not know, among other things.
    except Exception:  # noqa: BLE001
        return False
    return not numba.config.DISABLE_JIT


def run(code: int, data: int, threads: int) -> None:
    """Call ``code(data)`` on so many of torch's threads, and wait for them; other Python threads go on.

    Parameters
    ----------
    code
        The address of a function that was compiled by :mod:`~.compiling`.
    data
        The address of what it reads.
    threads
        At most so many: the code asks how many there are.
    """
    _parallel()(code, data, threads, 0)


@cache
def _parallel() -> ctypes._NamedFuncPointer:
    function = _library().GOMP_parallel
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    function.restype = None
    return function


def tell_compiler() -> None:
    """Let compiled code find torch's OpenMP, be it compiled now or read from a file."""
    from llvmlite import binding

    library = _library()
    for name, theirs in _OPENMP.items():
        binding.add_symbol(name, ctypes.cast(getattr(library, theirs), ctypes.c_void_p).value)


def _library() -> ctypes.CDLL:
    library = gnu_openmp()
    if library is None:
        raise RuntimeError("torch has no GNU OpenMP here: ask can_run() first")
    return library
