"""The shape of a distribution against mpmath at 40 digits."""

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
from itwidgets.information import log_probabilities, renyi_entropy
from tests.information.exact import ROWS, SURE, Exact, check, entropy, kl, log2, probabilities, random_row

ORDERS = [0, 1e-9, 0.5, 1 - 1e-6, 1, 1 + 1e-6, 1.25, 2, 30, math.inf]


def _renyi(p: Exact, alpha: float) -> Any:
    if alpha == 1:
        return entropy(p)
    if alpha == math.inf:
        return -log2(max(p))
    return log2(mpmath.fsum(x**alpha for x in p if x)) / (1 - mpmath.mpf(alpha))


def _tsallis(p: Exact, alpha: float) -> Any:
    if alpha == 1:
        return entropy(p) * mpmath.log(2)
    if alpha == math.inf:
        return 0
    return (1 - mpmath.fsum(x**alpha for x in p if x)) / (mpmath.mpf(alpha) - 1)


def _uniform(p: Exact) -> Exact:
    return [mpmath.mpf(1) / len(p)] * len(p)


def _skewness(p: Exact) -> Any:
    h = entropy(p)
    if len({x for x in p if x}) == 1:
        return mpmath.nan
    second, third = (mpmath.fsum(x * (-log2(x) - h) ** n for x in p if x) for n in (2, 3))
    return third / second ** mpmath.mpf(1.5)


def _fisher_rao(p: Exact) -> Any:
    return 2 / mpmath.pi * mpmath.acos(mpmath.fsum(mpmath.sqrt(x / len(p)) for x in p))


def _normalised(p: Exact) -> Any:
    support = sum(x > 0 for x in p)
    return entropy(p) / log2(support) if support > 1 else 0


MEASURES: dict[str, tuple[Callable[[Any], Any], Callable[[Exact], Any]]] = {
    "min_entropy": (information.min_entropy, lambda p: -log2(max(p))),
    "effective_choices": (information.effective_choices, lambda p: 2 ** entropy(p)),
    "normalised_entropy": (information.normalised_entropy, _normalised),
    "redundancy": (information.redundancy, lambda p: kl(p, _uniform(p))),
    "self_certainty": (information.self_certainty, lambda p: kl(_uniform(p), p)),
    "fisher_rao_to_uniform": (information.fisher_rao_to_uniform, _fisher_rao),
    "information_skewness": (information.information_skewness, _skewness),
    "spike_entropy": (
        lambda log_p: information.spike_entropy(log_p, 1.7),
        lambda p: mpmath.fsum(x / (1 + mpmath.mpf(1.7) * x) for x in p),
    ),
    "hill_number": (
        lambda log_p: information.hill_number(log_p, 2),
        lambda p: 1 / mpmath.fsum(x * x for x in p),
    ),
}


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("alpha", ORDERS)
def test_renyi_and_tsallis_entropies_agree_with_mpmath(row: str, alpha: float) -> None:
    log_p, p = log_probabilities(ROWS[row]), probabilities(ROWS[row])
    absolute = 0 if row in SURE else 1e-15
    check(renyi_entropy(log_p, alpha), _renyi(p, alpha), absolute=absolute)
    check(information.tsallis_entropy(log_p, alpha), _tsallis(p, alpha), absolute=absolute)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", MEASURES)
def test_measures_of_shape_agree_with_mpmath(row: str, name: str) -> None:
    ours, exact = MEASURES[name]
    p = probabilities(ROWS[row])
    # Log-probabilities are rounded to 1e-16, and those of this row differ by 1e-5.
    rel = {
        "redundancy": 1e-9,
        "self_certainty": 1e-9,
        "fisher_rao_to_uniform": 1e-9,
        "information_skewness": 1e-6,
    }
    close = row == "nearly uniform"
    check(
        ours(log_probabilities(ROWS[row])),
        exact(p),
        rel=rel.get(name, 1e-12) if close else 1e-12,
        absolute=0 if row in SURE else 1e-15,
    )


def test_a_large_vocabulary_loses_no_digits() -> None:
    # Few different scores, so that mpmath need not take long; the measures do not know.
    block, copies = random_row(1000, 3.0), 152
    log_p, p = log_probabilities(np.tile(block, copies)), probabilities(block)
    size = mpmath.mpf(len(log_p))
    check(renyi_entropy(log_p, 0.5), _renyi(p, 0.5) + log2(copies))
    check(renyi_entropy(log_p, 2), _renyi(p, 2) + log2(copies))
    check(information.fisher_rao_to_uniform(log_p), _fisher_rao(p))
    check(information.information_skewness(log_p), _skewness(p))
    check(information.spike_entropy(log_p, 1), mpmath.fsum(x / (1 + x / copies) for x in p))
    check(information.redundancy(log_p), log2(size) - entropy(p) - log2(copies))
    check(information.self_certainty(log_p), kl(_uniform(p), p))


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=30), st.floats(0, 10), st.floats(0, 10))
def test_renyi_entropies_fall_with_the_order(scores: list[float], one: float, other: float) -> None:
    log_p = log_probabilities(np.array(scores))
    low, high = sorted([one, other])
    assert float(renyi_entropy(log_p, low)) >= float(renyi_entropy(log_p, high)) - 1e-9
    assert 0 <= float(renyi_entropy(log_p, high)) <= math.log2(len(scores)) + 1e-9


def test_nats_are_bits_times_log_2() -> None:
    log_p = log_probabilities(ROWS["wide"])
    for measure in (information.redundancy, information.self_certainty):
        assert float(measure(log_p, base=math.e)) == pytest.approx(
            float(measure(log_p)) * math.log(2), rel=1e-15
        )


def test_skewness_is_the_curvature_of_entropy_in_temperature() -> None:
    scores = torch.from_numpy(random_row(50, 2.0))
    nats = [float(information.entropy(scores / t, base=math.e)) for t in (1 - 1e-4, 1.0, 1 + 1e-4)]
    curvature = (nats[0] - 2 * nats[1] + nats[2]) / 1e-8
    v = float(information.varentropy(scores, base=math.e))
    third = float(information.information_skewness(scores)) * v**1.5
    assert curvature == pytest.approx(-(3 * v - third), rel=1e-5)


@pytest.mark.parametrize("alpha", [-1, float("nan"), "2", True])
def test_an_order_that_is_none_is_refused(alpha: Any) -> None:
    for measure in (renyi_entropy, information.tsallis_entropy, information.hill_number):
        with pytest.raises(ValueError, match=f"alpha is {alpha!r}, but must be an order of at least 0"):
            measure(torch.zeros(2), alpha)


@pytest.mark.parametrize("modulus", [-0.1, math.inf])
def test_a_modulus_out_of_range_is_refused(modulus: float) -> None:
    with pytest.raises(ValueError, match="modulus is"):
        information.spike_entropy(torch.zeros(2), modulus)
