"""A step of one token in machine code, for the families of the fused step."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers.activations import SiLUActivation
from transformers.cache_utils import Cache

from itwidgets.engine.kv.layers import GrowingLayer
from itwidgets.engine.native.threads import can_run, run
from itwidgets.engine.worker import stop_point

_LINEARS = {
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
_NORMS = {
    "input": "input_layernorm",
    "post": "post_attention_layernorm",
    "q": "self_attn.q_norm",
    "k": "self_attn.k_norm",
}

_PARTS = 16
"""Of a step: between them a job can be stopped."""


def native_step(base: Any, windows: list[int | None]) -> NativeStep | None:
    """Return the step in machine code for a model that can be fused, if there is one.

    Parameters
    ----------
    base
        The model without its head; see :func:`~.fused.can_be_fused`.
    windows
        How many tokens each layer sees; None is all.
    """
    activations = {type(layer.mlp.act_fn) for layer in base.layers}
    if not can_run(base.dtype) or not activations <= {SiLUActivation, nn.SiLU}:
        return None
    step = NativeStep(base, windows)
    return step if step.reads_weights() else None


class NativeStep:
    """Passes one token through all layers at once, with the weights as they lie.

    Parameters
    ----------
    base
        The model without its head.
    windows
        How many tokens each layer sees; None is all.
    """

    def __init__(self, base: Any, windows: list[int | None]) -> None:
        # numba is imported where there is something to compile, and nowhere else.
        from itwidgets.engine.native import layers
        from itwidgets.engine.native.compiling import layers_code

        self._scratch_size = layers.scratch_size
        self._attentions = [layer.self_attn for layer in base.layers]
        self._linears = _columns(base.layers, _LINEARS)
        self._norms = _columns(base.layers, _NORMS)
        parts = chain.from_iterable((self._linears | self._norms).values())
        self._dicts = [part._parameters for part in parts]
        self._places: list[int] = []
        self._table, self._call = np.zeros(len(base.layers), layers.LAYER), np.zeros(1, layers.CALL)
        self._table["window"] = [window or 0 for window in windows]
        self._table["rotates"] = [getattr(layer.self_attn, "use_rope", True) for layer in base.layers]
        attention, mlp = base.layers[0].self_attn, base.layers[0].mlp
        self._dtype: torch.dtype = attention.q_proj.weight.dtype
        self._code = layers_code(self._dtype)
        dim = attention.head_dim
        self._call["width"], self._call["inner"] = attention.q_proj.in_features, mlp.up_proj.out_features
        self._call["heads"] = attention.q_proj.out_features // dim
        self._call["key_heads"], self._call["dim"] = attention.k_proj.out_features // dim, dim

    def reads_weights(self) -> bool:
        """Whether the weights lie as the code reads them; looks anew when any lies elsewhere than before."""
        places = [p.data_ptr() for parameters in self._dicts for p in parameters.values() if p is not None]
        if places != self._places:
            self._places = places if self._read() else []
        return bool(self._places)

    def _read(self) -> bool:
        for name, linears in self._linears.items():
            biases = [linear.bias for linear in linears]
            self._table[name] = [linear.weight.data_ptr() for linear in linears]
            self._table[f"{name}_bias"] = [0 if bias is None else bias.data_ptr() for bias in biases]
        for name, norms in self._norms.items():
            self._table[f"{name}_norm"] = [norm.weight.data_ptr() for norm in norms]
        tensors = [p for parameters in self._dicts for p in parameters.values() if p is not None]
        return all(p.dtype == self._dtype and p.is_contiguous() for p in tensors)

    def takes(self, cache: Cache) -> bool:
        """Whether weights, keys and values are where the code reads and writes them."""
        layers = cache.layers
        return self.reads_weights() and all(
            type(layer) is GrowingLayer and layer.is_initialized for layer in layers
        )

    def __call__(
        self, hidden: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, cache: Cache
    ) -> torch.Tensor:
        """Pass one token after what the cache holds.

        Parameters
        ----------
        hidden
            Its embedding, ``[1, D]``.
        cos, sin
            Its rotation, each ``[head dimension]``.
        cache
            Gets its keys and values.

        Returns
        -------
        torch.Tensor
            What the last layer gives, float32, ``[1, D]``.
        """
        # Copies: two threads may be here at once.
        table, call = self._table.copy(), self._call.copy()
        table["scaling"] = [attention.scaling for attention in self._attentions]
        for name, norms in self._norms.items():
            table[f"{name}_epsilon"] = [norm.variance_epsilon for norm in norms]
        hidden = hidden.to(torch.float32, copy=True)
        call["position"] = cache.get_seq_length()
        layers: Any = cache.layers
        for layer in layers:
            layer.extend(1)
        table["keys"] = [layer.keys.data_ptr() for layer in layers]
        table["values"] = [layer.values.data_ptr() for layer in layers]
        table["capacity"] = [layer.capacity for layer in layers]
        scratch = torch.empty(self._scratch_size(call[0], torch.get_num_threads()))
        for name, tensor in {"hidden": hidden, "cos": cos, "sin": sin, "scratch": scratch}.items():
            call[name] = tensor.data_ptr()
        size = -(-len(table) // _PARTS)
        for start in range(0, len(table), size):
            stop_point()
            rows = table[start : start + size]
            call["layers"], call["count"] = rows.ctypes.data, len(rows)
            run(self._code.address, call.ctypes.data)
        return hidden


def _columns(layers: Any, paths: dict[str, str]) -> dict[str, list[Any]]:
    """Collect parts of all layers by their name in the table; some models lack some."""
    known = [dict(layer.named_modules()) for layer in layers]
    return {name: [parts[path] for parts in known] for name, path in paths.items() if path in known[0]}
