"""Costs of interventions against mpmath at 40 digits and their closed forms."""

from __future__ import annotations

import math

import mpmath  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from itwidgets import information
from itwidgets.information import expected_cost, log_probabilities, realised_cost
from tests.information.exact import INF, PAIRS, ROWS, Row, check, entropy, kl, log2, probabilities, random_row


def _masked(log_p: Row, allowed: npt.NDArray[np.bool_]) -> Row:
    return log_probabilities(np.where(allowed, log_p, -INF))


@pytest.mark.parametrize("pair", ["two", "random", "close", "certain", "p is wider"])
def test_costs_agree_with_mpmath(pair: str) -> None:
    log_p, log_q = map(log_probabilities, PAIRS[pair])
    p, q = map(probabilities, PAIRS[pair])
    rel = 1e-11 if pair == "close" else 1e-12
    check(expected_cost(log_p, log_q), kl(q, p), rel=rel)
    # Of a difference of entropies only absolute digits are left.
    check(information.entropy_change(log_p, log_q), entropy(q) - entropy(p), absolute=1e-14)
    if 0 < kl(q, p) < mpmath.inf:
        few_digits = 1e-7 if pair == "close" else 1e-12
        efficiency = (entropy(q) - entropy(p)) / kl(q, p)
        check(information.entropy_efficiency(log_p, log_q), efficiency, rel=few_digits)
        some = np.arange(len(p)) % 2 == 0
        gain = mpmath.fsum(b - a for a, b, chosen in zip(p, q, some, strict=True) if chosen)
        check(information.boost_efficiency(log_p, log_q, some), gain / kl(q, p), rel=few_digits)
    for token in range(min(5, len(p))):
        if p[token] and q[token]:
            expected = log2(q[token]) - log2(p[token])
            check(realised_cost(log_p, log_q, np.array(token)), expected, absolute=1e-13)


@pytest.mark.parametrize("row", ["two", "ties", "nearly certain", "wide"])
def test_a_mask_costs_the_same_whatever_is_drawn(row: str) -> None:
    log_p, p = log_probabilities(ROWS[row]), probabilities(ROWS[row])
    for allowed in (np.arange(len(p)) % 2 == 0, np.arange(len(p)) > 0, np.ones(len(p), dtype=np.bool_)):
        cost = information.mask_cost(log_p, allowed)
        check(cost, -log2(mpmath.fsum(x for x, kept in zip(p, allowed, strict=True) if kept)))
        log_q = _masked(log_p, allowed)
        assert float(expected_cost(log_p, log_q)) == pytest.approx(float(cost), rel=1e-9, abs=1e-12)
        for token in np.flatnonzero(allowed)[:3]:
            realised = float(realised_cost(log_p, log_q, np.array(token)))
            assert realised == pytest.approx(float(cost), rel=1e-9, abs=1e-12)


def test_a_forced_token_costs_its_surprisal() -> None:
    log_p = log_probabilities(ROWS["ties"])
    for token in range(5):
        forced = np.where(np.arange(5) == token, 0.0, -INF)
        bits = float(information.surprisal(log_p, np.array(token)))
        assert float(expected_cost(log_p, forced)) == pytest.approx(bits, rel=1e-15)
        assert float(realised_cost(log_p, forced, np.array(token))) == pytest.approx(bits, rel=1e-15)


def test_a_mask_has_a_truth_value_for_each_id() -> None:
    for mask in (torch.ones(4, dtype=torch.bool), torch.ones(5)):
        with pytest.raises(ValueError, match="must hold a truth value for each of 5 vocabulary ids"):
            information.mask_cost(torch.zeros(5), mask)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_mass_costs_the_binary_divergence(before: float, after: float) -> None:
    a, b = mpmath.mpf(after), mpmath.mpf(before)
    check(information.mass_cost(np.array(before), after), kl([a, 1 - a], [b, 1 - b]), rel=1e-9)


