"""What follows the selection: listeners, and the distribution of the selected token."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ipywidgets.widgets.widget import _instances

import itwidgets as itw
from itwidgets import Engine, TokenStream
from itwidgets.interventions import Ban, Temperature
from itwidgets.tree import Node
from itwidgets.widgets import SelectedDistribution
from tests.models import PROMPT
from tests.widgets.following import wait_for
from tests.widgets.page import TIMEOUT_S, FakePage


class Heard:
    """Nodes that a listener got, in their order."""

    def __init__(self) -> None:
        self.nodes: list[Node | None] = []
        self._news = threading.Condition()

    def __call__(self, node: Node | None) -> None:
        with self._news:
            self.nodes.append(node)
            self._news.notify_all()

    def wait_for(self, *nodes: Node | None) -> None:
        with self._news:
            assert self._news.wait_for(lambda: self.nodes == list(nodes), TIMEOUT_S), self.nodes


def drawn(beside: SelectedDistribution) -> Any:
    return beside.children[1].children[0].marks


def table(beside: SelectedDistribution) -> pd.DataFrame:
    (frame,) = pd.read_html(io.StringIO(beside.children[2].value))
    return frame


def test_a_listener_hears_of_every_new_selection(page: FakePage) -> None:
    viewer, heard = page.viewer, Heard()
    nodes = viewer.session.nodes
    end = viewer.on_select(heard)
    viewer.select(nodes[1])
    heard.wait_for(nodes[1])
    page.ask("select", row=nodes[2].row)
    heard.wait_for(nodes[1], nodes[2])
    page.ask("select", row=None)
    heard.wait_for(nodes[1], nodes[2], None)
    end()
    last = Heard()
    viewer.on_select(last)
    viewer.select(nodes[1])
    last.wait_for(nodes[1])
    assert len(heard.nodes) == 3


def test_a_listener_hears_of_the_token_that_took_the_place_of_the_selected_one(page: FakePage) -> None:
    viewer, heard = page.viewer, Heard()
    old = viewer.generate(4).wait()
    viewer.on_select(heard)
    viewer.select(old[1])
    heard.wait_for(old[1])
    job = viewer.force(old[1], 42)
    job.wait()
    heard.wait_for(old[1], job.nodes[0])


def test_the_place_stays_selected_whatever_moves_the_head(page: FakePage) -> None:
    """In Python as in the page, which keeps a position: the token of the branch that is shown."""
    viewer, session, heard = page.viewer, page.viewer.session, Heard()
    old = viewer.generate(4).wait()
    viewer.on_select(heard)
    viewer.select(old[1])
    heard.wait_for(old[1])

    def agrees(node: Node | None) -> None:
        assert viewer.selected == node
        row = None if node is None else node.row
        page.wait_until(lambda: page.state["selected"] == row and page.rows == len(session.tree))

    new = session.force(1, 42)
    agrees(new)
    longer = session.force(2, 43)
    agrees(new)
    session.undo()
    session.undo()
    agrees(old[1])
    session.switch(longer)
    agrees(new)
    session.switch(session.nodes[1])
    agrees(None)
    session.switch(old[3])
    agrees(old[1])
    viewer.generate(3).wait()
    agrees(old[1])


def test_a_listener_that_fails_hurts_no_one(page: FakePage, caplog: pytest.LogCaptureFixture) -> None:
    viewer, heard = page.viewer, Heard()
    viewer.on_select(lambda _: 1 / 0)
    viewer.on_select(heard)
    viewer.select(viewer.session.nodes[1])
    heard.wait_for(viewer.session.nodes[1])
    assert "a listener failed" in caplog.text


@pytest.mark.parametrize("show_as", ["bars", "ranks"])
def test_the_distribution_follows_the_selection(page: FakePage, show_as: str) -> None:
    viewer = page.viewer
    beside = SelectedDistribution(viewer, k=4, show_as=show_as)
    wait_for(beside, "Select a token")
    program = Ban([7]) >> Temperature(0.5)
    nodes = viewer.session.generate(2, program=program).wait()
    for node, names in ((viewer.session.nodes[1], ["p"]), (nodes[0], ["p", "q", "s"])):
        viewer.select(node)
        wait_for(beside, f"rank {node.rank}, {node.surprisal:.2f} bits")
        marks = drawn(beside)
        assert [label for mark in marks for label in mark.labels] == names
        distribution = viewer.session.distribution(node)
        best = distribution.top(1)[0]
        heights = [float(np.ravel(mark.y)[0]) for mark in marks]
        assert heights[0] == pytest.approx(best.probability)
        rows = table(beside)
        assert list(rows.columns) == ["rank", "token", "surprisal_bits", *names]
        assert rows["p"].iloc[0] == pytest.approx(best.probability, abs=1e-4)
        if "s" in names:
            expected = distribution.s.probability(best.token_id)
            assert rows["s"].iloc[0] == pytest.approx(expected, abs=1e-4)
    viewer.select(viewer.session.nodes[0])
    wait_for(beside, "has no context")
    assert beside.children[1].children == ()


def test_nothing_is_left_of_what_was_drawn_or_closed(page: FakePage) -> None:
    viewer = page.viewer
    nodes, before = viewer.session.nodes, set(_instances)
    beside = SelectedDistribution(viewer, k=3)
    drawn_once: set[str] = set()
    for node in nodes[1:]:
        viewer.select(node)
        wait_for(beside, f"rank {node.rank}, {node.surprisal:.2f} bits")
        drawn_once = drawn_once or set(_instances)
        assert len(_instances) == len(drawn_once)
    beside.close()
    assert {type(_instances[i]).__name__ for i in set(_instances) - before} == set()
    last = Heard()
    viewer.on_select(last)
    viewer.select(nodes[1])
    last.wait_for(nodes[1])
    assert {type(_instances[i]).__name__ for i in set(_instances) - before} == set()


def test_a_token_that_is_markup_reads_as_text(page: FakePage) -> None:
    viewer = page.viewer
    hostile = next(i for i in range(len(viewer.session.engine.vocabulary)) if b"<" in _bytes(viewer, i))
    node = viewer.session.force(0, hostile)
    beside = SelectedDistribution(viewer, k=len(viewer.session.engine.vocabulary))
    viewer.select(node)
    wait_for(beside, "bits")
    text = _bytes(viewer, hostile).decode(errors="replace")
    for part in (beside.children[0].value, beside.children[2].value):
        assert text not in part
        assert text.replace("<", "&lt;").replace(">", "&gt;") in part
    beside.close()


def _bytes(viewer: TokenStream, token_id: int) -> bytes:
    return viewer.session.engine.vocabulary.token_bytes(token_id)


def test_a_session_without_a_model_says_so(
    engine: Engine, show: Callable[[TokenStream], FakePage], tmp_path: object
) -> None:
    path = f"{tmp_path}/one.itw.json"
    engine.session(PROMPT).save(path)
    page = show(TokenStream(itw.open(path)))
    beside = SelectedDistribution(page.viewer)
    page.viewer.select(page.viewer.session.nodes[2])
    wait_for(beside, "opened without a model")


def test_what_is_drawn_is_one_of_two(page: FakePage) -> None:
    with pytest.raises(ValueError, match=r"show_as is 'pie', but must be one of 'bars', 'ranks'"):
        SelectedDistribution(page.viewer, show_as="pie")
    with pytest.raises(ValueError, match="k is 0, but must be a whole number of at least 1"):
        SelectedDistribution(page.viewer, k=0)
