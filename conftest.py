"""The embedded model for all tests, and what the examples in docstrings may use without making it."""

from __future__ import annotations

from typing import Any

import pytest

import itwidgets
from itwidgets import Engine


@pytest.fixture(scope="session")
def smollm() -> Engine:
    """Give the embedded model; it is converted into the user's cache on the first run."""
    return itwidgets.load()


_WITH_ENGINE = tuple(
    f"itwidgets.{name}." for name in ("engine", "widgets", "toolkit", "probability_extractor", "intervention")
)


@pytest.fixture(autouse=True)
def example_names(request: pytest.FixtureRequest) -> None:
    """Give the examples of engine, widgets and toolkit an ``engine`` and a ``session``."""
    if not isinstance(request.node, pytest.DoctestItem):
        return
    names: dict[str, Any] = request.getfixturevalue("doctest_namespace")
    if request.node.name.startswith(_WITH_ENGINE):
        names["engine"] = engine = request.getfixturevalue("smollm")
        names["session"] = engine.session("The capital of France is")
