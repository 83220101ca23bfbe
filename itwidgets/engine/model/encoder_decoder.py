"""Models with an encoder: it reads a source text once, and the decoder looks at that at every step."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers.cache_utils import Cache
from transformers.modeling_outputs import BaseModelOutput

from itwidgets.engine.kv.layers import growing_cache
from itwidgets.engine.model.compiled import compiled_step
from itwidgets.engine.model.masks import Mask
from itwidgets.engine.model.runner import Runner
from itwidgets.engine.model.scores import agree
from itwidgets.engine.model.source import Source, give_source, source_of
from itwidgets.engine.worker import stop_point

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_PROBE = (1, 2, 3)
_PROBE_SOURCE = (4, 5, 6, 7)


class EncoderDecoderRunner(Runner):
    """Runs a model with an encoder and a decoder; tokens, rows and caches are those of the decoder.

    A cache is for one source text: see :func:`~.source.give_source`.

    Parameters
    ----------
    model
        A sequence-to-sequence language model in evaluation mode.
    fast
        Whether to take faster routes than the model's own code where there are some.

    Raises
    ------
    TypeError
        When its encoder reads something else than tokens, or it has no language model's head.
    """

    has_encoder = True

    def __init__(self, model: PreTrainedModel, *, fast: bool = True) -> None:
        if model.main_input_name != "input_ids" or not model.can_generate():
            raise TypeError(
                f"{type(model).__name__} is no language model that reads a source text: "
                "models that AutoModelForSeq2SeqLM loads are accepted"
            )
        self._encoder: Any = model.get_encoder()
        self._decoder: Any = model.get_decoder()
        self._scale = 1.0
        super().__init__(model, fast=fast)

    # ---------------------------------------------------------------- what the model says of itself

    @property
    def context_length(self) -> int | None:
        """How many tokens the decoder was built for, if it says so."""
        length: int | None = getattr(self.config, "max_decoder_position_embeddings", None)
        return length or super().context_length

    @property
    def source_length(self) -> int | None:
        """How many tokens the encoder was built for, if it says so."""
        config = self._encoder.config.get_text_config(encoder=True)
        length: int | None = getattr(config, "max_encoder_position_embeddings", None)
        return length or getattr(config, "max_position_embeddings", None)

    @property
    def decoder_prompt(self) -> list[int]:
        """What each text begins with: the token that starts the decoder, and a first one that is forced.

        Raises
        ------
        ValueError
            When the model does not say what starts its decoder.
        """
        config: Any = self.model.generation_config
        start, first = config.decoder_start_token_id, config.forced_bos_token_id
        start = config.bos_token_id if start is None else start
        if start is None:
            raise ValueError(
                "the model does not say which token its decoder starts with: "
                "set engine.model.generation_config.decoder_start_token_id"
            )
        return [start] if first is None else [start, first]

    @cached_property
    def takes_tree_masks(self) -> bool:
        """Whether alternatives may pass side by side under a tree mask; tried when first asked.

        Many a decoder counts positions itself, by what the cache holds: side by side they would be wrong.
        """
        takes_positions = "position_ids" in inspect.signature(self._decoder.forward).parameters
        return takes_positions and super().takes_tree_masks

    def begin(self, prompt_ids: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
        """Return what the encoder reads, which is the prompt, and what the text begins with."""
        return prompt_ids, self.decoder_prompt

    def _configuration(self) -> Any:
        # The model's own may count the layers of the encoder. The decoder's does in BART, where both
        # have one: asked for its decoder's side, it has the numbers of the decoder in their place.
        return self._decoder.config.get_text_config(decoder=True)

    # ---------------------------------------------------------------- forward calls

    def share_source(self, cache: Cache, other: Cache) -> None:
        """Make a cache one for the source text of another."""
        give_source(cache, source_of(other))

    def trial_cache(self) -> Cache:
        """Return an empty cache, for a short source text, to try something with."""
        # A new one each time: what the encoder made of it before may be that of other weights.
        return self._cache_for(Source(self._known(_PROBE_SOURCE)))

    def forward_batch(self, token_ids: Sequence[int], cache: Cache) -> torch.Tensor:
        """Pass one token of each of several texts, which a cache holds side by side; return ``[n, D]``."""
        source = source_of(cache)
        with self._linears():
            if not source.is_whole:
                # Dropped meanwhile: made by one text alone, as at first, so that it has the same bits again.
                self._pass(token_ids[:1], self._cache_for(source))
            return self._decode(self._ids(token_ids).T, cache)[:, 0]

    def _pass(
        self,
        token_ids: Sequence[int] | torch.Tensor,
        cache: Cache,
        position_ids: torch.Tensor | None = None,
        mask: Mask | None = None,
    ) -> torch.Tensor:
        return self._decode(self._ids(token_ids), cache, position_ids, mask)[0]

    def _decode(
        self,
        ids: torch.Tensor,
        cache: Cache,
        position_ids: torch.Tensor | None = None,
        mask: Mask | None = None,
    ) -> torch.Tensor:
        source = source_of(cache)
        read = self._read(source).expand(len(ids), -1, -1)
        given = {"input_ids": ids, "position_ids": position_ids, "attention_mask": mask}
        given = {name: value for name, value in given.items() if value is not None}
        options: dict[str, Any] = {"past_key_values": source.beside(cache, len(ids)), "use_cache": True}
        if self._keeps_hidden:
            made = self._decoder(encoder_hidden_states=read, **given, **options).last_hidden_state
        else:
            given = {f"decoder_{name}": value for name, value in given.items()}
            made = self.model(encoder_outputs=BaseModelOutput(read), **given, **options).logits
        source.is_whole = True
        kept: torch.Tensor = made
        return kept

    def _read(self, source: Source) -> torch.Tensor:
        if source.hidden is None:
            with _stoppable(self._encoder):
                source.hidden = self._encoder(input_ids=self._ids(source.token_ids)).last_hidden_state
        return source.hidden

    def _cache_for(self, source: Source) -> Cache:
        cache = growing_cache(self.config)
        give_source(cache, source)
        return cache

    # ---------------------------------------------------------------- the head

    def _head(self, hidden: torch.Tensor) -> torch.Tensor:
        return super()._head(hidden * self._scale)

    def _probe(self) -> tuple[bool, torch.Tensor]:
        """Whether the head on what the decoder leaves gives the model's own logits, and those."""
        read, ids = (self._ids(self._known(probe)) for probe in (_PROBE_SOURCE, _PROBE))
        logits = self.model(input_ids=read, decoder_input_ids=ids, use_cache=False).logits[0]
        return self._head_agrees(logits), logits

    def _head_agrees(self, logits: torch.Tensor) -> bool:
        if self.model.get_output_embeddings() is None:
            return False
        self._keeps_hidden = True
        try:
            hidden = self._pass(self._known(_PROBE), self.trial_cache())
        # Whatever the model's own code raises on being called in parts.
        except Exception:  # noqa: BLE001
            return False
        # T5 scales before its head where weights are tied, and not every configuration says so.
        for self._scale in (1.0, hidden.shape[-1] ** -0.5):
            found = self.all_logits(hidden)
            if found.shape == logits.shape and agree(found, logits.to(found.dtype), self.model.dtype):
                return True
        return False


@contextmanager
def _stoppable(encoder: nn.Module) -> Iterator[None]:
    """Let a job be stopped before each layer of the encoder, which has no cache where that is done."""
    lists = [part for part in encoder.modules() if isinstance(part, nn.ModuleList)]
    hooks = [layer.register_forward_pre_hook(lambda *_: stop_point()) for layers in lists for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def make_runner(
    model: PreTrainedModel,
    *,
    fast: bool = True,
    compile: bool | str = False,  # noqa: A002 - the word of torch
) -> Runner:
    """Return what runs a model, of decoders alone or with an encoder; see there."""
    if not model.config.is_encoder_decoder:
        return Runner(model, fast=fast, compiled=compiled_step(model, compile) if compile else None)
    if compile:
        raise ValueError(f"compile is {compile!r}, but {type(model).__name__} has an encoder: leave it out")
    return EncoderDecoderRunner(model, fast=fast)
