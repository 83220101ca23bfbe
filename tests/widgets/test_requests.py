"""What a page may ask for: each request by its message, as the front end sends it."""

from __future__ import annotations

from typing import Any

import pytest

from itwidgets.tree import Origin
from tests.models import PROMPT, counted_positions, gate_at
from tests.widgets.page import FakePage, assert_same_tree


def _settings(page: FakePage, **changes: Any) -> dict[str, Any]:
    return {**page.viewer.settings, **changes}


def test_generate_takes_the_settings_along(page: FakePage) -> None:
    settings = _settings(page, max_new_tokens=4, temperature=1.5, top_k=20, seed=9)
    page.ask("generate", settings=settings, prompt=PROMPT)
    page.settle()
    assert page.viewer.settings == settings == page.state["settings"]
    assert len(page.viewer.session.new_nodes) == 4
    assert_same_tree(page, page.viewer)
    # The same prompt goes on; it is not read again.
    page.ask("generate", settings=settings, prompt=PROMPT)
    page.settle()
    assert len(page.viewer.session.new_nodes) == 8
    assert page.viewer.session.branches[0].nodes == page.viewer.session.nodes


def test_generate_with_an_edited_prompt_grows_another_branch(page: FakePage) -> None:
    page.ask("generate", settings=_settings(page), prompt=PROMPT)
    page.settle()
    page.ask("generate", settings=_settings(page), prompt=f"{PROMPT} and England")
    page.settle()
    session = page.viewer.session
    assert session.prompt_text == page.state["prompt"] == f"{PROMPT} and England"
    assert len(session.new_nodes) == 6
    assert len(session.branches) == 2
    edited = [node for node in session.nodes if node.origin is Origin.EDITED]
    assert "".join(node.text for node in edited) == " and England"
    page.ask("undo")
    page.settle()
    page.wait_until(lambda: page.state["prompt"] == PROMPT)


def test_an_edited_prompt_passes_only_what_is_new(page: FakePage) -> None:
    """Wherever the edit is: at the end, in the middle, a shorter one, and the first one again."""
    session = page.viewer.session
    settings = _settings(page, max_new_tokens=1)
    count = len(session.engine.vocabulary.encode(PROMPT))

    def passed(prompt: str) -> int:
        with counted_positions(session.engine.model) as counts:
            page.ask("generate", settings=settings, prompt=prompt)
            page.settle()
        assert session.prompt_text == prompt
        return sum(counts)

    first = passed(PROMPT)
    longer = passed(f"{PROMPT} and England")
    new = len(session.prompt_ids) - count
    assert (first, longer) == (1, new + 1)
    middle = passed("The capital of England")
    assert session.prompt_ids[:3] == session.engine.vocabulary.encode(PROMPT)[:3]
    assert middle == len(session.prompt_ids) - 3 + 1
    for known in ("The capital", PROMPT, f"{PROMPT} and England", "The capital of England"):
        assert passed(known) == 1, known


def test_generate_from_a_row_parts_there(page: FakePage) -> None:
    page.ask("generate", settings=_settings(page))
    page.settle()
    row = page.viewer.session.new_nodes[2].row
    page.ask("generate", settings=_settings(page, temperature=3.0, seed=4), parent=row)
    page.settle()
    assert len(page.viewer.session.new_nodes) == 3 + 6
    assert page.viewer.session.branches[1].nodes[0].parent == page.viewer.session.tree[row]


@pytest.mark.parametrize("by", ["token_id", "text"])
def test_force_grows_a_branch_and_selects_what_was_forced(page: FakePage, by: str) -> None:
    page.ask("generate", settings=_settings(page))
    page.settle()
    session = page.viewer.session
    old = session.new_nodes
    page.ask("select", row=old[2].row)
    given: Any = " London and" if by == "text" else session.engine.vocabulary.token_id(" London")
    page.ask("force", parent=old[1].row, settings=_settings(page), **{by: given})
    page.settle()
    new = session.new_nodes
    assert new[:2] == old[:2]
    assert new[2].text == " London"
    assert new[2].origin is Origin.FORCED
    assert len(new) == 2 + (2 if by == "text" else 1) + 6
    assert page.state["selected"] == new[2].row
    assert page.viewer.selected == new[2]
    assert session.branches[0].nodes[-6:] == old
    assert_same_tree(page, page.viewer)


def test_stop_ends_the_job_and_keeps_the_tokens(page: FakePage) -> None:
    with gate_at(page.viewer.session.engine.model, 3) as gate:
        page.ask("generate", settings=_settings(page, max_new_tokens=500))
        gate.wait_until_reached()
        page.ask("stop")
        page.wait_until(lambda: page.state["job"] and page.state["job"]["stopping"])
        gate.open()
        page.settle()
    assert len(page.viewer.session.new_nodes) == 2
    assert page.state["notice"] is None
    assert_same_tree(page, page.viewer)


def test_switch_undo_and_redo_move_the_head(page: FakePage) -> None:
    page.ask("generate", settings=_settings(page))
    page.settle()
    first = page.state["head"]
    page.ask("force", parent=page.viewer.session.new_nodes[0].row, text=" London", settings=_settings(page))
    page.settle()
    second = page.state["head"]
    for kind, fields, head in [
        ("switch", {"row": first}, first),
        ("undo", {}, second),
        ("undo", {}, first),
        ("redo", {}, second),
        ("switch", {"row": 1}, 1),
    ]:
        page.ask(kind, **fields)
        page.wait_until(lambda head=head: page.state["head"] == head)  # type: ignore[misc]
    assert page.state["can_undo"]
    assert not page.state["can_redo"]


def test_select_takes_a_row_or_nothing(page: FakePage) -> None:
    page.ask("select", row=1)
    page.wait_until(lambda: page.state["selected"] == 1)
    assert page.viewer.selected == page.viewer.session.nodes[1]
    page.ask("select", row=None)
    page.wait_until(lambda: page.state["selected"] is None)
    assert page.viewer.selected is None


def test_settings_are_kept_for_all_pages(page: FakePage) -> None:
    settings = _settings(page, temperature=0.3, top_p=0.5, min_p=0.1)
    page.ask("settings", settings=settings)
    page.wait_until(lambda: page.state["settings"] == settings)
    assert page.viewer.settings == settings


def test_every_request_has_one_answer_with_its_id(page: FakePage) -> None:
    numbers = [page.tell("select", row=row) for row in (0, 1, None, 0)]
    for number in numbers:
        content, buffers = page.answer(number)
        assert content == {"kind": "select-response", "id": number}
        assert buffers == []


def test_dismiss_removes_the_notice_it_names(page: FakePage) -> None:
    page.viewer.notify(RuntimeError("first"))
    page.wait_until(lambda: page.state["notice"])
    first = page.state["notice"]
    assert (first["type"], first["message"]) == ("RuntimeError", "first")
    page.viewer.notify(RuntimeError("second"))
    page.wait_until(lambda: page.state["notice"]["message"] == "second")
    page.ask("dismiss", notice=first["id"])
    page.ask("select", row=0)
    assert page.state["notice"]["message"] == "second"
    page.ask("dismiss", notice=page.state["notice"]["id"])
    page.wait_until(lambda: page.state["notice"] is None)
