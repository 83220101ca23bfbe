"""Branches of a session compared: figures, divergences against fresh forward calls, and totals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import itwidgets as itw
from itwidgets import Session
from itwidgets.engine import ReadOnlyError
from itwidgets.interventions import Ban, Program
from itwidgets.tree import Comparison, Origin, TokenTree
from tests.models import PROMPT, fresh_logits, tiny_engine


@pytest.fixture(scope="module")
def session() -> Session:
    engine = tiny_engine()
    session = engine.session(PROMPT)
    session.generate(12, program=Program() >> Ban(sorted(engine.stop_ids))).wait()
    session.force(4, [40, 41])
    session.generate(6, program=Program() >> Ban(sorted(engine.stop_ids))).wait()
    return session


@pytest.fixture(scope="module")
def comparison(session: Session) -> Comparison:
    return session.compare(*session.branches)


def test_each_row_stands_beside_its_partner(session: Session, comparison: Comparison) -> None:
    frame = comparison.to_frame()
    first, other = (session.tree.to_frame(path) for path in comparison.paths)
    assert frame.groupby("branch").size().tolist() == [len(first), len(other)]
    parts_at = session.prompt_length + 4
    assert comparison.parts_at == parts_at
    # As the branches are numbered everywhere.
    assert frame["branch"].unique().tolist() == [branch.number for branch in session.branches] == [1, 2]
    second = frame[frame["branch"] == 2].set_index("position")
    assert second["token"].tolist() == other["token"].tolist()
    np.testing.assert_array_equal(second["surprisal_bits"], other["surprisal_bits"])
    shared = second.loc[: parts_at - 1]
    assert shared["is_same"].all()
    assert (shared["first_position"] == shared.index).all()
    assert (shared["surprisal_difference_bits"].dropna() == 0).all()
    assert not second.loc[parts_at, "is_same"]
    beside = second["first_position"].dropna().astype(int)
    np.testing.assert_array_equal(
        second.loc[beside.index, "surprisal_difference_bits"],
        other["surprisal_bits"].to_numpy(float)[beside.index]
        - first["surprisal_bits"].to_numpy(float)[beside],
    )


def test_divergences_of_kept_rows_take_turns_with_a_generation() -> None:
    engine = tiny_engine()
    session, program = engine.session(PROMPT), Program() >> Ban(sorted(engine.stop_ids))
    session.generate(6, program=program).wait()
    session.force(2, [40, 41, 42])
    comparison = session.compare(*session.branches, divergences=False)
    growing = session.generate(100, program=program)
    job, made = session.start_divergences(comparison), list[int]()
    job.on_done(lambda: made.append(len(growing.nodes)))
    assert job.wait().divergences
    growing.cancel()
    assert made[0] < growing.total


def test_divergences_are_those_of_fresh_forward_calls(session: Session, comparison: Comparison) -> None:
    frame = comparison.to_frame().query("tip == 1")
    texts = [session.tree.token_ids(tip.row) for tip in comparison.tips]
    p, q = (fresh_logits(session.engine.model, ids).double().log_softmax(-1) for ids in texts)
    assert frame["kl_bits"].iloc[1 : comparison.parts_at + 1].eq(0).all(), "one row, one distribution"
    later = frame.iloc[comparison.parts_at + 1 :].dropna(subset="first_position")
    assert len(later) > 3
    places = zip(later["first_position"].to_numpy(int), later["position"], later["kl_bits"], strict=True)
    for first_position, position, divergence in places:
        a, b = p[first_position - 1], q[position - 1]
        expected = float(torch.sum(a.exp() * (a - b))) / np.log(2)
        assert divergence == pytest.approx(expected, abs=1e-5)
        assert divergence > 0


def test_totals_count_from_where_they_part(session: Session, comparison: Comparison) -> None:
    totals = comparison.totals()
    assert totals["name"].tolist() == ["Branch 1", "Branch 2"]
    for tip, path in enumerate(comparison.paths):
        own = session.tree.to_frame(path[comparison.parts_at :])
        row = totals.loc[tip]
        assert row["tokens"] == len(own)
        pieces = [session.tree[place].bytes for place in path[comparison.parts_at :]]
        assert row["text"] == b"".join(pieces).decode(errors="replace")
        assert row["surprisal_bits"] == pytest.approx(own["surprisal_bits"].sum())
        assert row["cost_bits"] == pytest.approx(own["cost_bits"].sum())
        assert row["mean_entropy_bits"] == pytest.approx(own["entropy_bits"].mean())
        assert row["perplexity"] == pytest.approx(2 ** own["surprisal_bits"].mean())


def test_branches_that_meet_again() -> None:
    session = tiny_engine().session(PROMPT)
    session.force(0, [10, 11, 12, 13, 14, 15])
    first = session.head
    session.force(1, [20, 21, 12, 13, 14, 15])
    assert first is not None
    assert session.head is not None
    comparison = session.compare(first, session.head)
    start = session.prompt_length
    assert comparison.parts_at == start + 1
    assert comparison.meets_at(1) == start + 2
    assert comparison.meets_at(0) is None
    met = comparison.to_frame().query("tip == 1").tail(4)
    assert met["is_same"].all()
    assert (met["position"] - met["first_position"]).eq(1).all()
    assert (met["kl_bits"] > 0).all()


def test_three_branches_are_each_beside_the_first(session: Session) -> None:
    tips = [branch.tip for branch in session.branches]
    both = session.compare(*tips)
    three = session.compare(tips[0], tips[1], tips[0])
    frame = three.to_frame()
    assert frame["tip"].unique().tolist() == [0, 1, 2]
    assert three.totals()["branch"].tolist() == [1, 2, 1]
    assert frame.query("tip == 2")["kl_bits"].dropna().eq(0).all()
    assert three.divergences == both.divergences


def test_what_was_forced_once_more_counts_where_it_was_made_again() -> None:
    session = tiny_engine().session(PROMPT)
    first, again = session.force(0, [40, 41]), session.force(0, [40, 42])
    comparison = session.compare(first, again)
    assert comparison.parts_at == session.prompt_length
    assert comparison.totals()["tokens"].tolist() == [2, 2]
    assert comparison.totals()["cost_bits"].tolist() == pytest.approx(
        [sum(node.cost for node in (tip.parent, tip) if node) for tip in (first, again)]
    )
    # The same token at the same place in the same words: its row is another, its distribution is not.
    assert comparison.to_frame().query("tip == 1")["kl_bits"].tail(2).tolist() == [
        0,
        pytest.approx(0, abs=1e-9),
    ]


def test_what_cannot_be_said_costs_without_end(session: Session) -> None:
    tree = TokenTree(session.tree.vocabulary)
    root = tree.append(parent=-1, token_id=1, origin=Origin.PROMPT)
    impossible = tree.append(parent=root, token_id=2, origin=Origin.FORCED, surprisal=np.inf, cost=np.inf)
    huge = tree.append(parent=root, token_id=3, origin=Origin.FORCED, surprisal=2e9, cost=2e9)
    totals = Comparison(tree, (tree[impossible], tree[huge])).totals()
    assert totals["surprisal_bits"].tolist() == [np.inf, 2e9]
    assert totals["perplexity"].tolist() == [np.inf, np.inf]
    assert totals["mean_entropy_bits"].isna().all()


def test_without_divergences_no_model_is_needed(session: Session, tmp_path: object) -> None:
    path = f"{tmp_path}/session.itw.json"
    session.save(path)
    opened = itw.open(path)
    found = opened.compare(*opened.branches, divergences=False)
    expected = session.compare(*session.branches, divergences=False)
    assert found.to_frame().equals(expected.to_frame())
    assert found.to_frame()["kl_bits"].iloc[-1] != found.to_frame()["kl_bits"].iloc[-1], "missing, not 0"
    with pytest.raises(ReadOnlyError):
        opened.compare(*opened.branches)


def test_what_cannot_be_compared_is_said(session: Session) -> None:
    tip = session.branches[0].tip
    with pytest.raises(ValueError, match=r"^branches to compare: 1, but must be two or more$"):
        session.compare(tip)
    with pytest.raises(TypeError, match=r"^cannot compare 3: give a node or a branch$"):
        session.compare(tip, 3)  # type: ignore[arg-type]
    other = tiny_engine().session(PROMPT)
    assert other.head is not None
    with pytest.raises(ValueError, match="belongs to another session: give a node of this one"):
        session.compare(tip, other.head)
