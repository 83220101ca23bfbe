"""Alternatives with what follows them, and siblings, as the page asks for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from itwidgets.interventions import Ban, sampling_program
from itwidgets.tree import Origin
from itwidgets.widgets.protocol import decode_tokens
from tests.models import counted_positions, gate_at
from tests.widgets.page import FakePage, assert_same_tree


def settings(page: FakePage, **changes: Any) -> dict[str, Any]:
    return {**page.viewer.settings, "temperature": 1.2, "max_new_tokens": 5, **changes}


@pytest.fixture
def grown(page: FakePage) -> FakePage:
    """A page with six new tokens, none of which ends the text."""
    session = page.viewer.session
    session.generate(6, program=Ban(sorted(session.engine.stop_ids))).wait()
    page.settle()
    return page


def place(page: FakePage, position: int) -> int:
    return page.viewer.session.parent_of(position)


class TestRollout:
    def ask(self, page: FakePage, position: int, k: int, **changes: Any) -> tuple[dict[str, Any], list[Any]]:
        parent = place(page, position)
        content, buffers = page.answer(
            page.tell("rollout", parent=parent, k=k, settings=settings(page, **changes))
        )
        assert "error" not in content, content
        ids, ranks = (np.frombuffer(buffer, "<i4") for buffer in buffers[:2])
        return content, [ids, ranks, np.frombuffer(buffers[2], "<f4"), decode_tokens(buffers[3:])]

    def test_it_is_that_of_the_session_by_the_settings(self, grown: FakePage) -> None:
        session = grown.viewer.session
        content, (ids, ranks, surprisals, tokens) = self.ask(grown, 2, 4, seed=9, top_k=30)
        expected = session.rollout(2, 4, 5, program=sampling_program(1.2, 30), seed=9)
        assert content["lengths"] == [len(one.token_ids) for one in expected]
        assert content["ended"] == [one.has_ended for one in expected]
        assert ids.tolist() == [token_id for one in expected for token_id in one.token_ids]
        assert ranks.tolist() == [each["rank"] for one in expected for each in one.figures]
        np.testing.assert_allclose(surprisals, [x for one in expected for x in one.surprisals], atol=1e-4)
        assert tokens == {i: session.engine.vocabulary.token_bytes(i) for i in ids.tolist()}
        assert grown.viewer.settings["seed"] == 0, "a question changes no settings"
        assert grown.rows == len(session.tree) == session.prompt_length + 6

    def test_any_of_it_becomes_a_branch_without_the_model(self, grown: FakePage) -> None:
        session = grown.viewer.session
        old = session.new_nodes
        grown.ask("select", row=old[2].row)
        content, (ids, *_) = self.ask(grown, 2, 3)
        with counted_positions(session.engine.model) as counts:
            grown.ask("adopt", rollout=content["rollout"], index=1)
            grown.settle()
            assert counts == []
        new = session.new_nodes
        start, stop = content["lengths"][0], sum(content["lengths"][:2])
        assert [node.token_id for node in new[2:]] == ids[start:stop].tolist()
        assert new[2].origin is Origin.FORCED
        assert grown.state["selected"] == new[2].row
        assert_same_tree(grown, grown.viewer)
        grown.ask("undo")
        grown.wait_until(lambda: grown.state["head"] == old[-1].row)
        assert grown.state["selected"] == old[2].row
        # Kept once more it is the same branch.
        grown.ask("adopt", rollout=content["rollout"], index=1)
        grown.wait_until(lambda: grown.state["head"] == new[-1].row)

    def test_what_is_not_held_is_refused(self, grown: FakePage) -> None:
        first, _ = self.ask(grown, 0, 1)
        error = grown.refused("adopt", rollout=first["rollout"], index=1)
        assert error["message"] == "there is no continuation 1: accepted are 0 to 0"
        for _ in range(4):
            self.ask(grown, 0, 1)
        error = grown.refused("adopt", rollout=first["rollout"], index=0)
        assert error["message"] == "these continuations are no longer held: ask for them again"

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"k": 0}, "k is 0"),
            ({"k": 500}, "at most 20"),
            ({"parent": -1}, "no alternatives"),
            ({"parent": 5000}, "5000"),
        ],
    )
    def test_what_cannot_be_run_is_refused(self, grown: FakePage, fields: Any, words: str) -> None:
        request = {"parent": 1, "k": 3, "settings": settings(grown)} | fields
        assert words in grown.refused("rollout", **request)["message"]

    def test_stopped_it_shows_what_was_made(self, grown: FakePage) -> None:
        self.ask(grown, 1, 3)  # before its first batch the engine tries what is fastest
        with gate_at(grown.viewer.session.engine.model, 3) as gate:
            number = grown.tell("rollout", parent=place(grown, 1), k=3, settings=settings(grown))
            gate.wait_until_reached()
            grown.ask("stop")
            gate.open()
            content, _ = grown.answer(number)
        assert max(content["lengths"]) == 2
        grown.ask("adopt", rollout=content["rollout"], index=0)
        grown.settle()
        assert len(grown.viewer.session.new_nodes) == 1 + content["lengths"][0]

    def test_a_cancelled_one_is_not_answered(self, grown: FakePage) -> None:
        with gate_at(grown.viewer.session.engine.model, 2) as gate:
            number = grown.tell("rollout", parent=place(grown, 1), k=3, settings=settings(grown))
            gate.wait_until_reached()
            grown.send({"kind": "rollout-cancel", "id": number})
            gate.open()
            self.ask(grown, 0, 1)
        assert number not in grown.replies

    def test_one_that_is_stopped_before_it_begins_says_so(self, grown: FakePage) -> None:
        with gate_at(grown.viewer.session.engine.model, 1) as gate:
            grown.ask("generate", settings=settings(grown, max_new_tokens=50))
            gate.wait_until_reached()
            number = grown.tell("rollout", parent=place(grown, 1), k=3, settings=settings(grown))
            grown.ask("stop")
            gate.open()
            content, _ = grown.answer(number)
        assert "stopped" in content["error"]["message"]


class TestSiblings:
    def test_each_has_the_next_seed_and_a_branch_of_its_own(self, grown: FakePage) -> None:
        session = grown.viewer.session
        grown.ask("select", row=session.new_nodes[1].row)
        grown.ask("siblings", parent=place(grown, 1), n=3, settings=settings(grown, seed=4))
        grown.settle()
        assert len(session.branches) == 4
        assert grown.state["settings"]["seed"] == 6
        recipes = session.tree.column("recipe")[[branch.start for branch in session.branches[1:]]]
        assert [session.tree.record.recipes[i].seed for i in recipes] == [4, 5, 6]
        assert grown.state["selected"] == session.new_nodes[1].row, "the place stays selected"
        assert_same_tree(grown, grown.viewer)

    def test_they_are_one_job_that_can_be_stopped(self, grown: FakePage) -> None:
        with gate_at(grown.viewer.session.engine.model, 4) as gate:
            grown.ask("siblings", parent=place(grown, 1), n=5, settings=settings(grown))
            gate.wait_until_reached()
            grown.wait_until(lambda: grown.state["job"])
            assert (grown.state["job"]["kind"], grown.state["job"]["total"]) == ("siblings", 25)
            grown.ask("stop")
            gate.open()
            grown.settle()
        session = grown.viewer.session
        assert len(session.tree) == session.prompt_length + 6 + 3
        assert grown.state["notice"] is None

    def test_python_asks_for_them_alike(self, grown: FakePage) -> None:
        viewer = grown.viewer
        grown.ask("settings", settings=settings(grown, seed=7, max_new_tokens=2))
        nodes = viewer.siblings(3, n=2).wait()
        grown.settle()
        assert viewer.selected == nodes[0].tree[viewer.session.branches[-1].start]
        assert len(viewer.session.branches) == 3

    def test_greedy_ones_are_refused(self, grown: FakePage) -> None:
        error = grown.refused(
            "siblings", parent=place(grown, 1), n=2, settings=settings(grown, temperature=0)
        )
        assert "leaves no choice" in error["message"]
        assert grown.state["job"] is None


def test_going_on_from_a_token_keeps_it_and_what_followed(grown: FakePage) -> None:
    session = grown.viewer.session
    old = session.new_nodes
    grown.ask("select", row=old[2].row)
    grown.ask("generate", parent=old[2].row, settings=settings(grown, seed=3))
    grown.settle()
    assert session.new_nodes[:3] == old[:3]
    assert session.branches[1].nodes[0].parent == old[2]
    assert session.branches[0].tip == old[-1]
    assert grown.state["selected"] == old[2].row


def test_more_than_a_page_may_ask_for_is_refused(grown: FakePage) -> None:
    error = grown.refused("siblings", parent=place(grown, 2), n=10**9, settings=settings(grown))
    assert error["message"] == "n is 1000000000, but must be at most 20"
    long = settings(grown, max_new_tokens=5000)
    error = grown.refused("rollout", parent=place(grown, 2), k=2, settings=long)
    assert error["message"] == "max_new_tokens is 5000, but must be at most 200"
    assert grown.viewer.session.running is None


def test_closing_the_viewer_ends_what_a_page_waits_for(grown: FakePage) -> None:
    session = grown.viewer.session
    with gate_at(session.engine.model, 2) as gate:
        grown.tell("rollout", parent=place(grown, 2), k=3, settings=settings(grown, max_new_tokens=100))
        gate.wait_until_reached()
        grown.viewer.close()
    # It is done with long before three hundred tokens.
    with counted_positions(session.engine.model) as positions:
        session.generate(1).wait()
    assert sum(positions) < 30
