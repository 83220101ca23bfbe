"""What passes through the model: counted positions, never time."""

from __future__ import annotations

import pytest

from itwidgets import Engine
from itwidgets.interventions import Ban
from itwidgets.tree import Origin
from tests.models import CUTTABLE, PROMPT, RECURRENT, counted_positions, tiny_engine


@pytest.fixture(params=CUTTABLE)
def engine(request: pytest.FixtureRequest) -> Engine:
    return tiny_engine(request.param)


def test_forcing_in_the_middle_of_a_long_branch_passes_one_position(engine: Engine) -> None:
    session = engine.session(PROMPT)
    session.generate(max_new_tokens=300, program=Ban(sorted(engine.stop_ids))).wait()
    old = session.branches[0]
    with counted_positions(engine.model) as counts:
        session.force(150, 42)
        assert counts == [1]
        session.generate(max_new_tokens=5).wait()
        assert counts == [1] * 6
    new = session.head
    assert new is not None
    with counted_positions(engine.model) as counts:
        session.switch(old)
        assert counts == []
        session.generate(max_new_tokens=3).wait()
        assert counts == [1] * 3
        session.switch(new)
        session.generate(max_new_tokens=2).wait()
        assert counts == [1] * 5
    assert len(session.new_nodes) == 158


def test_distributions_pass_nothing(engine: Engine) -> None:
    session = engine.session(PROMPT)
    session.generate(max_new_tokens=30).wait()
    session.force(10, " London")
    with counted_positions(engine.model) as counts:
        for row in range(1, len(session.tree)):
            session.distribution(session.tree[row])
        assert counts == []


def test_a_prompt_is_read_once_and_its_figures_come_with_it(engine: Engine) -> None:
    with counted_positions(engine.model) as counts:
        session = engine.session(PROMPT)
    assert counts == [len(session.token_ids)]


def test_an_edited_prompt_passes_only_what_is_new(engine: Engine) -> None:
    session = engine.session(list(range(100)))
    session.generate(max_new_tokens=4).wait()
    with counted_positions(engine.model) as counts:
        session.read_prompt([*range(60), 7, 8, 9]).wait()
        assert counts == [3]
        session.read_prompt(list(range(100))).wait()
        assert counts == [3]
        session.generate(max_new_tokens=2).wait()
        assert sum(counts) == 5
        session.read_prompt(list(range(80))).wait()
        assert sum(counts) == 5
    assert session.token_ids == list(range(80))
    assert len(session.tree) == 100 + 4 + 3 + 2
    edited = [node.origin for node in session.tree[106].tree.branches[1].nodes]
    assert edited == [Origin.EDITED] * 3


def test_many_branches_from_one_place_share_all_before_it(engine: Engine) -> None:
    session = engine.session(PROMPT)
    session.generate(max_new_tokens=40).wait()
    tip = session.head
    assert tip is not None
    with counted_positions(engine.model) as counts:
        for token in range(10):
            session.switch(tip)
            session.force(20, token)
        assert counts == [1] * 10
    assert len(session.branches) == 11


@pytest.mark.parametrize("kind", RECURRENT)
def test_a_recurrent_model_goes_on_from_the_nearest_snapshot(kind: str) -> None:
    engine = tiny_engine(kind, snapshot_interval=8)
    assert engine.capabilities.branches == "snapshots"
    session = engine.session(PROMPT)
    session.generate(max_new_tokens=40, program=Ban(sorted(engine.stop_ids))).wait()
    tip = session.head
    assert tip is not None
    missing = (session.prompt_length + 30) % 8
    with counted_positions(engine.model) as counts:
        session.force(30, 42)
        assert counts == [1] * (missing + 1)
        session.generate(max_new_tokens=2).wait()
        session.switch(tip)
        session.generate(max_new_tokens=2).wait()
        assert counts == [1] * (missing + 5)
        # Where a branch has parted, another one parts for one step.
        session.force(30, 43)
        assert counts == [1] * (missing + 6)


def test_what_the_snapshots_do_not_reach_passes_in_one_prefill() -> None:
    engine = tiny_engine("qwen3_next", snapshot_interval=8)
    session = engine.session(PROMPT)
    session.generate(max_new_tokens=40, program=Ban(sorted(engine.stop_ids))).wait()
    session.forget()
    with counted_positions(engine.model) as counts:
        session.force(30, 42)
        assert counts == [session.prompt_length, 30, 1]
