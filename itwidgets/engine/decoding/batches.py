"""Running several continuations of one prefix together."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from transformers.cache_utils import (
    Cache,
    DynamicLayer,
    LinearAttentionAndFullAttentionLayer,
    LinearAttentionLayer,
)

from itwidgets.engine.kv.held import Layers
from itwidgets.engine.kv.layers import GrowingLayer, HybridLayer, StateLayer, is_known
from itwidgets.engine.kv.store import BranchStore
from itwidgets.engine.model.masks import tree_mask
from itwidgets.engine.model.runner import Runner


class Batch(Protocol):
    """Continuations that pass through the model together, one token each at a time."""

    def step(self, members: Sequence[int], token_ids: Sequence[int]) -> torch.Tensor:
        """Pass the next token of each member; return what is kept of each, ``[n, D]``."""
        ...

    def repair(self) -> None:
        """Undo what a torn step did, or let the next step begin with that."""
        ...

    def layers(self) -> Layers | None:
        """Take out the keys and values that were added to the prefix, member after member; ends the batch."""
        ...

    def states(self, member: int) -> Any:
        """Return the states after a member's last token, or ``None``."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes that the continuations take beside the prefix."""
        ...


def batch_of(runner: Runner, store: BranchStore, count: int, length: int) -> Batch:
    """Return the best way to run ``count`` continuations of the branch, of ``length`` tokens at most."""
    if runner.takes_tree_masks:
        return FlattenedTree(runner, store, count * length)
    store.make_room_for_copies(count)
    return (BatchOfCopies if is_known(runner.config) else SeparateCopies)(runner, store, count)


class FlattenedTree:
    """All continuations behind one prefix, as one text with a mask: nothing is copied.

    Each sees the prefix and itself (Miao et al. 2024, SpecInfer). Their keys and values stand behind the
    current branch in its own buffers, so those must be lent for as long as this is in use.

    Parameters
    ----------
    most
        How many tokens they are together, at most.
    """

    def __init__(self, runner: Runner, store: BranchStore, most: int) -> None:
        self._most = most
        self._runner = runner
        self._store = store
        self._prefix = len(store.rows)
        self._owners: list[int] = []
        self._positions: list[int] = []

    def step(self, members: Sequence[int], token_ids: Sequence[int]) -> torch.Tensor:
        """Pass the next token of each member; return what is kept of each, ``[n, D]``."""
        owners = [*self._owners, *members]
        positions = [*self._positions, *(self._prefix + self._owners.count(member) for member in members)]
        device = self._runner.input_device
        at = torch.tensor(positions, device=device)
        owned = torch.tensor(owners, device=device)
        mask = tree_mask(self._runner.config, self._prefix, owned, at, len(members), self._runner.model.dtype)
        self._store.lengthen(len(self._owners), len(members), self._most)
        kept = self._runner.forward(
            token_ids, self._store.cache, position_ids=at[None, -len(members) :], mask=mask
        )
        self._owners, self._positions = owners, positions
        return kept

    def repair(self) -> None:
        """Nothing to do: the next step begins by cutting the buffers to what is known."""

    def layers(self) -> Layers:
        """Take out the keys and values that were added to the prefix, member after member."""
        # Sorting keeps the tokens of a member in their order.
        order = sorted(range(len(self._owners)), key=self._owners.__getitem__)
        return self._store.take_out([self._prefix + i for i in order])

    def states(self, member: int) -> None:
        """Return nothing: keys and values say it all."""
        return

    @property
    def nbytes(self) -> int:
        """Bytes that the continuations take beside the prefix."""
        return self._store.bytes_of(len(self._owners))


