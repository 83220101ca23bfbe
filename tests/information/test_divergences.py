"""Divergences against mpmath at 40 digits and torch's distributions, and the laws they obey."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Categorical
from torch.distributions import kl_divergence as torch_kl

from itwidgets import information
from itwidgets.information import jensen_shannon, kl_divergence, log_probabilities, renyi_divergence
from tests.information.exact import (
    INF,
    PAIRS,
    Exact,
    Row,
    check,
    entropy,
    kl,
    log2,
    probabilities,
    random_row,
)


def _js(p: Exact, q: Exact) -> Any:
    m = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return (kl(p, m) + kl(q, m)) / 2


def _sum(p: Exact, q: Exact, term: Callable[[Any, Any], Any]) -> Any:
    return mpmath.fsum(term(a, b) for a, b in zip(p, q, strict=True))


def _affinity(p: Exact, q: Exact) -> Any:
    return _sum(p, q, lambda a, b: mpmath.sqrt(a * b))


def _renyi(p: Exact, q: Exact, alpha: float) -> Any:
    if alpha == 0:
        covered = _sum(p, q, lambda a, b: b if a else 0)
        return -log2(covered) if covered else mpmath.inf
    if alpha == 1:
        return kl(p, q)
    if alpha == math.inf:
        return max(log2(a / b) if b else mpmath.inf for a, b in zip(p, q, strict=True) if a)
    if alpha > 1 and kl(p, q) == mpmath.inf:
        return mpmath.inf
    order = mpmath.mpf(alpha)
    total = _sum(p, q, lambda a, b: a**order * b ** (1 - order) if a and b else 0)
    return log2(total) / (order - 1) if total else mpmath.inf


MEASURES: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Exact, Exact], Any]]] = {
    "kl_divergence": (kl_divergence, kl),
    "offending_mass": (information.offending_mass, lambda p, q: _sum(p, q, lambda a, b: 0 if b else a)),
    "cross_entropy": (information.cross_entropy, lambda p, q: entropy(p) + kl(p, q)),
    "jensen_shannon": (jensen_shannon, _js),
    "jensen_shannon_distance": (information.jensen_shannon_distance, lambda p, q: mpmath.sqrt(_js(p, q))),
    "total_variation": (information.total_variation, lambda p, q: _sum(p, q, lambda a, b: abs(a - b)) / 2),
    "overlap": (information.overlap, lambda p, q: _sum(p, q, min)),
    "hellinger": (information.hellinger, lambda p, q: mpmath.sqrt(abs(1 - _affinity(p, q)))),
    "bhattacharyya": (
        information.bhattacharyya,
        lambda p, q: -log2(_affinity(p, q)) if _affinity(p, q) else mpmath.inf,
    ),
    **{
        f"renyi_divergence of order {alpha}": (
            functools.partial(renyi_divergence, alpha=alpha),
            functools.partial(_renyi, alpha=alpha),
        )
        for alpha in (0, 1e-6, 0.3, 0.5, 1 - 1e-7, 1, 1 + 1e-7, 2, 17, math.inf)
    },
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("name", MEASURES)
def test_divergences_agree_with_mpmath(pair: str, name: str) -> None:
    ours, exact = MEASURES[name]
    p, q = map(probabilities, PAIRS[pair])
    # Log-probabilities are rounded to 1e-16 of themselves, and those of this pair differ by 1e-3.
    rel = 1e-11 if pair == "close" else 1e-12
    check(ours(*map(log_probabilities, PAIRS[pair])), exact(p, q), rel=rel)


def test_a_large_vocabulary_loses_no_digits() -> None:
    blocks, copies = (random_row(1000, 3.0, 1), random_row(1000, 3.0, 2)), 152
    log_p, log_q = (log_probabilities(np.tile(block, copies)) for block in blocks)
    p, q = map(probabilities, blocks)
    for name in ("kl_divergence", "jensen_shannon", "hellinger", "total_variation"):
        ours, exact = MEASURES[name]
        check(ours(log_p, log_q), exact(p, q))


@pytest.mark.parametrize("seed", range(3))
def test_divergences_agree_with_torch(seed: int) -> None:
    rows = torch.from_numpy(np.stack([random_row(300, 2.0, seed + 10 * k) for k in range(4)]))
    log_p = log_probabilities(rows)
    parts = [Categorical(logits=row) for row in rows]
    pair_mixture = Categorical(probs=(parts[0].probs + parts[1].probs) / 2)
    expected = (torch_kl(parts[0], pair_mixture) + torch_kl(parts[1], pair_mixture)) / 2
    torch.testing.assert_close(jensen_shannon(log_p[0], log_p[1], base=math.e), expected, rtol=1e-12, atol=0)
    mixture = Categorical(probs=torch.stack([part.probs for part in parts]).mean(0))
    expected = torch.stack([torch_kl(part, mixture) for part in parts]).mean()
    found = information.generalised_jensen_shannon(log_p, base=math.e)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


SCORES = st.floats(-900, 100) | st.just(-INF)
TWO = st.integers(2, 25).flatmap(lambda n: st.tuples(*[st.lists(SCORES, min_size=n, max_size=n)] * 2))
TWO = TWO.filter(lambda pair: min(map(max, pair)) > -INF)


def _rows(pair: tuple[list[float], list[float]]) -> tuple[Row, Row]:
    return log_probabilities(np.array(pair[0])), log_probabilities(np.array(pair[1]))


@given(TWO)
def test_contributions_sum_to_the_divergence(pair: tuple[list[float], list[float]]) -> None:
    log_p, log_q = _rows(pair)
    divergence = float(kl_divergence(log_p, log_q))
    assert divergence >= 0
    contributions = information.kl_contributions(log_p, log_q)
    assert not np.isnan(contributions).any()
    assert float(contributions.sum()) == pytest.approx(divergence, rel=1e-9, abs=1e-12)
    assert np.isinf(divergence) == (((log_p > -INF) & (log_q == -INF)).any())
    if not np.isinf(divergence):
        assert float(information.offending_mass(log_p, log_q)) == 0


@given(TWO)
def test_divergences_keep_their_bounds_and_order(pair: tuple[list[float], list[float]]) -> None:
    log_p, log_q = _rows(pair)
    js, variation = float(jensen_shannon(log_p, log_q)), float(information.total_variation(log_p, log_q))
    hellinger = float(information.hellinger(log_p, log_q))
    assert 0 <= js <= 1 + 1e-12
    assert float(jensen_shannon(log_q, log_p)) == js
    assert float(information.overlap(log_p, log_q)) == pytest.approx(1 - variation, abs=1e-12)
    assert hellinger**2 - 1e-12 <= variation <= math.sqrt(2) * hellinger + 1e-12
    assert 2 * variation**2 <= float(kl_divergence(log_p, log_q, base=math.e)) + 1e-12  # Pinsker
    orders = [float(renyi_divergence(log_p, log_q, alpha)) for alpha in (0, 0.2, 0.7, 1, 1.4, 5, math.inf)]
    for low, high in itertools.pairwise(orders):
        assert low <= high + 1e-9 * max(1, abs(low))


@given(TWO, st.floats(0.01, 0.99))
def test_generalised_jensen_shannon_is_the_entropy_that_mixing_adds(
    pair: tuple[list[float], list[float]], share: float
) -> None:
    rows = np.stack(_rows(pair))
    weights = np.array([share, 1 - share])
    found = float(information.generalised_jensen_shannon(rows, weights))
    with np.errstate(divide="ignore"):
        mixture = np.log(weights @ np.exp(rows))
    entropies = information.entropy(rows)
    assert found == pytest.approx(float(information.entropy(mixture) - weights @ entropies), abs=1e-9)
    assert found <= float(information.entropy(np.log(weights))) + 1e-12


def test_a_branch_without_weight_counts_for_nothing() -> None:
    rows = np.where(np.eye(3) > 0, 0, -INF)
    assert float(information.generalised_jensen_shannon(rows, np.array([0.5, 0.5, 0]))) == pytest.approx(1)


@pytest.mark.parametrize("weights", [[0.5, 0.6], [1.0], [1.5, -0.5]])
def test_weights_that_are_none_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match=r"must be 2 numbers of at least 0 that sum to 1"):
        information.generalised_jensen_shannon(torch.zeros(2, 3), np.array(weights))


def test_two_vocabularies_are_refused() -> None:
    for measure in (kl_divergence, jensen_shannon, information.overlap, information.rank_correlation):
        with pytest.raises(ValueError, match=r"shapes \(2, 5\) and \(6,\), but must share a vocabulary"):
            measure(torch.zeros(2, 5), torch.zeros(6))


@given(st.lists(st.tuples(*[st.integers(0, 5)] * 2), min_size=3, max_size=30))
def test_rank_correlation_agrees_with_pandas(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs, dtype=np.float64).T
    ranks = pd.DataFrame({"a": a, "b": b}).rank()
    found = float(information.rank_correlation(a, b))
    if min(np.ptp(a), np.ptp(b)) == 0:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(float(ranks["a"].corr(ranks["b"])), abs=1e-12)


def test_agreement_counts_what_both_heads_share() -> None:
    log_p = log_probabilities(np.array([3.0, 2.0, 1.0, 0.0]))
    log_q = log_probabilities(np.array([[3.0, 0.0, 2.0, 1.0], [1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 2.0, 3.0]]))
    assert information.top_k_agreement(log_p, log_q).tolist() == [1, 1, 0]
    assert information.top_k_agreement(log_p, log_q, 2).tolist() == [0.5, 1, 0]
    assert information.top_k_agreement(log_p, log_q, 4).tolist() == [1, 1, 1]
    for k in (0, 5):
        with pytest.raises(ValueError, match=f"k is {k}, but must be"):
            information.top_k_agreement(log_p, log_q, k)
