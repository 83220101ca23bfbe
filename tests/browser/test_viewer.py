"""The whole thread, in a real JupyterLab on the embedded model: watch, look, overrule, return."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.lab import SHARED_NOTEBOOK
from tests.browser.viewer import ViewerPage

if TYPE_CHECKING:
    from tests.browser.lab import Notebook

FIRST_LOOK = "notebooks/01_first_look.ipynb"
VIEWER_CELL = 3
PROMPT_TOKENS = 7
TOKEN_5 = PROMPT_TOKENS + 5
SCORED = re.compile("surprisal")
"""What tokens say, and the place of the next one does not, which is the last option of the list."""

SETUP = """
import itwidgets as itw
from tests.browser.loaded import engine
viewer = itw.TokenStream(engine(), prompt="The most surprising thing about language is")
viewer
"""


@pytest.fixture
def viewer(notebook: Notebook) -> ViewerPage:
    """Show a viewer that has read its prompt and made nothing yet."""
    notebook.create([SETUP], SHARED_NOTEBOOK)
    notebook.run_all()
    view = ViewerPage(notebook.output(0))
    view.wait_read(PROMPT_TOKENS)
    return view


def test_the_first_notebook(notebook: Notebook) -> None:
    notebook.open(FIRST_LOOK)
    notebook.run_all()
    view = ViewerPage(notebook.output(VIEWER_CELL))
    view.wait_idle()
    before = view.names()
    assert len(before) == PROMPT_TOKENS + 40

    view.token(TOKEN_5).click()
    for rank in (1, 2, 3):
        expect(view.alternative(rank)).to_have_accessible_name(
            re.compile(rf'rank {rank}, ".*", probability 0\.\d+, \d+\.\d+ bits')
        )
    view.alternative(3).dblclick()
    expect(view.token(TOKEN_5)).to_have_accessible_name(re.compile("rank 3, forced"))
    # It streams: some tokens are there while the job still runs.
    expect(view.token(TOKEN_5 + 3)).to_be_attached()
    expect(view.button("Stop")).to_be_enabled()
    assert len(view.names()) < TOKEN_5 + 41
    view.wait_idle()
    after = view.names()
    assert len(after) == TOKEN_5 + 1 + 40
    assert after[:TOKEN_5] == before[:TOKEN_5]

    expect(view.branches.get_by_role("option")).to_have_count(2)
    view.branches.get_by_role("option").first.click()
    expect(view.token(TOKEN_5)).to_have_accessible_name(before[TOKEN_5])
    assert view.names() == before


def test_reload_keeps_everything(notebook: Notebook, viewer: ViewerPage) -> None:
    viewer.generate(8)
    viewer.token(9).click()
    made = viewer.names()
    notebook.reload()
    again = ViewerPage(notebook.output(0))
    expect(again.token(14)).to_be_attached()
    assert again.names() == made
    expect(again.token(9)).to_have_attribute("aria-selected", "true")
    again.alternative(2).dblclick()
    expect(again.branches.get_by_role("option")).to_have_count(2)
    again.wait_idle()


def test_reload_while_it_streams(notebook: Notebook, viewer: ViewerPage) -> None:
    viewer.set_sampling(Tokens="4000")
    viewer.button("Generate").click()
    expect(viewer.token(12)).to_have_accessible_name(SCORED)
    notebook.reload()
    again = ViewerPage(notebook.output(0))
    # All that was made meanwhile, and then it goes on.
    expect(again.token(12)).to_have_accessible_name(SCORED)
    shown = len(again.names())
    expect(again.token(shown + 5)).to_have_accessible_name(SCORED, timeout=30_000)
    again.button("Stop").click()
    again.wait_idle()
    made = int(notebook.execute("print(len(viewer.session.nodes))"))
    expect(again.tokens.get_by_role("option")).to_have_count(made + 1)
    assert len(again.names()) == made


def test_two_views_stay_in_step(notebook: Notebook, viewer: ViewerPage) -> None:
    notebook.execute("viewer")
    second = ViewerPage(notebook.output(-1))
    second.set_sampling(Tokens="6")
    second.button("Generate").click()
    expect(viewer.token(12)).to_be_attached()
    viewer.wait_idle()
    assert viewer.names() == second.names()
    viewer.token(8).click()
    expect(second.token(8)).to_have_attribute("aria-selected", "true")


def test_reading_goes_on_while_a_cell_is_busy(notebook: Notebook, viewer: ViewerPage) -> None:
    viewer.generate(10)
    notebook.execute("import threading; threading.Event().wait(600)", wait=False)
    viewer.token(10).click()
    expect(viewer.alternative(1)).to_have_accessible_name(re.compile("rank 1,"))
    expect(viewer.alternative(12)).to_have_accessible_name(re.compile("rank 12,"))
    viewer.tokens.press("ArrowRight")
    expect(viewer.token(11)).to_have_attribute("aria-selected", "true")
    notebook.interrupt_and_wait()


def test_typed_text_and_undo(viewer: ViewerPage) -> None:
    viewer.generate(5)
    first = viewer.names()
    viewer.token(8).click()
    viewer.force_text.fill(" zebras <b>and</b> 🦜")
    viewer.button("Force").click()
    expect(viewer.branches.get_by_role("option")).to_have_count(2)
    viewer.wait_idle()
    expect(viewer.tokens).to_contain_text("zebras <b>and</b> 🦜")
    viewer.button("Undo").click()
    expect(viewer.token(8)).to_have_accessible_name(first[8])
    assert viewer.names() == first
    viewer.button("Redo").click()
    expect(viewer.tokens).to_contain_text("zebras")


def test_search_reaches_the_whole_vocabulary(notebook: Notebook, viewer: ViewerPage) -> None:
    viewer.generate(2)
    viewer.token(7).click()
    viewer.search.fill("zeb")
    expect(viewer.alternative(1)).to_have_accessible_name(re.compile("zeb", re.IGNORECASE))
    found = notebook.execute("print(len(viewer.session.distribution(0).search('zeb')))")
    expect(viewer.alternative(1)).to_have_attribute("aria-setsize", found)
    # All of it, and not only what was found: the last of 49,152 ranks is a key away.
    viewer.search.fill("")
    viewer.alternatives.press("End")
    last = viewer.alternatives.get_by_role("option").last
    expect(last).to_have_accessible_name(re.compile(r"rank 49,1\d\d, .*cumulative mass 1\.000"))


def test_bad_input_says_so_and_loses_nothing(viewer: ViewerPage) -> None:
    viewer.generate(3)
    made = viewer.names()
    viewer.prompt.fill("word " * 9000)
    viewer.button("Generate").click()
    expect(viewer.alert).to_contain_text("the model's context holds 8192")
    viewer.alert.get_by_role("button", name="Dismiss").click()
    expect(viewer.alert).to_have_count(0)
    assert viewer.names() == made


def test_closing_while_generating(notebook: Notebook, viewer: ViewerPage) -> None:
    viewer.set_sampling(Tokens="4000")
    viewer.button("Generate").click()
    expect(viewer.token(10)).to_have_accessible_name(SCORED)
    assert notebook.execute("viewer.close(); print('closed')") == "closed"
    shown = notebook.execute("print(viewer.session.running, len(viewer.session.nodes) > 10)")
    assert shown.endswith("True")


def test_the_look_survives_jupyterlab(notebook: Notebook, viewer: ViewerPage) -> None:
    viewer.generate(2)
    viewer.token(7).click()
    # Lab restyles lists and definitions inside its outputs.
    figures = viewer.root.get_by_text(re.compile("^(surprisal, bits|rank of|entropy, bits|effective)"))
    expect(figures).to_have_count(4)
    tops = {round((figure.bounding_box() or {"y": 0.0})["y"]) for figure in figures.all()}
    assert len(tops) == 1
    # A change of theme hides the page for a moment; the chart must come back.
    notebook.set_theme("dark")
    painted = """canvas => canvas.width > 0 && canvas.getContext("2d")
        .getImageData(0, 0, canvas.width, canvas.height).data.some(value => value > 0)"""
    chart = viewer.root.locator("canvas")
    expect(chart).to_be_visible()
    notebook.page.wait_for_function(f"() => ({painted})(document.querySelector('.itw-root canvas'))")
