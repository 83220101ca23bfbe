"""Machine code: its arithmetic, and how what was compiled is kept."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from itwidgets.engine.native import threads
from itwidgets.engine.native.threads import can_run

if not can_run(torch.float32):
    pytest.skip("no machine code is made here", allow_module_level=True)

from numba import njit

from itwidgets.engine.native import arithmetic


@njit
def _exponentials(x: Any, out: Any) -> None:
    for i in range(len(x)):
        out[i] = arithmetic.exponential(x[i])


@njit
def _widened(x: Any, out: Any) -> None:
    for i in range(len(x)):
        out[i] = arithmetic.wide(x[i])


@njit
def _rounded(x: Any, out: Any, kind: Any) -> None:
    for i in range(len(x)):
        out[i] = arithmetic.stored(x[i], kind)


@njit
def _products(out: Any, weights: Any, x: Any) -> None:
    arithmetic.multiply_rows(out, weights, x)


def test_exponentials_are_those_of_float64_to_the_last_bit_but_one() -> None:
    x = np.linspace(-87, 88, 1_000_003, dtype=np.float32)
    found = np.empty_like(x)
    _exponentials(x, found)
    assert np.abs(found / np.exp(x.astype(np.float64)) - 1).max() < 2 * np.finfo(np.float32).eps


def test_exponentials_end_and_pass_on_what_is_no_number() -> None:
    x = np.array([-np.inf, -1e30, -100, 0, np.nan, np.inf], np.float32)
    found = np.empty_like(x)
    _exponentials(x, found)
    assert found[:4].tolist() == [0, 0, 0, 1]
    assert np.isnan(found[4])
    assert found[5] > 1e38


EDGES = torch.tensor(
    [
        0.0,
        -0.0,
        1.0,
        1 + 2**-8,
        1 + 3 * 2**-8,
        3e-39,
        -2.5e-41,
        3.3e38,
        65519.0,
        65520.0,
        torch.inf,
        -torch.inf,
    ]
)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_numbers_are_rounded_and_read_as_torch_does(dtype: torch.dtype) -> None:
    numbers = torch.cat([EDGES, torch.randn(100_000, generator=torch.Generator().manual_seed(0))])
    kind = arithmetic.KINDS[dtype]
    bits = np.empty(len(numbers), kind.dtype)
    _rounded(numbers.numpy(), bits, kind)
    assert np.array_equal(bits.view(np.int16), numbers.to(dtype).view(torch.int16).numpy())
    found = np.empty(len(numbers), np.float32)
    _widened(bits, found)
    assert np.array_equal(found, numbers.to(dtype).float().numpy())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_what_is_no_number_stays_so(dtype: torch.dtype) -> None:
    # Rounded as a number, the first would become infinite and the second zero.
    numbers = np.array([0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF], np.uint32).view(np.float32)
    bits = np.empty(3, arithmetic.KINDS[dtype].dtype)
    _rounded(numbers, bits, arithmetic.KINDS[dtype])
    assert torch.from_numpy(bits.view(np.int16)).view(dtype).isnan().all()


@pytest.mark.parametrize("width", [1, 37, 64, 577])
@pytest.mark.parametrize("rows", [1, 3, 4, 5, 64])
def test_rows_far_from_each_other_are_multiplied_each_once(rows: int, width: int) -> None:
    random = np.random.default_rng(0)
    weights, x = (random.normal(size=shape).astype(np.float32) for shape in ((rows, width), width))
    out = np.full(rows, np.nan, np.float32)
    _products(out, weights, x)
    np.testing.assert_allclose(out, weights @ x, rtol=1e-5, atol=1e-4)


def test_a_numba_that_does_not_work_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    threads._numba_works.cache_clear()
    try:
        assert not can_run(torch.float32)
    finally:
        threads._numba_works.cache_clear()


_COMPILE = """
import sys, torch
from itwidgets.engine.native import compiling
code = compiling.matrices_code(torch.float32)
print(code.cache_hits)
"""


@pytest.fixture
def compile_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], str]:
    def compile_in(folder: Path) -> str:
        monkeypatch.setenv("ITWIDGETS_CACHE", str(folder))
        made = subprocess.run(
            [sys.executable, "-W", "error", "-c", _COMPILE], check=True, capture_output=True, text=True
        )
        return made.stdout.strip()

    return compile_in


def test_what_was_compiled_is_kept_for_other_processes(
    compile_in: Callable[[Path], str], tmp_path: Path
) -> None:
    assert compile_in(tmp_path) == "0"
    assert compile_in(tmp_path) == "1"
    assert list((tmp_path / "native").rglob("*.nbi"))


def test_a_damaged_file_is_compiled_anew(compile_in: Callable[[Path], str], tmp_path: Path) -> None:
    assert compile_in(tmp_path) == "0"
    for kept in tmp_path.rglob("*.nb?"):
        kept.write_bytes(b"damaged")
    assert compile_in(tmp_path) == "0"


def test_where_nothing_can_be_kept_it_is_compiled_each_time(
    compile_in: Callable[[Path], str], tmp_path: Path
) -> None:
    (tmp_path / "a file").touch()
    assert compile_in(tmp_path / "a file") == "0"
    assert compile_in(tmp_path / "a file") == "0"
