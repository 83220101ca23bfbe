"""Products with weights on a CPU: as the weights lie, packed for oneDNN, or upcast piece by piece."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional

_PACKED_ROWS = 1
"""Rows that weights are packed for: packed for more, one row is many times slower."""

_UPCAST_ROWS = 16
"""Rows from which on it pays to upcast the weights; below, half precision is at least half the reading."""

_PIECE = 2**21
"""Weights upcast at a time: they are still in the cache when they are multiplied."""

_MARGIN = 0.9
"""Of the time of the plain product: what a copy of the weights must get by with to be worth its memory."""

_LEAST_ROUNDS, _MOST_ROUNDS = 4, 20

_INPUTS = 1024
"""Of the weights that are measured."""

_CACHES = 2**26
"""Bytes that are read before each measurement: in a step the weights come from memory, not from a cache."""


class Product(Protocol):
    """What linear layers of one input give, side by side in the last dimension."""

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply ``[..., n, inputs]``."""
        ...


@dataclass
class Weights:
    """What of a linear layer a product needs: ``nn.Linear`` is one.

    Attributes
    ----------
    weight
        ``[outputs, inputs]``.
    bias
        ``[outputs]``, or None.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None = None


Layers = Sequence[Weights | nn.Linear]
MakeProduct = Callable[[Layers], Product]

_known: dict[tuple[object, ...], bool] = {}


class Plain:
    """The product as the layers themselves compute it."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply ``[..., n, inputs]``."""
        parts = [functional.linear(x, layer.weight, layer.bias) for layer in self._layers]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)


class OneDNN:
    """The product with a copy of the weights in the layout that oneDNN likes best.

    torch's default on a CPU does not use all cores for one row in float32, and repacks at each call for
    more of them.
    """

    def __init__(self, layers: Layers) -> None:
        weights = [layer.weight.detach() for layer in layers]
        joined = weights[0].contiguous() if len(weights) == 1 else torch.cat(weights)
        self._weight = torch.ops.mkldnn._reorder_linear_weight(joined, _PACKED_ROWS)
        self._bias = _joined_bias(layers)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply ``[..., n, inputs]``."""
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")
        return result


class Upcast(Plain):
    """The product of many rows in float32, for a CPU that multiplies half precision in software.

    No copy of the weights is kept.
    """

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply ``[..., n, inputs]``."""
        if x.numel() < _UPCAST_ROWS * x.shape[-1]:
            return super().__call__(x)
        wide = x.float()
        result = x.new_empty(*x.shape[:-1], sum(len(layer.weight) for layer in self._layers))
        at = 0
        for layer in self._layers:
            for weight in torch.split(layer.weight, max(1, _PIECE // x.shape[-1])):
                result[..., at : at + len(weight)] = functional.linear(wide, weight.float())
                at += len(weight)
        bias = _joined_bias(self._layers)
        return result if bias is None else result.add_(bias)


def best_product(dtype: torch.dtype) -> MakeProduct:
    """Return the product that pays on this machine for weights of a dtype.

    It is measured once a process and for weights of one shape, so that all layers of all models are
    treated alike, today and tomorrow: which product is used decides the last bits.
    """
    if _onednn_takes(dtype):
        return OneDNN if _pays(OneDNN, dtype, rows=1, outputs=2048) else Plain
    half = dtype.itemsize == torch.half.itemsize
    return Upcast if half and _pays(Upcast, dtype, rows=64, outputs=256) else Plain


def _onednn_takes(dtype: torch.dtype) -> bool:
    if not torch._C._has_mkldnn or not torch._C._get_mkldnn_enabled():
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if dtype == torch.float16:
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
    return dtype == torch.float32


def _pays(make: MakeProduct, dtype: torch.dtype, rows: int, outputs: int) -> bool:
    """Whether a product of many rows is faster than the plain one."""
    kind = (make, dtype, rows, torch.get_num_threads())
    if kind not in _known:
        numbers = torch.linspace(-0.1, 0.1, outputs * _INPUTS, dtype=torch.float32)
        with torch.inference_mode():
            _known[kind] = _is_faster(make, Weights(numbers.view(outputs, _INPUTS).to(dtype)), rows)
    return _known[kind]


def _is_faster(make: MakeProduct, weights: Weights, rows: int) -> bool:
    x = weights.weight[0].repeat(rows, 1)
    plain = Plain([weights])
    try:
        other = make([weights])
        if not torch.allclose(other(x).float(), plain(x).float(), rtol=0.05, atol=0.05):
            return False
    except RuntimeError:
        return False
    other_data = torch.ones(_CACHES, dtype=torch.uint8)
    before = after = float("inf")
    for done in range(1, _MOST_ROUNDS):
        before = min(before, _seconds(plain, x, other_data))
        after = min(after, _seconds(other, x, other_data))
        # The best of both: on a busy machine, what takes all cores is disturbed most.
        if done >= _LEAST_ROUNDS and after < _MARGIN * before:
            return True
    return False


def _seconds(product: Product, x: torch.Tensor, other_data: torch.Tensor) -> float:
    other_data.max()
    start = time.perf_counter()
    product(x)
    return time.perf_counter() - start


def _joined_bias(layers: Layers) -> torch.Tensor | None:
    if all(layer.bias is None for layer in layers):
        return None
    parts = [
        layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias.detach()
        for layer in layers
    ]
    return torch.cat(parts)
