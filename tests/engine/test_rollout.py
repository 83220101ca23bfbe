"""Rollouts: alternatives run together are what they are alone, and one becomes a branch for nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from itwidgets import Engine
from itwidgets.engine import ContextFullError, Rollout
from itwidgets.interventions import Ban, Temperature
from itwidgets.tree import Origin
from tests.models import KINDS, PROMPT, counted_positions, fresh_logits, gate_at, tiny_engine


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, shared_engine: Callable[[str], Engine]) -> Engine:
    return shared_engine(request.param)


def test_alternatives_run_together_as_they_do_one_by_one(engine: Engine) -> None:
    session, alone = engine.session(PROMPT), engine.session(PROMPT)
    for each in (session, alone):
        each.generate(12, program=Ban(sorted(engine.stop_ids))).wait()
    rollout = session.rollout(6, k=4, max_new_tokens=9)
    assert len(rollout) == 4
    best = session.distribution(6).top(4)
    assert [one.token_ids[0] for one in rollout] == [alternative.token_id for alternative in best]
    for one in rollout:
        alone.force(alone.branches[0].nodes[alone.prompt_length + 6], one.token_ids[0])
        alone.generate(8).wait()
        assert alone.token_ids[-len(one.token_ids) :] == one.token_ids
        nodes = alone.new_nodes[-len(one.token_ids) :]
        np.testing.assert_allclose(one.surprisals, [node.surprisal for node in nodes], atol=5e-3)


def test_a_rollout_leaves_the_session_as_it_was(engine: Engine) -> None:
    session = engine.session(PROMPT)
    session.generate(8, program=Ban(sorted(engine.stop_ids))).wait()
    rows, head, text = len(session.tree), session.head, session.text
    session.rollout(3, k=3, max_new_tokens=5)
    assert (len(session.tree), session.head, session.text) == (rows, head, text)
    with counted_positions(engine.model) as counts:
        session.generate(2).wait()
    assert sum(counts) <= 2 + (0 if engine.capabilities.branches == "held" else 8)
    expected = fresh_logits(engine.model, session.token_ids)[-1].log_softmax(-1)
    found = session.distribution(len(session.new_nodes)).log_probs
    np.testing.assert_allclose(found, expected.numpy(), atol=3e-3)


def test_adopting_passes_nothing_and_going_on_passes_what_is_new(engine: Engine) -> None:
    session = engine.session(PROMPT)
    session.generate(8, program=Ban(sorted(engine.stop_ids))).wait()
    rollout = session.rollout(4, k=3, max_new_tokens=6, program=Ban(sorted(engine.stop_ids)))
    with counted_positions(engine.model) as counts:
        node = session.adopt(rollout[2])
        assert counts == []
        assert session.head == node
        assert session.token_ids[-6:] == rollout[2].token_ids
        for each in session.new_nodes[4:]:
            session.distribution(each)
        assert counts == []
        session.generate(3).wait()
        assert counts == [1, 1, 1]
    origins = [each.origin for each in session.new_nodes[4:10]]
    assert origins == [Origin.FORCED] + [Origin.SAMPLED] * 5
    assert [each.surprisal for each in session.new_nodes[4:10]] == pytest.approx(rollout[2].surprisals)
    assert session.adopt(rollout[2]) == node, "a second time it is the same branch"
    expected = fresh_logits(engine.model, session.token_ids)[-1].log_softmax(-1)
    found = session.distribution(len(session.new_nodes)).log_probs
    np.testing.assert_allclose(found, expected.numpy(), atol=3e-3)


def test_continuations_of_given_alternatives_share_their_noise(engine: Engine) -> None:
    session, alone = engine.session(PROMPT), engine.session(PROMPT)
    program = Temperature(1.5)
    rollout = session.rollout(0, tokens=[42, 43], max_new_tokens=6, program=program, seed=7)
    assert [one.token_ids[0] for one in rollout] == [42, 43]
    alone.force(0, 43)
    alone.generate(5, program=program, seed=7).wait()
    length = len(rollout[1].token_ids)
    assert alone.token_ids[-length:] == rollout[1].token_ids


def test_what_ends_early_ends_alone() -> None:
    engine = tiny_engine()
    session = engine.session(PROMPT)
    (stop,) = engine.stop_ids
    rollout = session.rollout(0, tokens=[stop, 42], max_new_tokens=4, program=Ban([stop]))
    assert rollout[0].token_ids == [stop]
    assert rollout[0].has_ended
    assert len(rollout[1].token_ids) == 4
    assert list(rollout.to_frame()["tokens"]) == [1, 4]
    session.adopt(rollout[0])
    assert session.has_ended is False, "a forced token does not end what the model writes"


def test_a_stopped_rollout_keeps_whole_steps() -> None:
    engine = tiny_engine()
    session = engine.session(PROMPT)
    session.rollout(0, k=1, max_new_tokens=1)  # the first one also tries which masks the model takes
    with gate_at(engine.model, 3) as gate:
        job = session.start_rollout(0, k=3, max_new_tokens=50)
        gate.wait_until_reached()
        session.stop()
        gate.open()
        rollout: Rollout = job.wait(60)
    lengths = {len(one.token_ids) for one in rollout}
    assert len(lengths) == 1
    assert lengths <= {2, 3}
    session.adopt(rollout[1])
    session.generate(2).wait()
    expected = fresh_logits(engine.model, session.token_ids)[-1].log_softmax(-1)
    found = session.distribution(len(session.new_nodes)).log_probs
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)


def test_the_prefix_is_shared_and_not_copied() -> None:
    engine = tiny_engine()
    session = engine.session([5] * 200)
    rollout = session.rollout(0, k=10, max_new_tokens=4)
    a_token = session.memory().current_branch // 256
    assert rollout.nbytes == 40 * a_token


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"k": 0}, "k is 0, but must be a whole number of at least 1"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0, but must be a whole number of at least 1"),
        ({"tokens": []}, "tokens is empty"),
        ({"tokens": [520]}, "token id 520 is not in the vocabulary"),
        ({"position": 3}, "position 3 is out of range"),
    ],
)
def test_bad_input_is_one_sentence(change: dict[str, object], sentence: str) -> None:
    session = tiny_engine().session(PROMPT)
    arguments = {"position": 0} | change
    with pytest.raises((ValueError, TypeError), match=sentence):
        session.rollout(**arguments)  # type: ignore[arg-type]


def test_a_rollout_past_the_context_is_refused_before_it_begins() -> None:
    engine = tiny_engine(max_position_embeddings=20)
    session = engine.session([5] * 15)
    with counted_positions(engine.model) as counts:
        with pytest.raises(ContextFullError, match="it holds 20 tokens, this branch has 15, and 6 more"):
            session.rollout(0, k=2, max_new_tokens=6)
        assert counts == []
    assert len(session.rollout(0, k=2, max_new_tokens=5)[0].token_ids) == 5


def test_a_continuation_of_another_session_is_refused() -> None:
    engine = tiny_engine()
    one, other = engine.session(PROMPT), engine.session(PROMPT)
    rollout = one.rollout(0, k=1, max_new_tokens=2)
    with pytest.raises(ValueError, match="belongs to another session"):
        other.adopt(rollout[0])
