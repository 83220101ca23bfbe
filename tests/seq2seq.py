"""Tiny random models with an encoder, of which the decoder has more layers."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from tokenizers import processors
from transformers import (
    AutoModelForSeq2SeqLM,
    BartConfig,
    MBartConfig,
    PegasusConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5GemmaConfig,
    T5GemmaModuleConfig,
    UMT5Config,
)

from itwidgets import Engine, Session
from tests.models import CONTEXT_LENGTH, VOCABULARY_SIZE, byte_level_tokenizer, sentencepiece_tokenizer

SOURCE = "The capital of France"
OTHER = "A model reads a text"
START = 1
"""Token that starts the decoder."""

COUNTING = ("t5", "t5_unscaled", "umt5", "bart", "mbart", "pegasus")
"""Their decoders count positions themselves: by relative positions, learned ones, or sinusoids."""

SEQ2SEQ = (*COUNTING, "t5gemma")

_COMMON: dict[str, Any] = {
    "vocab_size": VOCABULARY_SIZE,
    "decoder_start_token_id": START,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
_T5: dict[str, Any] = {
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 24,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "num_heads": 2,
    "initializer_factor": 2.0,
}
_BART: dict[str, Any] = {
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "max_position_embeddings": CONTEXT_LENGTH,
    "init_std": 0.4,
    "forced_eos_token_id": None,
}


def _t5gemma(**changes: Any) -> PreTrainedConfig:
    part: dict[str, Any] = {
        "vocab_size": VOCABULARY_SIZE,
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "query_pre_attn_scalar": 8,
        "max_position_embeddings": CONTEXT_LENGTH,
        "sliding_window": 8,
        "initializer_range": 0.4,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": 0,
    }
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    return T5GemmaConfig(
        encoder=T5GemmaModuleConfig(**part, num_hidden_layers=2, layer_types=kinds[:2]),
        decoder=T5GemmaModuleConfig(**part, num_hidden_layers=3, layer_types=kinds),
        **_COMMON | changes,
    )


def _config(kind: str, **changes: Any) -> PreTrainedConfig:
    options = _COMMON | changes
    if kind == "t5":
        return T5Config(**_T5 | options)
    if kind == "t5_unscaled":
        return T5Config(**_T5 | {"initializer_factor": 1.0, "tie_word_embeddings": False} | options)
    if kind == "umt5":
        return UMT5Config(**_T5 | options)
    if kind == "t5gemma":
        return _t5gemma(**changes)
    families: dict[str, type[PreTrainedConfig]] = {
        "bart": BartConfig,
        "mbart": MBartConfig,
        "pegasus": PegasusConfig,
    }
    return families[kind](**_BART | options)


def tiny_seq2seq(
    kind: str = "t5", *, seed: int = 0, dtype: torch.dtype = torch.float32, tied: bool = False, **changes: Any
) -> PreTrainedModel:
    """Make a random model; ``changes`` are those of its configuration.

    Unless its head is to be tied to the embedding, it has one of its own: tied, it repeats tokens.
    """
    torch.manual_seed(seed)
    model: Any = AutoModelForSeq2SeqLM.from_config(_config(kind, **changes), dtype=dtype).eval()
    model.config.name_or_path = f"tiny-{kind}"
    if not tied:
        weight = model.get_output_embeddings().weight
        model.get_output_embeddings().weight = torch.nn.Parameter(torch.randn_like(weight))
    if hasattr(model, "final_logits_bias"):
        model.final_logits_bias.normal_()
    return model  # type: ignore[no-any-return]


def seq2seq_engine(
    kind: str = "t5",
    *,
    tokenizer: Any = None,
    kv_budget: int | None = None,
    snapshot_interval: int = 64,
    **changes: Any,
) -> Engine:
    """Make an engine of its own on a random model."""
    model = tiny_seq2seq(kind, **changes)
    tokenizer = tokenizer or byte_level_tokenizer()
    return Engine(model, tokenizer, kv_budget=kv_budget, snapshot_interval=snapshot_interval)


def fresh_logits(model: Any, source: Sequence[int], token_ids: Sequence[int]) -> torch.Tensor:
    """Raw float64 scores of the model itself after every token, encoder included, without any cache."""
    options = {
        "input_ids": torch.tensor([list(source)]),
        "decoder_input_ids": torch.tensor([list(token_ids)]),
    }
    with torch.inference_mode():
        logits: torch.Tensor = model(**options, use_cache=False).logits[0]
    return logits.double()


def greedy(model: Any, source: Sequence[int], start: Sequence[int], count: int) -> list[int]:
    """What the model itself goes on with, by one whole pass a token."""
    token_ids = list(start)
    for _ in range(count):
        token_ids.append(int(fresh_logits(model, source, token_ids)[-1].argmax()))
    return token_ids


def check_row(session: Session, row: int, tolerance: float = 5e-4) -> None:
    """Compare the distribution after a row with that of a whole pass of encoder and decoder."""
    tree = session.tree
    source = tree.source(row)
    assert source is not None
    expected = fresh_logits(session.engine.model, source, tree.token_ids(row))[-1].log_softmax(-1)
    np.testing.assert_allclose(session.distribution_after(row).log_probs, expected.numpy(), atol=tolerance)


@contextmanager
def counted(stack: Any) -> Iterator[list[int]]:
    """Give a list that grows by the number of positions of each call of an encoder or a decoder."""
    counts: list[int] = []
    hook = stack.register_forward_pre_hook(
        lambda _, arguments, options: counts.append(options["input_ids"].shape[-1]), with_kwargs=True
    )
    try:
        yield counts
    finally:
        hook.remove()


@functools.cache
def closing_tokenizer() -> PreTrainedTokenizerFast:
    """One that ends each text with </s>, as those of T5."""
    tokenizer = copy.deepcopy(sentencepiece_tokenizer())
    end = tokenizer.convert_tokens_to_ids("</s>")
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", end)]
    )
    return tokenizer
