"""Products with weights: right, and chosen by how fast they are on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from itwidgets.engine.model import choices, products
from itwidgets.engine.model.products import (
    OneDNN,
    OneDNNForMany,
    Plain,
    Split,
    SplitOrOneDNN,
    Upcast,
    best_product,
    without_copy,
)

needs_onednn = pytest.mark.skipif(
    not products._onednn_takes(torch.float32), reason="torch has no oneDNN here"
)


def layers(dtype: torch.dtype = torch.float32, inputs: int = 48) -> list[nn.Linear]:
    torch.manual_seed(0)
    return [
        nn.Linear(inputs, outputs, bias, dtype=dtype)
        for outputs, bias in ((30, True), (7, False), (64, True))
    ]


@pytest.mark.parametrize("rows", [1, 3, 40])
@pytest.mark.parametrize(
    ("make", "dtype"),
    [
        (Plain, torch.float32),
        (Split, torch.float32),
        (Split, torch.bfloat16),
        pytest.param(SplitOrOneDNN, torch.float32, marks=needs_onednn),
        pytest.param(OneDNN, torch.float32, marks=needs_onednn),
        pytest.param(OneDNNForMany, torch.float32, marks=needs_onednn),
        (Upcast, torch.bfloat16),
        (Upcast, torch.float16),
    ],
)
def test_a_product_is_what_the_layers_give(make: Any, dtype: torch.dtype, rows: int) -> None:
    parts = layers(dtype)
    x = torch.randn(rows, 48, generator=torch.Generator().manual_seed(1)).to(dtype)
    with torch.inference_mode():
        found = make(parts)(x)
        given: list[torch.Tensor | None] = [part.bias for part in parts]
        biases = [torch.zeros(7) if bias is None else bias for bias in given]
        exact = torch.cat([nn.functional.linear(x.double(), part.weight.double()) for part in parts], -1)
        exact += torch.cat(biases).double()
    assert found.dtype == dtype
    # Two roundings: one of the product and one of the bias that is added.
    torch.testing.assert_close(
        found.double(), exact, rtol=2 * torch.finfo(dtype).eps, atol=16 * torch.finfo(dtype).eps
    )


@pytest.mark.parametrize("threads", [1, 2, 3, 200])
def test_each_core_gets_an_equal_share_of_the_weights(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    parts = layers()
    x = torch.randn(1, 1, 48)
    with torch.inference_mode():
        torch.testing.assert_close(Split(parts)(x), Plain(parts)(x))
        assert all(
            share.untyped_storage().data_ptr() == part.weight.untyped_storage().data_ptr()
            for part in parts
            for share in products._shares(part.weight)
        ), "no copy of the weights is kept"


@pytest.mark.parametrize(
    ("make", "instead"),
    [(Plain, Plain), (Split, Split), (OneDNN, Plain), (OneDNNForMany, Plain), (SplitOrOneDNN, Split)],
)
def test_what_needs_no_copy_stands_in_where_there_is_no_room(make: Any, instead: Any) -> None:
    assert without_copy(make) is instead


def test_weights_are_upcast_in_pieces_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = layers(torch.bfloat16)
    x = torch.randn(20, 48).bfloat16()
    with torch.inference_mode():
        whole = Upcast(parts)(x)
        monkeypatch.setattr(products, "_PIECE", 48 * 5)
        torch.testing.assert_close(Upcast(parts)(x), whole)


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
        (Split, OneDNN, OneDNNForMany, SplitOrOneDNN, Upcast), 0.95
    )
    monkeypatch.setattr(products, "_seconds", lambda product, x, _: found[type(product)])
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


@needs_onednn
@pytest.mark.usefixtures("forget")
def test_a_layout_is_chosen_by_one_row_and_by_several(monkeypatch: pytest.MonkeyPatch) -> None:
    # Packed for many, one row takes for ever on some processors.
    monkeypatch.setattr(
        products,
        "_seconds",
        lambda product, x, _: {Plain: 1.0, Split: 1.0, OneDNN: 0.8}.get(
            type(product), 20.0 if len(x) == 1 else 0.1
        ),
    )
    assert best_product(torch.float32) is OneDNN


def test_half_precision_is_upcast_where_the_processor_has_none(
    times: dict[type[Any], float], monkeypatch: pytest.MonkeyPatch, forget: Callable[[], None]
) -> None:
    monkeypatch.setattr(products, "_onednn_takes", lambda dtype: False)
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

    weights = products.Weights(layers()[0].weight)
    times[Wrong] = 0.1
    assert products._measured([Refusing, Wrong], weights, [1]) is Plain


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
