"""A step of Llama-like models with few operations: joined projections, one rotation, no copies of keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers.cache_utils import Cache

from itwidgets.engine.kv.layers import layer_types
from itwidgets.engine.model.masks import Mask, additive, attention_windows, causal_masks
from itwidgets.engine.model.native_step import native_step
from itwidgets.engine.model.packed import can_be_packed
from itwidgets.engine.model.products import Product
from itwidgets.engine.model.watch import Watch
from itwidgets.engine.native.threads import DTYPES

Join = Callable[..., Product]
"""Makes one product of linear layers that read the same input."""

FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3", "smollm3"})
"""Families of transformers whose layers are those computed here."""


def can_be_fused(base: nn.Module) -> bool:
    """Whether every part of a model is transformers' own code of one of the families, on the CPU."""
    code = type(base).__module__
    if code not in {f"transformers.models.{family}.modeling_{family}" for family in FAMILIES}:
        return False
    known = (code, "transformers.activations", "torch.nn.modules")
    parts, parameters = list(base.modules()), list(base.parameters())
    return (
        all(type(part).__module__.startswith(known) for part in parts)
        and all(can_be_packed(part) for part in parts if isinstance(part, nn.Linear))
        and {(p.dtype, p.device.type) for p in parameters} <= {(dtype, "cpu") for dtype in DTYPES}
        and len({p.dtype for p in parameters}) == 1
    )


@dataclass(frozen=True)
class _Call:
    """What all layers need in one call."""

    cache: Cache
    cos: torch.Tensor
    sin: torch.Tensor
    masks: dict[str, torch.Tensor] | None


class FusedStep:
    """Passes tokens through the layers of a model as its own code does, to the noise of the dtype.

    Keys and values go to the cache of transformers, so this and the model's own code can take turns.

    Parameters
    ----------
    base
        The model without its head; see :func:`can_be_fused`.
    join
        Makes one product of linear layers that read the same input.
    is_native
        Whether a single token passes in machine code, where there is such for the model; see
        :mod:`~.native_step`.
    """

    def __init__(self, base: Any, join: Join, *, is_native: bool = True) -> None:
        self._base = base
        self._groups = base.config.num_attention_heads // base.config.num_key_value_heads
        windows = attention_windows(base.config)
        kinds = layer_types(base.config)
        self._layers = [
            _Layer(layer, kind, windows[kind], join) for layer, kind in zip(base.layers, kinds, strict=True)
        ]
        self._native = native_step(base, [windows[kind] for kind in kinds]) if is_native else None
        # The embedding and the rotation are called as they are.
        self._watch = Watch(base, free={base.embed_tokens, base.rotary_emb})

    @property
    def is_native(self) -> bool:
        """Whether single tokens pass in machine code."""
        return self._native is not None

    def is_faithful(self) -> bool:
        """Whether the model is still the one that was read: no hooks, no other code, no other parts."""
        return self._watch.is_untouched() and self._base.config._attn_implementation in ("sdpa", "eager")

    def __call__(
        self, token_ids: torch.Tensor, cache: Cache, position_ids: torch.Tensor | None, mask: Mask | None
    ) -> torch.Tensor:
        """Pass tokens, int64 ``[1, n]``; return their last hidden states ``[n, D]``."""
        base, count, past = self._base, token_ids.shape[1], cache.get_seq_length()
        if position_ids is None:
            position_ids = torch.arange(past, past + count, device=token_ids.device)[None]
        hidden = base.embed_tokens(token_ids)
        cos, sin = base.rotary_emb(hidden, position_ids)
        native = self._native
        if native is not None and count == 1 and mask is None and native.takes(cache):
            return _normed(native(hidden[0], cos, sin, cache), base.norm).to(hidden.dtype)
        # Half a vector's rotation to the right with these signs is transformers' rotate_half.
        half = sin.shape[-1] // 2
        sin = torch.cat([-sin[..., :half], sin[..., half:]], -1)
        call = _Call(cache, cos[0, :, None], sin[0, :, None], self._masks(past, count, mask, hidden))
        hidden = hidden[0]
        for layer in self._layers:
            hidden = layer(hidden, call)
        return _normed(hidden, base.norm)

    def _masks(
        self, past: int, count: int, mask: Mask | None, like: torch.Tensor
    ) -> dict[str, torch.Tensor] | None:
        """Masks by layer type, repeated for all query heads that share a key head."""
        if mask is None:
            if count == 1:
                return None
            masks = causal_masks(self._base.config, past, count, like)
        else:
            masks = (
                mask if isinstance(mask, dict) else dict.fromkeys(attention_windows(self._base.config), mask)
            )
        return {
            kind: (additive(m, like.dtype) if m.dtype == torch.bool else m).repeat(1, 1, self._groups, 1)
            for kind, m in masks.items()
        }


