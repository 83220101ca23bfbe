"""Spread of sampled continuations, of ensembles and of counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from itwidgets import information
from itwidgets.information import entropy, information_value, log_probabilities, semantic_entropy
from tests.information.exact import random_row


def test_predictive_entropy_tends_to_the_entropy() -> None:
    log_p = log_probabilities(random_row(40, 2.0))
    drawn = np.random.default_rng(1).choice(40, size=(200, 500), p=np.exp(log_p))
    found = information.predictive_entropy(log_p[drawn])
    errors = (np.asarray(found.mean) - float(entropy(log_p))) / np.asarray(found.standard_error)
    assert abs(errors.mean()) < 0.3
    assert errors.std() == pytest.approx(1, abs=0.2)


def test_length_normalised_uncertainty_is_a_mean_a_token() -> None:
    found = information.length_normalised_uncertainty(np.log([0.5, 0.25, 0.125]), np.array([1, 1, 3]))
    assert float(found) == pytest.approx((1 + 2 + 1) / 3)


SAMPLES = st.lists(st.tuples(st.integers(0, 5), st.floats(-40, 0)), min_size=1, max_size=12)


@given(SAMPLES, st.lists(st.integers(0, 2), min_size=6, max_size=6))
def test_semantic_entropy_agrees_with_its_definition(
    samples: list[tuple[int, float]], meanings: list[int]
) -> None:
    scores = dict(reversed(samples))
    responses = np.array([response for response, _ in samples])
    log_p = np.array([scores[response] for response, _ in samples])
    classes = np.array(meanings)[responses]
    found = semantic_entropy(log_p, classes, responses)

    masses: dict[int, float] = {}
    for response, score in scores.items():
        masses[meanings[response]] = masses.get(meanings[response], 0.0) + math.exp(score)
    total = sum(masses.values())
    expected = -sum(m / total * math.log2(m / total) for m in masses.values())
    counts = np.unique(classes, return_counts=True)[1] / len(classes)
    assert float(found.entropy) == pytest.approx(expected, abs=1e-9)
    assert float(found.discrete) == pytest.approx(-(counts * np.log2(counts)).sum(), abs=1e-9)
    log_shares = [math.log2(masses[c] / total) for c in classes]
    assert float(found.monte_carlo) == pytest.approx(-np.mean(log_shares), abs=1e-9)
    assert float(found.coverage) == pytest.approx(total)
    assert min(map(float, found[:3])) >= -1e-12


def test_semantic_entropy_of_batches() -> None:
    log_p = torch.tensor([[0.25, 0.25, 0.25], [0.5, 0.25, 0.125]]).log()
    classes = torch.tensor([[0, 1, 2], [4, 4, 4]])
    found = semantic_entropy(log_p, classes)
    assert isinstance(found.entropy, torch.Tensor)
    torch.testing.assert_close(found.entropy, torch.tensor([math.log2(3), 0]).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.coverage, torch.tensor([0.75, 0.875]).double(), atol=1e-6, rtol=0)
    for wrong in (classes[0], classes[:, :2]):
        with pytest.raises(ValueError, match=r"classes have shape .* of the samples, \(2, 3\)"):
            semantic_entropy(log_p, wrong)
        with pytest.raises(ValueError, match="responses have shape"):
            semantic_entropy(log_p, classes, wrong)


def test_self_consistency_is_the_share_of_the_majority() -> None:
    found = information.self_consistency(np.array([[3, 3, 1, 3], [0, 1, 2, 3], [5, 5, 5, 5]]))
    assert found.tolist() == [0.75, 0.25, 1]


def test_ensembles_part_what_they_disagree_on_from_what_each_does_not_know() -> None:
    rows = log_probabilities(random_row(2 * 3 * 20, 2.0).reshape(2, 3, 20))
    found = information.ensemble_information(rows)
    mixture = np.log(np.exp(rows).mean(1))
    np.testing.assert_allclose(found.total, entropy(mixture), rtol=1e-12)
    np.testing.assert_allclose(found.expected, entropy(rows).mean(-1), rtol=1e-12)
    np.testing.assert_allclose(found.mutual, found.total - found.expected, rtol=1e-9)
    weighted = information.ensemble_information(rows, np.array([0, 1, 0]))
    np.testing.assert_allclose(weighted.total, entropy(rows[:, 1]), rtol=1e-12)
    np.testing.assert_allclose(weighted.mutual, 0, atol=1e-12)


COUNTS = st.lists(st.integers(0, 30), min_size=1, max_size=8).filter(lambda counts: sum(counts) > 1)


@given(COUNTS)
def test_entropies_of_counts_agree_with_their_definitions(counts: list[int]) -> None:
    def plug_in(values: list[int]) -> float:
        n = sum(values)
        return -sum(c / n * math.log2(c / n) for c in values if c)

    n, found = sum(counts), np.array(counts)
    assert float(information.plug_in_entropy(found)) == pytest.approx(plug_in(counts), abs=1e-12)
    correction = (sum(c > 0 for c in counts) - 1) / (2 * n * math.log(2))
    assert float(information.miller_madow_entropy(found)) == pytest.approx(
        plug_in(counts) + correction, abs=1e-12
    )
    # One left-out entropy for each observation.
    left_out = [
        plug_in([c - (k == i) for i, c in enumerate(counts)]) for k, c in enumerate(counts) for _ in range(c)
    ]
    jackknife = information.jackknife_entropy(found)
    assert float(jackknife.mean) == pytest.approx(n * plug_in(counts) - (n - 1) * np.mean(left_out), abs=1e-9)
    assert float(jackknife.standard_error) == pytest.approx(math.sqrt((n - 1) * np.var(left_out)), abs=1e-7)
    assert int(jackknife.n) == n


def test_corrections_bring_small_samples_nearer_to_the_truth() -> None:
    p = np.full(16, 1 / 16)
    counts = np.random.default_rng(0).multinomial(40, p, size=400)
    plain = float(information.plug_in_entropy(counts).mean())
    corrected = float(information.miller_madow_entropy(counts).mean())
    jackknife = float(np.mean(np.asarray(information.jackknife_entropy(counts).mean)))
    assert abs(jackknife - 4) < abs(plain - 4) / 4
    assert abs(corrected - 4) < abs(plain - 4) / 4


def test_counts_are_not_negative() -> None:
    with pytest.raises(ValueError, match="the least count is -1"):
        information.plug_in_entropy(torch.tensor([1, -1]))


def test_information_value_is_the_distance_to_the_alternatives() -> None:
    distances = np.array([[0.5, np.nan, 0.25], [np.nan, np.nan, np.nan], [2.0, 0.0, 1.0]])
    found = information.information_value(distances)
    np.testing.assert_allclose(found.mean, [0.375, np.nan, 1.0])
    np.testing.assert_allclose(found.nearest, [0.25, np.nan, 0.0])
    with pytest.raises(ValueError, match=r"a distance is -0\.5, but must be at least 0"):
        information.information_value(-distances)


def test_rounding_below_a_distance_of_0_counts_as_0() -> None:
    text = torch.randn(500, 8, generator=torch.Generator().manual_seed(0))
    distances = 1 - torch.cosine_similarity(text, 3 * text, -1)
    assert bool((distances < 0).any())
    found = information_value(distances[:, None])
    assert bool((found.nearest >= 0).all())
    with pytest.raises(ValueError, match=r"distances have shape \[3, 0\], but must be of at least one"):
        information_value(torch.zeros(3, 0))
