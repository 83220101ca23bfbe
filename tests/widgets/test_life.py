"""The viewer from Python, and its end."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections.abc import Callable

import pytest

from itwidgets import Engine, TokenStream
from itwidgets.engine import BusyError
from tests.models import PROMPT, gate_at
from tests.widgets.page import FakePage

Show = Callable[[TokenStream], FakePage]


def _links() -> int:
    return sum(thread.name == "itwidgets link" for thread in threading.enumerate())


def test_the_settings_at_hand_are_used(engine: Engine, show: Show) -> None:
    viewer = show(TokenStream(engine, prompt=PROMPT, max_new_tokens=5, temperature=1.2, seed=3)).viewer
    made = [node.token_id for node in viewer.generate().wait()]
    assert len(made) == 5
    alone = engine.session(PROMPT)
    from itwidgets.interventions import sampling_program

    program = sampling_program(temperature=1.2)
    assert [n.token_id for n in alone.generate(5, program=program, seed=3).wait()] == made
    assert len(viewer.generate(max_new_tokens=2, seed=4).wait()) == 2
    # What was given for one call stays with that call.
    assert (viewer.settings["max_new_tokens"], viewer.settings["seed"]) == (5, 3)


def test_force_goes_on_from_the_forced_token(page: FakePage) -> None:
    viewer = page.viewer
    viewer.generate().wait()
    nodes = viewer.force(2, " London").wait()
    assert [node.text for node in nodes[:1]] == [" London"]
    assert len(nodes) == 1 + 6
    assert viewer.session.new_nodes[2:] == nodes


def test_what_is_asked_for_while_the_prompt_is_read_waits_for_it(engine: Engine, show: Show) -> None:
    with gate_at(engine.model, 1) as gate:
        viewer = show(TokenStream(engine, prompt=PROMPT, max_new_tokens=3)).viewer
        job = viewer.generate()
        gate.wait_until_reached()
        assert viewer.session.text == ""
        gate.open()
        assert len(job.wait(60)) == 3
    assert viewer.session.text.startswith(PROMPT)


def test_forcing_while_generating_is_refused(page: FakePage) -> None:
    with gate_at(page.viewer.session.engine.model, 2) as gate:
        job = page.viewer.generate()
        gate.wait_until_reached()
        with pytest.raises(BusyError, match="cannot force while the session is growing"):
            page.viewer.force(0, " London")
        gate.open()
        assert len(job.wait(60)) == 6


def test_select_by_position_by_node_and_not(page: FakePage) -> None:
    viewer = page.viewer
    made = viewer.generate().wait()
    viewer.select(2)
    assert viewer.selected == made[2]
    viewer.select(made[4])
    assert viewer.selected == made[4]
    page.wait_until(lambda: page.state["selected"] == made[4].row)
    with pytest.raises(ValueError, match="position 9 is out of range"):
        viewer.select(9)
    assert viewer.selected == made[4]
    viewer.select(None)
    assert viewer.selected is None


def test_closing_while_generating_stops_and_raises_nothing(
    engine: Engine, show: Show, caplog: pytest.LogCaptureFixture
) -> None:
    session = engine.session(PROMPT)
    page = show(TokenStream(session))
    with gate_at(engine.model, 4) as gate, caplog.at_level(logging.WARNING):
        job = page.viewer.generate(max_new_tokens=500)
        gate.wait_until_reached()
        page.viewer.close()
        assert job.cancelled
        gate.open()
        assert len(job.wait(60)) == 3
    assert caplog.records == []
    assert job.error is None
    # The session lives on.
    assert len(session.generate(max_new_tokens=2).wait()) == 2
    assert len(session.new_nodes) == 5


def test_closing_twice_and_late_messages_are_harmless(page: FakePage) -> None:
    viewer = page.viewer
    viewer.close()
    viewer.close()
    viewer.link.changed()
    assert viewer.session.text == PROMPT


def test_closing_ends_the_link_and_frees_the_viewer(engine: Engine) -> None:
    before = _links()
    viewer = TokenStream(engine.session(PROMPT))
    assert _links() == before + 1
    viewer.close()
    assert _links() == before
    gone = weakref.ref(viewer)
    del viewer
    gc.collect()
    assert gone() is None


def test_a_link_that_fails_is_logged_and_lives_on(
    page: FakePage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    heard = page.hear
    failed = threading.Event()

    def failing(*_: object) -> None:
        failed.set()
        raise OSError("the socket is gone")

    monkeypatch.setattr(page, "hear", failing)
    page.viewer.link.changed()
    assert failed.wait(60)
    monkeypatch.setattr(page, "hear", heard)
    # The page sees the gap and asks for all.
    content, _ = page.answer(page.tell("snapshot"))
    assert content["state"]["rows"] == len(page.viewer.session.tree)
    assert "a message to the page was not sent" in caplog.text
