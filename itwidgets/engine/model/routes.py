"""Chooses by which route tokens pass through a model: its own code, packed linear layers, or a fused step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import psutil
import torch

from itwidgets.engine.model.best_product import best_product
from itwidgets.engine.model.environment import kernels
from itwidgets.engine.model.fused import FusedStep, can_be_fused
from itwidgets.engine.model.packed import PackedLinears, Packs, can_be_packed
from itwidgets.engine.model.products import Plain

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ROOM = 0.5
"""Of the host's memory that is free when the model is looked at: what copies of its weights may take."""

PLAIN, PACKED, FUSED, COMPILED = "plain", "packed", "fused", "compiled"


class Routes:
    """The ways by which tokens may pass through a model.

    ``"plain"``
        The model's own code.
    ``"packed"``
        The same, while linear layers multiply as suits the processor, some with copies of their weights.
    ``"fused"``
        A step with few operations, for families that it knows; see :mod:`~.fused`.

    Each later one is taken where it pays and where nobody has put anything of their own into the
    model; the earlier ones are always there.

    Parameters
    ----------
    model
        The model; nothing in it is changed, except for the time of a call, and then put back.
    agrees
        Says whether a fused step gives what the model's own code gives.
    """

    def __init__(self, model: PreTrainedModel, agrees: Callable[[FusedStep], bool]) -> None:
        self._model = model
        self._packs = Packs(room_for_copies(model))
        self._linears: PackedLinears | None = None
        self._head: PackedLinears | None = None
        self._fused: FusedStep | None = None
        if can_be_fused(model.base_model):
            self._fused = self._found(model.base_model, agrees)

    def _found(self, base: Any, agrees: Callable[[FusedStep], bool]) -> FusedStep | None:
        """Return the fused step that agrees, with machine code or else without."""
        step = FusedStep(base, self._packs.get)
        if agrees(step):
            return step
        if step.is_native:
            step = FusedStep(base, self._packs.get, is_native=False)
            return step if agrees(step) else None
        return None

    @property
    def kernels(self) -> dict[str, str]:
        """What linear layers and steps are multiplied with; see :func:`~.environment.kernels`."""
        is_native = self._fused is not None and self._fused.is_native
        on_cpu = self._model.device.type == "cpu"
        return kernels(best_product(self._model.dtype) if on_cpu else Plain, has_native_step=is_native)

    def prepare(self) -> str:
        """Pack the weights, if that has not been done, and return the route that will be taken."""
        with torch.inference_mode(), self.head():
            if self.fused() is not None:
                return FUSED
            with self.linears() as packed:
                return PACKED if packed else PLAIN

    def fused(self) -> FusedStep | None:
        """Return the fused step, if it can be taken now."""
        if self._fused is None or torch.is_grad_enabled() or not self._fused.is_faithful():
            return None
        self._packs.update()
        return self._fused

    def linears(self) -> AbstractContextManager[bool]:
        """Let all linear layers multiply with their packs until the end of the ``with``."""
        if self._linears is None:
            self._linears = PackedLinears(self._packs, list(filter(can_be_packed, self._model.modules())))
        return self._in_place(self._linears)

    def head(self) -> AbstractContextManager[bool]:
        """Let the output head multiply with its pack until the end of the ``with``."""
        if self._head is None:
            self._head = PackedLinears(
                self._packs, list(filter(can_be_packed, [self._model.get_output_embeddings()]))
            )
        return self._in_place(self._head)

    def _in_place(self, linears: PackedLinears) -> AbstractContextManager[bool]:
        # A product with a copy gives no gradients.
        return linears.in_place() if linears and not torch.is_grad_enabled() else nullcontext(False)


def room_for_copies(model: PreTrainedModel) -> int:
    """Bytes of the host's memory that copies of a model's weights may take."""
    weights = sum(layer.weight.nbytes for layer in filter(can_be_packed, model.modules()))
    return min(weights, int(_ROOM * psutil.virtual_memory().available))
