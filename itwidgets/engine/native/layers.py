"""One token's way through Llama-like layers.

All threads run the same function and meet at barriers: each computes its share of the rows of every matrix
and its share of the attention heads. The arithmetic is that of :mod:`itwidgets.engine.model.fused`, with
less rounding between.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from itwidgets.engine.native.arithmetic import (
    FLOAT32,
    array,
    barrier,
    compiled,
    exponential,
    multiply,
    multiply_rows,
    share,
    stored,
    thread_number,
    wide,
)

LAYER = np.dtype(
    [
        (name, np.int64)
        for name in (
            *("input_norm", "q", "q_bias", "k", "k_bias", "v", "v_bias", "q_norm", "k_norm", "o", "o_bias"),
            *("post_norm", "gate", "gate_bias", "up", "up_bias", "down", "down_bias"),
            *("keys", "values", "capacity", "window", "rotates"),
        )
    ]
    + [(name, np.float32) for name in ("input_epsilon", "q_epsilon", "k_epsilon", "post_epsilon", "scaling")],
    align=True,
)
"""Of one layer: the addresses of its weights, its keys and values (0: there are none), and its kind.

Each norm has an ``epsilon``. ``keys`` and ``values`` are ``[key_heads, capacity, dim]``; ``window`` is 0
where all tokens are seen.
"""

CALL = np.dtype(
    [
        *((name, np.int64) for name in ("layers", "count", "position")),
        *((name, np.int64) for name in ("width", "heads", "key_heads", "dim", "inner")),
        *((name, np.int64) for name in ("hidden", "cos", "sin", "scratch")),
    ]
)
"""Of one call: the address of ``count`` layers, the token's position, the model's sizes, and the addresses
of the state that comes in and goes out, float32 ``[width]``, of its rotation, ``[dim]`` each, and of memory
for :func:`scratch_size` numbers in float32."""

_LAYER, _CALL = np.zeros(1, LAYER)[0], np.zeros(1, CALL)[0]


def scratch_size(call: Any, threads: int) -> int:
    """Count the float32 numbers that a call needs room for."""
    states = (2 * call["heads"] + 2 * call["key_heads"]) * call["dim"]
    scores = call["heads"] * (call["position"] + 1)
    return int(states + scores + 2 * call["inner"] + (1 + threads) * call["width"])


@compiled
def _normed(out: Any, x: Any, norm: int, epsilon: Any, kind: Any) -> None:
    weights, squares = array(norm, len(x), kind), FLOAT32
    for i in range(len(x)):
        squares += x[i] * x[i]
    scale = np.float32(1) / np.sqrt(squares / np.float32(len(x)) + epsilon)
    for i in range(len(x)):
        out[i] = x[i] * scale * wide(weights[i])


@compiled
def _turned(state: Any, call: Any, layer: Any, norm: int, epsilon: Any, kind: Any) -> None:
    """Normalise a head's query or key, if the model does, and rotate it to its position."""
    if norm != 0:
        _normed(state, state, norm, epsilon, kind)
    if layer.rotates != 0:
        half = len(state) // 2
        cos, sin = array(call.cos, len(state), kind), array(call.sin, len(state), kind)
        for i in range(half):
            low, high = state[i], state[half + i]
            state[i] = low * wide(cos[i]) - high * wide(sin[i])
            state[half + i] = high * wide(cos[half + i]) + low * wide(sin[half + i])


@compiled
def _remember(call: Any, layer: Any, states: Any, kind: Any) -> None:
    """Write keys and values of this thread's heads behind those of the tokens before."""
    shape = (call.key_heads, layer.capacity, call.dim)
    keys, values = array(layer.keys, shape, kind), array(layer.values, shape, kind)
    first, end = share(call.key_heads)
    for head in range(first, end):
        key, value = states[call.heads + head], states[call.heads + call.key_heads + head]
        _turned(key, call, layer, layer.k_norm, layer.k_epsilon, kind)
        for i in range(call.dim):
            keys[head, call.position, i] = stored(key[i], kind)
            values[head, call.position, i] = stored(value[i], kind)


