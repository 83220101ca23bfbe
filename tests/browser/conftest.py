"""Fixtures for tests in a real JupyterLab: `notebook` is the one to use.

`lab` starts one server for the whole run, `page` gives each test a browser context of its own, and
`notebook` drives it. A failed test leaves a picture, the page's text and its console under
test-results/.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

from tests.browser.lab import Notebook
from tests.browser.server import LabServer
from tools.browser import CHROMIUM_ARGUMENTS, ThisMachine, find_browser

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "test-results"
FAILED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run these tests last: Playwright leaves an event loop running in the main thread."""
    here = Path(__file__).parent
    items.sort(key=lambda item: here in item.path.parents)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell the fixtures whether the test has failed."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """Run JupyterLab, with a copy of the project's notebooks under notebooks/."""
    with LabServer(tmp_path_factory.mktemp("lab")) as server:
        server.copy_in(ROOT / "notebooks")
        yield server


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Run a headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_browser(ThisMachine()), args=CHROMIUM_ARGUMENTS
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Give a page in a context of its own, which may use the clipboard."""
    context = browser.new_context(
        viewport={"width": 1400, "height": 1000},
        permissions=["clipboard-read", "clipboard-write"],
    )
    yield context.new_page()
    context.close()


@pytest.fixture
def notebook(page: Page, lab: LabServer, request: pytest.FixtureRequest) -> Iterator[Notebook]:
    """Give a driver for one notebook; afterwards the page must have met no error."""
    notebook = Notebook(page, lab)
    yield notebook
    errors = notebook.unexplained_errors()
    if errors or request.node.stash.get(FAILED, False):
        notebook.save_evidence(RESULTS / re.sub(r"[^\w.-]+", "_", request.node.name))
    page.close()
    lab.shut_down_kernels()
    assert errors == [], "the page met errors that nobody caught"
