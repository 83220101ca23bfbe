"""Temperatures that give an entropy, and free energies."""

from __future__ import annotations

import math

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from itwidgets.information import entropy, free_energy, log_probabilities, temperature_for_entropy
from tests.information.exact import INF, ROWS, check, random_row

SCORES = st.lists(st.floats(-300, 300) | st.just(-INF), min_size=2, max_size=30)
SCORES = SCORES.filter(lambda scores: max(scores) > -INF)


@given(SCORES)
def test_a_row_has_its_own_entropy_at_temperature_1(scores: list[float]) -> None:
    log_p = log_probabilities(np.array(scores))
    assert float(temperature_for_entropy(log_p, entropy(log_p))) == 1


@given(SCORES, st.floats(0, 1))
def test_targets_are_met_wherever_they_are_feasible(scores: list[float], share: float) -> None:
    row = np.array(scores)
    lower, upper = math.log2((row == row.max()).sum()), math.log2((row > -INF).sum())
    target = lower + share * (upper - lower)
    assume(lower < target < upper)
    temperature = float(temperature_for_entropy(row, target))
    assert float(entropy(row / temperature)) == pytest.approx(target, rel=0, abs=1e-10)


@pytest.mark.parametrize("target", [1e-12, 0.01, 1.0, 5.0, 10.0, 15.5, math.log2(49_152) - 1e-9])
def test_targets_are_met_over_a_large_vocabulary(target: float) -> None:
    scores = torch.from_numpy(random_row(49_152, 3.0))
    temperature = temperature_for_entropy(scores, target)
    assert float(entropy(scores / temperature)) == pytest.approx(target, rel=1e-10, abs=0)


def test_scores_that_nearly_tie_need_tiny_temperatures() -> None:
    row = np.array([0.0, -1e-200, -1.0, -INF])
    temperature = temperature_for_entropy(row, 0.5)
    assert 0 < float(temperature) < 1e-199
    assert float(entropy(row / temperature)) == pytest.approx(0.5, abs=1e-10)


def test_each_row_of_a_batch_meets_its_own_target() -> None:
    rows = random_row(6 * 40, 2.0).reshape(2, 3, 40)
    targets = np.array([[0.5, 1.0, 2.0], [3.0, 4.0, 5.0]])
    temperatures = temperature_for_entropy(rows, targets)
    assert temperatures.shape == (2, 3)
    np.testing.assert_allclose(entropy(rows / temperatures[..., None]), targets, rtol=1e-12)
    nats = temperature_for_entropy(rows, targets * math.log(2), base=math.e)
    np.testing.assert_allclose(nats, temperatures, rtol=1e-12)


@pytest.mark.parametrize("target", [0.0, 1.0, 2.0, 3.0, -1.0, float("nan")])
def test_targets_out_of_reach_are_refused_with_the_range(target: float) -> None:
    row = torch.tensor([2.0, 2.0, 1.0, 0.0, -torch.inf])
    with pytest.raises(ValueError, match=f"is {target:.6g}, but .* above 1 and below 2"):
        temperature_for_entropy(row, target)


def test_a_uniform_row_has_one_entropy_only() -> None:
    assert float(temperature_for_entropy(torch.zeros(8), 3.0)) == 1
    with pytest.raises(ValueError, match="the target entropy is 2, but"):
        temperature_for_entropy(torch.zeros(8), 2.0)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("temperature", [0.2, 1, 3.5])
def test_free_energies_agree_with_mpmath(row: str, temperature: float) -> None:
    t = mpmath.mpf(temperature)
    total = mpmath.fsum(mpmath.exp(mpmath.mpf(float(z)) / t) for z in ROWS[row])
    check(free_energy(ROWS[row], temperature), -t * mpmath.log(total, 2))


def test_free_energy_is_mean_energy_less_temperature_times_entropy() -> None:
    scores, temperature = torch.from_numpy(ROWS["wide"]), 1.3
    tempered = log_probabilities(scores / temperature)
    expected = -(tempered.exp() @ scores) - temperature * entropy(tempered, base=math.e)
    torch.testing.assert_close(free_energy(scores, temperature, base=math.e), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("temperature", [0, -1, math.inf, float("nan")])
def test_a_temperature_is_above_0(temperature: float) -> None:
    with pytest.raises(ValueError, match=f"temperature is {temperature}, but must be above 0 and finite"):
        free_energy(torch.zeros(2), temperature)
