"""A cache layer for transformers that grows in place and can be cut at any length."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin, DummyLayer, get_layer_types_and_kwargs

_STEP = 256


class GrowingLayer(CacheLayerMixin):
    """Keys and values of one layer in buffers that double when they are full.

    Appending costs O(1) amortised where ``DynamicLayer`` copies the whole cache at each token. Sliding
    layers use it too and keep their whole history: the mask hides what is out of the window, so the
    layer can be cut back to any length.
    """

    is_sliding = False
    is_croppable = True
    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocate buffers of the kind and on the device of the first states."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys = _buffer(key_states, _STEP)
        self.values = _buffer(value_states, _STEP)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append states and return all of them, each of shape ``[1, heads, length, dim]``."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        stop = self.length + key_states.shape[-2]
        if stop > self.keys.shape[-2]:
            self._grow(stop)
        self.keys[:, :, self.length : stop] = key_states
        self.values[:, :, self.length : stop] = value_states
        self.length = stop
        return self.keys[:, :, :stop], self.values[:, :, :stop]

    def _grow(self, needed: int) -> None:
        capacity = max(needed, 2 * self.keys.shape[-2])
        # Both are allocated before either is replaced: running out of memory here changes nothing.
        keys, values = _buffer(self.keys, capacity), _buffer(self.values, capacity)
        keys[:, :, : self.length] = self.keys[:, :, : self.length]
        values[:, :, : self.length] = self.values[:, :, : self.length]
        self.keys, self.values = keys, values

    def truncate(self, length: int) -> None:
        """Forget all states from ``length`` on."""
        self.length = min(self.length, length)

    def copy(self, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return states ``start .. stop`` in memory of their own."""
        return self.keys[:, :, start:stop].clone(), self.values[:, :, start:stop].clone()

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset that the attention mask is made for."""
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        """Return the number of tokens held."""
        return self.length

    def get_max_length(self) -> int:
        """No limit."""
        return -1

    def reset(self) -> None:
        """Forget everything."""
        self.length = 0

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens; their number is negative, as elsewhere in transformers."""
        self.truncate(self.length - abs(tokens_to_remove))


def _buffer(like: torch.Tensor, capacity: int) -> torch.Tensor:
    batch, heads, _, dim = like.shape
    return like.new_empty(batch, heads, capacity, dim)


def layer_types(config: Any) -> list[str]:
    """Cache kinds of a model's layers, in the words of transformers."""
    return list(get_layer_types_and_kwargs(config)[0])


def can_be_cut(config: Any) -> bool:
    """Whether every layer of the model can be served by a :class:`GrowingLayer` or needs no cache."""
    return set(layer_types(config)) <= {"full_attention", "sliding_attention", "dummy"}


def growing_cache(config: Any) -> Cache:
    """Return an empty cache of growing layers for a model."""
    return Cache(layers=[DummyLayer() if kind == "dummy" else GrowingLayer() for kind in layer_types(config)])
