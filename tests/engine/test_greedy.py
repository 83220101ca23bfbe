"""Greedy decoding against `generate` of transformers, token for token."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from itwidgets import Engine
from tests.models import KINDS, PROMPT, byte_level_tokenizer, tiny_engine, tiny_model

TOKENS = 24


def _generated(model: Any, token_ids: list[int], count: int, **options: Any) -> list[int]:
    with torch.inference_mode():
        output = model.generate(
            torch.tensor([token_ids]),
            attention_mask=torch.ones(1, len(token_ids), dtype=torch.int64),
            max_new_tokens=count,
            do_sample=False,
            pad_token_id=0,
            **options,
        )
    result: list[int] = output[0].tolist()
    return result


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_is_that_of_transformers(kind: str) -> None:
    engine = tiny_engine(kind)
    session = engine.session(PROMPT)
    prompt = session.token_ids
    session.generate(max_new_tokens=TOKENS).wait()
    assert session.token_ids == _generated(engine.model, prompt, TOKENS)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_greedy_in_bfloat16_is_that_of_transformers(kind: str) -> None:
    engine = Engine(tiny_model(kind, dtype=torch.bfloat16), byte_level_tokenizer())
    session = engine.session(PROMPT)
    prompt = session.token_ids
    session.generate(max_new_tokens=TOKENS).wait()
    assert session.token_ids == _generated(engine.model, prompt, TOKENS)


def test_greedy_on_the_embedded_model_is_that_of_transformers(smollm: Engine) -> None:
    session = smollm.session("The capital of France is")
    prompt = session.token_ids
    session.generate(max_new_tokens=TOKENS).wait()
    assert session.token_ids == _generated(smollm.model, prompt, TOKENS)
    assert " Paris" in session.new_text


def test_going_on_is_the_same_as_going_far_at_once() -> None:
    engine = tiny_engine()
    at_once, in_parts = engine.session(PROMPT), engine.session(PROMPT)
    at_once.generate(max_new_tokens=12).wait()
    for _ in range(4):
        in_parts.generate(max_new_tokens=3).wait()
    assert in_parts.token_ids == at_once.token_ids


@pytest.mark.parametrize("as_list", [False, True])
def test_the_end_token_ends_the_text(as_list: bool) -> None:
    probe = tiny_engine().session(PROMPT)
    made = [node.token_id for node in probe.generate(max_new_tokens=10).wait()]
    end = made[4]
    engine = tiny_engine(eos_token_id=[end, 3] if as_list else end)
    session = engine.session(PROMPT)
    prompt = session.token_ids
    nodes = session.generate(max_new_tokens=10).wait()
    assert [node.token_id for node in nodes] == made[: made.index(end) + 1]
    assert session.token_ids == _generated(engine.model, prompt, 10)
    assert session.has_ended


def test_the_end_token_of_the_prompt_does_not_end_the_text() -> None:
    tokenizer = byte_level_tokenizer()
    engine = tiny_engine(eos_token_id=tokenizer.eos_token_id)
    session = engine.session(f"{PROMPT}{tokenizer.eos_token}")
    assert session.token_ids[-1] == tokenizer.eos_token_id
    assert len(session.generate(max_new_tokens=3).wait()) >= 1
