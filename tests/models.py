"""Tiny random models with real fast tokenizers, built in the process, and ways to watch a model at work."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import tokenizers
import torch
from tokenizers import decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE
from transformers import (
    AutoModelForCausalLM,
    FalconH1Config,
    Gemma3TextConfig,
    GPT2Config,
    GptOssConfig,
    Lfm2Config,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3NextConfig,
)

from itwidgets import Engine

CORPUS = (
    "The capital of France is Paris. The capital of England is London, and that of Italy is Rome.",
    "A model reads a text token by token, and says how likely each of the next ones is.",
    "Der Wert ist größer als 3. Здравствуй, мир! שלום. 你好。 naïve café",
    "The the and of to in is was that for it as with on be at by he this had not are but from or have",
)
VOCABULARY_SIZE = 520
CONTEXT_LENGTH = 1024
A_TOKEN = 2 * 2 * 8 * 2 * 4
"""Bytes of the keys and values of a token: two layers of two heads of eight numbers, in float32."""
CUTTABLE = ("llama", "gpt2", "mistral", "gemma3", "gpt_oss")
"""Full attention twice, and sliding windows in all layers, in some, and with sinks."""

RECURRENT = ("lfm2", "qwen3_next", "mamba", "falcon_h1")
"""Convolutions, linear attention among full, states alone, and both in one layer."""

KINDS = (*CUTTABLE, *RECURRENT)

PROMPT = "The capital of France"


def _trained(specials: list[str], alphabet: list[str], size: int, prepare: Callable[[Any], None]) -> Any:
    tokenizer = tokenizers.Tokenizer(BPE())
    prepare(tokenizer)
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    return tokenizer


@functools.cache
def byte_level_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE as GPT-2's, without BOS: most emoji are several tokens."""

    def prepare(tokenizer: Any) -> None:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()

    specials = ["<|end|>", "<|user|>", "<|model|>"]
    tokenizer = _trained(specials, sorted(pre_tokenizers.ByteLevel.alphabet()), 500, prepare)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **{"eos_token": specials[0]})
    fast.chat_template = (
        "{% for m in messages %}<|{{ 'model' if m.role == 'assistant' else 'user' }}|>{{ m.content }}"
        "{% if not (loop.last and m.role == 'assistant') %}<|end|>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|model|>{% endif %}"
    )
    return fast


