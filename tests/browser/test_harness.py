"""The harness itself works, with a widget small enough to be above suspicion."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.lab import CellError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser.evidence import Evidence
    from tests.browser.lab import Notebook

COUNTER = '''
import anywidget
import traitlets


class Counter(anywidget.AnyWidget):
    _esm = """
    function render({ model, el, signal }) {
        const button = document.createElement("button");
        const draw = () => { button.textContent = `Count ${model.get("count")}`; };
        button.addEventListener("click", () => {
            model.set("count", model.get("count") + 1);
            model.save_changes();
        }, { signal });
        model.on("change:count", draw);
        draw();
        el.append(button);
    }
    export default { render };
    """
    count = traitlets.Int(0).tag(sync=True)


counter = Counter()
'''
BROKEN = '''
import anywidget


class Broken(anywidget.AnyWidget):
    _esm = """
    function render({ el }) {
        const button = document.createElement("button");
        button.textContent = "Break";
        button.addEventListener("click", () => { throw new Error("our own fault"); });
        el.append(button);
    }
    export default { render };
    """


Broken()
'''


@pytest.fixture
def counter(notebook: Notebook) -> Notebook:
    """Open and run a notebook with two views of one counter, in cells 1 and 2."""
    notebook.create([COUNTER, "counter", "counter"])
    notebook.run_all()
    return notebook


def test_two_views_share_one_state_with_the_kernel(counter: Notebook) -> None:
    buttons = [counter.output(index).get_by_role("button") for index in (1, 2)]
    for button in buttons:
        expect(button).to_have_text("Count 0")
    buttons[0].click()
    buttons[1].click()
    for button in buttons:
        expect(button).to_have_text("Count 2")
    assert counter.execute("counter.count") == "2"
    counter.execute("counter.count = 40")
    for button in buttons:
        expect(button).to_have_text("Count 40")


def test_a_reload_restores_the_views_from_the_living_kernel(counter: Notebook) -> None:
    counter.output(1).get_by_role("button").click()
    expect(counter.output(2).get_by_role("button")).to_have_text("Count 1")
    counter.reload()
    button = counter.output(1).get_by_role("button")
    expect(button).to_have_text("Count 1")
    button.click()
    expect(counter.output(2).get_by_role("button")).to_have_text("Count 2")
    assert counter.execute("counter.count") == "2"


def test_cells_run_again_and_alone(notebook: Notebook) -> None:
    notebook.create(["n = 0", "n += 1\nprint('printed')\nn"])
    notebook.run_all()
    assert notebook.text(1) == "printed\n1"
    assert notebook.run_cell(1) == "printed\n2"
    notebook.run_all()
    assert notebook.text(1) == "printed\n1"


def test_an_exception_in_a_cell_is_reported_with_its_traceback(notebook: Notebook) -> None:
    notebook.create(["1 / 0", "print('never')"])
    with pytest.raises(CellError, match="ZeroDivisionError: division by zero"):
        notebook.run_all()
    notebook.clear_outputs()
    assert notebook.execute("print('well again')") == "well again"


def test_interrupt_stops_a_cell(notebook: Notebook) -> None:
    notebook.create(["import time\nprint('started')\ntime.sleep(60)"])
    notebook.run_cell(0, wait=False)
    expect(notebook.output(0)).to_have_text(re.compile("started"))
    notebook.interrupt()
    with pytest.raises(CellError, match="KeyboardInterrupt"):
        notebook.wait_finished(seconds=10)


def test_a_cell_that_takes_too_long_is_a_timeout(notebook: Notebook) -> None:
    notebook.create(["import time\ntime.sleep(60)"])
    with pytest.raises(TimeoutError, match="still running after 1 s"):
        notebook.run_cell(0, seconds=1)


def test_the_theme_switches(notebook: Notebook) -> None:
    notebook.create(["1"])
    colours = set()
    for theme in ("dark", "light"):
        notebook.set_theme(theme)
        script = "getComputedStyle(document.body).getPropertyValue('--jp-layout-color1')"
        colours.add(notebook.page.evaluate(script))
    assert len(colours) == 2


def test_an_uncaught_error_of_the_page_is_seen(
    notebook: Notebook, evidence: Evidence, tmp_path: Path
) -> None:
    notebook.create([BROKEN])
    notebook.run_all()
    notebook.output(0).get_by_role("button", name="Break").click()
    (error,) = evidence.unexplained_errors()
    assert "our own fault" in error
    evidence.save(tmp_path)
    assert (tmp_path / "page.png").stat().st_size > 0
    assert "Break" in (tmp_path / "page.txt").read_text(encoding="utf-8")
    evidence.allowed = ["our own fault"]


def test_an_error_while_a_widget_draws_is_seen(notebook: Notebook, evidence: Evidence) -> None:
    notebook.create([BROKEN.replace("const button =", "throw new Error('cannot draw');")])
    with (
        notebook.page.expect_event("pageerror"),
        notebook.page.expect_console_message(lambda message: message.type == "error"),
    ):
        notebook.run_all()
    errors = evidence.unexplained_errors()
    assert len(errors) == 2
    assert all("cannot draw" in error for error in errors)
    evidence.allowed = ["cannot draw"]


def test_the_kernel_is_this_environment_s_and_offline(notebook: Notebook) -> None:
    notebook.create(["import os, sys\nprint(sys.prefix, os.environ['HF_HUB_OFFLINE'])"])
    notebook.run_all()
    assert notebook.text(0) == f"{sys.prefix} 1"
