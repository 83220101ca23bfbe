"""Products with weights on a CPU: as they lie, packed for oneDNN, upcast piece by piece, in machine code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from itwidgets.engine.native.threads import can_run, run

_UPCAST_ROWS = 16
"""Rows from which on it pays to upcast the weights; below, half precision is at least half the reading."""

_PIECE = 2**21
"""Weights upcast at a time: they are still in the cache when they are multiplied."""


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
        if not _is_one_row(x):
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

    without_copy: MakeProduct = Split

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers)
        self._one_row = self.without_copy(layers)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply ``[..., n, inputs]``."""
        return self._one_row(x) if _is_one_row(x) else super().__call__(x)


class Native(Plain):
    """The product of one row in machine code, with the weights as they lie; of more as the layers do."""

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers)
        dtype = layers[0].weight.dtype
        if not can_run(dtype):
            raise RuntimeError(f"there is no machine code here for weights of {dtype}")
        from itwidgets.engine.native import matrices
        from itwidgets.engine.native.compiling import matrices_code

        tensors = [tensor for layer in layers for tensor in (layer.weight, layer.bias) if tensor is not None]
        self._is_readable = all(
            tensor.is_contiguous() and tensor.dtype == dtype and tensor.device.type == "cpu"
            for tensor in tensors
        )
        # The code has addresses alone: what lies there must not go away in the midst of a product.
        self._held = [tensor.detach() for tensor in tensors]
        self._inputs = layers[0].weight.shape[1]
        self._outputs = sum(len(layer.weight) for layer in layers)
        self._code = matrices_code(dtype)
        self._table = np.array(
            [
                (
                    layer.weight.data_ptr(),
                    0 if layer.bias is None else layer.bias.data_ptr(),
                    len(layer.weight),
                )
                for layer in layers
            ],
            matrices.MATRIX,
        )
        self._call = np.zeros(1, matrices.CALL)
        self._call["matrices"], self._call["count"] = self._table.ctypes.data, len(layers)
        self._call["columns"] = self._inputs

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply ``[..., n, inputs]``."""
        is_readable = self._is_readable and x.numel() == self._inputs and x.device.type == "cpu"
        if not (is_readable and _is_one_row(x)):
            return super().__call__(x)
        row = x.float().contiguous()
        # Of the dtype and device of another tensor: torch's defaults are everybody's, and may change.
        found = row.new_empty(*x.shape[:-1], self._outputs)
        # A copy: two threads may be here at once.
        call = self._call.copy()
        call["x"], call["out"] = row.data_ptr(), found.data_ptr()
        run(self._code.address, call.ctypes.data, torch.get_num_threads())
        return found.to(x.dtype)


class NativeOrOneDNN(SplitOrOneDNN):
    """One row in machine code that reads the weights as they lie, packed weights where there are more."""

    without_copy = Native


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


class NativeOrUpcast(Upcast):
    """One row in machine code, many rows in float32."""

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers)
        self._one_row = Native(layers)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply ``[..., n, inputs]``."""
        return self._one_row(x) if _is_one_row(x) else super().__call__(x)


NATIVE = (Native, NativeOrOneDNN, NativeOrUpcast)
"""Those whose single rows are multiplied by code that numba compiled."""


def without_copy(make: MakeProduct) -> MakeProduct:
    """Return the product to take where a copy of the weights has no room: itself, if it makes none."""
    return make.without_copy if issubclass(make, OneDNN) else make


def _is_one_row(x: torch.Tensor) -> bool:
    return x.numel() == x.shape[-1]


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