class _Layer:
    """One layer: attention and a gated network, each behind a norm and added to what comes in."""

    def __init__(self, layer: Any, kind: str, window: int | None, join: Join) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self._kind, self._window = kind, window
        self._norms = layer.input_layernorm, layer.post_attention_layernorm
        self._head_norms = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)
        self._rotates = getattr(attention, "use_rope", True)
        self._attention, self._dim = attention, attention.head_dim
        self._queries = attention.q_proj.out_features // self._dim
        self._keys = attention.k_proj.out_features // self._dim
        self._qkv = join(attention.q_proj, attention.k_proj, attention.v_proj)
        self._out, self._down = join(attention.o_proj), join(mlp.down_proj)
        self._gate_up, self._activation = join(mlp.gate_proj, mlp.up_proj), mlp.act_fn

    def __call__(self, hidden: torch.Tensor, call: _Call) -> torch.Tensor:
        hidden = hidden + self._out(self._attend(_normed(hidden, self._norms[0]), call))
        gate, up = self._gate_up(_normed(hidden, self._norms[1])).chunk(2, -1)
        return hidden + self._down(self._activation(gate) * up)

    def _attend(self, hidden: torch.Tensor, call: _Call) -> torch.Tensor:
        count, heads = len(hidden), self._queries + self._keys
        states = self._qkv(hidden).view(count, heads + self._keys, self._dim)
        turned = states[:, :heads]
        if self._head_norms[0] is not None:
            parts = turned[:, : self._queries], turned[:, self._queries :]
            turned = torch.cat(list(map(_normed, parts, self._head_norms)), 1)
        if self._rotates:
            turned = torch.addcmul(turned * call.cos, turned.roll(self._dim // 2, -1), call.sin)
        keys, values = call.cache.update(
            turned[:, self._queries :].transpose(0, 1)[None],
            states[:, heads:].transpose(0, 1)[None],
            self._attention.layer_idx,
        )
        # Queries that share a key stand below each other, as if of that key's head: keys are not repeated.
        queries = turned[:, : self._queries].view(count, self._keys, -1, self._dim).permute(1, 2, 0, 3)
        grouped = queries.reshape(1, self._keys, -1, self._dim)
        if call.masks is not None:
            mask = call.masks[self._kind][..., -keys.shape[2] :]
        else:
            mask = None
            if self._window is not None:
                keys, values = keys[:, :, -self._window :], values[:, :, -self._window :]
        found = functional.scaled_dot_product_attention(
            grouped, keys, values, mask, scale=self._attention.scaling
        )
        return found.view(self._keys, -1, count, self._dim).permute(2, 0, 1, 3).reshape(count, -1)


def _normed(hidden: torch.Tensor, norm: Any) -> torch.Tensor:
    if hidden.numel() == len(norm.weight):
        # rms_norm is a dozen small operations on a CPU; of a single row the scale is one number.
        row = hidden.flatten().to(torch.promote_types(hidden.dtype, torch.float32))
        scale: float = (torch.dot(row, row).item() / len(row) + norm.variance_epsilon) ** -0.5
        # The scale first: an outlier times its weight may be too large for half precision.
        return hidden.mul(scale).mul_(norm.weight)
    return functional.rms_norm(hidden, norm.weight.shape, norm.weight, norm.variance_epsilon)
