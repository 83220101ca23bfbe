"""What may be given as a prompt, and what is said of what may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from itwidgets import Engine
from itwidgets.engine import ContextFullError
from itwidgets.tree import Origin
from tests.models import CONTEXT_LENGTH, PROMPT, tiny_engine

Engines = Callable[[str], Engine]
USER = {"role": "user", "content": "The capital?"}


@pytest.fixture
def engine(shared_engine: Engines) -> Engine:
    return shared_engine("llama")


@pytest.fixture(scope="module")
def engine_with_bos() -> Engine:
    return tiny_engine(bos=True)


def test_a_text_gets_the_bos_that_the_tokenizer_adds(engine_with_bos: Engine) -> None:
    session = engine_with_bos.session("The capital")
    assert session.token_ids == engine_with_bos.tokenizer("The capital")["input_ids"]
    assert session.token_ids[0] == engine_with_bos.tokenizer.bos_token_id
    session.force(0, " of France")
    assert session.text.endswith("The capital of France")
    assert session.new_text == " of France"


def test_token_ids_are_taken_as_they_are(engine_with_bos: Engine) -> None:
    assert engine_with_bos.session([5, 6, 7]).token_ids == [5, 6, 7]


def test_messages_go_through_the_template(engine: Engine) -> None:
    session = engine.session([USER])
    assert session.text == "<|user|>The capital?<|end|><|model|>"
    assert all(node.origin is Origin.PROMPT for node in session.nodes)
    # Special tokens are one token each.
    assert session.nodes[0].text == "<|user|>"


def test_the_models_own_last_message_is_continued(engine: Engine) -> None:
    session = engine.session([USER, {"role": "assistant", "content": "It is"}])
    assert session.text == "<|user|>The capital?<|end|><|model|>It is"


def test_messages_need_a_template(engine_with_bos: Engine) -> None:
    with pytest.raises(ValueError, match="has no chat template: give a text"):
        engine_with_bos.session([USER])


@pytest.mark.parametrize("empty", ["", []])
def test_an_empty_prompt_begins_with_bos(engine_with_bos: Engine, empty: Any) -> None:
    session = engine_with_bos.session(empty)
    assert session.text == "<s>"
    session.force(0, "The capital")
    assert session.new_text == "The capital"
    assert session.text == "<s>The capital"


@pytest.mark.parametrize("empty", ["", []])
def test_an_empty_prompt_without_bos_is_refused(engine: Engine, empty: Any) -> None:
    with pytest.raises(ValueError, match=r"the prompt is empty, .*\(BOS\): give at least one character"):
        engine.session(empty)


@pytest.mark.parametrize("count", [CONTEXT_LENGTH, CONTEXT_LENGTH + 10])
def test_a_prompt_longer_than_the_context_is_refused(engine: Engine, count: int) -> None:
    with pytest.raises(
        ValueError, match=rf"has {count} tokens, but the model's context holds {CONTEXT_LENGTH}"
    ):
        engine.session([5] * count)


@pytest.mark.parametrize("wrong", [-1, 520])
def test_unknown_ids_are_refused(engine: Engine, wrong: int) -> None:
    with pytest.raises(ValueError, match=f"token id {wrong} is not in the vocabulary: 0 to 519"):
        engine.session([5, wrong])


@pytest.mark.parametrize("prompt", [None, 5, {"role": "user"}, b"text", [None], ["a"], [USER, 5]])
def test_what_is_no_prompt_is_refused(engine: Engine, prompt: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="prompt"):
        engine.session(prompt)


def test_a_full_context_ends_the_job_and_keeps_the_tokens(engine: Engine) -> None:
    session = engine.session([5] * (CONTEXT_LENGTH - 3))
    job = session.generate(max_new_tokens=10)
    with pytest.raises(ContextFullError, match=rf"context is full: it holds {CONTEXT_LENGTH} tokens"):
        job.wait()
    assert len(job.nodes) == 3
    assert len(session.token_ids) == CONTEXT_LENGTH
    with pytest.raises(ContextFullError):
        session.force(3, 5)
    # One place earlier there is room.
    assert session.force(2, 6).position == CONTEXT_LENGTH - 1
    assert session.distribution(3).entropy > 0


def test_a_long_prompt_is_read_in_parts_and_scored_throughout(engine: Engine) -> None:
    session = engine.session(list(range(500)) + list(range(200)))
    surprisal = session.tree.column("surprisal")
    assert len(surprisal) == 700
    assert (surprisal[1:] > 0).all()
    whole = engine.session([*range(500), *range(200)][:256])
    assert surprisal[1:256] == pytest.approx(whole.tree.column("surprisal")[1:], abs=1e-3)


def test_the_prompt_of_the_embedded_model_is_its_template(smollm: Engine) -> None:
    session = smollm.session([{"role": "user", "content": PROMPT}])
    assert f"<|im_start|>user\n{PROMPT}<|im_end|>\n<|im_start|>assistant\n" in session.text
