"""Products with weights on a CPU: as the weights lie, packed for oneDNN, or upcast piece by piece."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional

from itwidgets.engine.model.choices import chosen

_UPCAST_ROWS = 16
"""Rows from which on it pays to upcast the weights; below, half precision is at least half the reading."""

_PIECE = 2**21
"""Weights upcast at a time: they are still in the cache when they are multiplied."""

_MARGIN = 0.9
"""Of the time of a simpler product: what another must get by with to be worth its trouble and its memory."""

_ROUNDS = 16

_INPUTS = 1024
"""Of the weights that are measured."""

_CACHES = 2**26
"""Bytes that are read before each measurement: in a step the weights come from memory, not from a cache."""


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


class Product(Protocol):
    """What linear layers of one input give, side by side in the last dimension."""

    def __init__(self, layers: Layers) -> None: ...

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply ``[..., n, inputs]``."""
        ...


MakeProduct = type[Product]


class Plain:
    """The product as the layers themselves compute it."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply ``[..., n, inputs]``."""
        parts = [functional.linear(x, layer.weight, layer.bias) for layer in self._layers]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)


class Split(Plain):
    """The product of one row with an equal share of the weights, as they lie, for each core.

    MKL multiplies a matrix by a single float32 vector on one core, and several matrices on all of them.
    More rows are multiplied as the layers do.
    """

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers)
        self._shares = [_shares(layer.weight.detach()) for layer in layers]
        self._bias = _joined_bias(layers)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply ``[..., n, inputs]``."""
        if x.numel() != x.shape[-1]:
            return super().__call__(x)
        row = x.view(1, 1, -1)
        parts = [
            torch.bmm(row.expand(len(share), -1, -1), share) for shares in self._shares for share in shares
        ]
        result = parts[0].view(-1) if len(parts) == 1 else torch.cat([part.view(-1) for part in parts])
        if self._bias is not None:
            result += self._bias
        return result.view(*x.shape[:-1], -1)


class OneDNN:
    """The product with a copy of the weights in the layout that oneDNN likes best.

    torch's default on a CPU does not use all cores for one row in float32, and repacks at each call for
    more of them. Other rows than the weights are packed for are right too, and on some processors many
    times slower, on others not.
    """

    packed_rows = 1
    without_copy: MakeProduct = Plain

    def __init__(self, layers: Layers) -> None:
        weights = [layer.weight.detach() for layer in layers]
        joined = weights[0].contiguous() if len(weights) == 1 else torch.cat(weights)
        self._weight = torch.ops.mkldnn._reorder_linear_weight(joined, self.packed_rows)
        self._bias = _joined_bias(layers)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply ``[..., n, inputs]``."""
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")
        return result


class OneDNNForMany(OneDNN):
    """The same, with the weights packed for many rows."""

    packed_rows = 256


class SplitOrOneDNN(OneDNNForMany):
    """A share of the weights for each core where there is one row, packed weights where there are more."""

    without_copy = Split

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers)
        self._split = Split(layers)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply ``[..., n, inputs]``."""
        return self._split(x) if x.numel() == x.shape[-1] else super().__call__(x)


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

    It is measured once and for weights of one shape, so that all layers of all models are treated alike,
    today and tomorrow: which product is used decides the last bits.
    """
    if _onednn_takes(dtype):
        # One row as in decoding, and some as in rollouts and scoring.
        return _fastest((Split, OneDNN, OneDNNForMany, SplitOrOneDNN), dtype, outputs=2048, rows=(1, 10))
    if dtype.itemsize == torch.half.itemsize:
        return _fastest((Upcast,), dtype, outputs=256, rows=(64,))
    return _fastest((Split,), dtype, outputs=2048, rows=(1,)) if dtype == torch.float32 else Plain


def without_copy(make: MakeProduct) -> MakeProduct:
    """Return the product to take where a copy of the weights has no room: itself, if it makes none."""
    return make.without_copy if issubclass(make, OneDNN) else make


def _onednn_takes(dtype: torch.dtype) -> bool:
    if not torch._C._has_mkldnn or not torch._C._get_mkldnn_enabled():
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if dtype == torch.float16:
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
    return dtype == torch.float32


def _fastest(
    candidates: Sequence[MakeProduct], dtype: torch.dtype, outputs: int, rows: Sequence[int]
) -> MakeProduct:
    makes: list[MakeProduct] = [Plain, *candidates]
    by_name = {make.__name__: make for make in makes}

    def measure() -> str:
        numbers = torch.linspace(-0.1, 0.1, outputs * _INPUTS, dtype=torch.float32)
        weights = Weights(numbers.view(outputs, _INPUTS).to(dtype))
        with torch.inference_mode():
            return _measured(candidates, weights, rows).__name__

    question = f"product of {str(dtype).removeprefix('torch.')} among {', '.join(by_name)}"
    return by_name.get(chosen(question, measure), Plain)


def _measured(candidates: Sequence[MakeProduct], weights: Weights, rows: Sequence[int]) -> MakeProduct:
    """Return the candidate that takes the least share of the plain product's time, if that is worth it."""
    inputs = [weights.weight[0].repeat(count, 1) for count in rows]
    plain = Plain([weights])
    made = {make: product for make in candidates if (product := _right(make, weights, inputs, plain))}
    other_data = torch.ones(_CACHES, dtype=torch.uint8)
    shares: dict[MakeProduct, list[float]] = {make: [] for make in made}
    for x in inputs:
        best = dict.fromkeys([Plain, *made], float("inf"))
        # The best of many: on a busy machine, what takes all cores is disturbed most.
        for _ in range(_ROUNDS):
            for make, product in ({Plain: plain} | made).items():
                best[make] = min(best[make], _seconds(product, x, other_data))
        for make in made:
            shares[make].append(best[make] / best[Plain])
    means = {make: statistics.fmean(found) for make, found in shares.items()}
    lean = _winner({make: means[make] for make in means if without_copy(make) is make}, Plain, 1.0)
    # A copy of all weights has to pay beside what needs none.
    return _winner(means, lean, means.get(lean, 1.0))


def _winner(means: Mapping[MakeProduct, float], known: MakeProduct, time: float) -> MakeProduct:
    best = min(means, key=means.__getitem__, default=known)
    return best if means.get(best, time) < _MARGIN * time else known


def _right(
    make: MakeProduct, weights: Weights, inputs: Sequence[torch.Tensor], plain: Product
) -> Product | None:
    """Make a product, if it can be made here and multiplies as the plain one does."""
    try:
        product = make([weights])
        agrees = all(
            torch.allclose(product(x).float(), plain(x).float(), rtol=0.05, atol=0.05) for x in inputs
        )
    except RuntimeError:
        return None
    return product if agrees else None


def _seconds(product: Product, x: torch.Tensor, other_data: torch.Tensor) -> float:
    other_data.max()
    start = time.perf_counter()
    product(x)
    return time.perf_counter() - start


def _shares(weight: torch.Tensor) -> list[torch.Tensor]:
    """View ``[outputs, inputs]`` as ``[share, inputs, outputs]``, a share a core, and what is left."""
    shares = max(1, min(torch.get_num_threads(), len(weight)))
    even = len(weight) // shares * shares
    whole = weight[:even].view(shares, -1, weight.shape[1]).transpose(1, 2)
    return [whole, weight[None, even:].transpose(1, 2)] if even < len(weight) else [whole]


def _joined_bias(layers: Layers) -> torch.Tensor | None:
    if all(layer.bias is None for layer in layers):
        return None
    parts = [
        layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias.detach()
        for layer in layers
    ]
    return torch.cat(parts)
