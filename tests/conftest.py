"""Tiny random models, of a test's own or shared; the conftest at the root has the embedded one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

from itwidgets import Engine
from tests.models import tiny_engine
from tests.seq2seq import seq2seq_engine

# The same examples in every run, so that a red test is red again. More of them, and others each time:
# pytest --hypothesis-profile=long.
settings.register_profile("short", max_examples=50, deadline=None, derandomize=True, database=None)
settings.register_profile(
    "long", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("short")


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Give a tiny engine of the test's own."""
    engine = tiny_engine()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def shared_engine() -> Callable[[str], Engine]:
    """Give the tiny engine of a kind, made once: for tests that leave no trace on it."""
    return functools.cache(tiny_engine)


@pytest.fixture(scope="session")
def shared_seq2seq() -> Callable[[str], Engine]:
    """Give the tiny engine of a kind with an encoder, made once: for tests that leave no trace on it."""
    return functools.cache(seq2seq_engine)
