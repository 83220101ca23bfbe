"""Models with an encoder: the source text is the prompt, and the tree is the decoder's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, EncoderDecoderConfig, EncoderDecoderModel

import itwidgets
from itwidgets import Engine, Session
from itwidgets.engine.model.encoder_decoder import make_runner
from itwidgets.interventions import Temperature
from itwidgets.tree import COLUMNS, Node, Origin
from tests.models import byte_level_tokenizer
from tests.seq2seq import (
    COUNTING,
    OTHER,
    SEQ2SEQ,
    SOURCE,
    START,
    check_row,
    counted,
    greedy,
    seq2seq_engine,
    tiny_seq2seq,
)

TOKENS = 16
Engines = Callable[[str], Engine]


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = seq2seq_engine()
    yield engine
    engine.close()


def _table(session: Session) -> dict[str, Any]:
    return {column.name: session.tree.column(column.name).copy() for column in COLUMNS}


# -------------------------------------------------------------------- what the model says


@pytest.mark.parametrize("kind", SEQ2SEQ)
def test_greedy_is_what_whole_passes_of_the_model_give(shared_seq2seq: Engines, kind: str) -> None:
    session = shared_seq2seq(kind).session(SOURCE)
    source = session.source_ids
    assert source == session.engine.vocabulary.encode(SOURCE)
    assert session.token_ids == [START]
    session.generate(TOKENS).wait()
    # `generate` of transformers fails on T5 whose decoder has more layers than its encoder.
    assert session.token_ids == greedy(session.engine.model, source, [START], TOKENS)


@pytest.mark.parametrize("first", [None, 7])
@pytest.mark.parametrize("kind", ["bart", "mbart", "pegasus"])
def test_greedy_is_that_of_transformers(kind: str, first: int | None) -> None:
    engine = seq2seq_engine(kind)
    model: Any = engine.model
    model.generation_config.forced_bos_token_id = first
    session = engine.session(SOURCE)
    session.generate(TOKENS).wait()
    source = torch.tensor([session.source_ids])
    options = {"attention_mask": torch.ones_like(source), "do_sample": False, "pad_token_id": 0}
    expected = model.generate(source, max_new_tokens=TOKENS + (first is not None), **options)[0].tolist()
    assert session.token_ids == expected
    assert session.prompt_ids == [START] + ([] if first is None else [first])
    assert session.new_nodes[0].position == session.prompt_length


def test_a_head_that_is_tied_and_scaled_gives_rows_from_hidden_states() -> None:
    engine = seq2seq_engine(tied=True)
    assert engine.capabilities.rows == "hidden state"
    session = engine.session(SOURCE)
    session.generate(5, program=Temperature(3.0)).wait()
    for node in session.nodes:
        check_row(session, node.row)


def test_a_model_whose_head_is_no_function_of_its_state_keeps_logits() -> None:
    torch.manual_seed(0)
    part: dict[str, Any] = {
        "vocab_size": 520,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "initializer_range": 0.4,
    }
    config = EncoderDecoderConfig.from_encoder_decoder_configs(BertConfig(**part), BertConfig(**part))
    model = EncoderDecoderModel(config).eval()
    model.generation_config.decoder_start_token_id = START
    engine = Engine(model, byte_level_tokenizer())
    assert engine.capabilities.rows == "logits"
    session = engine.session(SOURCE)
    session.generate(4).wait()
    session.force(1, 42)
    for row in range(len(session.tree)):
        check_row(session, row)
    engine.close()


def test_half_precision_goes_the_same_way() -> None:
    session = seq2seq_engine(dtype=torch.bfloat16).session(SOURCE)
    session.generate(6).wait()
    session.force(2, 42)
    for row in range(len(session.tree)):
        check_row(session, row, tolerance=0.5)


# -------------------------------------------------------------------- branches


@pytest.mark.parametrize("kind", SEQ2SEQ)
def test_forcing_in_the_middle_is_a_text_of_its_own(shared_seq2seq: Engines, kind: str) -> None:
    session = shared_seq2seq(kind).session(SOURCE)
    session.generate(8).wait()
    before = session.nodes
    node = session.force(3, " London")
    session.generate(3).wait()
    assert [one.token_id for one in session.nodes[:4]] == [one.token_id for one in before[:4]]
    assert node.cost == node.surprisal > 0
    for row in range(len(session.tree)):
        check_row(session, row)
    session.switch(before[-1])
    assert session.nodes == before


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_the_encoder_reads_a_source_once_and_forcing_passes_one_token(kind: str) -> None:
    engine = seq2seq_engine(kind)
    model: Any = engine.model
    with counted(model.get_encoder()) as read, counted(model.get_decoder()) as passed:
        session = engine.session(SOURCE)
        assert (read, passed) == ([len(session.source_ids or [])], [1])
        session.generate(8).wait()
        session.force(3, 42)
        session.switch(session.branches[0])
        session.force(5, 43)
        session.distribution(2)
        assert (len(read), passed) == (1, [1] * 11)


@pytest.mark.parametrize("kind", SEQ2SEQ)
def test_a_distribution_has_the_same_bits_when_asked_again(shared_seq2seq: Engines, kind: str) -> None:
    session = shared_seq2seq(kind).session(SOURCE)
    session.generate(6).wait()
    first = [session.distribution(i).log_probs for i in range(7)]
    session.force(2, 42)
    session.read_prompt(session.encode(OTHER)).wait()
    session.switch(session.branches[0])
    for i, log_probs in enumerate(first):
        np.testing.assert_array_equal(session.distribution(i).log_probs, log_probs)
    again = session.engine.session(SOURCE)
    again.generate(6).wait()
    for i, log_probs in enumerate(first):
        np.testing.assert_array_equal(again.distribution(i).log_probs, log_probs)


@pytest.mark.parametrize("kind", SEQ2SEQ)
def test_alternatives_side_by_side_are_what_they_are_alone(shared_seq2seq: Engines, kind: str) -> None:
    engine = shared_seq2seq(kind)
    session = engine.session(SOURCE)
    session.generate(4).wait()
    session.forget()
    rollout = session.rollout(2, 3, 4)
    assert engine.runner.takes_tree_masks is (kind not in COUNTING)
    start = session.token_ids[:3]
    for continuation in rollout:
        alone = engine.session(SOURCE)
        alone.force(0, [*start[1:], *continuation.token_ids])
        found = [node.surprisal for node in alone.nodes[3:]]
        assert continuation.surprisals == pytest.approx(found, abs=2e-3)
        session.adopt(continuation)
        check_row(session, session.nodes[-1].row)


@pytest.mark.parametrize("kind", ["bart", "t5gemma"])
def test_alternatives_of_a_branch_that_was_left_look_at_its_own_source(kind: str) -> None:
    session = seq2seq_engine(kind).session(SOURCE)
    session.generate(4).wait()
    expected = [one.surprisals for one in session.rollout(4, 2, 3)]
    head = session.nodes[-1]
    session.read_prompt(session.encode(OTHER)).wait()
    session.generate(2).wait()
    session.switch(head)
    # All is held, so nothing but the alternatives passes through the model.
    model: Any = session.engine.model
    with counted(model.get_decoder()) as passed:
        found = [one.surprisals for one in session.rollout(4, 2, 3)]
        assert len(passed) == 3
    assert found == expected


def test_positions_that_hardly_matter_are_still_the_decoders_own() -> None:
    model: Any = tiny_seq2seq("bart")
    model.get_decoder().embed_positions.weight.data.mul_(1e-4)
    assert not make_runner(model).takes_tree_masks


@pytest.mark.parametrize("kind", ["t5", "bart", "t5gemma"])
def test_a_refresh_reads_the_source_of_its_trial_by_the_new_weights(kind: str) -> None:
    engine = seq2seq_engine(kind)
    model: Any = engine.model
    engine.session(SOURCE).generate(3).wait()
    assert engine.runner.keeps_hidden
    for parameter in model.get_encoder().parameters():
        if parameter.dim() == 2:
            parameter.data += torch.randn_like(parameter) / 5
    engine.runner.refresh()
    assert engine.runner.keeps_hidden
    session = engine.session(SOURCE)
    session.generate(3).wait()
    for row in range(4):
        check_row(session, row)
    engine.close()


# -------------------------------------------------------------------- sources


def test_another_source_is_another_text_and_both_stay(engine: Engine) -> None:
    model: Any = engine.model
    with counted(model.get_encoder()) as read:
        session = engine.session(SOURCE)
        session.generate(4).wait()
        head, table = session.head, _table(session)
        session.read_prompt(session.encode(OTHER)).wait()
        assert session.source_text == OTHER
        assert [node.origin for node in session.nodes] == [Origin.EDITED]
        session.generate(4).wait()
        assert session.tree.sources.keys() == {0, 5}
        session.read_prompt(session.encode(SOURCE)).wait()
        assert session.source_text == SOURCE
        assert session.head == session.tree[0]
        assert len(read) == 2
        assert head is not None
        session.switch(head)
        session.generate(2).wait()
        assert len(read) == 2
    for name, values in table.items():
        np.testing.assert_array_equal(session.tree.column(name)[: len(values)], values)
    for row in range(len(session.tree)):
        check_row(session, row)


def test_a_source_that_was_dropped_is_read_again(engine: Engine) -> None:
    model: Any = engine.model
    session = engine.session(SOURCE)
    session.generate(4).wait()
    before = session.distribution(4).log_probs
    held = session.memory()
    # What the encoder left, and keys and values of three layers.
    assert held.sources == len(session.source_ids or []) * 4 * (16 + 3 * 2 * 16)
    assert held.all_sessions == held.sources + held.current_branch
    session.forget()
    assert session.memory().all_sessions == 0
    np.testing.assert_array_equal(session.distribution(4).log_probs, before)
    with counted(model.get_encoder()) as read:
        session.force(2, 42)
        assert len(read) == 1
    check_row(session, session.nodes[-1].row)


def test_sources_and_branches_share_the_budget() -> None:
    whole = 3 * 2 * 16 * 4 * 256
    engine = seq2seq_engine(kv_budget=whole + 12_000)
    session = engine.session(SOURCE)
    heads: list[Node] = []
    for i in range(6):
        session.read_prompt(session.encode(f"{SOURCE} {i}")).wait()
        heads.append(session.generate(3).wait()[-1])
    assert session.memory().all_sessions <= whole + 12_000
    for head in heads:
        session.switch(head)
        session.generate(2).wait()
        check_row(session, session.nodes[-1].row)
    for row in range(len(session.tree)):
        check_row(session, row)


def test_a_source_that_does_not_fit_beside_its_branch_is_refused() -> None:
    whole = 3 * 2 * 16 * 4 * 256
    engine = seq2seq_engine(kv_budget=whole + 12_000)
    session = engine.session(list(range(3, 103)))
    with pytest.raises(itwidgets.engine.BudgetError, match=r"this branch needs 0\.1 MiB"):
        session.generate(3).wait()
    assert session.token_ids == [START]
    session.read_prompt([5, 6, 7]).wait()
    assert len(session.generate(3).wait()) == 3


def test_several_sessions_take_turns_on_their_own_sources(shared_seq2seq: Engines) -> None:
    engine = shared_seq2seq("bart")
    texts = [SOURCE, OTHER, "Rome", SOURCE]
    sessions = [engine.session(text) for text in texts]
    jobs = [session.generate(12) for session in sessions]
    for job in jobs:
        job.wait()
    for text, session in zip(texts, sessions, strict=True):
        source = session.source_ids
        assert source is not None
        assert session.source_text == text
        assert session.token_ids == greedy(engine.model, source, [START], 12)


def test_a_decoder_alone_has_no_source(smollm: Engine) -> None:
    session = smollm.session("Paris")
    assert (session.source_ids, session.source_text, smollm.source_length) == (None, None, None)
    assert session.memory().sources == 0
