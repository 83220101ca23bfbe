"""Compiles functions for this processor once, and keeps the machine code on disk."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numba
import torch
from filelock import FileLock
from llvmlite import binding
from numba.core.ccallback import CFunc
from numba.core.sigutils import normalize_signature

from itwidgets.engine.cache import cache_root
from itwidgets.engine.native import layers, matrices
from itwidgets.engine.native.arithmetic import KINDS
from itwidgets.engine.native.threads import tell_compiler

_configuration = threading.Lock()


@cache
def layers_code(dtype: torch.dtype) -> Any:
    """Return :func:`~.layers.pass_layers` for weights of a dtype, with the ``address`` of its code."""
    kind = KINDS[dtype]

    def pass_layers(call: int) -> None:
        layers.pass_layers(call, kind)

    return _compiled(pass_layers, dtype)


@cache
def matrices_code(dtype: torch.dtype) -> Any:
    """Return :func:`~.matrices.multiply_row` for weights of a dtype, with the ``address`` of its code."""
    kind = KINDS[dtype]

    def multiply_row(call: int) -> None:
        matrices.multiply_row(call, kind)

    return _compiled(multiply_row, dtype)


def _compiled(function: Callable[[int], None], dtype: torch.dtype) -> Any:
    tell_compiler()
    folder = _folder(f"{function.__name__} {dtype}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Processes that write to one index at once may leave it pointing to each other's code.
        with FileLock(folder / "lock"):
            code = _callback(function)
            with _kept_in(folder):
                code.enable_caching()
            code.compile()
    # A folder that cannot be written, a disk that is full, or a file that is damaged.
    except Exception:  # noqa: BLE001
        code = _callback(function)
        code.compile()
    return code


def _callback(function: Callable[[int], None]) -> Any:
    signature = normalize_signature(numba.types.void(numba.types.intp))
    return CFunc(function, signature, locals={}, options={})


@contextmanager
def _kept_in(folder: Path) -> Iterator[None]:
    """Let numba keep in a folder what is told to be kept now: its configuration is everybody's."""
    configuration: Any = numba.config
    with _configuration:
        before, configuration.CACHE_DIR = configuration.CACHE_DIR, str(folder)
        try:
            yield
        finally:
            configuration.CACHE_DIR = before


def _folder(name: str) -> Path:
    """Where to keep what a function is compiled to, from these sources, by this numba, on this processor."""
    # numba itself notices a change in the file of the function alone, not in those that it calls.
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources))
    here = (name, numba.__version__, binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten())
    digest.update(repr(here).encode())
    return cache_root() / "native" / digest.hexdigest()[:16]
