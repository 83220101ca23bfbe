"""What compiled functions are made of: stored numbers of every dtype, dot products, shares of the work.

Numbers between what is stored are float32, whatever the dtype of a model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
import torch
from llvmlite import ir
from numba import carray, njit, types  # type: ignore[attr-defined]
from numba.extending import intrinsic

from itwidgets.engine.native.threads import BARRIER, DTYPES, THREAD, THREADS

Function = TypeVar("Function", bound=Callable[..., Any])

KINDS: dict[torch.dtype, Any] = dict(zip(DTYPES, (np.float32(0), np.uint16(0), np.int16(0)), strict=True))
"""A number of the type by which compiled code knows a dtype: numba has no half precision of its own."""

FLOAT32 = KINDS[torch.float32]
_BFLOAT16, _FLOAT16 = types.uint16, types.int16

# Sums may be taken in any order; infinities and what is no number stay what they are.
_MATHS = {"arcp", "contract", "nsz", "reassoc"}

barrier: Any = types.ExternalFunction(BARRIER, types.void())
thread_number: Any = types.ExternalFunction(THREAD, types.int32())
_thread_count: Any = types.ExternalFunction(THREADS, types.int32())


def compiled(function: Function) -> Function:
    """Compile a function where another compiled one calls it."""
    made: Any = njit(fastmath=_MATHS, error_model="numpy")(function)
    return cast("Function", made)


def typed(function: Callable[..., Any]) -> Any:
    """Make a function of compiled code whose instructions ``function`` writes."""
    return intrinsic(function)


@typed
def _pointer(context: Any, address: Any, kind: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], context.get_value_type(signature.return_type))

    return types.CPointer(kind)(address, kind), code


@compiled
def array(address: int, shape: Any, kind: Any) -> Any:
    """View memory as an array of numbers, or of records, of the kind of an example."""
    return carray(_pointer(address, kind), shape)


@typed
def wide(context: Any, number: Any) -> Any:
    """Read a stored number as float32."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        (bits,) = values
        if signature.args[0] == _BFLOAT16:
            upper = builder.zext(bits, ir.IntType(32))
            return builder.bitcast(builder.shl(upper, ir.Constant(upper.type, 16)), ir.FloatType())
        if signature.args[0] == _FLOAT16:
            return builder.fpext(builder.bitcast(bits, ir.HalfType()), ir.FloatType())
        return bits

    return types.float32(number), code


@typed
def stored(context: Any, number: Any, kind: Any) -> Any:
    """Round float32 to how numbers of a kind are stored: to the nearest, and of two to the even one."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if signature.return_type == _FLOAT16:
            return builder.bitcast(builder.fptrunc(values[0], ir.HalfType()), ir.IntType(16))
        return _to_bfloat16(builder, values[0]) if signature.return_type == _BFLOAT16 else values[0]

    return kind(number, kind), code


def _to_bfloat16(builder: Any, number: Any) -> Any:
    def constant(value: int) -> Any:
        return ir.Constant(ir.IntType(32), value)

    bits = builder.bitcast(number, ir.IntType(32))
    is_odd = builder.and_(builder.lshr(bits, constant(16)), constant(1))
    rounded = builder.add(bits, builder.add(is_odd, constant(0x7FFF)))
    # Rounded like a number, what is none may become infinite.
    is_nan = builder.fcmp_unordered("uno", number, number)
    chosen = builder.select(is_nan, constant(0x7FC00000), rounded)
    return builder.trunc(builder.lshr(chosen, constant(16)), ir.IntType(16))


@typed
def _power_of_two(context: Any, whole: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        exponent = builder.add(builder.fptosi(values[0], ir.IntType(32)), ir.Constant(ir.IntType(32), 127))
        return builder.bitcast(builder.shl(exponent, ir.Constant(exponent.type, 23)), ir.FloatType())

    return types.float32(whole), code


@compiled
def exponential(x: Any) -> Any:
    """Compute e to a power in float32, for many numbers at once where a loop calls it.

    The method and its numbers are those of ``expf`` of the Cephes library: 2 to a whole power, times a
    polynomial of what is left. The compiler may add up in another order, which
    costs no more than the last bit. Below -87 the result is 0, above 88 as at 88.
    """
    power = min(x, np.float32(88))
    whole = np.floor(power * np.float32(1.44269504) + np.float32(0.5))
    rest = power - whole * np.float32(0.693359375) + whole * np.float32(2.12194440e-4)
    found = np.float32(1.9875691500e-4)
    for factor in _POLYNOMIAL:
        found = found * rest + factor
    result = (found * rest * rest + rest + np.float32(1)) * _power_of_two(whole)
    if np.isnan(x):
        return x
    return FLOAT32 if x < np.float32(-87) else result


_POLYNOMIAL = tuple(
    np.float32(factor)
    for factor in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
)


@compiled
def share(count: int) -> Any:
    """First and end of what this thread does of ``count`` things."""
    thread, threads = np.int64(thread_number()), np.int64(_thread_count())
    return count * thread // threads, count * (thread + 1) // threads


@compiled
def dot(weights: Any, x: Any) -> Any:
    """Sum the products of stored numbers and of float32."""
    total = FLOAT32
    for i in range(len(x)):
        total += wide(weights[i]) * x[i]
    return total


@compiled
def _four_dots(weights: Any, row: int, step: int, x: Any) -> Any:
    """Multiply four rows that are ``step`` apart with float32.

    A core that reads memory mostly waits for it: rows far from each other let it wait for four at once.
    """
    first, second, third, fourth = FLOAT32, FLOAT32, FLOAT32, FLOAT32
    for i in range(len(x)):
        first += wide(weights[row, i]) * x[i]
        second += wide(weights[row + step, i]) * x[i]
        third += wide(weights[row + 2 * step, i]) * x[i]
        fourth += wide(weights[row + 3 * step, i]) * x[i]
    return first, second, third, fourth


@compiled
def multiply_rows(out: Any, weights: Any, x: Any) -> None:
    """Multiply all rows of a matrix with float32."""
    step = len(out) // 4
    for row in range(step):
        found = _four_dots(weights, row, step, x)
        for i in range(4):
            out[row + i * step] = found[i]
    for row in range(4 * step, len(out)):
        out[row] = dot(weights[row], x)


@compiled
def multiply(out: Any, matrix: int, bias: int, x: Any, kind: Any) -> None:
    """Compute this thread's rows of a matrix times a vector, in float32; ``bias`` is 0 for none."""
    weights, biases = array(matrix, (len(out), len(x)), kind), array(bias, len(out), kind)
    first, end = share(len(out))
    multiply_rows(out[first:end], weights[first:end], x)
    if bias != 0:
        for row in range(first, end):
            out[row] += wide(biases[row])
