"""Which product is taken: the one that pays on this machine, as it was found once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from itwidgets.engine.model import best_product as module
from itwidgets.engine.model import choices
from itwidgets.engine.model.best_product import best_product
from itwidgets.engine.model.products import (
    Native,
    NativeOrOneDNN,
    NativeOrUpcast,
    OneDNN,
    OneDNNForMany,
    Plain,
    Split,
    SplitOrOneDNN,
    Upcast,
    Weights,
)
from tests.engine_marks import needs_native, needs_onednn


@pytest.fixture
def forget(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], None]:
    """Give a machine of which nothing is known, and what makes it so again."""
    monkeypatch.setenv("ITWIDGETS_CACHE", str(tmp_path))

    def forget() -> None:
        monkeypatch.setattr(choices, "_known", {})
        (tmp_path / "choices.json").unlink(missing_ok=True)

    forget()
    return forget


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch, forget: Callable[[], None]) -> dict[type[Any], float]:
    """Let products take these times, whatever this machine is."""
    found: dict[type[Any], float] = {Plain: 1.0} | dict.fromkeys(
        (Split, OneDNN, OneDNNForMany, SplitOrOneDNN, Upcast, Native, NativeOrOneDNN, NativeOrUpcast), 0.95
    )
    monkeypatch.setattr(module, "_seconds", lambda product, x, _: found[type(product)])
    return found


@needs_onednn
def test_a_copy_is_made_only_where_it_pays(times: dict[type[Any], float], forget: Callable[[], None]) -> None:
    assert best_product(torch.float32) is Plain
    forget()
    times[OneDNN] = 0.5
    assert best_product(torch.float32) is OneDNN
    forget()
    times[OneDNNForMany] = 0.3
    assert best_product(torch.float32) is OneDNNForMany
    forget()
    times[Split] = 0.31
    assert best_product(torch.float32) is Split, "a copy that hardly pays beside it is not made"
    forget()
    times[SplitOrOneDNN] = 0.2
    assert best_product(torch.float32) is SplitOrOneDNN
    assert best_product(torch.float64) is Plain


@needs_native
@needs_onednn
def test_machine_code_is_taken_where_it_pays(
    times: dict[type[Any], float], forget: Callable[[], None]
) -> None:
    times[Native], times[SplitOrOneDNN] = 0.5, 0.49
    assert best_product(torch.float32) is Native, "a copy that hardly pays beside it is not made"
    forget()
    times[NativeOrOneDNN] = 0.4
    assert best_product(torch.float32) is NativeOrOneDNN


@needs_native
def test_machine_code_is_taken_for_one_row_where_many_are_upcast(
    times: dict[type[Any], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_onednn_takes", lambda dtype: False)
    times[NativeOrUpcast] = 0.2
    assert best_product(torch.bfloat16) is NativeOrUpcast


@needs_onednn
@pytest.mark.usefixtures("forget")
def test_a_layout_is_chosen_by_one_row_and_by_several(monkeypatch: pytest.MonkeyPatch) -> None:
    # Packed for many, one row takes for ever on some processors.
    monkeypatch.setattr(
        module,
        "_seconds",
        lambda product, x, _: {Plain: 1.0, Split: 1.0, OneDNN: 0.8, Native: 1.0}.get(
            type(product), 20.0 if len(x) == 1 else 0.1
        ),
    )
    assert best_product(torch.float32) is OneDNN


def test_half_precision_is_upcast_where_the_processor_has_none(
    times: dict[type[Any], float], monkeypatch: pytest.MonkeyPatch, forget: Callable[[], None]
) -> None:
    monkeypatch.setattr(module, "_onednn_takes", lambda dtype: False)
    times[Upcast] = times[OneDNN] = 0.5
    assert best_product(torch.bfloat16) is Upcast
    assert best_product(torch.float32) is Plain
    forget()
    times[Split] = 0.5
    assert best_product(torch.float32) is Split


def test_a_product_that_is_wrong_or_refused_here_is_not_taken(times: dict[type[Any], float]) -> None:
    class Refusing(Plain):
        def __init__(self, layers: Any) -> None:
            raise RuntimeError("not on this processor")

    class Wrong(Plain):
        def __call__(self, x: torch.Tensor) -> torch.Tensor:
            return super().__call__(x) + 1

    weights = Weights(torch.randn(30, 48))
    times[Wrong] = 0.1
    assert module._measured([Refusing, Wrong], weights, [1]) is Plain


@needs_onednn
def test_what_was_found_is_kept_for_other_processes(
    times: dict[type[Any], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    times[OneDNN] = 0.5
    assert best_product(torch.float32) is OneDNN
    monkeypatch.setattr(choices, "_known", {})
    times[OneDNN] = 5.0
    assert best_product(torch.float32) is OneDNN
    # A torch of another number of threads is another machine.
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    assert best_product(torch.float32) is Plain


@needs_onednn
@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', "{"])
def test_a_damaged_file_of_choices_is_made_anew(
    content: str, times: dict[type[Any], float], tmp_path: Path
) -> None:
    (tmp_path / "choices.json").write_text(content)
    times[OneDNN] = 0.5
    assert best_product(torch.float32) is OneDNN
    assert list(json.loads((tmp_path / "choices.json").read_text()).values()) == ["OneDNN"]


@needs_onednn
def test_a_folder_that_cannot_be_written_changes_nothing(
    times: dict[type[Any], float], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.setenv("ITWIDGETS_CACHE", str(tmp_path / "a file"))
    times[OneDNN] = 0.5
    assert best_product(torch.float32) is OneDNN


@pytest.mark.usefixtures("forget")
def test_measuring_leaves_the_random_numbers_of_the_user_alone() -> None:
    before = torch.random.get_rng_state()
    best_product(torch.float32)
    assert torch.equal(torch.random.get_rng_state(), before)
