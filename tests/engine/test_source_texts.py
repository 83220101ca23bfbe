"""Source texts of models with an encoder: in files, when something stops or fails, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.cache_utils import Cache, DynamicLayer

import itwidgets
from itwidgets import Engine
from itwidgets.engine.model.encoder_decoder import make_runner
from itwidgets.engine.model.source import Source, give_source
from itwidgets.interventions import Temperature
from tests.models import byte_level_tokenizer
from tests.seq2seq import (
    OTHER,
    SEQ2SEQ,
    SOURCE,
    START,
    check_row,
    closing_tokenizer,
    seq2seq_engine,
    tiny_seq2seq,
)

Engines = Callable[[str], Engine]


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = seq2seq_engine()
    yield engine
    engine.close()


# -------------------------------------------------------------------- files


@pytest.mark.parametrize("kind", SEQ2SEQ)
def test_a_session_is_saved_with_its_sources(shared_seq2seq: Engines, kind: str, tmp_path: Path) -> None:
    engine, path = shared_seq2seq(kind), tmp_path / "x.itw.json"
    session = engine.session(SOURCE)
    session.generate(4, program=Temperature(1.2), seed=3).wait()
    session.read_prompt(session.encode(OTHER)).wait()
    session.force(0, " London")
    session.save(path)
    opened = itwidgets.open(path, engine)
    assert opened.tree.sources == session.tree.sources
    assert opened.source_text == OTHER
    opened.switch(opened.branches[0])
    assert opened.source_text == SOURCE
    opened.generate(3).wait()
    for row in range(len(opened.tree)):
        check_row(opened, row)
    unread = itwidgets.open(path)
    assert (unread.source_text, unread.text) == (OTHER, session.text)


def test_load_reads_a_folder_of_such_a_model(tmp_path: Path) -> None:
    tiny_seq2seq("bart", tied=True).save_pretrained(tmp_path)
    closing_tokenizer().save_pretrained(tmp_path)
    engine = itwidgets.load(tmp_path, device="cpu")
    session = engine.session(SOURCE)
    assert session.source_text == f"{SOURCE}</s>"
    session.generate(3).wait()
    check_row(session, session.nodes[-1].row)
    assert (engine.context_length, engine.source_length) == (1024, 1024)


# -------------------------------------------------------------------- stops and faults


def _layers(stack: Any) -> Any:
    return max((m for m in stack.modules() if isinstance(m, torch.nn.ModuleList)), key=len)


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_a_stop_gets_through_inside_the_encoder(kind: str) -> None:
    engine = seq2seq_engine(kind)
    model: Any = engine.model
    session = engine.empty_session()
    layers = _layers(model.get_encoder())
    ran: list[int] = []
    stop = layers[0].register_forward_hook(lambda *_: session.stop())
    note = layers[1].register_forward_hook(lambda *_: ran.append(1))
    job = session.read_prompt(session.encode(SOURCE))
    job.wait()
    assert job.cancelled
    assert ran == []
    assert (len(session.tree), session.tree.sources) == (0, {})
    stop.remove()
    note.remove()
    session.read_prompt(session.encode(SOURCE)).wait()
    session.generate(3).wait()
    check_row(session, session.nodes[-1].row)


@pytest.mark.parametrize("part", ["get_encoder", "get_decoder"])
@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_an_error_inside_a_step_leaves_no_trace(kind: str, layer: int, part: str) -> None:
    engine = seq2seq_engine(kind)
    session = engine.session(OTHER)
    session.generate(3).wait()
    before = session.nodes

    def fail(*_: Any) -> None:
        raise OSError("injected")

    hook = _layers(getattr(engine.model, part)())[layer].register_forward_hook(fail)
    # The first step on a source: the decoder's layers get keys and values of it one by one.
    with pytest.raises(OSError, match="injected"):
        session.read_prompt(session.encode(SOURCE)).wait()
    hook.remove()
    assert session.nodes == before
    assert session.tree.sources.keys() == {0}
    session.read_prompt(session.encode(SOURCE)).wait()
    session.generate(3).wait()
    for row in range(len(session.tree)):
        check_row(session, row)


def test_a_source_that_is_dropped_amid_alternatives_has_the_same_bits_again() -> None:
    runner: Any = make_runner(tiny_seq2seq("bart"))
    source = Source([5, 6, 7, 8])
    found = []
    for is_dropped in (False, True):
        cache = Cache(layers=[DynamicLayer() for _ in range(3)])
        give_source(cache, source)
        with torch.inference_mode():
            runner.forward_batch([9, 10], cache)
            if is_dropped:
                source.drop()
            found.append(runner.forward_batch([11, 12], cache))
    assert torch.equal(*found)


# -------------------------------------------------------------------- bad input


@pytest.mark.parametrize("empty", ["", []])
def test_an_empty_source_is_refused(engine: Engine, empty: Any) -> None:
    with pytest.raises(ValueError, match="the source text is empty: give at least one character"):
        engine.session(empty)


def test_what_a_tokenizer_makes_of_nothing_is_a_source() -> None:
    engine = seq2seq_engine(tokenizer=closing_tokenizer())
    assert engine.session("").source_text == "</s>"


def test_a_source_longer_than_the_encoder_reads_is_refused() -> None:
    engine = seq2seq_engine("bart", max_position_embeddings=8)
    assert engine.session([5] * 8).source_ids == [5] * 8
    with pytest.raises(
        ValueError, match="the source text has 9 tokens, but the model's encoder reads at most 8"
    ):
        engine.session([5] * 9)
    session = engine.session([5])
    with pytest.raises(itwidgets.engine.ContextFullError, match="holds 8 tokens"):
        session.generate(8).wait()
    assert len(session.token_ids) == 8


def test_t5_has_no_limits(engine: Engine) -> None:
    assert engine.context_length is engine.source_length is None
    assert len(engine.session(list(range(3, 503)) * 3).source_ids or []) == 1500


def test_messages_need_a_template() -> None:
    engine = seq2seq_engine(tokenizer=closing_tokenizer())
    with pytest.raises(ValueError, match="has no chat template: give a text"):
        engine.session([{"role": "user", "content": "The capital?"}])


def test_messages_go_through_the_template(shared_seq2seq: Engines) -> None:
    session = shared_seq2seq("t5").session([{"role": "user", "content": "The capital?"}])
    assert session.source_text == "<|user|>The capital?<|end|><|model|>"


def test_a_model_that_does_not_say_what_starts_its_decoder_is_told_how_to(engine: Engine) -> None:
    model: Any = engine.model
    model.generation_config.decoder_start_token_id = None
    session = engine.empty_session()
    with pytest.raises(ValueError, match=r"does not say which token .* set engine.model.generation_config"):
        session.read_prompt([5, 6]).wait()
    model.generation_config.decoder_start_token_id = 4
    session.read_prompt([5, 6]).wait()
    assert session.token_ids == [4]


def test_a_forced_first_token_can_be_another_language(engine: Engine) -> None:
    model: Any = engine.model
    model.generation_config.forced_bos_token_id = 7
    session = engine.session(SOURCE)
    session.generate(2).wait()
    model.generation_config.forced_bos_token_id = 8
    session.read_prompt(session.encode(SOURCE)).wait()
    assert session.prompt_ids == [START, 8]
    # The source and what starts the decoder are the same.
    assert session.tree.children(0) == (1, 4)


@pytest.mark.parametrize("without_head", [True, False])
def test_models_that_make_no_text_of_a_text_are_refused(without_head: bool) -> None:
    from transformers import T5Model, WhisperConfig, WhisperForConditionalGeneration

    if without_head:
        config: Any = tiny_seq2seq().config
        model: Any = T5Model(config)
    else:
        fours = ["encoder_layers", "decoder_layers", "d_model", "vocab_size"]
        twos = ["encoder_attention_heads", "decoder_attention_heads", "pad_token_id"]
        sizes: dict[str, Any] = dict.fromkeys(fours, 4) | dict.fromkeys(twos, 2)
        model = WhisperForConditionalGeneration(WhisperConfig(**sizes))
    with pytest.raises(TypeError, match="is no language model that reads a source text"):
        Engine(model, byte_level_tokenizer())