class BatchOfCopies:
    """A batch in which each continuation has the whole prefix: for models that take no tree mask."""

    def __init__(self, runner: Runner, store: BranchStore, count: int) -> None:
        self._runner = runner
        self._store = store
        self._count = count
        self._prefix = len(store.rows)
        self._cache: Cache | None = None
        self._fed: list[list[int]] = []
        self._lengths = [0] * count
        self._last: Sequence[int] = ()

    def step(self, members: Sequence[int], token_ids: Sequence[int]) -> torch.Tensor:
        """Pass the next token of each member; return what is kept of each, ``[n, D]``."""
        # Those that have ended go on with any token: nobody reads them.
        fed = [token_ids[0]] * self._count
        for member, token_id in zip(members, token_ids, strict=True):
            fed[member] = token_id
        # Nobody's states are whole before the step is.
        self._last = ()
        if self._cache is None:
            self._cache = self._begun()
        kept = self._runner.forward_batch(fed, self._cache)[list(members)]
        self._fed.append(fed)
        self._last = members
        for member in members:
            self._lengths[member] += 1
        return kept

    def _begun(self) -> Cache:
        """Copy the prefix, and pass what was passed before a torn step."""
        cache = Cache(layers=[_repeated(layer, self._count) for layer in self._store.cache.layers])
        self._runner.share_source(cache, self._store.cache)
        for fed in self._fed:
            self._runner.forward_batch(fed, cache)
        return cache

    def repair(self) -> None:
        """Let go of the copies, which are torn: the next step makes new ones."""
        self._cache = None

    def layers(self) -> Layers:
        """Copy the keys and values that were added to the prefix, member after member."""
        return [(self._added(keys), self._added(values)) for keys, values in self._attention()]

    def _added(self, states: torch.Tensor) -> torch.Tensor:
        stops = [self._prefix + length for length in self._lengths]
        parts = [states[i : i + 1, :, self._prefix : stop] for i, stop in enumerate(stops)]
        return torch.cat(parts, dim=2)

    def states(self, member: int) -> Any:
        """Return the states after a member's last token, or ``None``."""
        of_all = () if self._cache is None else self._cache.layers
        layers = [layer for layer in of_all if isinstance(layer, LinearAttentionLayer)]
        if not layers or member not in self._last:
            # Of one that has ended the states went on with tokens that are not its own.
            return None
        return [
            [
                (_of(layer.conv_states[i], member), _of(layer.recurrent_states[i], member))
                for i in layer.conv_states
            ]
            for layer in layers
        ]

    @property
    def nbytes(self) -> int:
        """Bytes that the continuations take beside the prefix: the prefix again, for each."""
        return sum(keys.nbytes + values.nbytes for keys, values in self._attention())

    def _attention(self) -> Layers:
        of_all = () if self._cache is None else self._cache.layers
        layers: list[Any] = [layer for layer in of_all if isinstance(layer, DynamicLayer)]
        return [(layer.keys, layer.values) for layer in layers]


class SeparateCopies:
    """One cache for each continuation: for caches of kinds that are not known here."""

    def __init__(self, runner: Runner, store: BranchStore, count: int) -> None:
        self._runner = runner
        self._store = store
        self._caches: list[Cache] = []
        self._fed: list[list[int]] = [[] for _ in range(count)]
        self.nbytes = count * store.nbytes

    def step(self, members: Sequence[int], token_ids: Sequence[int]) -> torch.Tensor:
        """Pass the next token of each member; return what is kept of each, ``[n, D]``."""
        caches = self._caches or [self._begun(fed) for fed in self._fed]
        # None, until the step is whole.
        self._caches = []
        pairs = list(zip(members, token_ids, strict=True))
        kept = torch.cat([self._runner.forward([token_id], caches[member]) for member, token_id in pairs])
        for member, token_id in pairs:
            self._fed[member].append(token_id)
        self._caches = caches
        return kept

    def _begun(self, fed: Sequence[int]) -> Cache:
        """Copy the prefix, and pass what was passed before a torn step."""
        cache = copy.deepcopy(self._store.cache)
        for token_id in fed:
            self._runner.forward([token_id], cache)
        return cache

    def repair(self) -> None:
        """Nothing to do: the next step makes new copies."""

    def layers(self) -> None:
        """Return nothing: such a cache has no part that belongs to some tokens."""
        return

    def states(self, member: int) -> Any:
        """Return the whole cache of a member, unless a step tore it."""
        return self._caches[member].__dict__ if self._caches else None


def _repeated(layer: Any, count: int) -> Any:
    """Return a layer of transformers that holds what ``layer`` holds, ``count`` times."""
    if isinstance(layer, HybridLayer):
        hybrid = LinearAttentionAndFullAttentionLayer(layer.number_of_states)
        _fill_keys(hybrid, layer, count)
        _fill_states(hybrid, layer, count)
        return hybrid
    if isinstance(layer, GrowingLayer):
        attention = DynamicLayer()
        _fill_keys(attention, layer, count)
        return attention
    if isinstance(layer, StateLayer):
        states = LinearAttentionLayer(layer.number_of_states)
        _fill_states(states, layer, count)
        return states
    return layer


def _fill_keys(target: DynamicLayer, source: GrowingLayer, count: int) -> None:
    keys, values = source.view(0, source.length)
    target.lazy_initialization(keys, values)
    # Views: the first append makes the copies.
    target.keys, target.values = keys.expand(count, -1, -1, -1), values.expand(count, -1, -1, -1)


def _fill_states(target: LinearAttentionLayer, source: LinearAttentionLayer, count: int) -> None:
    for i in source.conv_states:
        conv, recurrent = source.conv_states[i], source.recurrent_states[i]
        if conv is not None:
            LinearAttentionLayer.lazy_initialization(target, conv_states=_times(conv, count), state_idx=i)
            target.conv_states[i] = _times(conv, count)
        if recurrent is not None:
            LinearAttentionLayer.lazy_initialization(
                target, recurrent_states=_times(recurrent, count), state_idx=i
            )
            target.recurrent_states[i] = _times(recurrent, count)
        target.has_previous_state[i] = source.has_previous_state[i]


def _times(state: torch.Tensor, count: int) -> torch.Tensor:
    return state.repeat_interleave(count, dim=0)


def _of(state: torch.Tensor | None, member: int) -> torch.Tensor | None:
    return None if state is None else state[member : member + 1].clone()
