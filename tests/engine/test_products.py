"""Products with weights: right, and chosen by how fast they are on this machine."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from itwidgets.engine.model import products
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
    without_copy,
)
from itwidgets.engine.native.threads import can_run
from tests.engine_marks import needs_native, needs_onednn


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
        pytest.param(Native, torch.float32, marks=needs_native),
        pytest.param(Native, torch.bfloat16, marks=needs_native),
        pytest.param(Native, torch.float16, marks=needs_native),
        pytest.param(NativeOrUpcast, torch.bfloat16, marks=needs_native),
        pytest.param(NativeOrOneDNN, torch.float32, marks=[needs_native, needs_onednn]),
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
    [
        (Plain, Plain),
        (Split, Split),
        (OneDNN, Plain),
        (OneDNNForMany, Plain),
        (SplitOrOneDNN, Split),
        (Native, Native),
        (NativeOrOneDNN, Native),
        (NativeOrUpcast, NativeOrUpcast),
    ],
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


@needs_native
def test_weights_that_do_not_lie_as_machine_code_reads_them_are_multiplied_by_the_layers() -> None:
    turned = products.Weights(torch.randn(48, 30).t())
    x = torch.randn(1, 48)
    assert torch.equal(Native([turned])(x), Plain([turned])(x))


@needs_native
def test_rows_of_any_shape_and_place_are_multiplied_in_machine_code() -> None:
    parts = layers()
    rows = torch.randn(48, 2)
    with torch.inference_mode():
        found = Native(parts)(rows[:, 1][None, None])
        torch.testing.assert_close(found, Plain(parts)(rows[:, 1][None, None]))


@pytest.mark.parametrize("dtype", [torch.float64, torch.int8])
def test_no_machine_code_is_made_for_other_dtypes(dtype: torch.dtype) -> None:
    assert not can_run(dtype)
    with pytest.raises(RuntimeError, match=str(dtype)):
        Native([products.Weights(torch.zeros(2, 2, dtype=dtype))])
