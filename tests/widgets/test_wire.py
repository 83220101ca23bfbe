"""The stream of deltas, snapshots, and the traits for pages that come later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from itwidgets import Engine, TokenStream
from itwidgets.interventions import Bias
from tests.models import PROMPT, gate_at
from tests.widgets.page import FakePage, assert_same_tree

Show = Callable[[TokenStream], FakePage]


def test_deltas_have_no_gap_and_rebuild_the_tree(page: FakePage) -> None:
    viewer = page.viewer
    viewer.generate(max_new_tokens=30).wait()
    viewer.force(5, " London 🦜").wait()
    viewer.generate(max_new_tokens=5, program=Bias({7: 2.0})).wait()
    viewer.session.switch(viewer.session.branches[0])
    page.settle()
    assert_same_tree(page, viewer)
    page.wait_until(lambda: page.state["head"] == viewer.session.nodes[-1].row)


def test_rows_that_come_while_the_wire_is_slow_travel_together(
    page: FakePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = page.viewer.generate(max_new_tokens=100)
    hear = page.hear

    def slow(data: Any, buffers: list[bytes]) -> None:
        job.wait(60)
        hear(data, buffers)

    monkeypatch.setattr(page, "hear", slow)
    before, rows = page.deltas, page.rows
    job.wait(60)
    page.settle()
    assert page.rows - rows > 50
    assert page.deltas - before <= 4
    assert_same_tree(page, page.viewer)


def test_a_token_travels_before_the_job_has_ended(page: FakePage) -> None:
    with gate_at(page.viewer.session.engine.model, 3) as gate:
        page.viewer.generate(max_new_tokens=4)
        gate.wait_until_reached()
        page.wait_until(lambda: page.state["job"] and page.state["job"]["made"] == 2)
        assert page.state["job"]["total"] == 4
        assert page.state["job"]["kind"] == "generate"
        assert not page.state["job"]["stopping"]
        assert page.rows == page.state["head"] + 1
        gate.open()
        page.settle()


def test_a_snapshot_holds_everything(page: FakePage) -> None:
    page.viewer.generate(max_new_tokens=10).wait()
    page.settle()
    content, buffers = page.answer(page.tell("snapshot"))
    late = FakePage(page.viewer)
    late.add(content["header"], buffers)
    assert_same_tree(late, page.viewer)
    assert content["state"]["rows"] == late.rows
    assert content["state"]["seq"] == page.state["seq"]
    # The next delta goes on where the snapshot ended.
    late.state = content["state"]
    page.viewer.generate(max_new_tokens=3).wait()
    late.settle()
    assert_same_tree(late, page.viewer)


def test_a_snapshot_while_rows_stream_joins_without_a_gap(page: FakePage) -> None:
    with gate_at(page.viewer.session.engine.model, 5) as gate:
        page.viewer.generate(max_new_tokens=40)
        gate.wait_until_reached()
        content, buffers = page.answer(page.tell("snapshot"))
        late = FakePage(page.viewer)
        late.add(content["header"], buffers)
        late.state = content["state"]
        gate.open()
        late.settle()
    assert_same_tree(late, page.viewer)


def test_the_traits_let_a_late_page_rebuild_all(page: FakePage) -> None:
    viewer = page.viewer
    viewer.generate(max_new_tokens=10).wait()
    viewer.force(3, " London").wait()
    viewer.select(3)
    page.settle()
    page.wait_until(lambda: viewer.state["selected"] is not None and viewer.state["rows"] == page.rows)
    late = FakePage(viewer)
    late.add(viewer.table["header"], viewer.table["buffers"])
    assert_same_tree(late, viewer)
    assert viewer.state == page.state
    assert viewer.table["seq"] <= viewer.state["seq"]


def test_the_traits_are_not_written_while_rows_stream(page: FakePage) -> None:
    with gate_at(page.viewer.session.engine.model, 5) as gate:
        page.viewer.generate(max_new_tokens=8)
        gate.wait_until_reached()
        page.wait_until(lambda: page.state["job"] and page.state["job"]["made"] == 4)
        before = len(page.updates)
        page.ask("select", row=0)
        assert len(page.updates) == before
        gate.open()
        page.settle()
        page.wait_until(lambda: page.viewer.state["rows"] == page.rows)
    assert len(page.updates) > before


def test_the_prompt_is_read_in_the_background(engine: Engine, show: Show) -> None:
    with gate_at(engine.model, 1) as gate:
        viewer = TokenStream(engine, prompt=PROMPT)
        page = show(viewer)
        gate.wait_until_reached()
        page.wait_until(lambda: page.state)
        assert (page.state["prompt"], page.rows) == (PROMPT, 0)
        assert page.state["job"]["kind"] == "prompt"
        gate.open()
        page.settle()
    assert_same_tree(page, viewer)
    assert page.state["prompt"] == PROMPT


def test_the_state_says_what_the_page_needs(page: FakePage) -> None:
    session = page.viewer.session
    assert page.state["model"] == {"name": "tiny-llama", "vocabulary_size": 520, "context_length": 1024}
    assert page.state["session"] == session.id
    assert page.state["settings"] == page.viewer.settings
    assert page.state["prompt"] == PROMPT
    assert (page.state["can_undo"], page.state["can_redo"], page.state["read_only"]) == (False, False, None)


def test_two_viewers_of_one_session_show_the_same(engine: Engine, show: Show) -> None:
    session = engine.session(PROMPT)
    first, second = show(TokenStream(session)), show(TokenStream(session))
    first.viewer.generate(max_new_tokens=5).wait()
    for page in (first, second):
        page.settle()
        assert_same_tree(page, page.viewer)


def test_a_session_without_a_model_can_be_shown(engine: Engine, show: Show, tmp_path: object) -> None:
    import itwidgets

    session = engine.session(PROMPT)
    session.generate(max_new_tokens=4).wait()
    path = f"{tmp_path}/x.json"
    session.save(path)
    page = show(TokenStream(itwidgets.open(path)))
    page.ask("snapshot")
    page.settle()
    assert_same_tree(page, page.viewer)
    assert "it was opened without a model" in page.state["read_only"]
    assert page.state["model"]["context_length"] is None
    error = page.refused("generate", settings=dict(page.viewer.settings))
    assert error["type"] == "ReadOnlyError"
    page.ask("select", row=0)


def test_two_viewers_of_one_session_see_each_others_labels(engine: Engine, show: Show) -> None:
    session = engine.session(PROMPT)
    first, second = show(TokenStream(session)), show(TokenStream(session))
    session.force(0, 40)
    start = session.force(0, 41).row
    first.ask("label", row=start, label={"name": " <i>rude</i> 🦜", "colour": "green"})
    second.ask("label", row=start, label={"hidden": True})
    said = [{"start": start, "name": "<i>rude</i> 🦜", "colour": "green", "hidden": True}]
    for page in (first, second):
        page.wait_until(lambda page=page: page.state["labels"] == said)  # type: ignore[misc]
        page.settle()
        # And so does a page that comes later.
        assert page.ask("snapshot")["state"]["labels"] == page.viewer.state["labels"] == said
    assert session.branches[1].name == "<i>rude</i> 🦜"
    # Any token of the branch names it; what says nothing does not travel.
    first.ask("label", row=start, label={"name": "", "colour": None, "hidden": False})
    for page in (first, second):
        page.wait_until(lambda page=page: page.state["labels"] == [])  # type: ignore[misc]


def test_labels_are_changed_while_a_job_runs(engine: Engine, show: Show) -> None:
    session = engine.session(PROMPT)
    page = show(TokenStream(session))
    with gate_at(engine.model, 3) as gate:
        job = session.generate(max_new_tokens=6)
        gate.wait_until_reached()
        page.ask("label", row=0, label={"name": "still growing"})
        page.wait_until(lambda: [label["name"] for label in page.state["labels"]] == ["still growing"])
        assert page.state["job"] is not None
        gate.open()
        job.wait()
    page.settle()
