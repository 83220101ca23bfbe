"""Mirostat: the limit as a fold over recorded surprisals, and what it does to a text's surprisal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from itwidgets.information import log_probabilities
from itwidgets.interventions import Mirostat, Program, Step, Temperature, draw

LN2 = math.log(2)


def _step(surprisals: Sequence[float]) -> Step:
    return Step(len(surprisals), [0] * (1 + len(surprisals)), 1, past={"surprisal_s": list(surprisals)})


def _generated(program: Program, rows: torch.Tensor) -> list[float]:
    """Draw a token from each row in turn, and give the surprisals of `s`."""
    surprisals: list[float] = []
    for position, row in enumerate(rows):
        s = program(_step(surprisals), row).s
        token = draw(s, seed=1, position=position)
        surprisals.append(-float(log_probabilities(s)[token]) / LN2)
    return surprisals


@given(st.floats(0.1, 20), st.floats(0.01, 2), st.lists(st.floats(0, 30), max_size=50))
def test_the_limit_is_that_of_the_published_recursion(
    bits: float, rate: float, surprisals: list[float]
) -> None:
    limit = 2 * bits
    for surprisal in surprisals:
        limit -= rate * (surprisal - bits)
    assert Mirostat(bits, rate).limit(_step(surprisals)) == pytest.approx(limit, abs=1e-9)


def test_tokens_above_the_limit_are_excluded() -> None:
    row = torch.tensor([0.5, 0.25, 0.125, 0.125], dtype=torch.float64).log()
    kept = Mirostat(1.25)(_step([]), row)
    assert kept.isfinite().tolist() == [True, True, False, False]
    assert torch.equal(kept[:2], row[:2])


def test_the_best_token_stays_below_any_limit() -> None:
    row = torch.tensor([0.0, 1.0, 1.0, -2.0])
    assert Mirostat(0.1)(_step([50.0]), row).isfinite().tolist() == [False, True, True, False]


@pytest.mark.parametrize("bits", [2.0, 4.0, 6.0])
def test_the_mean_surprisal_comes_near_the_target(bits: float) -> None:
    rows = 2 * torch.randn(400, 3000, generator=torch.Generator().manual_seed(0))
    free = _generated(Program(), rows)
    assert sum(free[100:]) / 300 > 8
    held = _generated(Program((Mirostat(bits),)), rows)
    assert sum(held[100:]) / 300 == pytest.approx(bits, abs=0.25)


def test_what_comes_before_it_counts() -> None:
    row = torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64)
    hot = Temperature(5.0) >> Mirostat(1.0)
    assert hot(_step([]), row).s.isfinite().tolist() == [True, True, True]
    assert Mirostat(1.0)(_step([]), row).isfinite().tolist() == [True, False, False]
    assert not hot.intervenes


def test_without_recorded_surprisals_it_says_so() -> None:
    with pytest.raises(ValueError, match="surprisal_s is not known of the 1 tokens before position 1"):
        Mirostat(3.0)(Step(1, [0, 5], 1), torch.zeros(4))


@given(st.floats(0.1, 20), st.floats(0.01, 2))
def test_json_brings_it_back(bits: float, rate: float) -> None:
    program = Program((Mirostat(bits, rate),))
    assert Program.from_json(program.to_json()) == program


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Mirostat(0), "bits is 0, but must be above 0 and finite"),
        (lambda: Mirostat(math.nan), "bits is nan, but must be above 0 and finite"),
        (lambda: Mirostat(3.0, -1), "learning_rate is -1, but must be above 0 and finite"),
    ],
)
def test_a_bad_parameter_is_named_with_its_value(make: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        make()
