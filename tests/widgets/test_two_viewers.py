"""Two viewers of one session: the same rows, head and jobs, and a selection of each one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import itwidgets
from itwidgets import Engine, TokenStream
from itwidgets.tree import Node
from tests.models import PROMPT, gate_at
from tests.widgets.page import FakePage, assert_same_tree

Show = Callable[[TokenStream], FakePage]


@pytest.fixture
def pages(engine: Engine, show: Show) -> tuple[FakePage, FakePage]:
    session = engine.session(PROMPT)
    first, second = (show(TokenStream(session, max_new_tokens=6, temperature=0)) for _ in range(2))
    for page in (first, second):
        page.ask("snapshot")
        page.settle()
    return first, second


def wait_for(page: FakePage, holds: Callable[[dict[str, Any]], object]) -> None:
    page.wait_until(lambda: page.state and holds(page.state))


def settle(*pages: FakePage) -> None:
    for page in pages:
        page.settle()
        assert_same_tree(page, page.viewer)


def test_one_reads_while_the_other_generates(pages: tuple[FakePage, FakePage]) -> None:
    first, second = pages
    model = first.viewer.session.engine.model
    with gate_at(model, 4) as gate:
        first.ask("generate", prompt=PROMPT, settings=dict(first.viewer.settings))
        gate.wait_until_reached()
        for page in pages:
            wait_for(page, lambda state: state["job"] and state["job"]["made"] == 3)
        assert first.state["job"] == second.state["job"]
        second.ask("select", row=0)
        assert "growing" in second.refused("undo")["message"]
        # Whoever looks on may stop it too.
        second.ask("stop")
        gate.open()
    settle(*pages)
    assert first.state["head"] == second.state["head"] == first.rows - 1
    assert len(first.viewer.session.new_nodes) < 6


def test_each_has_a_selection_of_its_own(pages: tuple[FakePage, FakePage]) -> None:
    first, second = pages
    heard: list[tuple[str, Node | None]] = []
    first.viewer.on_select(lambda node: heard.append(("first", node)))
    second.viewer.on_select(lambda node: heard.append(("second", node)))
    first.viewer.generate().wait()
    settle(*pages)
    first.ask("select", row=2)
    second.viewer.select(3)
    second.wait_until(lambda: second.state["selected"] is not None)
    nodes = first.viewer.session.tree
    chosen = first.viewer.session.node_at(3)
    assert (first.viewer.selected, second.viewer.selected) == (nodes[2], chosen)
    assert (first.state["selected"], second.state["selected"]) == (2, chosen.row)
    assert heard == [("first", nodes[2]), ("second", chosen)]
    assert first.viewer.session is second.viewer.session


def test_both_follow_the_head(pages: tuple[FakePage, FakePage]) -> None:
    first, second = pages
    first.viewer.generate().wait()
    second.viewer.force(1, " London").wait()
    settle(*pages)
    there = first.viewer.session.nodes[-1].row
    for page in pages:
        wait_for(page, lambda state: state["head"] == there)
    first.ask("undo")
    for page in pages:
        wait_for(page, lambda state: state["head"] != there and state["can_redo"])
    assert first.state["head"] == second.state["head"]


def test_closing_one_leaves_the_other(pages: tuple[FakePage, FakePage]) -> None:
    first, second = pages
    second.viewer.generate().wait()
    first.viewer.close()
    deltas = first.deltas
    second.ask("generate", prompt=PROMPT, settings=dict(second.viewer.settings))
    settle(second)
    assert first.deltas == deltas
    assert second.rows > first.rows


def test_closing_who_reads_does_not_stop_who_generates(pages: tuple[FakePage, FakePage]) -> None:
    first, second = pages
    with gate_at(first.viewer.session.engine.model, 3) as gate:
        job = second.viewer.generate(max_new_tokens=6)
        gate.wait_until_reached()
        first.viewer.close()
        gate.open()
        assert len(job.wait(60)) == 6
    settle(second)


def test_a_session_that_was_saved_shows_everything_without_a_model(
    pages: tuple[FakePage, FakePage], show: Show, tmp_path: object
) -> None:
    first, _ = pages
    first.viewer.generate().wait()
    first.viewer.force(2, " London").wait()
    session = first.viewer.session
    settle(*pages)
    session.save(f"{tmp_path}/x.json")

    reader = show(TokenStream(itwidgets.open(f"{tmp_path}/x.json")))
    settle(reader)
    # Alternatives and figures are columns of the rows, branches follow from their parents.
    for name, values in first.columns.items():
        assert reader.columns[name].tobytes() == values.tobytes(), name
    assert reader.tokens == first.tokens
    assert reader.state["head"] == first.state["head"]
    assert reader.state["prompt"] == PROMPT
    assert reader.state["model"]["name"] == first.state["model"]["name"]
    for kind in ("force", "generate"):
        fields = {"parent": 3, "token_id": 7, "settings": dict(first.viewer.settings)}
        assert reader.refused(kind, **fields)["type"] == "ReadOnlyError"
    branch = session.branches[0].tip.row
    reader.ask("switch", row=branch)
    reader.wait_until(lambda: reader.state["head"] == branch)

    writer = show(TokenStream(itwidgets.open(f"{tmp_path}/x.json", engine=session.engine)))
    settle(writer)
    made = writer.rows
    writer.viewer.generate(max_new_tokens=3).wait()
    settle(writer)
    assert writer.rows == made + 3
    assert writer.state["read_only"] is None
