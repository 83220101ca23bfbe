"""A model of a billion random weights, where reading them is most of the work."""

from __future__ import annotations

import gc
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from itwidgets import Engine
from tests.benchmarks.bench import BFLOAT16, FLOAT32, SHORT, Bench, engines_by_route
from tests.benchmarks.decode import limit_rows, transformers_and_ours
from tests.benchmarks.harness import Row, at_least, take_turns
from tests.benchmarks.machine import Reader

PROMPT, NEW = 256, 24
LLAMA_3_2_1B: dict[str, Any] = {
    "vocab_size": 128_256,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "max_position_embeddings": 131_072,
    "tie_word_embeddings": True,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}


def large(bench: Bench) -> list[Row]:
    """Percent of the memory limit in both dtypes, one after the other for want of memory."""
    return [row for dtype in (FLOAT32, BFLOAT16) for row in _rows(bench, dtype)]


def _rows(bench: Bench, dtype: str) -> list[Row]:
    short = SHORT[dtype]
    token_ids = bench.prompt(PROMPT)
    model = AutoModelForCausalLM.from_config(LlamaConfig(**LLAMA_3_2_1B), dtype=getattr(torch, dtype)).eval()
    engines = engines_by_route(Engine(model, bench.engine().tokenizer, name=f"1B {short}"))
    try:
        turns = {"read": Reader().seconds_per_byte}
        turns |= transformers_and_ours(engines, short, token_ids, NEW)
        taken = take_turns(turns, bench.rounds)
        targets = {f"ours packed {short}": at_least(65)}
        rows = limit_rows(taken, engines["plain"], short, targets)
    finally:
        for engine in engines.values():
            engine.close()
        del engines, model
        gc.collect()
    return [Row(f"1B: {row.what}", row.measured, row.unit, row.target, row.note) for row in rows]
