"""Figures in a real JupyterLab: what Python describes is there to be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from tests.browser.lab import Notebook

SETUP = """
import itwidgets as itw
from itwidgets.interventions import Ban
from itwidgets.widgets import comparison_figure, distribution_figure, text_figure
session = itw.load().session("The capital of France is")
found = session.distribution(0, program=Ban([7042]))
distribution_figure(found, k=5)
"""


def test_bars_and_lines_are_drawn(notebook: Notebook) -> None:
    notebook.create(
        [SETUP, "comparison_figure({'p': found, 'q': found.q}, k=5)", "text_figure(session.to_frame())"]
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
