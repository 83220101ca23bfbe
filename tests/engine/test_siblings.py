"""Siblings: continuations of one place by several seeds, as one job."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from itwidgets import Engine
from itwidgets.interventions import GREEDY, Ban, Program, Temperature
from itwidgets.tree import Origin
from tests.models import KINDS, PROMPT, counted_positions, gate_at

SAMPLED = Temperature(1.5)


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, shared_engine: Callable[[str], Engine]) -> Engine:
    return shared_engine(request.param)


@pytest.mark.parametrize("sampling", ["gumbel", "torch"])
def test_each_is_what_its_seed_makes_alone(engine: Engine, sampling: str) -> None:
    program = Ban(sorted(engine.stop_ids)) >> SAMPLED
    session, alone = engine.session(PROMPT), engine.session(PROMPT)
    for each in (session, alone):
        each.generate(6, program=Ban(sorted(engine.stop_ids))).wait()
    job = session.siblings(2, n=3, max_new_tokens=5, program=program, seed=7, sampling=sampling)
    assert len(job.wait()) == 15
    assert len(session.branches) == 4
    old = alone.nodes
    for i, branch in enumerate(session.branches[1:]):
        alone.switch(old[session.prompt_length + 1])
        alone.generate(5, program=program, seed=7 + i, sampling=sampling).wait()
        assert branch.tip.tree.token_ids(branch.tip.row) == alone.token_ids
        np.testing.assert_allclose(
            [node.surprisal for node in branch.nodes],
            [node.surprisal for node in alone.new_nodes[-5:]],
            atol=5e-3,
        )
        assert {node.origin for node in branch.nodes} == {Origin.SAMPLED}
    assert session.head == session.branches[-1].tip


def test_they_pass_their_own_tokens_alone(shared_engine: Callable[[str], Engine]) -> None:
    engine = shared_engine("llama")
    session = engine.session(PROMPT)
    program = Ban(sorted(engine.stop_ids)) >> SAMPLED
    session.generate(30, program=program).wait()
    with counted_positions(engine.model) as counts:
        session.siblings(20, n=4, max_new_tokens=3, program=program).wait()
    assert counts == [1] * 12


def test_one_undo_takes_all_of_them_back(engine: Engine) -> None:
    session = engine.session(PROMPT)
    before = session.generate(3).wait()[-1]
    session.siblings(1, n=3, max_new_tokens=2, program=SAMPLED).wait()
    assert session.undo() == before


def test_stopped_they_keep_what_was_made(shared_engine: Callable[[str], Engine]) -> None:
    engine = shared_engine("llama")
    session = engine.session(PROMPT)
    program = Ban(sorted(engine.stop_ids)) >> SAMPLED
    session.generate(4, program=program).wait()
    with gate_at(engine.model, 7) as gate:
        job = session.siblings(0, n=5, max_new_tokens=4, program=program, seed=1)
        gate.wait_until_reached()
        session.stop()
        gate.open()
        nodes = job.wait()
    assert len(nodes) == 6
    assert len(session.branches) == 3
    assert session.head == nodes[-1]
    session.generate(2, program=program).wait()
    assert len(session.new_nodes) == 2 + 2


def test_a_program_without_a_choice_is_refused_before_anything_begins(
    shared_engine: Callable[[str], Engine],
) -> None:
    session = shared_engine("llama").session(PROMPT)
    rows = len(session.tree)
    with pytest.raises(ValueError, match=r"leaves no choice, so all 3 siblings would be the same"):
        session.siblings(0, n=3, program=GREEDY)
    with pytest.raises(ValueError, match="n is 0"):
        session.siblings(0, n=0, program=Program())
    with pytest.raises(ValueError, match="has no siblings"):
        session.siblings(session.nodes[0], program=Program())
    session.siblings(0, n=1, max_new_tokens=1, program=GREEDY).wait()
    assert len(session.tree) == rows + 1
