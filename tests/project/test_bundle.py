"""The bundle that `npm run build` leaves beside the Python sources."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "itwidgets" / "static"
# Every widget instance carries its own copy of both.
LIMIT_BYTES = {"widget.js": 120_000, "widget.css": 30_000}


@pytest.mark.parametrize("name", [*LIMIT_BYTES, "picture.js"])
def test_the_bundle_is_built(name: str) -> None:
    assert (STATIC / name).is_file(), "run `npm run build`, or `make setup`"


@pytest.mark.parametrize("name", LIMIT_BYTES)
def test_the_bundle_is_small(name: str) -> None:
    assert (STATIC / name).stat().st_size <= LIMIT_BYTES[name]


def test_the_bundle_is_one_file_that_loads_nothing_else() -> None:
    # anywidget imports it from a blob URL, offline: it can reach neither a chunk nor a CDN. What it imports
    # by a variable is code that it was handed.
    text = (STATIC / "widget.js").read_text(encoding="utf-8")
    assert re.findall(r"(?:^|[;}\s])import\s*(?:[\w{*\"']|\(\W)", text) == []
