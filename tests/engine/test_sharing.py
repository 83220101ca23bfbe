"""Sessions that take memory from each other: what they show stays right, and nobody waits for ever."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from itwidgets import Session
from itwidgets.engine import BudgetError
from itwidgets.interventions import Ban
from tests.models import fresh_log_probs, gate_at, tiny_engine

LONG = 180
NEW = 12


def _prompt(first: int) -> list[int]:
    return [first, first + 1, first + 2] * (LONG // 3)


def _bytes_of_one(kind: str) -> int:
    """Bytes that one long session takes."""
    engine = tiny_engine(kind)
    session = engine.session(_prompt(5))
    session.generate(3).wait()
    memory = session.memory()
    engine.close()
    return memory.current_branch + memory.snapshots + memory.sources


def _assert_every_row_right(session: Session) -> None:
    ids = [node.token_id for node in session.nodes]
    for node in session.new_nodes:
        expected = -fresh_log_probs(session.engine.model, ids[: node.position])[node.token_id] / np.log(2)
        assert node.surprisal == pytest.approx(expected, abs=2e-3)


def _grow(sessions: Sequence[Session]) -> None:
    jobs = [session.generate(NEW, program=Ban(sorted(session.engine.stop_ids))) for session in sessions]
    for job in jobs:
        assert len(job.wait(120)) == NEW


@pytest.mark.parametrize("kind", ["llama", "gemma3", "lfm2", "qwen3_next", "falcon_h1"])
def test_two_sessions_that_do_not_fit_together_grow_side_by_side(kind: str) -> None:
    engine = tiny_engine(kind, kv_budget=int(1.2 * _bytes_of_one(kind)))
    sessions = [engine.session(_prompt(first)) for first in (5, 8)]
    _grow(sessions)
    for session in sessions:
        _assert_every_row_right(session)
    assert any(session.tree.record.recomputed for session in sessions)
    engine.close()


@pytest.mark.parametrize("kind", ["llama", "lfm2"])
def test_a_prefill_in_pieces_beside_a_growing_session(kind: str) -> None:
    engine = tiny_engine(kind, kv_budget=int(2.2 * _bytes_of_one(kind)))
    growing, reading = engine.session(_prompt(5)), engine.empty_session()
    job = growing.generate(NEW, program=Ban(sorted(engine.stop_ids)))
    prompt = reading.read_prompt(_prompt(8) * 2)
    assert len(job.wait(120)) == NEW
    prompt.wait(120)
    for session in (growing, reading):
        _assert_every_row_right(session)
    engine.close()


@pytest.mark.parametrize("kind", ["llama", "qwen3_next"])
def test_what_is_forgotten_in_the_middle_of_a_rollout_is_computed_again(kind: str) -> None:
    engine = tiny_engine(kind)
    session = engine.session(_prompt(5))
    alone = [one.token_ids for one in session.rollout(0, k=3, max_new_tokens=12)]
    with ThreadPoolExecutor(2) as pool, gate_at(engine.model, 5) as gate:
        rollout = pool.submit(session.rollout, 0, k=3, max_new_tokens=12)
        gate.wait_until_reached()
        forgetting = pool.submit(session.forget)
        gate.open()
        assert [one.token_ids for one in rollout.result(60)] == alone
        forgetting.result(60)
    session.generate(4).wait()
    session.forget()
    session.generate(4).wait()
    _assert_every_row_right(session)
    engine.close()


def test_what_was_used_longest_ago_goes_first() -> None:
    one = _bytes_of_one("llama")
    engine = tiny_engine(kv_budget=int(2.1 * one))
    first, second = (engine.session(_prompt(start)) for start in (5, 8))
    # Decoding alone is use too.
    _grow([first])
    third = engine.session(_prompt(11))
    third.generate(1).wait()
    assert first.memory().current_branch > 0
    assert second.memory().current_branch == 0
    engine.close()


def test_a_rollout_that_is_kept_counts_no_more_than_it_holds() -> None:
    one = _bytes_of_one("lfm2")
    engine = tiny_engine("lfm2", kv_budget=5 * one)
    session = engine.session(_prompt(5))
    kept = [session.rollout(0, k=3, max_new_tokens=4) for _ in range(30)]
    other = engine.session(_prompt(8))
    memory = session.memory()
    assert memory.all_sessions <= memory.budget
    # What was given up of the rollouts makes room for others.
    assert other.memory().current_branch > 0
    assert memory.current_branch > 0
    assert len(kept) == 30
    engine.close()


def test_copies_that_would_not_fit_are_refused_before_they_are_made() -> None:
    engine = tiny_engine("lfm2", kv_budget=3 * _bytes_of_one("lfm2"))
    session = engine.session(_prompt(5))
    rows = len(session.tree)
    with pytest.raises(BudgetError, match=r"^100 copies of this branch needs .* MiB"):
        session.rollout(0, k=100, max_new_tokens=4)
    assert len(session.tree) == rows
    _grow([session])
    _assert_every_row_right(session)
    engine.close()
