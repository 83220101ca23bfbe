"""What is kept of a session, in a browser without a kernel and without a network."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import nbformat
import pytest
from ipywidgets import Widget
from nbconvert import HTMLExporter
from playwright.sync_api import Browser, Page, expect

from itwidgets import Engine, Session, TokenStream
from itwidgets.tree import TOP_K, ModelIdentity, Origin, StoredVocabulary, TokenTree
from tests.browser.viewer import ViewerPage
from tests.models import PROMPT

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
MIME = "application/vnd.jupyter.widget-state+json"
HOSTILE = (
    b"</script><script>window.hit=1</script>",
    b"<!--<script>",
    b'"><img src=x onerror="window.hit=1">',
    b"</noscript></style></pre>",
    b"$title ${title} &lt;b&gt; {{7*7}}",
    "\u202egnihtyna \u200f\u05e9".encode(),
    b"\x00\x1b[31m",
    b"\xff\xf0\x9f",
    b"\r\n\t ",
)
# As a host does it: a model of what was saved, and nobody who hears what is sent.
HOST = """async ({ state, buffers }) => {
    for (const { path, data } of buffers) {
        const place = path.slice(0, -1).reduce((inner, key) => inner[key], state);
        place[path.at(-1)] = new DataView(Uint8Array.from(atob(data), (c) => c.charCodeAt(0)).buffer);
    }
    document.head.append(Object.assign(document.createElement("style"), { textContent: state._css }));
    const bundle = new Blob([state._esm], { type: "text/javascript" });
    const { initialize, render } = (await import(URL.createObjectURL(bundle))).default();
    const { signal } = new AbortController();
    const model = { get: (name) => state[name], on() {}, off() {}, send() {} };
    const host = { model, signal, el: document.body.appendChild(document.createElement("div")) };
    initialize(host);
    render(host);
}"""


@pytest.fixture
def offline(browser: Browser) -> Iterator[Page]:
    """Give a page that cannot reach anything, and meets no error."""
    context = browser.new_context(viewport={"width": 1100, "height": 900}, offline=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    yield page
    assert errors == []
    assert [url for url in requests if not url.startswith(("file:", "blob:"))] == []
    context.close()


def branching(session: Session) -> tuple[str, str]:
    """Have two branches made; return the text of each, the one that is shown last."""
    session.generate(6).wait()
    first = session.text
    session.force(2, " London")
    session.generate(4).wait()
    return first, session.text


def expect_text(view: ViewerPage, text: str) -> None:
    """Wait for a text, exact to the last blank."""
    expect(view.tokens).to_have_js_property("textContent", text)


def test_a_page_of_its_own_can_be_read(engine: Engine, offline: Page, tmp_path: Path) -> None:
    session = engine.session(PROMPT)
    first, second = branching(session)
    session.to_html(tmp_path / "x.html")
    offline.goto((tmp_path / "x.html").as_uri())
    expect(offline.get_by_role("contentinfo")).to_contain_text("Made with tiny-llama, float32")

    view = ViewerPage(offline.locator("main"))
    expect(view.tokens).to_be_visible()
    expect_text(view, second)
    forced = session.new_nodes[2]
    view.tokens.get_by_role("option", name=re.compile("forced")).click()
    expect(view.root.get_by_text(f"{forced.surprisal:.2f}").first).to_be_visible()
    # Those that the table holds, and the one that was forced.
    expect(view.alternative(1)).to_have_attribute("aria-setsize", str(TOP_K + 1))
    expect(view.alternative(1)).to_have_accessible_name(re.compile("rank 1, "))

    view.branches.get_by_role("option").first.click()
    expect_text(view, first)
    expect(view.root.get_by_role("note")).to_contain_text("This page shows a saved session")
    expect(view.button("Generate")).to_have_attribute("aria-disabled", "true")
    expect(view.button("Generate")).to_have_attribute("title", re.compile("needs the model"))
    offline.get_by_text("Save as …").click()
    expect(view.button("HTML page")).to_have_attribute("aria-disabled", "true")
    with offline.expect_download() as download:
        view.button("SVG picture").click()
    assert "<svg" in download.value.path().read_text(encoding="utf-8")
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        offline.emulate_media(color_scheme=scheme)
        assert violations(offline) == []


def violations(page: Page) -> list[str]:
    """Have axe look at the page."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    # In a notebook the levels above the viewer's headings are the notebook's.
    found: list[str] = page.evaluate("""async () => {
        const { violations } = await axe.run({ rules: { "heading-order": { enabled: false } } });
        return violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`);
    }""")
    return found