@functools.cache
def sentencepiece_tokenizer() -> PreTrainedTokenizerFast:
    """BPE as Llama 2's: spaces as ▁, one put before the text, bytes for what is unknown, BOS <s>."""

    def prepare(tokenizer: Any) -> None:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()

    trained = json.loads(_trained([], [], 240, prepare).to_str())["model"]
    # Other alphabets are left to the bytes.
    pieces = [piece for piece in trained["vocab"] if all(c < "\u0100" or c == "▁" for c in piece)]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    merges = [tuple(pair) for pair in trained["merges"] if "".join(pair) in pieces]
    specials = {"unk_token": "<unk>"}
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = tokenizers.Tokenizer(BPE(vocabulary, merges, **specials, fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(content=" ", left=1),
        ]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", vocabulary["<s>"])]
    )
    specials |= {"bos_token": "<s>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **specials)


def _config(kind: str, **changes: Any) -> PreTrainedConfig:
    # Large initial weights: a flat distribution would hide most mistakes.
    common: dict[str, Any] = {
        "vocab_size": VOCABULARY_SIZE,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT_LENGTH,
        "initializer_range": 0.4,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
        "tie_word_embeddings": False,
    }
    window = {"sliding_window": 8}
    configs: dict[str, Callable[[], PreTrainedConfig]] = {
        "llama": lambda: LlamaConfig(**common | changes),
        "gpt2": lambda: GPT2Config(
            **{
                "vocab_size": VOCABULARY_SIZE,
                "n_positions": CONTEXT_LENGTH,
                "n_embd": 32,
                "n_layer": 2,
                "n_head": 4,
                "initializer_range": 0.4,
                "bos_token_id": None,
                "eos_token_id": None,
            }
            | changes
        ),
        "mistral": lambda: MistralConfig(**common | window | changes),
        "gemma3": lambda: Gemma3TextConfig(
            **common
            | window
            | {
                "head_dim": 8,
                "query_pre_attn_scalar": 8,
                "layer_types": ["sliding_attention", "full_attention"],
                "final_logit_softcapping": 30.0,
            }
            | changes
        ),
        "gpt_oss": lambda: GptOssConfig(
            **common | window | {"head_dim": 8, "num_local_experts": 2, "num_experts_per_tok": 1} | changes
        ),
        "mamba": lambda: MambaConfig(
            **{
                "vocab_size": VOCABULARY_SIZE,
                "hidden_size": 32,
                "state_size": 8,
                "num_hidden_layers": 2,
                "initializer_range": 0.4,
                "bos_token_id": None,
                "eos_token_id": None,
                "pad_token_id": None,
            }
            | changes
        ),
        "falcon_h1": lambda: FalconH1Config(
            **common
            | {
                "head_dim": 8,
                "mamba_d_ssm": 32,
                "mamba_n_heads": 4,
                "mamba_d_head": 8,
                "mamba_n_groups": 1,
                "mamba_d_state": 8,
                "mamba_chunk_size": 16,
            }
            | changes
        ),
        "lfm2": lambda: Lfm2Config(**common | {"layer_types": ["conv", "full_attention"]} | changes),
        "qwen3_next": lambda: Qwen3NextConfig(
            **common
            | {
                "head_dim": 8,
                "layer_types": ["linear_attention", "full_attention"],
                "linear_num_key_heads": 2,
                "linear_num_value_heads": 2,
                "linear_key_head_dim": 8,
                "linear_value_head_dim": 8,
                "num_experts": 2,
                "num_experts_per_tok": 1,
                "moe_intermediate_size": 16,
                "shared_expert_intermediate_size": 16,
            }
            | changes
        ),
    }
    return configs[kind]()


def tiny_model(
    kind: str = "llama", *, seed: int = 0, dtype: torch.dtype = torch.float32, **changes: Any
) -> PreTrainedModel:
    """Make a random model; ``changes`` are those of its configuration."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(_config(kind, **changes), dtype=dtype).eval()
    model.config.name_or_path = f"tiny-{kind}"
    return cast("PreTrainedModel", model)


def tiny_engine(
    kind: str = "llama",
    *,
    bos: bool = False,
    fast: bool = True,
    compile: bool | str = False,  # noqa: A002 - as of the engine
    kv_budget: int | None = None,
    snapshot_interval: int = 64,
    **changes: Any,
) -> Engine:
    """Make an engine of its own on a random model, byte-level unless it is to have a BOS."""
    tokenizer = sentencepiece_tokenizer() if bos else byte_level_tokenizer()
    model = tiny_model(kind, **changes)
    return Engine(
        model,
        tokenizer,
        fast=fast,
        compile=compile,
        kv_budget=kv_budget,
        snapshot_interval=snapshot_interval,
    )


def fresh_logits(model: Any, token_ids: Sequence[int]) -> torch.Tensor:
    """Raw float64 scores of the model itself after every token, in one pass without any cache."""
    with torch.inference_mode():
        logits: torch.Tensor = model(torch.tensor([list(token_ids)]), use_cache=False).logits[0]
    return logits.double()


def fresh_log_probs(model: Any, token_ids: Sequence[int]) -> npt.NDArray[np.float64]:
    """Log-probabilities of what follows the tokens, by the model itself."""
    result: npt.NDArray[np.float64] = fresh_logits(model, token_ids)[-1].log_softmax(-1).numpy()
    return result


@contextmanager
def counted_positions(model: Any) -> Iterator[list[int]]:
    """Give a list that grows by the number of positions of each forward call."""
    counts: list[int] = []
    hook = _embedding(model).register_forward_hook(
        lambda _, arguments, __: counts.append(arguments[0].shape[-1])
    )
    try:
        yield counts
    finally:
        hook.remove()


def _embedding(model: Any) -> Any:
    """Where tokens of the tree come in: with an encoder, at the decoder."""
    return (model.get_decoder() if model.config.is_encoder_decoder else model).get_input_embeddings()


class Gate:
    """Holds the model at the door of one forward call, so that a test can act while it runs."""

    def __init__(self) -> None:
        self._calls = 0
        self._reached = threading.Event()
        self._open = threading.Event()

    def wait_until_reached(self) -> None:
        assert self._reached.wait(60), "the model never came to the gate"

    def open(self) -> None:
        self._open.set()


@contextmanager
def gate_at(model: Any, call: int) -> Iterator[Gate]:
    """Hold the forward call of this number, counted from 1; it goes on when the gate opens."""
    gate = Gate()

    def hold(*_: Any) -> None:
        gate._calls += 1
        if gate._calls == call:
            gate._reached.set()
            assert gate._open.wait(60), "nobody opened the gate"

    hook = _embedding(model).register_forward_pre_hook(hold)
    try:
        yield gate
    finally:
        gate.open()
        hook.remove()


@contextmanager
def failure_at(model: Any, call: int, layer: int) -> Iterator[None]:
    """Let the forward call of this number, counted from 1, fail after a layer has written to the cache."""
    calls = 0

    def fail(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise OSError("injected")

    layers = max((m for m in model.modules() if isinstance(m, torch.nn.ModuleList)), key=len)
    hook = layers[layer].register_forward_hook(fail)
    try:
        yield
    finally:
        hook.remove()
