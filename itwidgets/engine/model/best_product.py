"""Finds which product pays on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence

import torch

from itwidgets.engine.model.choices import chosen
from itwidgets.engine.model.products import (
    MakeProduct,
    Native,
    NativeOrOneDNN,
    NativeOrUpcast,
    OneDNN,
    OneDNNForMany,
    Plain,
    Product,
    Split,
    SplitOrOneDNN,
    Upcast,
    Weights,
    without_copy,
)
from itwidgets.engine.native.threads import can_run

_MARGIN = 0.9
"""Of the time of a simpler product: what another must get by with to be worth its trouble and its memory."""

_ROUNDS = 16

_INPUTS = 1024
"""Of the weights that are measured."""

_CACHES = 2**26
"""Bytes that are read before each measurement: in a step the weights come from memory, not from a cache."""


def best_product(dtype: torch.dtype) -> MakeProduct:
    """Return the product that pays on this machine for weights of a dtype.

    It is measured once and for weights of one shape, so that all layers of all models are treated alike,
    today and tomorrow: which product is used decides the last bits.
    """
    is_native = can_run(dtype)
    if _onednn_takes(dtype):
        # One row as in decoding, and some as in rollouts and scoring.
        candidates: list[MakeProduct] = [Split, OneDNN, OneDNNForMany, SplitOrOneDNN]
        candidates += [Native, NativeOrOneDNN] if is_native else []
        return _fastest(candidates, dtype, outputs=2048, rows=(1, 10))
    if dtype.itemsize == torch.half.itemsize:
        if is_native:
            return _fastest([Upcast, Native, NativeOrUpcast], dtype, outputs=256, rows=(1, 64))
        return _fastest([Upcast], dtype, outputs=256, rows=(64,))
    if dtype == torch.float32:
        return _fastest([Split, *([Native] if is_native else [])], dtype, outputs=2048, rows=(1,))
    return Plain


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