def test_no_token_can_be_more_than_text(offline: Page, tmp_path: Path) -> None:
    tree = TokenTree(StoredVocabulary(dict(enumerate(HOSTILE))))
    for row in range(len(HOSTILE)):
        tree.append(
            parent=row - 1,
            token_id=row,
            origin=Origin.PROMPT if row == 0 else Origin.FORCED,
            surprisal=float("nan") if row == 0 else 2.0,
            top_ids=[*range(len(HOSTILE)), *[-1] * (TOP_K - len(HOSTILE))],
            top_log_probs=[*[-2.2] * len(HOSTILE), *[float("nan")] * (TOP_K - len(HOSTILE))],
        )
    name = "</title></h1><script>window.hit=1</script>"
    identity = ModelIdentity(name, "a" * 64, "b" * 64, "float32", len(HOSTILE))
    session = Session(None, tree, identity, head=len(HOSTILE) - 1, read_only="it is a test")
    session.to_html(tmp_path / "hostile.html")
    offline.goto((tmp_path / "hostile.html").as_uri())

    view = ViewerPage(offline.locator("main"))
    expect(view.tokens).to_be_visible()
    expect_text(view, b"".join(HOSTILE).decode(errors="replace"))
    view.token(2).click()
    expect(view.alternatives.get_by_role("option")).to_have_count(len(HOSTILE))
    assert offline.title().endswith(name)
    assert offline.evaluate("window.hit") is None
    assert offline.locator("img").count() == 0
    assert offline.locator("script").count() == 4


def test_a_saved_notebook_shows_the_same_without_a_kernel(engine: Engine, offline: Page) -> None:
    session = engine.session(PROMPT)
    viewer = TokenStream(session)
    first, second = branching(session)
    viewer.select(0)
    bundle = viewer._repr_mimebundle_()
    page = converted(bundle, Widget.get_manager_state())
    viewer.close()

    (state,) = [entry for entry in page["state"].values() if entry["model_name"] == "AnyModel"]
    offline.evaluate(HOST, {"state": state["state"], "buffers": state["buffers"]})
    view = ViewerPage(offline.locator("body"))
    expect(offline.get_by_text("No kernel answers.")).to_be_visible()
    expect_text(view, second)
    expect(view.tokens.get_by_role("option", selected=True)).to_have_attribute(
        "data-place", str(session.prompt_length)
    )
    for best in session.distribution(0).top(3):
        words = rf"rank {best.rank}, .*{best.probability:.3f}.*{best.surprisal:.2f}"
        expect(view.alternative(best.rank)).to_have_accessible_name(re.compile(words))
    view.branches.get_by_role("option").first.click()
    expect_text(view, first)


def converted(bundle: Any, manager_state: Any) -> Any:
    """Save a notebook with a widget in it, convert it to a page, and read the widgets' state from that."""
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    output = {"output_type": "display_data", "data": data, "metadata": {}}
    cell = {"cell_type": "code", "id": "a", "source": "viewer", "metadata": {}, "execution_count": 1}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "cells": [cell | {"outputs": [output]}]}
    metadata = {"metadata": {"widgets": {MIME: manager_state}}}
    saved = nbformat.reads(json.dumps(notebook | metadata), as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(saved)
    html, _ = HTMLExporter().from_notebook_node(saved)  # type: ignore[no-untyped-call]
    found = re.search(rf'<script type="{re.escape(MIME)}">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    return json.loads(found[1])
