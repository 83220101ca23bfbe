"""The most probable tokens, and what they alone say of the entropy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from itwidgets import information
from itwidgets.information import certified_entropy_interval, entropy, log_probabilities
from tests.information.exact import INF, ROWS, Exact, check, log2, probabilities, random_row

MEASURES: dict[str, tuple[Callable[[Any], Any], Callable[[Exact], Any]]] = {
    "top_probability": (information.top_probability, lambda best: best[0]),
    "top_margin": (information.top_margin, lambda best: best[0] - best[1]),
    "log_odds_margin": (
        information.log_odds_margin,
        lambda best: log2(best[0] / best[1]) if best[1] else mpmath.inf,
    ),
    "head_mass": (lambda log_p: information.head_mass(log_p, 2), lambda best: best[0] + best[1]),
    "tail_mass": (lambda log_p: information.tail_mass(log_p, 1), lambda best: mpmath.fsum(best[1:])),
    "min_p_size": (
        lambda log_p: information.min_p_size(log_p, 0.1),
        lambda best: sum(p >= mpmath.mpf(0.1) * best[0] for p in best),
    ),
}


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", MEASURES)
def test_measures_of_the_head_agree_with_mpmath(row: str, name: str) -> None:
    ours, exact = MEASURES[name]
    best = sorted(probabilities(ROWS[row]), reverse=True)
    check(ours(log_probabilities(ROWS[row])), exact(best))


@pytest.mark.parametrize("mass", [0.05, 0.31, 0.5, 0.77, 0.95, 1])
def test_the_nucleus_is_the_smallest_set_with_the_mass(mass: float) -> None:
    for name in ("two", "one-hot", "ties", "excluded", "wide"):
        best = sorted(probabilities(ROWS[name]), reverse=True)
        size = next(
            n for n in range(1, len(best) + 1) if n == sum(p > 0 for p in best) or sum(best[:n]) >= mass
        )
        assert int(information.nucleus_size(log_probabilities(ROWS[name]), mass)) == size


def test_a_tiny_tail_keeps_its_digits() -> None:
    tail = information.tail_mass(log_probabilities(ROWS["nearly certain"]), 1)
    assert float(tail) == pytest.approx((math.exp(-25) + math.exp(-26)) / (1 + math.exp(-25) + math.exp(-26)))


def test_one_token_has_no_second() -> None:
    log_p = np.zeros((3, 1))
    assert information.top_margin(log_p).tolist() == [1, 1, 1]
    assert information.log_odds_margin(log_p).tolist() == [INF] * 3
    assert information.tail_mass(log_p, 4).tolist() == [0, 0, 0]
    assert information.head_mass(log_p, 4).tolist() == [1, 1, 1]


ROW = st.lists(st.floats(-30, 10) | st.just(-INF), min_size=2, max_size=40).filter(lambda x: max(x) > -INF)


@given(ROW, st.data())
def test_the_entropy_lies_in_its_certified_interval(scores: list[float], data: st.DataObject) -> None:
    log_p = log_probabilities(np.array(scores))
    k = data.draw(st.integers(1, len(scores)))
    listed = np.sort(log_p)[::-1][:k].copy()
    bounds = certified_entropy_interval(listed, len(scores))
    exact = float(entropy(log_p))
    assert float(bounds.lower) - 1e-9 <= exact <= float(bounds.upper) + 1e-9
    if k == len(scores):
        assert float(bounds.lower) == pytest.approx(float(bounds.upper)) == pytest.approx(exact, abs=1e-12)


def test_the_interval_is_met_at_both_ends() -> None:
    # The rest in whole shares of the least listed probability, and the rest spread evenly.
    least, most = np.log([0.4, 0.2, 0.2, 0.2, 1e-300, 1e-300]), np.log([0.4, 0.2, 0.1, 0.1, 0.1, 0.1])
    bounds = certified_entropy_interval(np.log([0.4, 0.2]), 6)
    assert float(bounds.lower) == pytest.approx(float(entropy(least)), rel=1e-12)
    assert float(bounds.upper) == pytest.approx(float(entropy(most)), rel=1e-12)


def test_the_interval_narrows_as_more_are_listed() -> None:
    log_p = np.sort(log_probabilities(random_row(49_152, 3.0)))[::-1]
    widths = []
    for k in (5, 50, 500, 5000):
        bounds = certified_entropy_interval(torch.from_numpy(log_p[:k].copy()), len(log_p))
        assert isinstance(bounds.lower, torch.Tensor)
        widths.append(float(bounds.upper) - float(bounds.lower))
    assert widths == sorted(widths, reverse=True)


def test_impossible_lists_are_refused() -> None:
    with pytest.raises(ValueError, match="vocabulary_size is 1, but must be a whole number of at least 2"):
        certified_entropy_interval(np.log([0.5, 0.5]), 1)
    with pytest.raises(ValueError, match=r"sum to 1\.2.*, but must sum to at most 1"):
        certified_entropy_interval(np.log([0.6, 0.6]), 9)
    with pytest.raises(ValueError, match=r"and 2 others .* sum to at most 0\.9.*, but all must sum to 1"):
        certified_entropy_interval(np.log([0.6, 0.1]), 4)


def test_what_is_out_of_range_is_refused() -> None:
    rows = torch.zeros(3)
    for mass in (0, 1.1):
        with pytest.raises(ValueError, match="mass is"):
            information.nucleus_size(rows, mass)
        with pytest.raises(ValueError, match="min_p is"):
            information.min_p_size(rows, mass)
    for k in (-1, 1.5):
        with pytest.raises(ValueError, match="k is"):
            information.head_mass(rows, k)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="k is"):
            information.tail_mass(rows, k)  # type: ignore[arg-type]
