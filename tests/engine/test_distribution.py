"""The distribution at any place, against a fresh pass of the model over the same tokens."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from itwidgets import Engine, Session
from itwidgets.interventions import Temperature
from itwidgets.tree import Node
from tests.models import (
    CUTTABLE,
    KINDS,
    PROMPT,
    byte_level_tokenizer,
    fresh_log_probs,
    tiny_engine,
    tiny_model,
)

TOLERANCE = {torch.float32: 2e-4, torch.bfloat16: 0.5}
Engines = Callable[[str], Engine]


def _assert_fresh(session: Session, node: Node) -> None:
    """The distribution that a node was drawn from is that of a pass over the tokens before it."""
    model = session.engine.model
    before = session.tree.token_ids(node.row)[:-1]
    found = session.distribution(node).log_probs
    np.testing.assert_allclose(found, fresh_log_probs(model, before), atol=TOLERANCE[model.dtype])


@pytest.mark.parametrize("kind", KINDS)
def test_every_place_of_every_branch_is_right(shared_engine: Engines, kind: str) -> None:
    session = shared_engine(kind).session(PROMPT)
    session.generate(max_new_tokens=20, program=Temperature(1.0), seed=1).wait()
    first = session.branches[0]
    session.force(10, " London and Rome")
    session.generate(max_new_tokens=4).wait()
    session.force(3, 42)
    session.generate(max_new_tokens=2).wait()
    session.switch(first)
    session.generate(max_new_tokens=3).wait()
    for row in range(1, len(session.tree)):
        _assert_fresh(session, session.tree[row])


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_bfloat16_is_right_within_its_noise(kind: str) -> None:
    engine = Engine(tiny_model(kind, dtype=torch.bfloat16), byte_level_tokenizer())
    session = engine.session(PROMPT)
    session.generate(max_new_tokens=8).wait()
    node = session.force(4, " London")
    session.generate(max_new_tokens=4).wait()
    for row in range(node.row, len(session.tree)):
        _assert_fresh(session, session.tree[row])


def test_forcing_on_the_embedded_model_is_right(smollm: Engine) -> None:
    session = smollm.session("The capital of France is")
    session.generate(max_new_tokens=10).wait()
    session.force(2, " London")
    session.generate(max_new_tokens=3).wait()
    _assert_fresh(session, session.nodes[-1])


@pytest.mark.parametrize("kind", CUTTABLE)
def test_asking_again_gives_the_same_bits(shared_engine: Engines, kind: str) -> None:
    session = shared_engine(kind).session(PROMPT)
    session.generate(max_new_tokens=12).wait()
    first = session.branches[0]
    rows = session.nodes[1:]
    before = [session.distribution(node).log_probs for node in rows]
    session.force(2, " London")
    session.generate(max_new_tokens=6).wait()
    elsewhere = [session.distribution(node).log_probs for node in rows]
    session.switch(first)
    session.generate(max_new_tokens=1).wait()
    returned = [session.distribution(node).log_probs for node in rows]
    for a, b, c in zip(before, elsewhere, returned, strict=True):
        assert np.array_equal(a, b)
        assert np.array_equal(a, c)


@pytest.mark.parametrize("kind", CUTTABLE)
def test_a_branch_seen_again_goes_on_with_the_same_bits(shared_engine: Engines, kind: str) -> None:
    # Its keys and values were copied out and in; one that never left is the oracle.
    stayed, left = (shared_engine(kind).session(PROMPT) for _ in range(2))
    for session in (stayed, left):
        session.generate(max_new_tokens=10).wait()
    tip = left.nodes[-1]
    left.force(4, " London")
    left.generate(max_new_tokens=3).wait()
    left.switch(tip)
    for session in (stayed, left):
        session.generate(max_new_tokens=4).wait()
    assert left.token_ids == stayed.token_ids
    for a, b in zip(left.nodes[1:], stayed.nodes[1:], strict=True):
        assert np.array_equal(left.distribution(a).log_probs, stayed.distribution(b).log_probs)


def test_what_is_shown_is_what_was_drawn_from(shared_engine: Engines) -> None:
    session = shared_engine("llama").session(PROMPT)
    for node in session.generate(max_new_tokens=6, program=Temperature(2.0)).wait():
        shown = session.distribution(node)
        assert node.surprisal == pytest.approx(shown.surprisal(node.token_id), rel=1e-6)
        assert node.entropy == pytest.approx(shown.entropy, rel=1e-6)
        assert node.rank == shown.rank(node.token_id)


class TestReading:
    @pytest.fixture
    def session(self, shared_engine: Engines) -> Session:
        return shared_engine("llama").session(PROMPT)

    def test_the_whole_vocabulary_in_order(self, session: Session) -> None:
        found = session.distribution(0)
        best = found.top(len(found))
        assert len(found) == len(best) == len(session.engine.vocabulary)
        assert [a.rank for a in best] == list(range(1, len(best) + 1))
        assert sum(a.probability for a in best) == pytest.approx(1, rel=1e-12)
        assert sorted(a.token_id for a in best) == list(range(len(best)))
        assert [a.surprisal for a in best] == sorted(a.surprisal for a in best)
        for a in best[:5]:
            assert a.surprisal == pytest.approx(-math.log2(a.probability), rel=1e-9)

    def test_tokens_by_text_and_by_id_are_the_same(self, session: Session) -> None:
        found = session.distribution(0)
        token = session.engine.vocabulary.token_id(" London")
        assert found.rank(" London") == found.rank(token)
        assert found.surprisal(" London") == found.surprisal(token)
        assert found.probability(" London") == pytest.approx(math.exp(found.log_probs[token]))
        with pytest.raises(ValueError, match="is no single token but 2"):
            found.rank(" London is")

    def test_search_finds_all_and_ranks_in_the_whole(self, session: Session) -> None:
        found = session.distribution(0)
        hits = found.search("lon")
        expected = set(session.engine.vocabulary.search("lon"))
        assert {a.token_id for a in hits} == expected
        assert expected
        assert [a.rank for a in hits] == sorted(found.rank(a.token_id) for a in hits)
        assert found.search("there is no such token") == []

    def test_frames_and_repr(self, session: Session) -> None:
        found = session.distribution(0)
        frame = found.to_frame(5)
        assert frame.index.tolist() == [1, 2, 3, 4, 5]
        assert frame["token_id"].tolist() == [a.token_id for a in found.top(5)]
        assert len(found.to_frame()) == len(found)
        assert "bits" in repr(found)

    def test_the_first_token_of_a_text_has_none(self, session: Session) -> None:
        with pytest.raises(ValueError, match="the first token of a text has no context"):
            session.distribution(session.nodes[0])


def test_a_soft_capped_head_is_applied() -> None:
    engine = tiny_engine("gemma3")
    assert engine.capabilities.rows == "hidden state"
    session = engine.session(PROMPT)
    np.testing.assert_allclose(
        session.distribution(0).log_probs, fresh_log_probs(engine.model, session.token_ids), atol=1e-5
    )


def test_mass_on_ids_that_are_no_tokens_is_told(shared_engine: Engines) -> None:
    engine = shared_engine("llama")
    session = engine.session(PROMPT)
    found = session.distribution(0)
    expected = np.exp(fresh_log_probs(engine.model, session.token_ids))[len(engine.tokenizer) :].sum()
    assert 0.001 < expected < 0.5
    assert found.undecodable == pytest.approx(expected, rel=1e-3)


def test_no_mass_is_lost_where_every_id_is_a_token() -> None:
    engine = tiny_engine(vocab_size=len(byte_level_tokenizer()))
    assert engine.session(PROMPT).distribution(0).undecodable == 0.0
