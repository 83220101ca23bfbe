"""What people hand in as probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from itwidgets.information import change_points, check_distribution, entropy, successor
from tests.information.exact import INF


def test_a_distribution_becomes_log_probabilities() -> None:
    assert float(entropy(check_distribution([0.5, 0.25, 0.25, 0]))) == 1.5
    rows = np.array([[0.5, 0.5], [1, 0]], dtype=np.float32)
    found = check_distribution(rows)
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(np.exp(found), rows)
    assert isinstance(check_distribution(torch.from_numpy(rows)), torch.Tensor)


def test_rounding_is_no_error_and_is_not_mended() -> None:
    p = torch.randn(152_000, generator=torch.Generator().manual_seed(0)).softmax(-1)
    torch.testing.assert_close(torch.as_tensor(check_distribution(p)).exp(), p.double(), rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    ("probabilities", "sentence"),
    [
        ([0.5, 0.4], "the probabilities sum to 0.9, but each row must sum to 1"),
        ([[0.5, 0.5], [0.7, 0.7]], "the probabilities sum to 1.4, but each row must sum to 1"),
        ([0.5, INF], "the probabilities sum to inf, but each row must sum to 1"),
        ([1.5, -0.5], "a probability is -0.5, but none may be negative"),
        ([0.5, float("nan")], "a probability is NaN, but all must be numbers"),
        ([], "the probabilities have shape (0,), but must have a last axis, the tokens"),
        (1.0, "the probabilities have shape (), but must have a last axis, the tokens"),
    ],
)
@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_anything_else_gets_one_sentence(probabilities: Any, sentence: str, kind: Any) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole sentence is compared
        check_distribution(probabilities if kind is list else kind(probabilities))
    assert str(error.value) == sentence


def test_the_tolerance_is_a_small_number() -> None:
    assert float(np.exp(check_distribution(np.array([0.5, 0.4]), tolerance=0.2)).sum()) == pytest.approx(0.9)
    with pytest.raises(ValueError, match="tolerance is 1, but must be at least 0 and below 1"):
        check_distribution([0.5, 0.5], tolerance=1)


@pytest.mark.parametrize("of_a_sequence", [change_points, successor])
@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_a_single_number_is_no_sequence(of_a_sequence: Any, kind: Any) -> None:
    with pytest.raises(
        ValueError, match=r"the values have shape \(\), but must have a last axis, the tokens"
    ):
        of_a_sequence(kind(1.0))
