"""Drive a notebook in JupyterLab as a person would, and wait as a person would.

The fixture `notebook` hands a `Notebook` to a test::

    def test_it(notebook: Notebook) -> None:
        notebook.open("notebooks/01_first_look.ipynb")
        notebook.run_all()
        tokens = notebook.output(2).get_by_role("listbox", name="Tokens")
        tokens.get_by_role("option").nth(5).click()
        assert notebook.execute("print(viewer.selected)") == "5"
        notebook.reload()

Cells are counted from 0, markdown cells included. Locators come from Playwright: look for things
by role and accessible name, and let `expect` wait for them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from playwright.sync_api import TimeoutError as PlaywrightTimeoutError
from playwright.sync_api import expect

from tests.browser.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from playwright.sync_api import Locator, Page

    from tests.browser.server import LabServer

Theme = Literal["light", "dark"]

SHARED_NOTEBOOK = "shared.ipynb"
"""The notebook whose kernel outlives the tests that use it, with what they loaded."""

READY_SECONDS = 60
TAKEN_UP_SECONDS = 3
ATTEMPTS = 5
RUN_SECONDS = 120

# Starts one of Lab's commands without waiting for its end, which `window.itwRun` will tell.
START_COMMAND = """([command]) => {
    const run = { done: false };
    window.itwRun = run;
    window.jupyterapp.commands.execute(command).finally(() => { run.done = true; });
}"""

CELLS = "window.jupyterapp.shell.currentWidget.content"
ERROR_OUTPUTS = f"""() => {CELLS}.widgets
    .flatMap((cell) => cell.model.outputs?.toJSON() ?? [])
    .filter((output) => output.output_type === "error")"""
TERMINAL_COLOURS = r"\x1b\[[\d;]*m"


class CellError(AssertionError):
    """A cell raised an exception; the message is its traceback."""


class Notebook:
    """A notebook in a browser page.

    Parameters
    ----------
    page : Page
        A Playwright page.
    lab : LabServer
        The server to open notebooks from.
    """

    def __init__(self, page: Page, lab: LabServer) -> None:
        self.page = page
        self.lab = lab
        self.path = ""
        # Lab asks before it leaves an unsaved notebook; the tests never stay.
        page.on("dialog", lambda dialog: dialog.accept())

    # -- opening and leaving

    def open(self, path: str) -> None:
        """Open a notebook, and wait until its kernel is ready.

        Parameters
        ----------
        path : str
            Relative to the server's root.
        """
        self.path = path
        self.page.goto(self.address())
        self._wait_ready()

    def address(self) -> str:
        """Give the address of the notebook; `reset` forgets which ones an earlier test had open."""
        return f"{self.lab.url}/lab/tree/{self.path}?token={self.lab.token}&reset"

    def create(self, cells: Sequence[str], path: str = "test.ipynb", kernel: str = "python3") -> None:
        """Write a notebook of code cells and open it."""
        self.open(self.lab.write_notebook(path, cells, kernel))

    def save(self) -> None:
        """Save the notebook, widget views included."""
        self.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
        expect(self.page.locator(".lm-TabBar-tab.lm-mod-current.jp-mod-dirty")).to_have_count(0)

    def reload(self, *, save: bool = True) -> None:
        """Reload the page while the kernel lives on.

        Parameters
        ----------
        save : bool
            Whether to save first. What was not saved is gone from the page, the outputs that hold
            the widgets among it.
        """
        if save:
            self.save()
        self.page.reload()
        self._wait_ready()

    # -- finding things

    def cell(self, index: int) -> Locator:
        """Give a cell by its place, counted from 0; negative counts from the end."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def output(self, index: int) -> Locator:
        """Give what stands under a cell: its printed output, its widgets."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    def cell_count(self) -> int:
        """Count the cells."""
        return int(self.page.evaluate(f"{CELLS}.widgets.length"))

    # -- running

    def run_all(self, *, seconds: float = RUN_SECONDS) -> None:
        """Run every cell and wait for the last; raise `CellError` with the first traceback."""
        self._start("notebook:run-all-cells")
        self.wait_finished(seconds=seconds)

    def run_cell(self, index: int, *, wait: bool = True, seconds: float = RUN_SECONDS) -> str:
        """Run one cell; give back the text that it printed or showed.

        Parameters
        ----------
        index : int
            The cell's place; negative counts from the end.
        wait : bool
            Whether to wait until it has finished. If not, the text is empty.
        seconds : float
            How long to wait at most.
        """
        self.page.evaluate(f"([index]) => {{ {CELLS}.activeCellIndex = index; }}", [self._at(index)])
        self._start("notebook:run-cell")
        if not wait:
            return ""
        self.wait_finished(seconds=seconds)
        return self.text(index)

    def execute(self, code: str, *, wait: bool = True, seconds: float = RUN_SECONDS) -> str:
        """Add a cell at the end with this code and run it; give back its output's text.

        The parameters are those of `run_cell`.
        """
        self.page.evaluate(
            f"""async ([code]) => {{
                const notebook = {CELLS};
                notebook.activeCellIndex = notebook.widgets.length - 1;
                await window.jupyterapp.commands.execute("notebook:insert-cell-below");
                notebook.activeCell.model.sharedModel.setSource(code);
            }}""",
            [code],
        )
        return self.run_cell(-1, wait=wait, seconds=seconds)

    def wait_finished(self, *, seconds: float = RUN_SECONDS) -> None:
        """Wait until no cell is running; raise `CellError` if one raised an exception."""
        running = self.page.locator(".jp-Notebook .jp-InputPrompt").filter(has_text="[*]")
        try:
            # After a reload nobody knows the run any more, and only the prompts tell.
            self.page.wait_for_function(
                "() => window.itwRun === undefined || window.itwRun.done", timeout=seconds * 1000
            )
            expect(running).to_have_count(0, timeout=seconds * 1000)
        except PlaywrightTimeoutError as error:
            raise TimeoutError(f"a cell is still running after {seconds:.0f} s") from error
        errors = self.page.evaluate(ERROR_OUTPUTS)
        if errors:
            raise CellError(re.sub(TERMINAL_COLOURS, "", "\n".join(errors[0]["traceback"])))

    def text(self, index: int) -> str:
        """Give the text output of a cell: what it printed, and the value of its last line."""
        outputs = self.output(index).locator(".jp-OutputArea-output")
        texts = outputs.locator(":scope > pre").all_inner_texts()
        return "\n".join(text.rstrip("\n") for text in texts)

    def interrupt(self) -> None:
        """Press the toolbar's interrupt button."""
        self.page.locator("[data-command='notebook:interrupt-kernel']").first.click()

    def interrupt_and_wait(self) -> None:
        """Interrupt the cell that runs, and wait for its KeyboardInterrupt."""
        self.interrupt()
        try:
            self.wait_finished()
        except CellError as error:
            if "KeyboardInterrupt" in str(error):
                return
            raise
        raise AssertionError("no cell was interrupted")

    def clear_outputs(self) -> None:
        """Clear all outputs, say after a test has looked at a traceback that it expected."""
        self.page.evaluate("window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")

    # -- looks

    def set_theme(self, theme: Theme) -> None:
        """Switch JupyterLab to its light or its dark theme."""
        name = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}[theme]
        self.page.evaluate(
            "([theme]) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })",
            [name],
        )
        is_light = str(theme == "light").lower()
        expect(self.page.locator("body")).to_have_attribute("data-jp-theme-light", is_light)

    # -- how

    def _at(self, index: int) -> int:
        return index if index >= 0 else self.cell_count() + index

    def _wait_ready(self) -> None:
        """Wait until Lab, the notebook and its kernel's connection are there."""
        timeout = READY_SECONDS * 1000
        self.page.locator("#jupyterlab-splash").wait_for(state="detached", timeout=timeout)
        self.cell(0).wait_for(timeout=timeout)
        wait_until("the kernel to be idle", self._kernel_is_idle, READY_SECONDS)
        idle = self.page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']")
        idle.first.wait_for(timeout=timeout)

    def _kernel_is_idle(self) -> bool:
        # The page's own indicator says idle even before there is a session at all.
        kernel = self.lab.kernel(self.path)
        return kernel is not None and kernel["execution_state"] == "idle" and kernel["connections"] >= 1

    def _prompts(self) -> list[str]:
        prompts = self.page.locator(".jp-Notebook .jp-InputPrompt").all_inner_texts()
        return [prompt.strip() for prompt in prompts]

    def _start(self, command: str) -> None:
        """Start cells running, and again if Lab has dropped the first attempt without a word."""
        before = self._prompts()
        for _ in range(ATTEMPTS):
            self.page.evaluate(START_COMMAND, [command])
            try:
                wait_until("a cell to start", lambda: self._prompts() != before, TAKEN_UP_SECONDS)
            except TimeoutError:
                continue
            return
        raise TimeoutError(f"JupyterLab dropped {command} {ATTEMPTS} times")
