"""What is held apart from the current branch: keys and values of rows, and states at rows."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import torch
from transformers.cache_utils import Cache, LinearAttentionLayer

Layers = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of each layer, ``[1, heads, rows, dim]``."""


V = TypeVar("V")


class Index(dict[int, V]):
    """What is held of each row; what is held refers to it weakly, so that both go with their tree."""


class Segment:
    """Keys and values of consecutive tokens, in memory of their own.

    Parameters
    ----------
    layers
        The keys and values.
    on_host
        Whether they were moved to the host's memory.
    """

    used = 0
    is_lent = False

    def __init__(self, layers: Layers, *, on_host: bool = False) -> None:
        self.layers = layers
        self.on_host = on_host
        self._rows: Sequence[int] = ()
        self._index: weakref.ref[Index[tuple[Segment, int]]] | None = None

    def hold(self, index: Index[tuple[Segment, int]], rows: Sequence[int]) -> None:
        """Say in an index at which place each of some rows is held here, until the content is given up."""
        self._rows, self._index = list(rows), weakref.ref(index)
        index.update((row, (self, place)) for place, row in enumerate(self._rows))

    @property
    def nbytes(self) -> int:
        """Bytes of all layers."""
        return sum(keys.nbytes + values.nbytes for keys, values in self.layers)

    def part(self, start: int, count: int) -> Segment:
        """Copy the keys and values of some of the tokens, if they are still there."""
        at = slice(start, start + count)
        copies = [(keys[:, :, at].clone(), values[:, :, at].clone()) for keys, values in self.layers]
        return Segment(copies, on_host=self.on_host)

    def move_to_host(self) -> None:
        """Keep the content, in the host's memory."""
        self.layers = [(keys.cpu(), values.cpu()) for keys, values in self.layers]
        self.on_host = True

    def drop(self) -> None:
        """Give the content up."""
        index = None if self._index is None else self._index()
        if index is not None:
            for row in self._rows:
                if index.get(row, (None,))[0] is self:
                    del index[row]
        self.layers = []


class Snapshot:
    """The states of a model after a token."""

    used = 0
    is_lent = False

    def __init__(self, content: Any, *, on_host: bool = False) -> None:
        self.content = content
        self.on_host = on_host
        self.nbytes = _nbytes(content)
        self._row = -1
        self._index: weakref.ref[Index[Snapshot]] | None = None

    def hold(self, index: Index[Snapshot], row: int) -> None:
        """Say in an index that the states after a row are held here, until the content is given up."""
        self._row, self._index = row, weakref.ref(index)
        index[row] = self

    def move_to_host(self) -> None:
        """Keep the content, in the host's memory: restoring it copies it back into place."""
        if not isinstance(self.content, list):
            # A whole cache of an unknown kind knows its devices itself.
            self.drop()
            return
        self.content = [[_on_host(states) for states in layer] for layer in self.content]
        self.on_host = True

    def drop(self) -> None:
        """Give the content up."""
        index = None if self._index is None else self._index()
        if index is not None and index.get(self._row) is self:
            del index[self._row]
        self.content = None
        self.nbytes = 0


class States(Protocol):
    """The part of a cache that cannot be cut: taken and put back as a whole."""

    @property
    def nbytes(self) -> int:
        """Bytes of the states in use."""
        ...

    def take(self, *, on_host: bool = False) -> Any:
        """Return a copy of the states, where they are or in the host's memory."""
        ...

    def put_back(self, content: Any) -> None:
        """Make the states those of a copy; it can be used again."""
        ...

    def reset(self) -> None:
        """Start from nothing."""
        ...

    def release(self) -> None:
        """Start from nothing, and give the memory back."""
        ...


class LayerStates:
    """States of recurrent and convolution layers."""

    def __init__(self, layers: Sequence[LinearAttentionLayer]) -> None:
        self._layers = layers

    @property
    def nbytes(self) -> int:
        """Bytes of the states in use."""
        return _nbytes([[layer.conv_states, layer.recurrent_states] for layer in self._layers])

    def take(self, *, on_host: bool = False) -> Any:
        """Return a copy of the states, where they are or in the host's memory."""
        return [
            [
                (_copy(layer.conv_states[i], on_host), _copy(layer.recurrent_states[i], on_host))
                for i in layer.conv_states
            ]
            for layer in self._layers
        ]

    def put_back(self, content: Any) -> None:
        """Make the states those of a copy; it can be used again."""
        for layer, states in zip(self._layers, content, strict=True):
            for i, (conv, recurrent) in enumerate(states):
                _put(layer.conv_states, layer.is_conv_states_initialized, i, conv, layer.device)
                _put(
                    layer.recurrent_states, layer.is_recurrent_states_initialized, i, recurrent, layer.device
                )
                layer.has_previous_state[i] = True

    def reset(self) -> None:
        """Start from nothing."""
        for layer in self._layers:
            LinearAttentionLayer.reset(layer)

    def release(self) -> None:
        """Start from nothing, and give the memory back."""
        for layer in self._layers:
            for i in layer.conv_states:
                layer.conv_states[i] = layer.recurrent_states[i] = None
                layer.is_conv_states_initialized[i] = layer.is_recurrent_states_initialized[i] = False
                layer.has_previous_state[i] = False


class WholeCache:
    """A cache of a kind that is not known here, copied whole."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._empty = copy.deepcopy(cache.__dict__)

    @property
    def nbytes(self) -> int:
        """Bytes of the cache."""
        return _nbytes(self._cache)

    def take(self, *, on_host: bool = False) -> Any:
        """Return a copy of the cache, where it is: a cache of an unknown kind knows its devices itself."""
        return copy.deepcopy(self._cache.__dict__)

    def put_back(self, content: Any) -> None:
        """Make the cache that of a copy; it can be used again."""
        self._cache.__dict__.update(copy.deepcopy(content))

    def reset(self) -> None:
        """Start from nothing."""
        self.put_back(self._empty)

    def release(self) -> None:
        """Start from nothing, which gives the memory back."""
        self.reset()


def _put(
    states: dict[int, torch.Tensor | None],
    is_initialized: dict[int, bool],
    index: int,
    saved: torch.Tensor | None,
    device: torch.device | None,
) -> None:
    state = states[index]
    if saved is None:
        return
    if state is not None:
        # In place: the tensors may be known to a compiled graph by their address.
        state.copy_(saved)
        return
    states[index] = torch.empty_like(saved, device=device).copy_(saved)
    is_initialized[index] = True


def _copy(tensor: torch.Tensor | None, on_host: bool) -> torch.Tensor | None:
    if tensor is None:
        return None
    return tensor.to("cpu", copy=True) if on_host else tensor.clone()


def _tensors(content: Any) -> list[torch.Tensor]:
    if isinstance(content, torch.Tensor):
        return [content]
    if isinstance(content, dict):
        return _tensors(list(content.values()))
    if isinstance(content, (list, tuple)):
        return [tensor for part in content for tensor in _tensors(part)]
    return _tensors(vars(content)) if hasattr(content, "__dict__") else []


def _nbytes(content: Any) -> int:
    return sum(tensor.nbytes for tensor in _tensors(content))


def _on_host(states: Sequence[torch.Tensor | None]) -> tuple[torch.Tensor | None, ...]:
    return tuple(None if state is None else state.cpu() for state in states)
