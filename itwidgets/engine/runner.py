"""One forward call of the model, and the output head on what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers.cache_utils import Cache, DynamicCache

from itwidgets.engine.cache import can_be_cut

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_PROBE = (1, 2)


@dataclass(frozen=True)
class Capabilities:
    """What the model's build allows.

    Attributes
    ----------
    branches
        ``"held"``: keys and values of all branches are kept, and forcing costs one decode step.
        ``"recomputed"``: the cache cannot be cut, so forcing recomputes the branch up to there.
    rows
        What is kept of a row to give its distribution again: its last ``"hidden state"``, or its
        ``"logits"`` where the head is not a plain function of that.
    """

    branches: str
    rows: str


class Runner:
    """Runs a decoder-only model of transformers on tokens, without touching the model itself.

    Parameters
    ----------
    model
        A causal language model in evaluation mode.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.config = model.config.get_text_config(decoder=True)
        self.calls = 0
        self._postprocess = _postprocessing(self.config)
        with torch.inference_mode():
            self._keeps_hidden, self.vocabulary_size = self._probe()

    @property
    def capabilities(self) -> Capabilities:
        """What the model's build allows."""
        return Capabilities(
            branches="held" if can_be_cut(self.config) else "recomputed",
            rows="hidden state" if self._keeps_hidden else "logits",
        )

    def forward(self, token_ids: Sequence[int], cache: Cache) -> torch.Tensor:
        """Pass tokens through the model and return what to keep of each, shape ``[n, D]``."""
        self.calls += 1
        ids = self._ids(token_ids)
        if self._keeps_hidden:
            output = self.model.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
            kept: torch.Tensor = output.last_hidden_state[0]
        else:
            kept = self.model(input_ids=ids, past_key_values=cache, use_cache=True).logits[0]
        return kept

    def logits(self, kept: torch.Tensor) -> torch.Tensor:
        """Return the raw scores, float32, of one row that :meth:`forward` kept; shape ``[V]``.

        One row at a time, whatever path the row came by, so that asking again gives the same bits.
        """
        return _numbers(self._head(kept[None, None])[0, 0] if self._keeps_hidden else kept.float())

    def all_logits(self, kept: torch.Tensor) -> torch.Tensor:
        """Return the raw scores of many rows at once, ``[n, V]``: faster, and equal to the dtype's noise."""
        return _numbers(self._head(kept[None])[0] if self._keeps_hidden else kept.float())

    def _head(self, hidden: torch.Tensor) -> torch.Tensor:
        # A plain copy in float32 at the end: every reduction after it works on upcast numbers.
        return self._postprocess(self.model.get_output_embeddings()(hidden)).float()

    def _ids(self, token_ids: Sequence[int]) -> torch.Tensor:
        embedding = next(self.model.get_input_embeddings().parameters())
        return torch.tensor([list(token_ids)], dtype=torch.int64, device=embedding.device)

    def _probe(self) -> tuple[bool, int]:
        """Whether the head on the last hidden state gives the model's own logits, and how many."""
        states: list[Any] = []
        hook = self.model.base_model.register_forward_hook(
            lambda module, args, output: states.append(getattr(output, "last_hidden_state", None))
        )
        try:
            ids = self._ids([i % self.config.vocab_size for i in _PROBE])
            logits = self.model(input_ids=ids, past_key_values=DynamicCache(config=self.config)).logits
        finally:
            hook.remove()
        size = logits.shape[-1]
        if self.model.get_output_embeddings() is None or not states or states[-1] is None:
            return False, size
        mine = self._head(states[-1])
        return mine.shape == logits.shape and torch.allclose(mine, logits.float(), 1e-3, 1e-4), size


def _numbers(scores: torch.Tensor) -> torch.Tensor:
    """Return scores as they are, unless they are no numbers."""
    # The maximum of a row with NaN is NaN.
    if not torch.isfinite(scores.amax(-1)).all():
        raise FloatingPointError("the model's scores are no numbers (NaN or infinite): try another dtype")
    return scores


def _postprocessing(config: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what the model does to the head's output: soft-capping (Gemma 2), a scale (Cohere, Granite)."""
    cap = getattr(config, "final_logit_softcapping", None)
    if cap:
        return lambda logits: torch.tanh(logits / cap) * cap
    scale = getattr(config, "logit_scale", None) or 1.0
    divisor = getattr(config, "logits_scaling", None) or 1.0
    if scale == divisor == 1.0:
        return lambda logits: logits
    return lambda logits: logits * scale / divisor
