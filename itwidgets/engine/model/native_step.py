"""A step of one token in machine code, for the families of the fused step."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers.activations import SiLUActivation
from transformers.cache_utils import Cache

from itwidgets.engine.kv.layers import GrowingLayer
from itwidgets.engine.model.packed import parameters_of
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


def native_step(base: Any, windows: Sequence[int | None]) -> NativeStep | None:
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
    try:
        step = NativeStep(base, windows)
    # Whatever numba raises on a processor, a Python or a numpy that it does not know.
    except Exception as error:  # noqa: BLE001
        warnings.warn(f"numba compiles no step here, so torch computes it: {error}", stacklevel=2)
        return None
    return step if step.reads_weights() else None


class NativeStep:
    """Passes one token through all layers at once, with the weights as they lie.

    Several tokens are left to torch: they are limited by arithmetic, not by reading weights, and its products
    of matrices were measured to be faster than rows of dot products from about ten rows on.

    Parameters
    ----------
    base
        The model without its head.
    windows
        How many tokens each layer sees; None is all.
    """

    def __init__(self, base: Any, windows: Sequence[int | None]) -> None:
        # numba is imported where there is something to compile, and nowhere else.
        from itwidgets.engine.native import layers
        from itwidgets.engine.native.compiling import layers_code

        self._scratch_size = layers.scratch_size
        self._attentions = [layer.self_attn for layer in base.layers]
        self._linears = _columns(base.layers, _LINEARS)
        self._norms = _columns(base.layers, _NORMS)
        parts = chain.from_iterable((self._linears | self._norms).values())
        self._dicts = [part._parameters for part in parts]
        self._known: list[torch.Tensor] = []
        self._places: list[int] = []
        self._held: list[torch.Tensor] = []
        self._table, self._call = np.zeros(len(base.layers), layers.LAYER), np.zeros(1, layers.CALL)
        self._table["window"] = [window or 0 for window in windows]
        self._table["rotates"] = [getattr(layer.self_attn, "use_rope", True) for layer in base.layers]
        attention, mlp = base.layers[0].self_attn, base.layers[0].mlp
        self._dtype: torch.dtype = attention.q_proj.weight.dtype
        self._code = layers_code(self._dtype)
        self._width, self._inner = attention.q_proj.in_features, mlp.up_proj.out_features
        self._dim: int = attention.head_dim
        self._heads = attention.q_proj.out_features // self._dim
        self._key_heads = attention.k_proj.out_features // self._dim
        for name in ("width", "heads", "key_heads", "dim", "inner"):
            self._call[name] = getattr(self, f"_{name}")

    def reads_weights(self) -> bool:
        """Whether the weights are such as the code reads; looks anew when any is another than before."""
        now = parameters_of(self._dicts)
        is_known = len(now) == len(self._known) and all(map(operator.is_, now, self._known))
        if not is_known or [p.data_ptr() for p in now] != self._places:
            self._known, self._places = [], []
            if self._read(now):
                self._known, self._places = now, [p.data_ptr() for p in now]
        return bool(self._known)

    def _read(self, now: Sequence[torch.Tensor]) -> bool:
        is_plain = all(p.dtype == self._dtype and p.device.type == "cpu" and p.is_contiguous() for p in now)
        if not (is_plain and self._fit()):
            return False
        # The code has addresses alone: what lies there must not go away in the midst of a step.
        self._held = [p.detach() for p in now]
        for name, parts in self._linears.items():
            biases = [linear.bias for linear in parts]
            self._table[name] = [linear.weight.data_ptr() for linear in parts]
            self._table[f"{name}_bias"] = [0 if bias is None else bias.data_ptr() for bias in biases]
        for name, parts in self._norms.items():
            self._table[f"{name}_norm"] = [norm.weight.data_ptr() for norm in parts]
        return True

    def _fit(self) -> bool:
        """Whether every part of every layer has the shape that the code takes it for."""
        queries, keys = self._heads * self._dim, self._key_heads * self._dim
        outputs = {"q": queries, "k": keys, "v": keys, "gate": self._inner, "up": self._inner}
        inputs = {"o": queries, "down": self._inner}
        heads = {"q": self._dim, "k": self._dim}
        linears = [
            linear.weight.shape == (outputs.get(name, self._width), inputs.get(name, self._width))
            and (linear.bias is None or linear.bias.shape == linear.weight.shape[:1])
            for name, parts in self._linears.items()
            for linear in parts
        ]
        norms = [
            norm.weight.shape == (heads.get(name, self._width),)
            for name, parts in self._norms.items()
            for norm in parts
        ]
        return all(linears) and all(norms)

    def takes(self, cache: Cache) -> bool:
        """Whether weights, keys and values are where the code reads and writes them."""
        layers = cache.layers
        return len(layers) == len(self._table) and all(map(self._writes, layers)) and self.reads_weights()

    def _writes(self, layer: Any) -> bool:
        if type(layer) is not GrowingLayer or not layer.is_initialized:
            return type(layer) is GrowingLayer
        shape = (1, self._key_heads, layer.capacity, self._dim)
        return layer.dtype == self._dtype and layer.keys.shape == layer.values.shape == shape

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
        table, call, threads = self._table.copy(), self._call.copy(), torch.get_num_threads()
        call["position"] = self._extend(cache, table, hidden)
        table["scaling"] = [attention.scaling for attention in self._attentions]
        for name, norms in self._norms.items():
            table[f"{name}_epsilon"] = [norm.variance_epsilon for norm in norms]
        hidden = hidden.to(torch.float32, copy=True)
        # Of the dtype and device of another tensor: torch's defaults are everybody's, and may change.
        scratch = hidden.new_empty(self._scratch_size(call[0], threads))
        cos, sin = cos.to(self._dtype).contiguous(), sin.to(self._dtype).contiguous()
        for name, tensor in {"hidden": hidden, "cos": cos, "sin": sin, "scratch": scratch}.items():
            call[name] = tensor.data_ptr()
        size = -(-len(table) // _PARTS)
        for start in range(0, len(table), size):
            stop_point()
            rows = table[start : start + size]
            call["layers"], call["count"] = rows.ctypes.data, len(rows)
            run(self._code.address, call.ctypes.data, threads)
        return hidden

    def _extend(self, cache: Cache, table: Any, hidden: torch.Tensor) -> int:
        """Make room for a token in all layers, and return its place."""
        layers: Any = cache.layers
        like = hidden.new_empty(1, self._key_heads, 0, self._dim, dtype=self._dtype)
        for layer in layers:
            if not layer.is_initialized:
                layer.lazy_initialization(like, like)
        places = {layer.extend(1) for layer in layers}
        if len(places) != 1:
            raise RuntimeError(f"layers hold {sorted(places)} tokens, but must all hold the same number")
        table["keys"] = [layer.keys.data_ptr() for layer in layers]
        table["values"] = [layer.values.data_ptr() for layer in layers]
        table["capacity"] = [layer.capacity for layer in layers]
        place: int = places.pop()
        return place


def _columns(layers: Any, paths: dict[str, str]) -> dict[str, list[Any]]:
    """Collect parts of all layers by their name in the table; some models lack some."""
    known = [dict(layer.named_modules()) for layer in layers]
    return {name: [parts[path] for parts in known] for name, path in paths.items() if path in known[0]}
