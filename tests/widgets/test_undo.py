"""Undo and redo bring back the head and what was selected there, whatever was done in between."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from itwidgets import Engine, TokenStream
from itwidgets.tree import TokenTree
from itwidgets.widgets import link
from tests.models import PROMPT, gate_at
from tests.widgets.page import FakePage, assert_same_tree

MOVES = 12


class Moves(RuleBasedStateMachine):
    """A person who moves head and selection about, beside a list of where they were: rows and positions."""

    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        self.page = FakePage(TokenStream(self.engine.session(PROMPT), max_new_tokens=2, temperature=1.0))
        self.page.ask("snapshot")
        self.page.settle()
        self.here: tuple[int, int | None] = (self.page.state["head"], None)
        self.past: list[tuple[int, int | None]] = []
        self.future: list[tuple[int, int | None]] = []

    @property
    def tree(self) -> TokenTree:
        return self.page.viewer.session.tree

    def moved(self, selected: int | None) -> None:
        self.page.settle()
        head = self.page.viewer.session.head
        assert head is not None
        if head.row == self.here[0]:
            return
        self.past.append(self.here)
        self.future.clear()
        self.here = head.row, selected

    @rule(data=st.data())
    def select(self, data: st.DataObject) -> None:
        row = data.draw(st.none() | st.integers(0, self.page.rows - 1))
        self.page.ask("select", row=row)
        self.here = self.here[0], None if row is None else self.tree[row].position

    @rule(data=st.data())
    def switch(self, data: st.DataObject) -> None:
        self.page.ask("switch", row=data.draw(st.integers(0, self.page.rows - 1)))
        self.moved(self.here[1])

    @precondition(lambda self: not self.page.viewer.session.has_ended)
    @rule()
    def generate(self) -> None:
        self.page.ask("generate", settings=self.page.viewer.settings)
        self.moved(self.here[1])

    @rule(data=st.data(), token_id=st.integers(3, 60))
    def force(self, data: st.DataObject, token_id: int) -> None:
        parent = data.draw(st.integers(0, self.page.rows - 1))
        self.page.ask("force", parent=parent, token_id=token_id, settings=self.page.viewer.settings)
        self.moved(self.tree[parent].position + 1)

    @rule(data=st.data())
    def grow_siblings(self, data: st.DataObject) -> None:
        parent = data.draw(st.integers(0, self.page.rows - 1))
        self.page.ask("siblings", parent=parent, n=2, settings=self.page.viewer.settings)
        self.moved(self.tree[parent].position + 1)

    @rule(data=st.data())
    def keep_what_if(self, data: st.DataObject) -> None:
        parent = data.draw(st.integers(0, self.page.rows - 1))
        content = self.page.ask("rollout", parent=parent, k=2, settings=self.page.viewer.settings)
        self.page.ask("adopt", rollout=content["rollout"], index=1)
        self.moved(self.tree[parent].position + 1)

    @rule(text=st.sampled_from([PROMPT, "The capital", "The capital of Italy"]))
    def edit_the_prompt(self, text: str) -> None:
        self.page.ask("generate", prompt=text, settings=self.page.viewer.settings)
        self.moved(self.here[1])

    @rule()
    def undo(self) -> None:
        self.page.ask("undo")
        self._step(self.past, self.future)

    @rule()
    def redo(self) -> None:
        self.page.ask("redo")
        self._step(self.future, self.past)

    def _step(self, source: list[tuple[int, int | None]], target: list[tuple[int, int | None]]) -> None:
        if source:
            target.append(self.here)
            self.here = source.pop()

    @invariant()
    def the_page_is_where_the_list_says(self) -> None:
        self.page.settle()
        state: dict[str, Any] = self.page.state
        head, position = self.here
        path = self.tree.path(head)
        selected = None if position is None or position >= len(path) else path[position]
        assert (state["head"], state["selected"]) == (head, selected)
        assert (state["can_undo"], state["can_redo"]) == (bool(self.past), bool(self.future))
        assert state["notice"] is None

    def teardown(self) -> None:
        assert_same_tree(self.page, self.page.viewer)
        self.page.viewer.close()


def test_any_moves_can_be_undone(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "INTERVAL_S", 0.001)
    machine = type("MovesOnATinyModel", (Moves,), {"engine": engine})
    few = settings(max_examples=12, stateful_step_count=MOVES, deadline=None)
    run_state_machine_as_test(machine, settings=few)


def test_undo_of_a_force_selects_what_was_selected_before_it(page: FakePage) -> None:
    page.ask("generate", settings=page.viewer.settings)
    page.settle()
    old = page.viewer.session.new_nodes[1]
    page.ask("select", row=old.row)
    page.ask(
        "force", parent=old.parent.row if old.parent else -1, text=" London", settings=page.viewer.settings
    )
    page.settle()
    forced = page.viewer.selected
    assert forced is not None
    assert forced.text == " London"
    page.ask("undo")
    page.wait_until(lambda: page.state["selected"] == old.row)
    assert page.viewer.selected == old
    page.ask("redo")
    page.wait_until(lambda: page.state["selected"] == forced.row)


def test_a_selection_while_a_branch_grows_belongs_to_the_branch(page: FakePage) -> None:
    page.ask("generate", settings=page.viewer.settings)
    page.settle()
    page.ask("select", row=1)
    with gate_at(page.viewer.session.engine.model, 3) as gate:
        page.ask("force", parent=2, text=" London", settings=page.viewer.settings)
        gate.wait_until_reached()
        page.ask("select", row=0)
        gate.open()
        page.settle()
    page.ask("undo")
    page.wait_until(lambda: page.state["selected"] == 1)
    page.ask("redo")
    page.wait_until(lambda: page.state["selected"] == 0)
