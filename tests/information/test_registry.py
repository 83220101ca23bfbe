"""Measures that users add."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from itwidgets.information import (
    Measure,
    register_measure,
    registered_measures,
    regret,
    surprisal,
    ties,
    unregister_measure,
)
from itwidgets.information.names import COLUMN_NAMES


@pytest.fixture(autouse=True)
def empty_registry() -> Iterator[None]:
    """Take away what a test has registered."""
    before = set(registered_measures())
    yield
    for name in set(registered_measures()) - before:
        unregister_measure(name)


def test_measures_stand_in_the_order_of_their_registration() -> None:
    first = register_measure("regret_of_token", regret)
    second = register_measure("a_tie", ties, unit="", label="Tied tokens")
    assert first == Measure("regret_of_token", regret, "bits", "regret of token", 12.0)
    assert second == Measure("a_tie", ties, "", "Tied tokens", 12.0)
    assert list(registered_measures().values()) == [first, second]
    found = registered_measures()["a_tie"].function(torch.zeros(3, 8), torch.tensor([0, 1, 2]))
    assert found.tolist() == [8, 8, 8]


def test_the_list_cannot_be_changed_and_does_not_change() -> None:
    register_measure("one", surprisal)
    listed = registered_measures()
    unregister_measure("one")
    assert list(listed) == ["one"]
    assert "one" not in registered_measures()
    with pytest.raises(TypeError):
        listed["two"] = listed["one"]  # type: ignore[index]
    with pytest.raises(AttributeError):
        listed["one"].unit = "nats"  # type: ignore[misc]


@pytest.mark.parametrize("name", ["", "two words", "1st", "class", "a-b", None, 3])
def test_a_name_is_an_identifier(name: Any) -> None:
    with pytest.raises(ValueError, match="must be an identifier"):
        register_measure(name, surprisal)
    assert name not in registered_measures()


@pytest.mark.parametrize("name", sorted(COLUMN_NAMES))
def test_the_name_of_a_column_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' has the name of a column that every tree has"):
        register_measure(name, surprisal)
    assert name not in registered_measures()


def test_a_name_is_taken_once() -> None:
    register_measure("mine", surprisal)
    with pytest.raises(ValueError, match="the measure 'mine' is registered already"):
        register_measure("mine", regret)
    assert registered_measures()["mine"].function is surprisal


def test_a_measure_is_a_function_with_texts() -> None:
    with pytest.raises(TypeError, match="the measure 'mine' is 3, but must be a function"):
        register_measure("mine", 3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="the unit of the measure 'mine' is None, but must be text"):
        register_measure("mine", surprisal, unit=None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="the label of the measure 'mine' is 3, but must be text"):
        register_measure("mine", surprisal, label=3)  # type: ignore[arg-type]


def test_what_is_not_registered_cannot_be_taken_away() -> None:
    register_measure("mine", surprisal)
    with pytest.raises(ValueError, match="no measure 'yours' is registered, only 'mine'"):
        unregister_measure("yours")


def test_threads_that_register_at_once_lose_nothing() -> None:
    ready = threading.Barrier(8)

    def register(worker: int) -> None:
        ready.wait()
        for i in range(50):
            register_measure(f"measure_{worker}_{i}", surprisal)

    threads = [threading.Thread(target=register, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = list(registered_measures())
    assert len(names) == 400
    for worker in range(8):
        own = [name for name in names if name.startswith(f"measure_{worker}_")]
        assert own == [f"measure_{worker}_{i}" for i in range(50)]


def test_the_name_of_a_measure_of_a_row_is_refused() -> None:
    with pytest.raises(ValueError, match="'top_margin' has the name of a measure of a row"):
        register_measure("top_margin", lambda log_p, token_ids: log_p[..., 0])