@compiled
def _attend(out: Any, query: Any, keys: Any, values: Any, weights: Any, scaling: Any) -> None:
    """Mix the values of one head by how well their keys fit a query."""
    multiply_rows(weights, keys, query)
    highest = np.float32(-np.inf)
    for place in range(len(weights)):
        highest = max(highest, weights[place])
    for place in range(len(weights)):
        weights[place] = exponential((weights[place] - highest) * scaling)
    total = FLOAT32
    for place in range(len(weights)):
        total += weights[place]
    for i in range(len(out)):
        out[i] = FLOAT32
    # Four at a time, so that what is added up is read and written a quarter as often.
    end = len(weights) // 4 * 4
    for place in range(0, end, 4):
        for i in range(len(out)):
            out[i] += (
                weights[place] * wide(values[place, i])
                + weights[place + 1] * wide(values[place + 1, i])
                + weights[place + 2] * wide(values[place + 2, i])
                + weights[place + 3] * wide(values[place + 3, i])
            )
    for place in range(end, len(weights)):
        for i in range(len(out)):
            out[i] += weights[place] * wide(values[place, i])
    for i in range(len(out)):
        out[i] /= total


@compiled
def _attention(out: Any, call: Any, layer: Any, states: Any, scores: Any, kind: Any) -> None:
    """Attend with this thread's query heads."""
    shape = (call.key_heads, layer.capacity, call.dim)
    keys, values = array(layer.keys, shape, kind), array(layer.values, shape, kind)
    end_place = call.position + 1
    first_place = max(0, end_place - layer.window) if layer.window != 0 else 0
    first, end = share(call.heads)
    for head in range(first, end):
        query, group = states[head], head * call.key_heads // call.heads
        _turned(query, call, layer, layer.q_norm, layer.q_epsilon, kind)
        seen = keys[group, first_place:end_place], values[group, first_place:end_place]
        mixed = out[head * call.dim : (head + 1) * call.dim]
        _attend(mixed, query, seen[0], seen[1], scores[head, first_place:end_place], layer.scaling)


@compiled
def _gated(out: Any, ups: Any, layer: Any, x: Any, kind: Any) -> None:
    """Compute this thread's share of SiLU of the gate, times what goes through it."""
    multiply(out, layer.gate, layer.gate_bias, x, kind)
    multiply(ups, layer.up, layer.up_bias, x, kind)
    first, end = share(len(out))
    for row in range(first, end):
        out[row] *= ups[row] / (np.float32(1) + exponential(-out[row]))


@compiled
def _add(hidden: Any, change: Any, matrix: int, bias: int, x: Any, kind: Any) -> None:
    """Add this thread's share of a matrix times a vector to the state that layers pass on."""
    multiply(change, matrix, bias, x, kind)
    first, end = share(len(hidden))
    for row in range(first, end):
        hidden[row] += change[row]


@compiled
def pass_layers(address: int, kind: Any) -> None:
    """Pass one token through some layers; all threads run it on the same :data:`CALL`, at an address."""
    call = array(address, 1, _CALL)[0]
    layers = array(call.layers, call.count, _LAYER)
    query_size, key_size = call.heads * call.dim, call.key_heads * call.dim
    state_heads, places = call.heads + 2 * call.key_heads, call.position + 1
    hidden = array(call.hidden, call.width, FLOAT32)
    at = call.scratch
    flat = array(at, state_heads * call.dim, FLOAT32)
    states = array(at, (state_heads, call.dim), FLOAT32)
    at += 4 * len(flat)
    mixed = array(at, query_size, FLOAT32)
    at += 4 * query_size
    gated, ups = array(at, call.inner, FLOAT32), array(at + 4 * call.inner, call.inner, FLOAT32)
    at += 8 * call.inner
    change = array(at, call.width, FLOAT32)
    at += 4 * call.width
    scores = array(at, (call.heads, places), FLOAT32)
    at += 4 * call.heads * places
    # Each thread has a normed state of its own: computing it again is cheaper than waiting for it.
    normed = array(at + 4 * call.width * np.int64(thread_number()), call.width, FLOAT32)
    for i in range(call.count):
        layer = layers[i]
        _normed(normed, hidden, layer.input_norm, layer.input_epsilon, kind)
        multiply(flat[:query_size], layer.q, layer.q_bias, normed, kind)
        multiply(flat[query_size : query_size + key_size], layer.k, layer.k_bias, normed, kind)
        multiply(flat[query_size + key_size :], layer.v, layer.v_bias, normed, kind)
        barrier()
        _remember(call, layer, states, kind)
        barrier()
        _attention(mixed, call, layer, states, scores, kind)
        barrier()
        _add(hidden, change, layer.o, layer.o_bias, mixed, kind)
        barrier()
        _normed(normed, hidden, layer.post_norm, layer.post_epsilon, kind)
        _gated(gated, ups, layer, normed, kind)
        barrier()
        _add(hidden, change, layer.down, layer.down_bias, gated, kind)
        barrier()
