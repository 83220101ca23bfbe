"""Fixtures for tests in a real JupyterLab: `notebook` is the one to use.

There is one server for the whole run, `page` gives each test a browser context of its own, and
`notebook` drives it. A failed test leaves a picture, the page's text and its console under
test-results/. A kernel ends with its test, but for that of `SHARED_NOTEBOOK`, which a test opens to
find the model loaded.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.browser.evidence import Evidence
from tests.browser.lab import SHARED_NOTEBOOK, Notebook
from tests.browser.server import ROOT, LabServer
from tools.browser import CHROMIUM_ARGUMENTS, ThisMachine, find_browser

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from playwright.sync_api import Browser, Page

RESULTS = ROOT / "test-results"
# Long, so that a slow machine fails no test: what is to be quick says so where it is tested.
expect.set_options(timeout=20_000)

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
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
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
def lab(server: LabServer, request: pytest.FixtureRequest) -> Iterator[LabServer]:
    """Give the server; afterwards every kernel ends, but the one that tests share."""
    yield server
    failed = request.node.stash.get(FAILED, False)
    server.shut_down_kernels(but=None if failed else SHARED_NOTEBOOK)


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
def evidence(page: Page, request: pytest.FixtureRequest) -> Iterator[Evidence]:
    """Note what the page says; at the end it must have met no error."""
    evidence = Evidence(page)
    yield evidence
    errors = evidence.unexplained_errors()
    if errors or request.node.stash.get(FAILED, False):
        evidence.save(RESULTS / re.sub(r"[^\w.-]+", "_", request.node.name))
    assert errors == [], "the page met errors that nobody caught"


@pytest.fixture
def notebook(lab: LabServer, evidence: Evidence, request: pytest.FixtureRequest) -> Iterator[Notebook]:
    """Give a driver for one notebook. The kernels end after the page, which would miss them."""
    notebook = Notebook(evidence.page, lab)
    yield notebook
    if notebook.path == SHARED_NOTEBOOK and not request.node.stash.get(FAILED, False):
        # A page that opens later takes up every widget that lives, and complains of one that ends meanwhile.
        notebook.clear_outputs()
        notebook.execute("import ipywidgets; ipywidgets.Widget.close_all()")
