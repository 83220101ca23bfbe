"""Rollouts: alternatives run together are what they are alone, and one becomes a branch for nothing."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

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


HEAD_DIM = 8
LAYERS = 12
A_TOKEN = LAYERS * 2 * 2 * HEAD_DIM * 4
"""Bytes of keys and values in twelve layers with two heads of eight float32 numbers."""


@pytest.fixture
def bytes_of_keys_and_values() -> Iterator[Callable[[], int]]:
    """Give what says the memory of all new tensors shaped as keys and values, each piece of it once."""

    def count() -> int:
        tensors = (each for each in gc.get_objects() if type(each) is torch.Tensor)
        stored = [each for each in tensors if each.dim() == 4 and each.shape[1::2] == (2, HEAD_DIM)]
        return sum({each.data_ptr(): each.untyped_storage().nbytes() for each in stored}.values())

    gc.collect()
    gc.freeze()
    yield count
    gc.unfreeze()


@pytest.fixture(scope="module")
def deep_engine() -> Engine:
    engine = tiny_engine(num_hidden_layers=LAYERS)
    assert engine.capabilities.branches == "held", "asked now, since it passes texts to find out"
    return engine


@pytest.mark.parametrize("prefix", [512, 513, 600])
def test_ten_alternatives_take_a_seventh_of_the_memory_of_copies(
    deep_engine: Engine, bytes_of_keys_and_values: Callable[[], int], prefix: int
) -> None:
    taken = []
    session = deep_engine.session([5] * prefix)
    hook = deep_engine.model.get_input_embeddings().register_forward_hook(
        lambda *_: taken.append(bytes_of_keys_and_values())
    )
    rollout = session.rollout(0, k=10, max_new_tokens=16, program=Ban(sorted(deep_engine.stop_ids)))
    hook.remove()
    after = bytes_of_keys_and_values()
    assert len(taken) == 16
    assert max(*taken, after) <= 10 * (prefix + 16) * A_TOKEN / 7
    memory = session.memory()
    # What the rollout took behind the branch is given back, and what is kept for adoption is there once.
    assert memory.current_branch == prefix * A_TOKEN
    assert after - memory.current_branch == rollout.nbytes == 160 * A_TOKEN
