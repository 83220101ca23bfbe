"""What holds for all distributions, whatever the numbers."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from hypothesis import assume, given
from hypothesis import strategies as st

from itwidgets.information import entropy, kl_divergence, log_probabilities, rank, surprisal, varentropy

SCORES = st.floats(-300, 300) | st.just(-math.inf)
ROWS = st.integers(2, 40).flatmap(lambda n: st.lists(SCORES, min_size=n, max_size=n))


def _log_p(scores: list[float]) -> npt.NDArray[np.float64]:
    assume(max(scores) > -math.inf)
    return log_probabilities(np.array(scores))


@given(ROWS)
def test_probabilities_sum_to_one_and_measures_are_in_range(scores: list[float]) -> None:
    log_p = _log_p(scores)
    support = int((log_p > -np.inf).sum())
    assert math.isclose(np.exp(log_p).sum(), 1, rel_tol=1e-12)
    assert -1e-12 <= float(entropy(log_p)) <= math.log2(support) + 1e-9
    assert float(varentropy(log_p)) >= 0


@given(ROWS)
def test_entropy_is_the_mean_and_varentropy_the_variance_of_surprisal(scores: list[float]) -> None:
    log_p = _log_p(scores)
    p = np.exp(log_p)
    kept = np.flatnonzero(p > 0)
    bits = surprisal(np.tile(log_p, (len(kept), 1)), kept)
    mean = float((p[kept] * bits).sum())
    assert math.isclose(float(entropy(log_p)), mean, rel_tol=1e-9, abs_tol=1e-9)
    variance = float((p[kept] * (bits - mean) ** 2).sum())
    assert math.isclose(float(varentropy(log_p)), variance, rel_tol=1e-7, abs_tol=1e-9)


@given(ROWS, st.floats(-50, 50))
def test_a_constant_shift_changes_nothing(scores: list[float], shift: float) -> None:
    log_p = _log_p(scores)
    shifted = _log_p([x + shift for x in scores])
    np.testing.assert_allclose(shifted, log_p, rtol=1e-9, atol=1e-9)


@given(st.integers(2, 30).flatmap(lambda n: st.tuples(*[st.lists(SCORES, min_size=n, max_size=n)] * 2)))
def test_kl_is_never_negative_and_zero_with_itself(pair: tuple[list[float], list[float]]) -> None:
    log_p, log_q = map(_log_p, pair)
    divergence = float(kl_divergence(log_p, log_q))
    assert divergence >= 0
    assert np.isinf(divergence) == bool(((log_p > -np.inf) & (log_q == -np.inf)).any())
    assert float(kl_divergence(log_p, log_p)) == 0


@given(ROWS)
def test_ranks_order_as_probabilities_do(scores: list[float]) -> None:
    log_p = _log_p(scores)
    ranks = rank(np.tile(log_p, (len(log_p), 1)), np.arange(len(log_p)))
    assert ranks.min() == 1
    by_rank = log_p[np.argsort(ranks, kind="stable")]
    assert (np.diff(by_rank[by_rank > -np.inf]) <= 0).all()
    for i, j in zip(range(len(log_p) - 1), range(1, len(log_p)), strict=True):
        assert (ranks[i] == ranks[j]) == (log_p[i] == log_p[j])
