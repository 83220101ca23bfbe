"""Keys and values of a token tree: what is held, for which rows, and how a branch is made current."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from transformers.cache_utils import Cache, DynamicCache

from itwidgets.engine.cache import GrowingLayer, can_be_cut, growing_cache


class KVStore(Protocol):
    """Holds the keys and values of one path of rows ready for the model, and perhaps of others."""

    cache: Cache

    def activate(self, path: Sequence[int]) -> int:
        """Make the cache hold the longest prefix of ``path`` that is known; return its length."""
        ...

    def commit(self, rows: Sequence[int]) -> None:
        """Say which rows the states belong to that the last forward call appended."""
        ...

    def rollback(self) -> None:
        """Forget what a torn forward call may have appended since the last commit."""
        ...


def kv_store(config: Any) -> KVStore:
    """Return the best store that the layers of a model allow."""
    return SegmentStore(config) if can_be_cut(config) else RecomputingStore(config)


@dataclass(frozen=True, eq=False)
class _Segment:
    """States of consecutive rows of a path, per layer, in memory of their own."""

    layers: list[tuple[torch.Tensor, torch.Tensor]]


class SegmentStore:
    """One growing cache for the current path, and copies of the ends of other branches.

    Leaving a branch copies out the rows that are not held elsewhere; going back copies them in. No row
    that was once held passes through the model again.
    """

    def __init__(self, config: Any) -> None:
        self.cache = growing_cache(config)
        self._layers = [layer for layer in self.cache.layers if isinstance(layer, GrowingLayer)]
        self._path: list[int] = []
        self._held: dict[int, tuple[_Segment, int]] = {}

    def activate(self, path: Sequence[int]) -> int:
        """Make the cache hold the longest prefix of ``path`` that is known; return its length."""
        shared = _common_length(self._path, path)
        self._keep(shared)
        self._truncate(shared)
        while len(self._path) < len(path) and path[len(self._path)] in self._held:
            self._restore(path)
        return len(self._path)

    def commit(self, rows: Sequence[int]) -> None:
        """Say which rows the states belong to that the last forward call appended."""
        self._path += rows

    def rollback(self) -> None:
        """Forget what a torn forward call may have appended since the last commit."""
        self._truncate(len(self._path))

    def _truncate(self, length: int) -> None:
        del self._path[length:]
        for layer in self._layers:
            layer.truncate(length)

    def _keep(self, start: int) -> None:
        """Copy out the rows of the current path from ``start`` on that have no copy yet."""
        while start < len(self._path) and self._path[start] in self._held:
            start += 1
        if start == len(self._path):
            return
        segment = _Segment([layer.copy(start, len(self._path)) for layer in self._layers])
        for offset, row in enumerate(self._path[start:]):
            self._held[row] = (segment, offset)

    def _restore(self, path: Sequence[int]) -> None:
        """Append the next rows of ``path`` that lie side by side in one segment."""
        first = len(self._path)
        segment, offset = self._held[path[first]]
        count = 1
        while first + count < len(path) and self._held.get(path[first + count]) == (
            segment,
            offset + count,
        ):
            count += 1
        for layer, (keys, values) in zip(self._layers, segment.layers, strict=True):
            layer.update(keys[:, :, offset : offset + count], values[:, :, offset : offset + count])
        self.commit(path[first : first + count])


class RecomputingStore:
    """For models whose cache cannot be cut, as of recurrent layers: another path starts from nothing."""

    def __init__(self, config: Any) -> None:
        self._config = config
        self._path: list[int] = []
        self.cache: Cache = DynamicCache(config=config)

    def activate(self, path: Sequence[int]) -> int:
        """Keep the cache if ``path`` goes on from what it holds, else start anew."""
        if list(path[: len(self._path)]) != self._path:
            self.rollback()
        return len(self._path)

    def commit(self, rows: Sequence[int]) -> None:
        """Say which rows the states belong to that the last forward call appended."""
        self._path += rows

    def rollback(self) -> None:
        """Start anew: such a cache cannot be repaired."""
        self._path = []
        self.cache = DynamicCache(config=self._config)


def _common_length(a: Sequence[int], b: Sequence[int]) -> int:
    length = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        length += 1
    return length
