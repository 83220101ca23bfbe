"""What each operator did at a place: against scipy and torch, and against what was recorded there."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from itwidgets import Engine, Session
from itwidgets.engine import Distribution, Stages
from itwidgets.interventions import (
    GREEDY,
    At,
    Ban,
    Bias,
    Compare,
    MinP,
    Operator,
    Program,
    Temperature,
    TopK,
    TopP,
    When,
)
from tests.models import PROMPT

Engines = Callable[[str], Engine]

OPERATORS: st.SearchStrategy[Operator] = st.one_of(
    st.builds(Bias, st.dictionaries(st.integers(1, 499), st.floats(-5, 5), max_size=4)),
    st.builds(Ban, st.lists(st.integers(0, 519), max_size=5)),
    st.builds(Temperature, st.floats(0.3, 3)),
    st.builds(TopK, st.integers(1, 600)),
    st.builds(TopP, st.floats(0.1, 1)),
    st.builds(MinP, st.floats(0, 0.5)),
    st.builds(
        lambda bits, nats: When(Compare("surprisal", ">", bits, of="previous"), Program((Bias({7: nats}),))),
        st.floats(0, 9),
        st.floats(-3, 3),
    ),
)
PROGRAMS = st.lists(OPERATORS, max_size=6).map(lambda found: Program(tuple(found)))


def session_of(shared_engine: Engines, program: Program, seed: int = 1) -> Session:
    session = shared_engine("llama").session(PROMPT)
    session.generate(4, program=program, seed=seed).wait()
    return session


def test_figures_of_stages_agree_with_scipy(shared_engine: Engines) -> None:
    program = Bias({5: 3.0, 40: -2.0}) >> Ban([7, 8, 9]) >> Temperature(1.4) >> TopK(30) >> GREEDY
    found = session_of(shared_engine, program).distribution(2)
    before = np.exp(found.log_probs)
    assert [stage.operator for stage in found.stages] == list(program.operators)
    for stage in found.stages:
        after = np.exp(stage.log_probs)
        assert after.sum() == pytest.approx(1, rel=1e-12)
        assert stage.kl_bits == pytest.approx(scipy.stats.entropy(after, before, base=2), rel=1e-9, abs=1e-12)
        change = scipy.stats.entropy(after, base=2) - scipy.stats.entropy(before, base=2)
        assert stage.entropy_change_bits == pytest.approx(change, rel=1e-9, abs=1e-12)
        assert stage.mass_moved == pytest.approx(0.5 * np.abs(after - before).sum(), rel=1e-9)
        assert stage.support_size == np.count_nonzero(after)
        assert [(one.before, one.after) for one in stage.moved] == [
            (before[one.token_id], after[one.token_id]) for one in stage.moved
        ]
        gaps = [abs(one.after - one.before) for one in stage.moved]
        assert gaps == sorted(np.abs(after - before).tolist(), reverse=True)[: len(gaps)]
        assert all(gaps)
        before = after
    assert [stage.support_size for stage in found.stages] == [520, 517, 517, 30, 1]
    vocabulary = found.vocabulary
    assert all(
        one.text.encode() == vocabulary.token_bytes(one.token_id) or "\ufffd" in one.text
        for stage in found.stages
        for one in stage.moved
    )


@settings(max_examples=10)
@given(program=PROGRAMS, seed=st.integers(0, 99))
def test_costs_of_the_stages_add_up_to_the_recorded_cost(
    shared_engine: Engines, program: Program, seed: int
) -> None:
    session = session_of(shared_engine, program, seed)
    for node in session.new_nodes:
        found = session.distribution(node)
        rows = [found.log_probs, *(stage.log_probs for stage in found.stages)]
        ends = 1 + max(
            (i for i, one in enumerate(program.operators) if one.stage == "intervention"), default=-1
        )
        steps = [(b[node.token_id] - a[node.token_id]) / math.log(2) for a, b in itertools.pairwise(rows)]
        assert sum(steps[:ends]) == pytest.approx(node.cost, abs=1e-5)
        assert found.q.surprisal(node.token_id) == pytest.approx(node.surprisal_q, abs=1e-5)
        assert found.s.surprisal(node.token_id) == pytest.approx(node.surprisal_s, abs=1e-5)
        assert found.surprisal(node.token_id) == pytest.approx(node.surprisal, abs=1e-5)
        fired = [
            stage.operator
            for stage, a, b in zip(found.stages, rows, rows[1:], strict=False)
            if (a != b).any()
        ]
        # A shift of all scores changes the row and not the distribution.
        assert set(map(id, fired)) <= set(map(id, node.fired))


def test_expected_costs_are_those_recorded(shared_engine: Engines) -> None:
    session = session_of(shared_engine, Program((Ban(range(0, 520, 2)),)))
    for node in session.new_nodes:
        (stage,) = session.distribution(node).stages
        assert stage.kl_bits == pytest.approx(node.expected_cost, rel=1e-5)
        # Of a mask the price is the same whatever is drawn.
        assert stage.kl_bits == pytest.approx(node.cost, rel=1e-5)


def test_the_program_of_the_place_counts_unless_another_is_given(shared_engine: Engines) -> None:
    program = Program((Temperature(0.5),))
    session = session_of(shared_engine, program)
    assert [stage.operator for stage in session.distribution(1).stages] == [Temperature(0.5)]
    other = session.distribution(1, program=Bias({3: 1.0}) >> TopK(4))
    assert [stage.operator for stage in other.stages] == [Bias({3: 1.0}), TopK(4)]
    assert session.distribution(1, program=Program()).stages == ()
    assert np.array_equal(other.log_probs, session.distribution(1).log_probs)


def test_where_nothing_was_drawn_there_are_no_stages(shared_engine: Engines) -> None:
    session = session_of(shared_engine, Program((Temperature(0.5),)))
    forced = session.force(2, 42)
    for place in (session.nodes[2], forced, len(session.new_nodes)):
        found = session.distribution(place)
        assert found.stages == ()
        assert found.q is found.s is found
    # Any program can be tried, in the prompt and at the end too.
    for place in (session.nodes[2], len(session.new_nodes)):
        (stage,) = session.distribution(place, Temperature(2.0)).stages
        assert stage.entropy_change_bits > 0


def test_stages_see_the_place_as_decoding_did(shared_engine: Engines) -> None:
    program = At([2], Program((Ban(range(0, 520, 2)),))) >> When(
        Compare("surprisal", ">", 0.0, of="previous"), Program((TopK(3),))
    )
    session = session_of(shared_engine, program)
    sizes = [[stage.support_size for stage in session.distribution(i).stages] for i in range(4)]
    assert sizes == [[520, 520], [520, 3], [260, 3], [520, 3]]


def test_a_program_that_leaves_no_token_is_named_and_the_session_goes_on(shared_engine: Engines) -> None:
    session = session_of(shared_engine, GREEDY)
    best = session.distribution(1).top(1)[0].token_id
    with pytest.raises(
        ValueError, match=rf"Ban\(token_ids=\({best},\)\) leaves no token to draw at position 1"
    ):
        session.distribution(1, program=TopK(1) >> Ban([best]))
    assert session.distribution(1).stages[-1].support_size == 1


def test_frames_and_words(shared_engine: Engines) -> None:
    found = session_of(shared_engine, Bias({5: 3.0}) >> TopK(30)).distribution(0)
    assert isinstance(found.stages, Stages)
    frame = found.stages.to_frame()
    assert frame["operator"].tolist() == ["Bias", "TopK"]
    assert frame["stage"].tolist() == ["q", "s"]
    assert frame["support_size"].tolist() == [520, 30]
    assert frame["kl_bits"].tolist() == [stage.kl_bits for stage in found.stages]
    assert Stages().to_frame().empty
    assert repr(found.stages[1]).startswith("<TopK(k=30): KL ")
    assert "30 tokens left" in repr(found.stages[1])


def test_scores_are_left_as_they_are(shared_engine: Engines) -> None:
    class Spoils(Operator):
        def __call__(self, step: object, scores: torch.Tensor) -> torch.Tensor:
            scores.zero_()
            step.scores.zero_()  # type: ignore[attr-defined]
            return scores

    session = session_of(shared_engine, GREEDY)
    before = session.distribution(1).log_probs
    found: Distribution = session.distribution(1, program=Spoils())
    assert np.array_equal(found.log_probs, before)
    assert np.array_equal(session.distribution(1).log_probs, before)
    assert found.q.entropy == pytest.approx(math.log2(520))
