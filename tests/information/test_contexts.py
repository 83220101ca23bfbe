"""What contexts do to tokens."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from itwidgets import information
from itwidgets.information import kl_divergence, log_probabilities

GIVEN, WITHOUT = np.log([[0.5, 0.25], [0.1, 0.8]]), np.log([[0.25, 0.5], [0.1, 0.1]])


def test_gains_are_positive_where_the_context_helps() -> None:
    tokenwise = information.pointwise_mutual_information(GIVEN, WITHOUT)
    np.testing.assert_allclose(tokenwise, [[1, -1], [0, 3]], atol=1e-12)
    for measure in (information.p_cxmi, information.pvi):
        np.testing.assert_allclose(measure(GIVEN, WITHOUT), [0, 3], atol=1e-12)
        np.testing.assert_allclose(measure(GIVEN, WITHOUT, base=math.e), [0, math.log(8)], atol=1e-12)


def test_missing_tokens_stay_missing_and_count_for_nothing() -> None:
    gap = np.array([[np.nan], [np.nan]])
    given, without = np.hstack([gap, GIVEN]), np.hstack([gap, WITHOUT])
    assert np.isnan(information.pointwise_mutual_information(given, without)[:, 0]).all()
    np.testing.assert_allclose(information.p_cxmi(given, without), [0, 3], atol=1e-12)


def test_pmi_is_symmetric_in_a_joint_distribution() -> None:
    joint = np.random.default_rng(0).dirichlet(np.ones(12)).reshape(3, 4)
    log_x, log_y = np.log(joint.sum(1)), np.log(joint.sum(0))
    log_y_given_x = np.log(joint) - log_x[:, None]
    log_x_given_y = np.log(joint) - log_y
    np.testing.assert_allclose(
        information.pointwise_mutual_information(log_y_given_x, np.tile(log_y, (3, 1))),
        information.pointwise_mutual_information(log_x_given_y, np.tile(log_x[:, None], 4)),
        atol=1e-12,
    )


def test_the_flow_is_the_sum_of_the_divergences() -> None:
    rng = np.random.default_rng(0)
    log_p, log_q = (log_probabilities(rng.normal(size=(2, 5, 7))) for _ in range(2))
    np.testing.assert_allclose(
        information.information_flow(log_p, log_q), kl_divergence(log_p, log_q).sum(-1), rtol=1e-12
    )


def test_the_curve_is_the_mean_at_each_length() -> None:
    bits = np.array([[8.0, 4.0, np.nan], [6.0, 2.0, 1.0]])
    lengths = np.array([[0, 1, 3], [0, 1, 2]])
    np.testing.assert_array_equal(information.context_length_curve(bits, lengths), [7, 3, 1, np.nan])


@pytest.mark.parametrize("lengths", [[0, 0], [0.0, 0.0, 0.0], [0, -1, 0]])
def test_each_token_has_a_length_of_context(lengths: list[float]) -> None:
    with pytest.raises(ValueError, match=r"context_lengths have shape .* of shape \(3,\)"):
        information.context_length_curve(torch.zeros(3), torch.tensor(lengths))
