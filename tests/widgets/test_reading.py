"""What the page reckons by itself is what the package means by it: one fixture for both."""

from __future__ import annotations

import json

import pytest

from tests.fixtures.reading.make import FILE, fixture


def test_the_fixture_of_the_page_says_what_the_measures_say() -> None:
    written = json.loads(FILE.read_text())
    made = fixture()
    assert written["tokens"] == made["tokens"]
    assert written["words"] == made["words"]
    for mine, theirs in zip(made["totals"], written["totals"], strict=True):
        assert {name: value for name, value in theirs.items() if value is None} == {
            name: value for name, value in mine.items() if value is None
        }
        assert list(filter(_is_there, mine.values())) == pytest.approx(
            list(filter(_is_there, theirs.values()))
        )


def _is_there(value: float | None) -> bool:
    return value is not None
