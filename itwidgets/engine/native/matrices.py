"""Matrices times one vector, with their weights as they lie."""

from __future__ import annotations

from typing import Any

import numpy as np

from itwidgets.engine.native.arithmetic import FLOAT32, array, compiled, multiply

MATRIX = np.dtype([(name, np.int64) for name in ("weight", "bias", "rows")])
"""The addresses of a matrix ``[rows, columns]`` and of its bias, 0 where there is none."""

CALL = np.dtype([(name, np.int64) for name in ("matrices", "count", "columns", "x", "out")])
"""Of one call: the address of ``count`` matrices, and of ``x``, ``[columns]``, and of all results,
both float32."""

_MATRIX, _CALL = np.zeros(1, MATRIX)[0], np.zeros(1, CALL)[0]


@compiled
def multiply_row(address: int, kind: Any) -> None:
    """Put the products with all matrices side by side; all threads run it on the same :data:`CALL`."""
    call = array(address, 1, _CALL)[0]
    matrices, x = array(call.matrices, call.count, _MATRIX), array(call.x, call.columns, FLOAT32)
    at = call.out
    for i in range(call.count):
        out = array(at, matrices[i].rows, FLOAT32)
        multiply(out, matrices[i].weight, matrices[i].bias, x, kind)
        at += out.nbytes
