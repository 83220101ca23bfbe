"""Cache layers for transformers: keys and values that grow in place and can be cut at any length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers.cache_utils import (
    Cache,
    CacheLayerMixin,
    DummyLayer,
    DynamicCache,
    LinearAttentionAndFullAttentionLayer,
    LinearAttentionLayer,
    get_layer_types_and_kwargs,
)

from itwidgets.engine.worker import stop_point

FIRST_CAPACITY = 256
_GROWTH = 1.25
"""Each token is copied four times on average until it is written over: nothing beside its forward call."""

_ATTENTION = frozenset({"full_attention", "sliding_attention", "chunked_attention"})
_STATES = frozenset({"conv", "linear_attention"})
_BOTH = frozenset({"hybrid", "hybrid_sliding"})
_NOTHING = "dummy"


class GrowingLayer(CacheLayerMixin):
    """Keys and values of one layer in buffers that grow by a quarter when they are full.

    Appending costs O(1) amortised where ``DynamicLayer`` copies the whole cache at each token. Sliding
    layers use it too and keep their whole history: the mask hides what is out of the window, so the
    layer can be cut back to any length. What lies behind the length stays until it is written over.
    """

    is_sliding = False
    is_croppable = True
    growth = _GROWTH
    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.length = 0
        self._like: tuple[torch.Tensor, torch.Tensor] | None = None

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocate buffers of the kind and on the device of the first states."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self._like = _buffer(key_states, 0), _buffer(value_states, 0)
        self.grow(max(FIRST_CAPACITY, key_states.shape[-2]))

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append states and return all of them, each of shape ``[1, heads, length, dim]``."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.write(self.extend(key_states.shape[-2]), key_states, value_states)
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def extend(self, count: int) -> int:
        """Count more tokens, whose states are to be written, and return where the first of them stands.

        Every layer of every model comes by here, so this is where a job can be stopped inside a step.
        """
        stop_point()
        start, self.length = self.length, self.length + count
        if self.length > self.capacity:
            self.grow(self.enlarged(self.length))
        return start

    @property
    def capacity(self) -> int:
        """How many tokens the buffers hold."""
        return self.keys.shape[-2] if self.is_initialized else 0

    @property
    def token_bytes(self) -> int:
        """Bytes of one token; 0 before the first states came."""
        like = self._like or ()
        return sum(tensor.shape[1] * tensor.shape[3] * tensor.element_size() for tensor in like)

    @property
    def nbytes(self) -> int:
        """Bytes of both buffers."""
        return self.keys.nbytes + self.values.nbytes if self.is_initialized else 0

    def enlarged(self, needed: int) -> int:
        """Return the capacity to grow to for so many tokens, so that appending stays O(1) amortised."""
        return max(needed, int(self.growth * self.capacity))

    def grow(self, capacity: int) -> None:
        """Make the buffers hold ``capacity`` tokens, if they hold less; not before the first states came."""
        if capacity > self.capacity and self._like is not None:
            self._resize(self._like, capacity)

    def shrink(self, capacity: int) -> None:
        """Give back what the buffers hold behind ``capacity`` tokens, down to what they begin with."""
        capacity = max(capacity, FIRST_CAPACITY)
        if capacity < self.capacity and self._like is not None:
            self._resize(self._like, capacity)

    def _resize(self, likes: tuple[torch.Tensor, torch.Tensor], capacity: int) -> None:
        # Both are allocated before either is replaced: running out of memory here changes nothing.
        keys, values = (_buffer(like, capacity) for like in likes)
        if self.is_initialized:
            shared = min(capacity, self.capacity)
            keys[:, :, :shared] = self.keys[:, :, :shared]
            values[:, :, :shared] = self.values[:, :, :shared]
        self.keys, self.values = keys, values
        self.is_initialized = True

    def write(self, start: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Put states of consecutive tokens at a place of the buffers."""
        stop = start + keys.shape[-2]
        self.keys[:, :, start:stop] = keys
        self.values[:, :, start:stop] = values

    def view(self, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return states ``start .. stop`` where they stand."""
        return self.keys[:, :, start:stop], self.values[:, :, start:stop]

    def copy(self, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return states ``start .. stop`` in memory of their own."""
        keys, values = self.view(start, stop)
        return keys.clone(), values.clone()

    def gather(self, places: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the states at some places in memory of their own."""
        index = torch.tensor(places, dtype=torch.int64, device=self.keys.device)
        return self.keys.index_select(2, index), self.values.index_select(2, index)

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
        """Forget everything and give the memory back."""
        self.length = 0
        self.keys = self.values = None  # type: ignore[assignment]
        self.is_initialized = False

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens; their number is negative, as elsewhere in transformers."""
        self.length = max(0, self.length - abs(tokens_to_remove))


class StateLayer(LinearAttentionLayer):
    """States of a recurrent or convolution layer."""

    def update_conv_state(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Write the next convolution state; a job can be stopped here."""
        stop_point()
        state: torch.Tensor = super().update_conv_state(*args, **kwargs)
        return state


class HybridLayer(GrowingLayer, LinearAttentionAndFullAttentionLayer):  # type: ignore[misc]
    """A layer with both attention and a recurrent state, as of Falcon-H1."""

    def __init__(self, number_of_states: int = 1) -> None:
        GrowingLayer.__init__(self)
        LinearAttentionLayer.__init__(self, number_of_states=number_of_states)

    def lazy_initialization(self, *args: Any, **kwargs: Any) -> None:
        """Allocate the part that the arguments belong to: states are named, keys and values are not."""
        (LinearAttentionLayer if kwargs else GrowingLayer).lazy_initialization(self, *args, **kwargs)

    def reset(self) -> None:
        """Forget everything."""
        LinearAttentionLayer.reset(self)
        GrowingLayer.reset(self)


def _buffer(like: torch.Tensor, capacity: int) -> torch.Tensor:
    batch, heads, _, dim = like.shape
    return like.new_empty(batch, heads, capacity, dim)


def layer_types(config: Any) -> list[str]:
    """Cache kinds of a model's layers, in the words of transformers."""
    return list(get_layer_types_and_kwargs(config)[0])


def can_be_cut(config: Any) -> bool:
    """Whether keys and values alone say where a model is in its text."""
    return set(layer_types(config)) <= {*_ATTENTION, _NOTHING}


def is_known(config: Any) -> bool:
    """Whether every layer of the model is of a kind that :func:`growing_cache` makes."""
    return set(layer_types(config)) <= {*_ATTENTION, *_STATES, *_BOTH, _NOTHING}


def growing_cache(config: Any, attention: Callable[[], GrowingLayer] = GrowingLayer) -> Cache:
    """Return an empty cache for a model.

    Parameters
    ----------
    config
        Of the text model.
    attention
        Makes the layers that have attention alone.
    """
    if not is_known(config):
        return DynamicCache(config=config)
    kinds, options = get_layer_types_and_kwargs(config)
    states = [given.get("number_of_states", 1) for given in options]
    return Cache(layers=[_layer(kind, count, attention) for kind, count in zip(kinds, states, strict=True)])


def _layer(kind: str, number_of_states: int, attention: Callable[[], GrowingLayer]) -> Any:
    if kind in _STATES:
        return StateLayer(number_of_states=number_of_states)
    if kind in _BOTH:
        return HybridLayer(number_of_states=number_of_states)
    return DummyLayer() if kind == _NOTHING else attention()
