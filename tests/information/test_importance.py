"""Importance weights and sampled divergences, by summing over all that can be drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from itwidgets import information
from itwidgets.information import log_probabilities, sampled_kl
from tests.information.exact import INF, Row, random_row

P = log_probabilities(random_row(6, 1.0, 1))
WIDE = log_probabilities(random_row(6, 1.0, 2))
MASKED = log_probabilities(np.where(np.arange(6) < 4, P, -INF))


def _costs(log_q: Row) -> Row:
    """Realised costs of all that can be drawn."""
    every = np.flatnonzero(log_q > -INF)
    size = (len(every), 1)
    return information.realised_cost(np.tile(P, size), np.tile(log_q, size), every)


def test_weights_sum_to_what_can_be_drawn() -> None:
    for log_q, mass in ((WIDE, 1.0), (MASKED, np.exp(P[:4]).sum())):
        weights = np.exp(information.log_importance_weights(_costs(log_q)))
        assert float((np.exp(log_q[log_q > -INF]) * weights).sum()) == pytest.approx(mass, rel=1e-12)


def test_nats_and_bits_give_the_same_weights() -> None:
    bits = _costs(WIDE)
    nats = information.log_importance_weights(bits * math.log(2), base=math.e)
    np.testing.assert_allclose(nats, information.log_importance_weights(bits), rtol=1e-15)


def test_the_self_normalised_estimate_is_a_weighted_mean() -> None:
    weights, values = np.array([0.2, 0.3, 0.0]), np.array([1.0, 2.0, INF])
    with np.errstate(divide="ignore"):
        found = information.self_normalised_estimate(np.log(weights), values)
    assert float(found) == pytest.approx((0.2 + 0.6) / 0.5, rel=1e-15)


def test_reweighting_gives_the_mean_under_the_model() -> None:
    values = np.arange(6.0)
    # Each token drawn as often as q says, in the limit: its share joins the weight.
    log_weights = information.log_importance_weights(_costs(WIDE)) + WIDE
    assert float(information.self_normalised_estimate(log_weights, values)) == pytest.approx(
        np.exp(P) @ values
    )


def test_effective_sample_size_counts_what_carries_weight() -> None:
    assert float(information.effective_sample_size(np.full(7, -3e5))) == pytest.approx(7, rel=1e-9)
    assert float(information.effective_sample_size(np.array([0.0, -INF, -1e4]))) == pytest.approx(
        1, rel=1e-12
    )
    weights = np.random.default_rng(0).exponential(size=(3, 50))
    expected = weights.sum(-1) ** 2 / (weights**2).sum(-1)
    np.testing.assert_allclose(information.effective_sample_size(np.log(weights)), expected, rtol=1e-12)


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_estimators_are_unbiased_where_q_covers_p(estimator: str) -> None:
    mean = float((np.exp(WIDE) * sampled_kl(P, WIDE, estimator)).sum())
    assert mean == pytest.approx(float(information.expected_cost(P, WIDE)), rel=1e-12)


def test_under_a_mask_k3_misses_what_is_excluded() -> None:
    drawn = MASKED > -INF
    q = np.exp(MASKED[drawn])
    nats = {k: float(q @ sampled_kl(P[drawn], MASKED[drawn], k, base=math.e)) for k in ("k1", "k2", "k3")}
    exact = float(information.expected_cost(P, MASKED, base=math.e))
    assert nats["k1"] == pytest.approx(exact, rel=1e-12)
    assert nats["k3"] == pytest.approx(exact - np.exp(P[4:]).sum(), rel=1e-12)
    assert nats["k2"] == pytest.approx(exact**2 / 2, rel=1e-12)


def test_an_unknown_estimator_is_refused() -> None:
    with pytest.raises(ValueError, match="estimator is 'k4', but must be one of 'k1', 'k2', 'k3'"):
        sampled_kl(torch.zeros(2), torch.zeros(2), "k4")
