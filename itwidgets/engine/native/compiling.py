"""Compiles functions for this processor once, and keeps the machine code on disk."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
import torch

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

    return _compiled(pass_layers)


@cache
def matrices_code(dtype: torch.dtype) -> Any:
    """Return :func:`~.matrices.multiply_row` for weights of a dtype, with the ``address`` of its code."""
    kind = KINDS[dtype]

    def multiply_row(call: int) -> None:
        matrices.multiply_row(call, kind)

    return _compiled(multiply_row)


def _compiled(function: Callable[[int], None]) -> Any:
    tell_compiler()
    folder = _folder()
    compiler = numba.cfunc(numba.types.void(numba.types.intp), cache=folder is not None)
    # numba reads where to keep things from its configuration, which is everybody's.
    configuration: Any = numba.config
    with _configuration:
        before = configuration.CACHE_DIR
        configuration.CACHE_DIR = str(folder)
        try:
            return compiler(function)
        finally:
            configuration.CACHE_DIR = before


def _folder() -> Path | None:
    """Where to keep what these sources are compiled to; None where nothing can be written."""
    # numba notices a change in the file of the function alone, not in those that it calls.
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    folder = cache_root() / "native" / digest[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None
