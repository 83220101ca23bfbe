"""What the page reckons by itself is what the package means by it: one fixture for both."""

from __future__ import annotations

import json
import math

import pytest

from tests.fixtures.reading.make import FILE, fixture


def test_the_fixture_of_the_page_says_what_the_measures_say() -> None:
    written, made = json.loads(FILE.read_text()), fixture()
    assert written["tokens"] == made["tokens"]
    assert written["words"] == made["words"]
    for mine, theirs in zip(made["totals"], written["totals"], strict=True):
        assert _numbers(mine) == pytest.approx(_numbers(theirs), nan_ok=True)


def _numbers(totals: dict[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in totals.items()}
