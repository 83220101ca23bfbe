"""Where a viewer can be shown, all behind one face: `show` takes a setup and gives the viewer's page.

A setup is code that ends in the name of a widget. What each host needs beside it, and what it does
that the others do not, stands at its class.
"""

from __future__ import annotations

import os
import socket
import sys
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

from tests.browser.lab import Notebook
from tests.browser.process import ServerProcess
from tests.browser.server import ROOT
from tests.browser.viewer import ViewerPage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.browser.server import LabServer

SHOWN_SECONDS = 60

MARIMO = """
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo
{setup}
    mo.ui.anywidget({widget})
    return
"""


class Host(ABC):
    """Something that shows widgets in a page.

    Parameters
    ----------
    page : Page
        The page to show them in.
    lab : LabServer
        The Jupyter server, for hosts that are parts of it.
    folder : Path
        An empty folder, for hosts that are not.
    ends : ExitStack
        Called when the page is gone, for what a host has started.
    """

    allowed_errors: Sequence[str] = ()
    """Patterns of errors that the host's own page meets, whatever it shows."""

    def __init__(self, page: Page, lab: LabServer, folder: Path, ends: ExitStack) -> None:
        self.page = page
        self.lab = lab
        self.folder = folder
        self.ends = ends

    @abstractmethod
    def show(self, setup: str) -> ViewerPage:
        """Run a setup and give the viewer that its last line names."""


class NotebookPage(Notebook):
    """The driver of JupyterLab at the address of Notebook 7."""

    def address(self) -> str:
        """Give the address of the notebook."""
        return f"{self.lab.url}/notebooks/{self.path}?token={self.lab.token}"


class Notebook7(Host):
    """Notebook 7: JupyterLab's parts around one document, so that its driver is that of JupyterLab.

    As there, the browser skips cells outside the window: what is in them stands in the document, and
    is laid out when it is scrolled to.
    """

    # Extensions of Lab's look for parts that this page has not.
    allowed_errors = (
        r"Cannot read properties of undefined \(reading 'schema'\)",
        "Command 'filebrowser:open-path' not registered",
    )

    def show(self, setup: str) -> ViewerPage:
        """Run the setup in a cell."""
        notebook = NotebookPage(self.page, self.lab)
        notebook.create([setup])
        notebook.run_all()
        return ViewerPage(notebook.output(0))


class Voila(Host):
    """Voila: it runs a notebook in a kernel of the visitor's own, and shows its outputs without code.

    The page appears when every cell has run. Its widgets are drawn by a manager of Voila's, which knows
    a kernel but no notebook: nothing is saved, and a reload is a new kernel. Outputs that are not
    widgets want MathJax and Font Awesome of a public server, and do without.
    """

    allowed_errors = ("net::ERR_", "The getter for the shared module is not a function")

    def show(self, setup: str) -> ViewerPage:
        """Have the setup rendered as a page."""
        path = self.lab.write_notebook("voila.ipynb", [setup])
        address = f"{self.lab.url}/voila/render/{path}?token={self.lab.token}"
        self.page.goto(address, timeout=SHOWN_SECONDS * 1000)
        return ViewerPage(self.page.locator("body"))


class Marimo(Host):
    """marimo: no Jupyter at all, but a comm of its own and `mo.ui.anywidget` around the widget.

    The wrapper takes what changes in the widget's traits for a new value of the cell, and runs cells
    that use it again; custom messages and binary buffers pass through. Names are defined once in a
    notebook, so that two cells cannot both call a widget `viewer`.
    """

    def show(self, setup: str) -> ViewerPage:
        """Run the setup in an app."""
        *lines, widget = setup.strip().splitlines()
        app = self.folder / "app.py"
        indented = "\n".join(f"    {line}" for line in lines)
        app.write_text(MARIMO.format(setup=indented, widget=widget), encoding="utf-8")
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        options = f"--headless --no-token --show-tracebacks --host 127.0.0.1 --port {port}".split()
        command = [sys.executable, "-m", "marimo", "-y", "run", app.name, *options]
        folders = {name: str(self.folder) for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME")}
        environment = {**os.environ, **folders, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
        process = ServerProcess("marimo", self.folder / "marimo.log")
        self.ends.callback(process.stop)
        process.start(command, self.folder, environment, lambda: _answers(url))
        self.page.goto(url)
        return ViewerPage(self.page.locator("body"))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/health", timeout=5) as response:  # noqa: S310 - our own server
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


HOSTS: dict[str, type[Host]] = {
    "Notebook 7": Notebook7,
    "Voila": Voila,
    "marimo": Marimo,
}
