"""Cache layers whose buffers keep their address and shape during a call, for compiled graphs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.cache_utils import Cache

from itwidgets.engine.kv.layers import FIRST_CAPACITY, GrowingLayer


class FixedLayer(GrowingLayer):
    """A growing layer that can show its whole buffers, as a static cache does.

    A compiled graph is made for one shape and, on CUDA, one address. While :func:`whole` is in effect the
    layer returns all that its buffers hold, and the mask hides what lies behind the length; a graph is
    made anew only when the buffers double.

    Parameters
    ----------
    starts
        Where the next token goes, by device; shared by the layers of a cache.
    """

    is_whole = False

    def __init__(self, starts: dict[torch.device, torch.Tensor]) -> None:
        super().__init__()
        self._starts = starts

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocate buffers of the kind and on the device of the first states."""
        zero = torch.zeros((), dtype=torch.int64, device=key_states.device)
        # One for all layers of a device, so that a call sets it once.
        self.start = self._starts.setdefault(key_states.device, zero)
        super().lazy_initialization(key_states, value_states)

    @property
    def is_compileable(self) -> bool:  # type: ignore[override]
        """Whether transformers is to make its masks for a graph."""
        return self.is_whole

    def enlarged(self, needed: int) -> int:
        """Double the capacity until it is enough, so that texts of many lengths share few graphs."""
        capacity = max(FIRST_CAPACITY, self.capacity)
        while capacity < needed:
            capacity *= 2
        return capacity

    def grow(self, capacity: int) -> None:
        """Make the buffers hold ``capacity`` tokens, if they hold less."""
        before = self.capacity
        super().grow(capacity)
        if self.capacity == before:
            return
        # What no token was written to yet is hidden by the mask, but must be numbers: 0 times NaN is NaN.
        self.keys[:, :, before:].zero_()
        self.values[:, :, before:].zero_()
        torch._dynamo.mark_static_address(self.keys)
        torch._dynamo.mark_static_address(self.values)

    def shrink(self, capacity: int) -> None:
        """Keep the buffers: a graph was made for their shape."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append states and return all of them, or the whole buffers."""
        if not self.is_whole:
            return super().update(key_states, value_states)
        places = torch.arange(key_states.shape[-2], device=self.start.device) + self.start
        self.keys.index_copy_(2, places, key_states)
        self.values.index_copy_(2, places, value_states)
        return self.keys, self.values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset that the attention mask is made for."""
        return (self.capacity, 0) if self.is_whole else super().get_mask_sizes(query_length)

    def get_seq_length(self) -> int:
        """Return the number of tokens held; a tensor for a graph, which must not depend on the number."""
        return self.start if self.is_whole else self.length  # type: ignore[return-value]


def can_be_whole(cache: Cache, count: int) -> bool:
    """Whether every layer has room for ``count`` more tokens in buffers that can be shown whole."""
    return all(
        isinstance(layer, FixedLayer) and layer.is_initialized and layer.length + count <= layer.capacity
        for layer in cache.layers
    )


@contextmanager
def whole(cache: Cache, count: int) -> Iterator[None]:
    """Show whole buffers during one call that appends ``count`` tokens; see :func:`can_be_whole`."""
    layers: list[Any] = list(cache.layers)
    for layer in layers:
        layer.is_whole = True
    for start in {layer.start for layer in layers}:
        start.fill_(layers[0].length)
    try:
        yield
    finally:
        for layer in layers:
            layer.is_whole = False
    for layer in layers:
        layer.length += count
