"""What the oracles are compared on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import itwidgets as itw
from itwidgets import Engine


@pytest.fixture(scope="package")
def exact() -> Iterator[Engine]:
    """Give the embedded model in float64."""
    engine = itw.load(dtype="float64")
    yield engine
    engine.close()
