"""Figures in a real JupyterLab: what Python describes is there to be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.lab import SHARED_NOTEBOOK
from tests.browser.viewer import ViewerPage

if TYPE_CHECKING:
    from tests.browser.lab import Notebook

SETUP = """
from itwidgets.interventions import Ban
from itwidgets.widgets import comparison_figure, distribution_figure, text_figure
from tests.browser.loaded import engine
session = engine().session("The capital of France is")
found = session.distribution(0, program=Ban([7042]))
distribution_figure(found, k=5)
"""


def test_bars_and_lines_are_drawn(notebook: Notebook) -> None:
    notebook.create(
        [SETUP, "comparison_figure({'p': found, 'q': found.q}, k=5)", "text_figure(session.to_frame())"],
        SHARED_NOTEBOOK,
    )
    notebook.run_all()
    bars = notebook.output(0).locator("rect.bar")
    expect(bars).to_have_count(5)
    heights = [float(bar.get_attribute("height") or "nan") for bar in bars.all()]
    # 0.77, 0.06 and less: in the page as in the model.
    assert heights[0] > 8 * heights[1] > 8 * heights[4] > 0
    expect(notebook.output(1).locator("rect.bar")).to_have_count(12)
    # Each line once more in the legend.
    expect(notebook.output(2).locator("path.line")).to_have_count(4)


FOLLOWING = """
import itwidgets as itw
from itwidgets.interventions import Ban
from itwidgets.widgets import SelectedDistribution, branches_figure, histogram_figure, rank_figure
from tests.browser.loaded import engine
viewer = itw.TokenStream(engine().session("The capital of France is"))
viewer.generate(3, program=Ban([7042])).wait()
heard = []
viewer.on_select(heard.append)
viewer
"""

MORE = """
session = viewer.session
found = session.distribution(0, program=Ban([7042]))
tips = session.force(0, " Paris is"), session.force(0, " London is")
display(rank_figure({"p": found, "q": found.q}))
display(histogram_figure(session.to_frame(), bins=4))
display(branches_figure(session.compare(*tips), "kl_bits"))
"""


def test_a_figure_and_its_table_follow_what_is_clicked(notebook: Notebook) -> None:
    notebook.create(
        [FOLLOWING, "SelectedDistribution(viewer, k=4)", "print(heard[-1].text, len(heard))", MORE],
        SHARED_NOTEBOOK,
    )
    notebook.run_cell(0)
    notebook.run_cell(1)
    viewer, beside = ViewerPage(notebook.output(0)), notebook.output(1)
    expect(beside).to_contain_text("Select a token to see what it was drawn from.")
    viewer.token(4).click()
    expect(beside.locator("rect.bar")).to_have_count(4)
    expect(beside.get_by_role("columnheader")).to_have_text(["rank", "token", "surprisal_bits", "p"])
    viewer.token(5).click()
    # Drawn by a program: the union of the best four of p, q and s, three bars each.
    expect(beside.get_by_role("columnheader")).to_have_text(
        ["rank", "token", "surprisal_bits", "p", "q", "s"]
    )
    expect(beside.locator("rect.bar")).to_have_count(15)
    expect(beside.get_by_role("row").nth(1)).to_contain_text("␣Paris")
    viewer.token(0).click()
    expect(beside).to_contain_text("The first token of a text has no context")
    expect(beside.locator("rect.bar")).to_have_count(0)
    assert notebook.run_cell(2).split()[-1] == "3"
    notebook.run_cell(3)
    more = notebook.output(3)
    expect(more.locator("rect.bar")).to_have_count(4)
    # Two curves of ranks and the two branches, each once more in its legend.
    expect(more.locator("path.line")).to_have_count(8)
