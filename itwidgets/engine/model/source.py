"""Source texts, which an encoder reads, and what a model made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, EncoderDecoderCache


class Source:
    """A source text and what the model made of it; when that is dropped, the encoder reads the text again.

    Parameters
    ----------
    token_ids
        The text.

    Attributes
    ----------
    hidden
        What the encoder made of it, ``[1, source, D]``, or ``None`` if it has not read it.
    cross
        Its keys and values for each layer of the decoder.
    is_whole
        Whether all layers of the decoder have theirs.
    """

    used = 0
    on_host = False
    is_lent = False

    def __init__(self, token_ids: Sequence[int]) -> None:
        self.token_ids = tuple(token_ids)
        self.drop()

    @property
    def nbytes(self) -> int:
        """Bytes of what the model made of it."""
        tensors = [] if self.hidden is None else [self.hidden]
        for layer in self.cross.layers if self.is_whole else ():
            tensors += _states(layer)
        return sum(tensor.nbytes for tensor in tensors)

    def move_to_host(self) -> None:
        """Give it up as well: to read the source again costs little beside moving it to and fro."""
        self.drop()

    def drop(self) -> None:
        """Give up what the model made of it."""
        self.hidden: torch.Tensor | None = None
        self.cross = DynamicCache()
        self.is_whole = False

    def beside(self, cache: Cache, count: int) -> EncoderDecoderCache:
        """Return its keys and values beside those of ``count`` texts that a cache holds."""
        if not self.is_whole:
            # A step that failed halfway leaves torn layers behind.
            self.cross = DynamicCache()
        if count == 1:
            return EncoderDecoderCache(cache, self.cross)
        copies: list[Any] = [_repeated(*_states(layer), count) for layer in self.cross.layers]
        return EncoderDecoderCache(cache, Cache(layers=copies))


def give_source(cache: Cache, source: Source) -> None:
    """Make a cache one for a source text, which is as much of what came before as keys and values are."""
    vars(cache)["source"] = source


def source_of(cache: Cache) -> Source:
    """Return the source text that a cache is for."""
    source: Source = vars(cache)["source"]
    return source


def _states(layer: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return layer.keys, layer.values


def _repeated(keys: torch.Tensor, values: torch.Tensor, count: int) -> DynamicLayer:
    layer = DynamicLayer()
    layer.lazy_initialization(keys, values)
    layer.keys, layer.values = (states.expand(count, -1, -1, -1) for states in (keys, values))
    return layer
