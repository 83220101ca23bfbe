"""Products that suit the processor, some with copies of the weights, and a model run with them."""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import MethodType
from typing import TypeGuard

import torch
from torch import nn

from itwidgets.engine.model.best_product import best_product
from itwidgets.engine.model.products import Plain, Product, without_copy

Layers = tuple[nn.Linear, ...]
Make = Callable[[Layers], Product]
State = tuple[list[torch.Tensor], list[tuple[int, int]]]
Parameters = dict[str, nn.Parameter | None]


class _Here(threading.local):
    """What the current thread runs its linear layers with."""

    packs: dict[nn.Linear, Pack] | None = None


_here = _Here()
_LINEAR_FORWARD = nn.Linear.forward


class Pack:
    """Linear layers that read the same input, as one product: that of the layers until it is packed.

    Attributes
    ----------
    product
        Computes their outputs side by side.
    """

    product: Product

    def __init__(self, layers: Layers, make: Make) -> None:
        self._layers, self._make = layers, make
        self._state: State | None = None
        self.dtype = layers[0].weight.dtype
        self.product = Plain(layers)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply ``[..., n, inputs]``."""
        return self.product(x)

    @property
    def is_plain(self) -> bool:
        """Whether it multiplies as the layers themselves do."""
        return type(self.product) is Plain

    def pack(self) -> None:
        """Copy the weights as they are now."""
        state = self._now()
        with torch.no_grad():
            self.product = self._make(self._layers)
        # Only now: where there was no memory for the copy, the next step has to try again.
        self._state, self.dtype = state, self._layers[0].weight.dtype

    def is_current(self) -> bool:
        """Whether the weights are those that were copied."""
        if self._state is None:
            return False
        now = self._now()
        return all(map(operator.is_, now[0], self._state[0])) and now[1] == self._state[1]

    def _now(self) -> State:
        parameters = parameters_of([layer._parameters for layer in self._layers])
        return parameters, [(_version(p), p.data_ptr()) for p in parameters]


class Packs:
    """Products of a model's linear layers, with copies of the weights that are made anew when they change.

    A weight is known to have changed when it is another tensor, lies elsewhere, or was written to in
    place. Writing through ``.data`` leaves no trace: what multiplies with copies goes on with the old
    weights, be it all calls or those of several rows alone, until the runner is refreshed.

    Parameters
    ----------
    room
        Bytes that copies of weights may take; when they are used up, the layers multiply as they are.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._copied: dict[Layers, int] = {}
        self._packs: dict[Layers, Pack] = {}
        self._dicts: list[Parameters] = []
        self._known: list[torch.Tensor] = []
        self._versioned: list[torch.Tensor] = []
        self._versions: list[int] = []
        self._places: list[int] = []
        self._is_whole = True

    def get(self, *layers: nn.Linear) -> Pack:
        """Return the product of layers that read the same input; :meth:`update` packs it."""
        if layers not in self._packs:
            self._packs[layers] = Pack(layers, self._make)
            self._is_whole = False
        return self._packs[layers]

    def _make(self, layers: Layers) -> Product:
        make = best_product(layers[0].weight.dtype)
        if without_copy(make) is make:
            return make(layers)
        before = self._copied.get(layers, 0)
        nbytes = sum(layer.weight.nbytes for layer in layers)
        if nbytes - before > self._room:
            return without_copy(make)(layers)
        product = make(layers)
        self._room -= nbytes - before
        self._copied[layers] = nbytes
        return product

    def update(self) -> None:
        """Copy the weights that have changed. Called before each step, so it looks at them all at once."""
        parameters = parameters_of(self._dicts)
        if (
            self._is_whole
            and len(parameters) == len(self._known)
            and all(map(operator.is_, parameters, self._known))
            and [p._version for p in self._versioned] == self._versions
            and [p.data_ptr() for p in parameters] == self._places
        ):
            return
        for pack in self._packs.values():
            if not pack.is_current():
                pack.pack()
        packed = [layers for layers, pack in self._packs.items() if not pack.is_plain]
        self._dicts = [layer._parameters for layers in packed for layer in layers]
        self._known = parameters_of(self._dicts)
        # Tensors that were made in inference mode count no versions.
        self._versioned = [p for p in self._known if not p.is_inference()]
        self._versions = [p._version for p in self._versioned]
        self._places = [p.data_ptr() for p in self._known]
        self._is_whole = True


class PackedLinears:
    """Lets linear layers of a model multiply with packs, on this thread and inside a ``with`` alone.

    Each layer gets a ``forward`` of its own for that time, so the hooks that users have put on it go on
    working. Another thread that calls the model meanwhile, and whoever needs gradients, gets the
    layer's own forward.
    """

    def __init__(self, packs: Packs, layers: Sequence[nn.Linear]) -> None:
        self._packs = packs
        known = {layer: packs.get(layer) for layer in layers}
        packs.update()
        self._by_layer = {layer: pack for layer, pack in known.items() if not pack.is_plain}
        self._forwards = [(layer.__dict__, MethodType(_forward, layer)) for layer in self._by_layer]

    def __bool__(self) -> bool:
        """Whether any layer multiplies otherwise than by itself."""
        return bool(self._by_layer)

    @contextmanager
    def in_place(self) -> Iterator[bool]:
        """Multiply with the packs until the end of the ``with``."""
        self._packs.update()
        installed = []
        try:
            # Somebody's own forward is left alone, be it of one layer or of them all.
            if nn.Linear.forward is _LINEAR_FORWARD:
                for attributes, forward in self._forwards:
                    if "forward" not in attributes:
                        attributes["forward"] = forward
                        installed.append((attributes, forward))
            _here.packs = self._by_layer
            yield True
        finally:
            _here.packs = None
            for attributes, forward in installed:
                if attributes.get("forward") is forward:
                    del attributes["forward"]


def can_be_packed(module: nn.Module) -> TypeGuard[nn.Linear]:
    """Whether a module is a plain linear layer on the CPU: not quantised, sharded, adapted or offloaded."""
    if type(module) is not nn.Linear or "weight" not in module._parameters:
        return False
    parameters = parameters_of([module._parameters])
    return all(type(p) is nn.Parameter and p.device.type == "cpu" for p in parameters)


# Bound to its layer as a method, so that a copy of the layer gets a method of the copy.
def _forward(self: nn.Linear, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's own name for it
    pack = None if _here.packs is None else _here.packs.get(self)
    if pack is None or torch.is_grad_enabled() or input.dtype != pack.dtype:
        return _LINEAR_FORWARD(self, input)
    return pack.product(input)


def parameters_of(dicts: Sequence[Parameters]) -> list[torch.Tensor]:
    """List what modules hold, given the ``_parameters`` of each: faster than asking the modules."""
    return [p for parameters in dicts for p in parameters.values() if p is not None]


def _version(parameter: torch.Tensor) -> int:
    return 0 if parameter.is_inference() else parameter._version


def is_ours(forward: object) -> bool:
    """Whether a layer's ``forward`` was put there for the time of a ``with``, maybe on another thread."""
    return getattr(forward, "__func__", None) is _forward
