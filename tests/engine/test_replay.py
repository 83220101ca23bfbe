"""A session made again from its record: to the bit where one path made it, and the first difference named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import itwidgets
from itwidgets import Engine, Session
from itwidgets.engine import Difference
from itwidgets.interventions import Ban, Bias, Program, Temperature, TopK
from tests.models import KINDS, PROMPT, counted_positions, gate_at, tiny_engine


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, shared_engine: Callable[[str], Engine]) -> Engine:
    return shared_engine(request.param)


def wandered(engine: Engine) -> Session:
    """A session with branches, an edited prompt, a stop, and another session in between."""
    session, other = engine.session(PROMPT), engine.session(PROMPT + " is")
    lasting = Ban(sorted(engine.stop_ids))
    program = lasting >> Bias({42: 1.5}) >> Temperature(1.3) >> TopK(60)
    session.generate(12, program=program, seed=3).wait()
    tip = session.head
    assert tip is not None
    session.force(4, [42, 43])
    other.generate(5).wait()
    session.generate(5, program=lasting).wait()
    session.undo()
    session.switch(tip)
    with gate_at(engine.model, 3) as gate:
        job = session.generate(20, program=program, seed=5)
        gate.wait_until_reached()
        session.stop()
        gate.open()
        job.wait(60)
    session.read_prompt([*session.prompt_ids[:-1], 7, 8]).wait()
    session.generate(4, program=program, seed=3).wait()
    return session


def test_all_rows_come_out_again_to_the_bit(engine: Engine) -> None:
    session = wandered(engine)
    replay = session.replay()
    assert replay.first_difference is None, repr(replay)
    assert (replay.rows, replay.different, replay.not_drawn) == (len(session.tree), 0, 0)
    # A gate is a hook: the steps beside it went by another route, and so may what follows from them.
    assert replay.exact >= replay.rows // 2


def test_without_anything_in_the_model_every_row_is_exact(engine: Engine) -> None:
    session = engine.session(PROMPT)
    session.generate(8, program=Temperature(1.5), seed=1).wait()
    session.force(3, 42)
    session.generate(4, program=Temperature(1.5), seed=2).wait()
    replay = session.replay()
    assert replay.exact == replay.rows == len(session.tree)
    assert repr(replay) == f"<Replay: all {replay.rows} rows came out again, {replay.rows} to the bit>"


def test_what_was_dropped_and_computed_again_is_so_again(engine: Engine) -> None:
    session = engine.session([5] * 20)
    session.generate(10, program=Ban(sorted(engine.stop_ids))).wait()
    session.forget()
    session.generate(6, program=Ban(sorted(engine.stop_ids))).wait()
    assert session.tree.record.recomputed
    replay = session.replay()
    assert replay.first_difference is None, repr(replay)
    assert replay.exact == replay.rows


def test_an_adopted_continuation_comes_out_within_the_noise(engine: Engine) -> None:
    session = engine.session(PROMPT)
    session.adopt(session.rollout(0, k=2, max_new_tokens=4)[1])
    session.generate(3).wait()
    replay = session.replay()
    assert replay.first_difference is None, repr(replay)
    assert replay.close >= 4


def test_a_replay_leaves_the_session_alone() -> None:
    engine = tiny_engine()
    session = engine.session(PROMPT)
    session.generate(5).wait()
    rows, head = len(session.tree), session.head
    session.replay()
    assert (len(session.tree), session.head) == (rows, head)
    with counted_positions(engine.model) as counts:
        session.generate(1).wait()
        assert counts == [1]


def test_a_saved_session_replays_itself_on_another_engine_of_the_same_model(tmp_path: Path) -> None:
    first = tiny_engine()
    wandered(first).save(tmp_path / "one.itw.json")
    reopened = itwidgets.open(tmp_path / "one.itw.json", tiny_engine())
    replay = reopened.replay()
    assert replay.first_difference is None, repr(replay)
    assert replay.exact >= replay.rows // 2


def tampered(path: Path, change: Callable[[Any], None]) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document["content"])
    text = json.dumps(document["content"], sort_keys=True, separators=(",", ":"))
    document["digest"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(document), encoding="utf-8")


def test_the_first_difference_is_named(tmp_path: Path) -> None:
    engine = tiny_engine()
    session = engine.session(PROMPT)
    session.generate(6).wait()
    path = tmp_path / "one.itw.json"
    session.save(path)
    row = session.new_nodes[2].row

    def change(content: Any) -> None:
        content["columns"]["surprisal"][row] += 0.5

    tampered(path, change)
    found = itwidgets.open(path, engine).replay().first_difference
    assert isinstance(found, Difference)
    assert (found.row, found.column) == (row, "surprisal")
    assert found.recorded - found.replayed == pytest.approx(0.5, abs=1e-6)


def test_another_token_is_named(tmp_path: Path) -> None:
    engine = tiny_engine()
    session = engine.session(PROMPT)
    session.generate(6, program=Temperature(2.0), seed=4).wait()
    path = tmp_path / "one.itw.json"
    session.save(path)
    row, drawn = session.new_nodes[3].row, session.new_nodes[3].token_id
    other = int(session.tree.column("top_ids")[row][0])
    other = other if other != drawn else int(session.tree.column("top_ids")[row][1])

    def change(content: Any) -> None:
        content["columns"]["token_id"][row] = other

    tampered(path, change)
    found = itwidgets.open(path, engine).replay().first_difference
    assert found == Difference(row, "token_id", other, drawn)


class Mine(Temperature):
    """An operator of the user's own."""


def test_what_cannot_be_drawn_again_is_counted(tmp_path: Path) -> None:
    engine = tiny_engine()
    session = engine.session(PROMPT)
    session.generate(4, program=Program((Mine(1.5),)), seed=1).wait()
    path = tmp_path / "one.itw.json"
    session.save(path)
    replay = itwidgets.open(path, engine).replay()
    assert replay.first_difference is None
    assert replay.not_drawn == 4
    assert "4 of them not drawn again" in repr(replay)


def test_draws_of_torch_are_drawn_again_from_where_each_generation_began(engine: Engine) -> None:
    session = engine.session(PROMPT)
    lasting = Ban(sorted(engine.stop_ids)) >> Temperature(1.3)
    session.generate(6, program=lasting, seed=3, sampling="torch").wait()
    tip = session.head
    assert tip is not None
    session.force(2, 42)
    session.generate(4, program=lasting, seed=3, sampling="torch").wait()
    session.switch(tip)
    # It goes on with a generator of its own.
    session.generate(3, program=lasting, seed=3, sampling="torch").wait()
    replay = session.replay()
    assert replay.first_difference is None, repr(replay)
    assert (replay.exact, replay.not_drawn) == (len(session.tree), 0)
