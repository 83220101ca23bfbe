"""Single tokens by a compiled graph of the model's own code, over buffers whose shape does not change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers.cache_utils import Cache

from itwidgets.engine.kv.fixed import FixedLayer, can_be_whole, whole
from itwidgets.engine.kv.layers import can_be_cut, growing_cache
from itwidgets.engine.model.watch import Watch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class CompiledStep:
    """Passes one token through a model by a graph; a new one is made only when the buffers double.

    Parameters
    ----------
    base
        The model without its head.
    backend
        A backend of ``torch.compile``, or ``None`` for its own choice: graphs of the device on CUDA.
    """

    def __init__(self, base: Any, backend: str | None) -> None:
        options: dict[str, Any] = {"dynamic": False}
        if backend is not None:
            options["backend"] = backend
        elif next(base.parameters()).is_cuda:
            options["mode"] = "reduce-overhead"
        self._graph: Any = torch.compile(base, **options)
        self._watch = Watch(base, free=set())

    def can_take(self, token_ids: torch.Tensor, cache: Cache) -> bool:
        """Whether it is one token, with room in buffers that can be shown whole, and no hook to be heard."""
        return token_ids.shape[-1] == 1 and can_be_whole(cache, 1) and self._watch.is_untouched()

    def __call__(self, token_ids: torch.Tensor, cache: Cache) -> torch.Tensor:
        """Pass a token, int64 ``[1, 1]``; return its last hidden state ``[1, D]``."""
        with whole(cache, 1):
            output = self._graph(input_ids=token_ids, past_key_values=cache, use_cache=True)
            # A graph of the device writes its output to the same place each time.
            hidden: torch.Tensor = output.last_hidden_state[0].clone()
        return hidden

    def new_cache(self, config: Any) -> Cache:
        """Return an empty cache of layers that can be shown whole."""
        starts: dict[torch.device, torch.Tensor] = {}
        return growing_cache(config, lambda: FixedLayer(starts))


def compiled_step(model: PreTrainedModel, compile: bool | str) -> CompiledStep:  # noqa: A002 - see Engine
    """Return the compiled step of a decoder-only model.

    Raises
    ------
    ValueError
        When torch has no such backend, or the model has states beside keys and values.
    """
    backend = None if compile is True else str(compile)
    known = torch._dynamo.list_backends(exclude_tags=())
    if backend is not None and backend not in known:
        raise ValueError(f"compile is {compile!r}, but must be True, False or one of {', '.join(known)}")
    if not can_be_cut(model.config.get_text_config(decoder=True)):
        raise ValueError(
            f"compile is {compile!r}, but the layers of {type(model).__name__} have states beside keys and "
            "values: leave it out"
        )
    return CompiledStep(model.base_model, backend)
