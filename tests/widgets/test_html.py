"""A session as one HTML file, and what a notebook without a browser keeps."""

from __future__ import annotations

import base64
import gzip
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from itwidgets import Engine
from itwidgets.interventions import Temperature, TopK
from itwidgets.widgets import bundle
from itwidgets.widgets.protocol import decode_slice
from tests.models import PROMPT, gate_at
from tests.widgets.page import FakePage


def unpacked(page: str, name: str) -> bytes:
    found = re.search(rf'id="{name}">([\w+/=]*)</script>', page)
    assert found is not None
    return gzip.decompress(base64.b64decode(found[1]))


def head_of(page: str) -> tuple[dict[str, Any], list[bytes]]:
    line, _, rest = unpacked(page, "data").partition(b"\n")
    head = json.loads(line)
    buffers = []
    for size in head["sizes"]:
        buffers.append(rest[:size])
        rest = rest[size:]
    assert rest == b""
    return head, buffers


def test_the_file_holds_the_bundle_and_the_whole_tree(engine: Engine, tmp_path: Path) -> None:
    session = engine.session(PROMPT)
    session.generate(4).wait()
    session.force(1, " London")
    path = tmp_path / "x.html"
    assert session.to_html(path) is None
    page = path.read_text(encoding="utf-8")
    assert page == session.to_html()
    assert unpacked(page, "bundle").decode() == bundle.bundle_text("widget.js")
    head, buffers = head_of(page)
    columns = decode_slice(head["header"], buffers)
    assert columns["token_id"].tolist() == session.tree.column("token_id").tolist()
    assert columns["top_ids"].shape == (len(session.tree), 50)
    assert head["state"]["head"] == session.nodes[-1].row
    assert head["state"]["model"]["name"] == "tiny-llama"
    assert list(tmp_path.iterdir()) == [path]


def test_the_footer_says_how_the_text_was_made(engine: Engine) -> None:
    session = engine.session(PROMPT)
    session.generate(2).wait()
    for seed in range(3):
        session.generate(2, program=Temperature(0.5) >> TopK(9), seed=seed).wait()
    page = session.to_html()
    assert page is not None
    (footer,) = re.findall("<footer>(.*)</footer>", page)
    assert footer.startswith("Made with tiny-llama, float32, device cpu, torch ")
    drawn = "Drawn by Greedy() with seed 0; Temperature(temperature=0.5) &gt;&gt; TopK(k=9) with seed 0; "
    assert drawn in footer
    assert "with seed 1; 1 more. Shown by itwidgets " in footer


def test_a_page_allows_no_network(engine: Engine) -> None:
    page = engine.session(PROMPT).to_html()
    assert page is not None
    assert "default-src 'none'" in page
    assert re.findall(r'(?:src|href)="', page) == []


def test_a_page_of_a_session_that_grows_ends_at_a_whole_row(engine: Engine) -> None:
    session = engine.session(PROMPT)
    with gate_at(engine.model, 3) as gate:
        job = session.generate(8)
        gate.wait_until_reached()
        page = session.to_html()
        gate.open()
        job.wait(60)
    assert page is not None
    head, _ = head_of(page)
    assert head["state"]["job"] is None
    assert head["state"]["rows"] == head["header"]["count"] == head["state"]["head"] + 1
    assert session.prompt_length < head["header"]["count"] < len(session.tree)


def test_a_file_that_cannot_be_written_is_refused_in_one_sentence(engine: Engine, tmp_path: Path) -> None:
    session = engine.session(PROMPT)
    with pytest.raises(FileNotFoundError, match=r"there is no folder '.*gone' to save 'x.html' in"):
        session.to_html(tmp_path / "gone" / "x.html")


def test_without_the_front_end_the_sentence_says_what_to_do(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "_STATIC", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"the front end is not built .*: run `make lab` once"):
        engine.session(PROMPT).to_html(tmp_path / "x.html")
    assert list(tmp_path.iterdir()) == []


def test_showing_a_viewer_sends_its_state_from_the_cell(
    page: FakePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[str, dict[str, Any]]] = []
    hear = page.hear

    def hearing(data: dict[str, Any], buffers: list[bytes]) -> None:
        if data["method"] == "update":
            heard.append((threading.current_thread().name, data["state"]))
        hear(data, buffers)

    monkeypatch.setattr(page, "hear", hearing)
    page.viewer.generate(max_new_tokens=5).wait()
    page.viewer._repr_mimebundle_()
    thread, state = heard[-1]
    assert thread == threading.current_thread().name
    assert state["state"]["rows"] == state["table"]["header"]["count"] == len(page.viewer.session.tree)
