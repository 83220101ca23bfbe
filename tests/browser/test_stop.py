"""The Stop button, with the ipykernel of the environment and with older ones.

A click travels to the kernel as a comm message. From ipykernel 7 on, such messages are handled in a
subshell, a thread of its own; before, by the main thread alone, which a busy cell keeps.
"""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.lab import SHARED_NOTEBOOK
from tests.browser.viewer import ViewerPage
from tools.kernels import VERSIONS, folder_of

if TYPE_CHECKING:
    from tests.browser.lab import Notebook

SETUP = """
import itwidgets as itw
from tests.browser.loaded import engine
viewer = itw.TokenStream(engine(), prompt="The most surprising thing about language is", max_new_tokens=4000)
viewer
"""
PROMPT_TOKENS = 7
BUSY = "import threading; print('busy'); threading.Event().wait(600)"
INSTALLED = version("ipykernel")


def show(notebook: Notebook, kernel: str) -> ViewerPage:
    """Show a viewer in a kernel of a version."""
    if kernel == INSTALLED:
        notebook.create([SETUP, BUSY], SHARED_NOTEBOOK)
    else:
        notebook.lab.add_kernel(kernel, folder_of(kernel))
        notebook.create([SETUP, BUSY, "import ipykernel; print(ipykernel.__version__)"], kernel=kernel)
        assert notebook.run_cell(2) == kernel
    notebook.run_cell(0)
    viewer = ViewerPage(notebook.output(0))
    viewer.wait_read(PROMPT_TOKENS)
    return viewer


def start(viewer: ViewerPage) -> None:
    """Start a long job, and wait until tokens come."""
    made = len(viewer.names())
    viewer.button("Generate").click()
    expect(viewer.token(made + 5)).to_have_accessible_name(re.compile("surprisal"), timeout=20_000)


def keep_busy(notebook: Notebook) -> None:
    """Run a cell that does not end."""
    notebook.run_cell(1, wait=False)
    expect(notebook.output(1)).to_contain_text("busy")


@pytest.mark.parametrize("kernel", [INSTALLED, *VERSIONS])
def test_stop(notebook: Notebook, kernel: str) -> None:
    viewer = show(notebook, kernel)
    start(viewer)
    viewer.button("Stop").click()
    expect(viewer.button("Generate")).to_be_enabled(timeout=1000)
    made = viewer.names()

    start(viewer)
    assert viewer.names()[: len(made)] == made
    keep_busy(notebook)
    viewer.button("Stop").click()
    if kernel.startswith("6."):
        # No thread hears the click. The page says what helps, and with that the click is heard.
        expect(viewer.root).to_contain_text("The kernel is busy: use Jupyter's interrupt button.")
        notebook.interrupt_and_wait()
    expect(viewer.button("Generate")).to_be_enabled(timeout=1000)
    if not kernel.startswith("6."):
        notebook.interrupt_and_wait()
