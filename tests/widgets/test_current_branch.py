"""The text that a viewer shows, as a figure and a table that follow it."""

from __future__ import annotations

import gc
import io
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ipywidgets.widgets.widget import _instances

from itwidgets import TokenStream
from itwidgets.widgets import CurrentBranch
from tests.widgets.following import wait_for
from tests.widgets.page import FakePage


@pytest.fixture
def viewer(page: FakePage) -> TokenStream:
    page.viewer.generate(5).wait()
    return page.viewer


@pytest.fixture
def beside(viewer: TokenStream) -> Iterator[CurrentBranch]:
    beside = CurrentBranch(viewer)
    wait_for(beside, "none of them selected")
    yield beside
    beside.close()


def marks(beside: CurrentBranch) -> Any:
    return beside.children[1].children[0].marks


def table(beside: CurrentBranch) -> pd.DataFrame:
    (frame,) = pd.read_html(io.StringIO(beside.children[2].value))
    return frame


def test_it_draws_the_branch_that_is_shown(viewer: TokenStream, beside: CurrentBranch) -> None:
    frame = viewer.session.to_frame()
    _, surprisal, entropy, *_ = marks(beside)
    known = np.isfinite(frame["surprisal_bits"])
    np.testing.assert_array_equal(surprisal.y, frame["surprisal_bits"][known])
    np.testing.assert_array_equal(entropy.x, np.flatnonzero(np.isfinite(frame["entropy_bits"])))
    assert list(table(beside)["position"]) == list(range(len(frame)))
    assert list(table(beside)["surprisal_bits"][1:]) == pytest.approx(
        list(frame["surprisal_bits"][1:]), abs=1e-4
    )


def test_it_follows_what_grows_and_what_is_chosen(viewer: TokenStream, beside: CurrentBranch) -> None:
    session = viewer.session
    before = len(session.nodes)
    viewer.force(2, 42).wait()
    wait_for(beside, f"{len(session.nodes)} tokens")
    assert marks(beside)[1].x[-1] == len(session.nodes) - 1
    session.undo()
    wait_for(beside, f"{before} tokens")
    assert marks(beside)[1].x[-1] == before - 1


def test_the_selected_token_is_marked_and_a_click_selects(viewer: TokenStream, beside: CurrentBranch) -> None:
    nodes = viewer.session.nodes
    viewer.select(nodes[3])
    wait_for(beside, "at 3")
    assert list(marks(beside)[0].x) == [3, 3]
    points = marks(beside)[3]
    index = list(points.x).index(5)
    # What the page sends when a point is clicked.
    points._handle_custom_msgs(None, {"event": "element_click", "data": {"index": index}})
    wait_for(beside, "at 5")
    assert viewer.selected == nodes[5]
    assert list(marks(beside)[0].x) == [5, 5]
    viewer.select(None)
    wait_for(beside, "none of them")
    assert not len(marks(beside)[0].x)


def test_a_histogram_has_its_intervals_as_a_table(viewer: TokenStream) -> None:
    beside = CurrentBranch(viewer, ["entropy_bits"], show_as="histogram", bins=4)
    wait_for(beside, "tokens")
    values = viewer.session.to_frame()["entropy_bits"].dropna()
    assert table(beside)["tokens"].sum() == len(values)
    assert list(marks(beside)[0].y) == list(table(beside)["tokens"])
    assert table(beside)["entropy_bits_to"].max() == pytest.approx(values.max(), abs=1e-4)
    beside.close()


def test_what_is_wrong_stands_in_its_place(viewer: TokenStream) -> None:
    beside = CurrentBranch(viewer, ["nonsense"])
    wait_for(beside, "nonsense")
    assert "no column" in beside.children[0].value
    beside.close()
    with pytest.raises(TypeError, match="list of names"):
        CurrentBranch(viewer, "entropy_bits")
    with pytest.raises(ValueError, match="pie"):
        CurrentBranch(viewer, show_as="pie")


def test_without_a_text_it_says_so(engine: Any) -> None:
    viewer = TokenStream(engine)
    beside = CurrentBranch(viewer)
    wait_for(beside, "no text yet")
    beside.close()
    viewer.close()


def test_closing_before_anything_is_drawn_leaves_nothing(viewer: TokenStream) -> None:
    before = set(_instances)
    for _ in range(5):
        CurrentBranch(viewer).close()
    viewer.link.settle()
    assert set(_instances) == before


def test_a_closed_viewer_is_followed_no_more(viewer: TokenStream, beside: CurrentBranch) -> None:
    heading = beside.children[0].value
    viewer.close()
    viewer.session.generate(3).wait()
    viewer.session.undo()
    assert beside.children[0].value == heading
    # Nothing waits for a thread that has ended.
    assert viewer.link._replies.empty()


def test_closing_leaves_nothing(viewer: TokenStream) -> None:
    before = set(_instances)
    beside = CurrentBranch(viewer)
    wait_for(beside, "none of them")
    beside.close()
    assert set(_instances) == before


def test_a_viewer_keeps_nothing_of_what_followed_it(viewer: TokenStream) -> None:
    beside = CurrentBranch(viewer)
    wait_for(beside, "none of them")
    beside.close()
    viewer.link.settle()
    gone = weakref.ref(beside)
    del beside
    gc.collect()
    assert gone() is None
