"""Change points against all segmentations there are, and of simulated text."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from itwidgets.information import change_points
from tests.information.exact import Row


def _price(values: Row, starts: Sequence[int], penalty: float) -> float:
    """What a segmentation costs, written out."""
    parts = np.split(values, starts)
    return sum(float(((part - part.mean()) ** 2).sum()) for part in parts) + penalty * len(starts)


@given(st.lists(st.integers(0, 20), min_size=2, max_size=8), st.none() | st.integers(0, 60))
def test_no_segmentation_costs_less(numbers: list[int], penalty: float | None) -> None:
    values = np.array(numbers, dtype=np.float64)
    n = len(values)
    price = 2 * (np.diff(values) ** 2).mean() / 2 * math.log(n) if penalty is None else penalty
    every = (set_ for k in range(n) for set_ in itertools.combinations(range(1, n), k))
    best = min(_price(values, starts, price) for starts in every)
    found = np.flatnonzero(change_points(values, penalty)).tolist()
    assert _price(values, found, price) == pytest.approx(best, rel=1e-12, abs=1e-9)


def test_levels_of_a_noisy_sequence_are_found_where_they_change() -> None:
    rng = np.random.default_rng(0)
    levels = np.repeat([3.0, 9.0, 5.0], [40, 30, 50])
    noisy = levels + rng.normal(size=(4, 120))
    found = change_points(noisy)
    assert found.dtype == np.bool_
    for row in found:
        places = np.flatnonzero(row)
        assert len(places) == 2
        assert abs(places - [40, 70]).max() <= 1
    # Noise alone has none.
    assert not change_points(rng.normal(size=(4, 120))).any()
    assert not change_points(np.full(50, 0.1)).any()


def test_missing_values_are_left_out() -> None:
    values = np.array([1.0, 2.0, 1.0, 2.0, 9.0, 8.0, 9.0])
    gaps = np.insert(values, [0, 2, 4, 4, 7], np.nan)
    found = change_points(gaps)
    present = ~np.isnan(gaps)
    assert not found[~present].any()
    assert found[present].tolist() == change_points(values).tolist()
    assert found.sum() == 1


def test_kinds_and_leading_axes() -> None:
    values = np.random.default_rng(1).normal(size=(2, 3, 9)).cumsum(-1)
    found = change_points(values, 1.0)
    assert isinstance(found, np.ndarray)
    assert found.shape == (2, 3, 9)
    assert found.any()
    assert not found[..., 0].any()
    as_tensor = change_points(torch.from_numpy(values), 1.0)
    assert isinstance(as_tensor, torch.Tensor)
    np.testing.assert_array_equal(as_tensor, found)
    alone = [[change_points(row, 1.0).tolist() for row in block] for block in values]
    assert found.tolist() == alone
    assert change_points(np.array([np.nan, 1.0])).tolist() == [False, False]
    assert change_points(np.zeros((2, 0))).shape == (2, 0)


def test_what_is_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"penalty is -1\.0, but must be a number of at least 0"):
        change_points(np.ones(3), -1.0)
    with pytest.raises(ValueError, match="a value is infinite, but must be a finite number, or NaN"):
        change_points(np.array([1.0, np.inf]))


def test_one_value_far_off_hides_no_change_among_the_others() -> None:
    levels = torch.randn(100, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.1
    levels[50:] += 3
    levels[0] = 1e9
    assert 50 in change_points(levels, penalty=5.0).nonzero()[:, 0].tolist()