@pytest.mark.parametrize("target", [0.0, 0.2, 0.9, 1.0])
def test_scaling_a_set_of_tokens_costs_what_its_mass_does(target: float) -> None:
    log_p = log_probabilities(ROWS["wide"])
    inside = np.arange(len(log_p)) < 40
    mass = np.exp(log_p[inside]).sum()
    q = np.where(inside, np.exp(log_p) * target / mass, np.exp(log_p) * (1 - target) / (1 - mass))
    with np.errstate(divide="ignore"):
        cost = float(expected_cost(log_p, np.log(q)))
    assert float(information.mass_cost(mass[None], target)[0]) == pytest.approx(cost, rel=1e-10)


@pytest.mark.parametrize("values", [(-0.1, 0.5), (0.5, 1.1), (float("nan"), 0.5)])
def test_a_mass_lies_between_0_and_1(values: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="but must lie between 0 and 1"):
        information.mass_cost(torch.tensor(values[0]), values[1])


@pytest.mark.parametrize("row", ["two", "one-hot", "ties", "excluded", "nearly certain", "wide"])
@pytest.mark.parametrize("temperature", [0.3, 0.9, 1, 1.7, 20])
def test_a_temperature_costs_its_closed_form(row: str, temperature: float) -> None:
    log_p, p = log_probabilities(ROWS[row]), probabilities(ROWS[row])
    beta = 1 / mpmath.mpf(temperature)
    total = mpmath.fsum(x**beta for x in p if x)
    expected = (beta - 1) * mpmath.fsum(x**beta / total * log2(x) for x in p if x) - log2(total)
    check(information.temperature_cost(log_p, temperature), expected, absolute=1e-14)


def test_a_temperature_is_the_cheapest_way_to_its_entropy() -> None:
    log_p = torch.from_numpy(log_probabilities(random_row(30, 2.0)))
    tempered = log_probabilities(log_p / 1.7)
    target = float(information.entropy(tempered))
    cost = float(information.temperature_cost(log_p, 1.7))
    for seed in range(1, 21):
        other = log_probabilities(log_p + 0.5 * torch.from_numpy(random_row(30, 1.0, seed)))
        other = log_probabilities(other / information.temperature_for_entropy(other, target))
        assert float(expected_cost(log_p, other)) > cost


@given(st.lists(st.tuples(st.floats(-20, 20), st.floats(-5, 5)), min_size=2, max_size=20))
def test_the_mean_of_realised_costs_is_the_expected_cost(scores: list[tuple[float, float]]) -> None:
    base, bias = np.array(scores).T
    log_p, log_q = log_probabilities(base), log_probabilities(base + bias)
    size = (len(scores), 1)
    realised = realised_cost(np.tile(log_p, size), np.tile(log_q, size), np.arange(len(scores)))
    mean = float((np.exp(log_q) * realised).sum())
    assert float(expected_cost(log_p, log_q)) == pytest.approx(mean, rel=1e-9, abs=1e-12)


def test_path_costs_leave_missing_steps_out() -> None:
    assert information.path_cost(np.array([[np.nan, 1.0, 2.5], [0.5, -1.0, 0.0]])).tolist() == [3.5, -0.5]


def test_half_of_the_effect_comes_within_the_half_life() -> None:
    decaying = 2.0 ** -np.arange(40.0) * np.array([[1.0], [3.0]])
    assert information.half_life(decaying).tolist() == [1, 1]
    assert information.half_life(np.ones((2, 10))).tolist() == [5, 5]
    assert int(information.half_life(np.array([0.0, 0.0, 1.0]))) == 3


def test_costs_of_paths_add_up_to_the_divergence_of_texts() -> None:
    # Two steps over three tokens: KL(q || p) of the pairs is the mean of the summed step costs.
    rng = np.random.default_rng(0)
    p1, q1 = (log_probabilities(rng.normal(size=3)) for _ in range(2))
    p2, q2 = (log_probabilities(rng.normal(size=(3, 3))) for _ in range(2))
    whole = expected_cost((p1[:, None] + p2).ravel(), (q1[:, None] + q2).ravel())
    steps = float(expected_cost(p1, q1)) + float(np.exp(q1) @ expected_cost(p2, q2))
    assert float(whole) == pytest.approx(steps, rel=1e-12)


def test_what_is_out_of_range_is_refused() -> None:
    for temperature in (0, -1, math.inf):
        with pytest.raises(ValueError, match=f"temperature is {temperature}, but must be above 0 and finite"):
            information.temperature_cost(torch.zeros(2), temperature)
