"""What a session says of itself, where its positions are, and undo and redo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from itwidgets import Engine, Session
from itwidgets.engine import BusyError
from itwidgets.interventions import Ban, Temperature, TopK
from itwidgets.tree import Node, Origin
from tests.models import PROMPT, gate_at

Engines = Callable[[str], Engine]


@pytest.fixture
def session(shared_engine: Engines) -> Session:
    return shared_engine("llama").session(PROMPT)


def test_texts_are_of_the_current_branch(session: Session) -> None:
    prompt = session.token_ids
    assert (session.text, session.prompt_text, session.new_text) == (PROMPT, PROMPT, "")
    session.generate(max_new_tokens=3).wait()
    session.force(3, " is Rome, שלום 🦜")
    assert session.new_text.endswith(" is Rome, שלום 🦜")
    assert session.text == PROMPT + session.new_text
    assert session.token_ids[: len(prompt)] == prompt
    assert session.prompt_length == len(prompt)
    assert [node.token_id for node in session.new_nodes] == session.token_ids[len(prompt) :]
    assert [node.token_id for node in session.nodes] == session.token_ids
    assert session.head == session.nodes[-1]
    assert session.prompt_text == PROMPT


def test_positions_count_new_tokens_from_either_end(session: Session) -> None:
    made = session.generate(max_new_tokens=5).wait()
    assert [session.node_at(i) for i in range(5)] == made
    assert [session.node_at(i) for i in range(-5, 0)] == made
    for i in range(5):
        assert session.distribution(i).rank(made[i].token_id) == made[i].rank
        assert session.parent_of(i) == session.parent_of(i - 5) == session.parent_of(made[i])
    assert session.parent_of(5) == made[-1].row
    with pytest.raises(ValueError, match="position 5 has no token yet"):
        session.node_at(5)


@pytest.mark.parametrize("position", [6, -6])
def test_a_position_out_of_range_is_named_with_the_range(session: Session, position: int) -> None:
    session.generate(max_new_tokens=5).wait()
    rows = len(session.tree)
    sentence = f"position {position} is out of range: the branch has 5 new tokens, so -5 to 5 are accepted"
    for act in (session.distribution, session.node_at, lambda p: session.force(p, 1)):
        with pytest.raises(ValueError, match=sentence):
            act(position)
    assert len(session.tree) == rows


def test_the_end_can_be_forced(session: Session) -> None:
    node = session.force(0, " London")
    assert (node.position, node.origin) == (session.prompt_length, Origin.FORCED)
    assert session.force(1, " and").parent == node
    assert session.force(-1, " or").parent == node
    assert session.new_text == " London or"


def test_forcing_replaces_a_token_and_keeps_the_old_branch(session: Session) -> None:
    made = session.generate(max_new_tokens=6).wait()
    node = session.force(2, " London")
    assert node.parent == made[1]
    assert session.head == node
    assert len(session.branches) == 2
    assert session.branches[0].nodes[-6:] == made
    assert session.branches[1].nodes == [node]
    assert session.branches[1].text == " London"
    # Of another branch than the current one, too.
    other = session.force(made[5], 7)
    assert other.parent == made[4]


def test_text_of_several_tokens_is_forced_token_by_token(session: Session) -> None:
    last = session.force(0, " London and")
    assert [node.text for node in session.new_nodes] == [" London", " and"]
    assert last == session.new_nodes[-1]


@pytest.mark.parametrize("tokens", [-1, 520, [1, 520], ""])
def test_unknown_tokens_are_refused_and_change_nothing(
    session: Session, tokens: str | int | list[int]
) -> None:
    rows, head = len(session.tree), session.head
    with pytest.raises(ValueError, match=r"is not in the vocabulary|has no tokens"):
        session.force(0, tokens)
    assert (len(session.tree), session.head) == (rows, head)


def test_a_node_of_another_session_is_refused(session: Session, shared_engine: Engines) -> None:
    stranger = shared_engine("llama").session(PROMPT).nodes[-1]
    for act in (session.switch, session.distribution, session.parent_of):
        with pytest.raises(ValueError, match="belongs to another session"):
            act(stranger)


def test_undo_and_redo_move_the_head_and_lose_nothing(session: Session) -> None:
    heads: list[Node | None] = [session.head]
    assert not session.can_undo
    session.generate(max_new_tokens=4).wait()
    heads.append(session.head)
    session.force(1, " London and")
    heads.append(session.head)
    session.switch(session.branches[0])
    heads.append(session.head)
    rows = len(session.tree)
    for expected in reversed(heads[:-1]):
        assert session.undo() == expected
    assert not session.can_undo
    assert session.undo() == heads[0]
    for expected in heads[1:]:
        assert session.redo() == expected
    assert not session.can_redo
    session.undo()
    session.generate(max_new_tokens=1).wait()
    assert not session.can_redo
    assert len(session.tree) == rows + 1


def test_the_prompt_cannot_be_undone(session: Session) -> None:
    assert session.undo() == session.head
    assert session.text == PROMPT


def test_a_branch_is_switched_to_by_its_tip_or_a_node(session: Session) -> None:
    made = session.generate(max_new_tokens=4).wait()
    session.force(0, " London")
    assert session.switch(session.branches[0]) == made[-1]
    assert session.switch(made[1]) == made[1]
    assert len(session.new_nodes) == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0, but must be a whole number of at least 1"),
        ({"max_new_tokens": 1.5}, "max_new_tokens is 1.5, but must be a whole number of at least 1"),
        ({"seed": -1}, "seed is -1, but must be a whole number of at least 0"),
    ],
)
def test_bad_arguments_are_named(session: Session, arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        session.generate(**arguments)
    assert session.running is None


class TestSeeds:
    PROGRAM = Temperature(1.3) >> TopK(100)

    def _drawn(self, session: Session, seed: int, count: int = 12) -> list[int]:
        return [n.token_id for n in session.generate(count, program=self.PROGRAM, seed=seed).wait()]

    def test_the_same_seed_gives_the_same_tokens(self, session: Session) -> None:
        first = self._drawn(session, 7)
        session.undo()
        assert self._drawn(session, 8) != first
        session.undo()
        session.force(0, " London and Rome")
        self._drawn(session, 9)
        session.undo()
        session.undo()
        assert self._drawn(session, 7) == first

    def test_drawing_in_parts_is_drawing_at_once(self, session: Session, shared_engine: Engines) -> None:
        first = self._drawn(session, 7)
        other = shared_engine("llama").session(PROMPT)
        assert self._drawn(other, 7, 5) + self._drawn(other, 7, 7) == first

    def test_the_noise_of_a_forced_branch_is_that_of_the_first(self, session: Session) -> None:
        first = self._drawn(session, 7)
        # Forcing what was drawn changes nothing of what follows.
        session.force(4, first[4])
        assert first[:5] + self._drawn(session, 7, 7) == first


def test_an_intervention_is_obeyed(session: Session) -> None:
    banned = {node.token_id for node in session.generate(max_new_tokens=10).wait()}
    session.undo()
    made = {node.token_id for node in session.generate(10, program=Ban(sorted(banned))).wait()}
    assert not made & banned


def test_frames_are_of_the_branch_and_of_the_tree(session: Session) -> None:
    session.generate(max_new_tokens=3).wait()
    session.force(0, " London")
    frame = session.to_frame()
    assert frame["token_id"].tolist() == session.token_ids
    assert frame["origin"].tolist()[-1] == "forced"
    assert len(session.tree.to_frame()) == len(session.tree)


def test_repr_says_where_it_is(session: Session) -> None:
    assert repr(session) == f"<Session: {len(session.tree)} tokens, 1 branches, at {PROMPT!r}>"


def test_the_head_is_not_moved_while_a_prompt_is_read(engine: Engine) -> None:
    session = engine.session([5, 6, 7])
    session.generate(max_new_tokens=3).wait()
    session.switch(session.tree[4])
    with gate_at(engine.model, 1) as gate:
        reading = session.read_prompt([5, 6, 9])
        gate.wait_until_reached()
        for action, act in (
            ("switch branches", lambda: session.switch(session.tree[1])),
            ("undo", session.undo),
            ("redo", session.redo),
        ):
            with pytest.raises(BusyError, match=f"cannot {action} while the prompt is read"):
                act()
        assert session.head == session.tree[4]
        gate.open()
        reading.wait(60)
    assert session.token_ids == [5, 6, 9]
    assert session.undo() == session.tree[4]


def test_what_is_no_node_no_continuation_and_no_list_is_refused(session: Session) -> None:
    rows, head = len(session.tree), session.head
    for act, sentence in (
        (lambda: session.switch(3), "cannot switch to 3: give a node or a branch"),  # type: ignore[arg-type]
        (lambda: session.adopt(None), "cannot adopt None: give a continuation"),  # type: ignore[arg-type]
        (lambda: session.rollout(0, tokens="ab"), "tokens is 'ab', but must be a list of token ids or texts"),
    ):
        with pytest.raises(TypeError, match=sentence):
            act()
    assert (len(session.tree), session.head) == (rows, head)


@pytest.mark.parametrize("k", [-1, 1.5])
def test_a_number_of_best_tokens_is_a_whole_one(session: Session, k: Any) -> None:
    found = session.distribution(0)
    for act in (found.top, found.to_frame):
        with pytest.raises((ValueError, TypeError), match=f"k is {k}"):
            act(k)
    assert (found.top(0), len(found.top(1000)), len(found.to_frame())) == ([], len(found), len(found))


def test_a_branch_can_be_labelled_at_any_time(session: Session) -> None:
    heard: list[str] = []
    end = session.subscribe(lambda: heard.append(session.branches[-1].name))
    node = session.force(0, [40, 41])
    heard.clear()
    branch = session.label(node, name=" the rude one ", colour="green")
    assert heard == ["the rude one"]
    assert branch == session.branches[-1]
    assert session.label(branch, hidden=True) == branch
    assert (branch.name, branch.colour, branch.hidden) == ("the rude one", "green", True)
    with pytest.raises(ValueError, match="colour is 'red', but must be one of blue"):
        session.label(branch, name="another", colour="red")
    with pytest.raises(TypeError, match="cannot label 1: give a node or a branch"):
        session.label(1, name="x")  # type: ignore[arg-type]
    assert len(heard) == 2
    assert branch.name == "the rude one"
    end()
