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

_LEAST_ROUNDS, _MOST_ROUNDS = 4, 40


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


def best_product(layers: Layers) -> MakeProduct:
    """Return the product that pays for layers of this kind on this machine.

    It is measured once a process for each kind, so that the layers of all models are treated alike:
    which product is used decides the last bits.
    """
    dtype = layers[0].weight.dtype
    if _onednn_takes(dtype):
        return OneDNN if _pays(OneDNN, layers, rows=1, sample=2**22) else Plain
    half = dtype.itemsize == torch.half.itemsize
    return Upcast if half and _pays(Upcast, layers[:1], rows=64, sample=2**18) else Plain


def _onednn_takes(dtype: torch.dtype) -> bool:
    if not torch._C._has_mkldnn or not torch._C._get_mkldnn_enabled():
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if dtype == torch.float16:
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
    return dtype == torch.float32


def _pays(make: MakeProduct, layers: Layers, rows: int, sample: int) -> bool:
    """Whether a product of many rows, with at most ``sample`` weights, is faster than the plain one."""
    inputs = layers[0].weight.shape[1]
    weights = [layer.weight.detach()[: max(1, sample // inputs // len(layers))] for layer in layers]
    kind = (make, weights[0].dtype, rows, torch.get_num_threads(), *(tuple(w.shape) for w in weights))
    if kind not in _known:
        with torch.inference_mode():
            _known[kind] = _is_faster(make, [Weights(weight) for weight in weights], rows)
    return _known[kind]


def _is_faster(make: MakeProduct, layers: Layers, rows: int) -> bool:
    weight = layers[0].weight
    x = weight.flatten()[: weight.shape[1]].repeat(rows, 1)
    plain = Plain(layers)
    try:
        other = make(layers)
        if not torch.allclose(other(x).float(), plain(x).float(), rtol=0.05, atol=0.05):
            return False
    except RuntimeError:
        return False
    before = after = float("inf")
    for done in range(1, _MOST_ROUNDS):
        before, after = min(before, _seconds(plain, x)), min(after, _seconds(other, x))
        # The best of both: on a busy machine, what takes all cores is disturbed most.
        if done >= _LEAST_ROUNDS and after < _MARGIN * before:
            return True
    return False


def _seconds(product: Product, x: torch.Tensor) -> float:
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
