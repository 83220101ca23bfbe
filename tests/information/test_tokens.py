"""Tokens against their distribution: mpmath, and what holds on average."""

from __future__ import annotations

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from itwidgets import information
from itwidgets.information import log_probabilities
from tests.information.exact import INF, ROWS, check, entropy, log2, probabilities


@pytest.mark.parametrize("row", ROWS)
def test_measures_of_tokens_agree_with_mpmath(row: str) -> None:
    log_p, p = log_probabilities(ROWS[row]), probabilities(ROWS[row])
    h = entropy(p)
    deviation = mpmath.sqrt(mpmath.fsum(x * (log2(x) + h) ** 2 for x in p if x))
    for token, x in list(enumerate(p))[:8]:
        own = -log2(x) if x else mpmath.inf
        ids = np.array(token)
        check(information.mass_above(log_p, ids), mpmath.fsum(y for y in p if y > x))
        tied = [y for y in p if y == x]
        check(
            information.quantile(log_p, ids),
            mpmath.fsum(y for y in p if y > x) + mpmath.fsum(tied) / 2,
        )
        assert int(information.ties(log_p, ids)) == len(tied)
        check(information.regret(log_p, ids), own + log2(max(p)))
        check(information.surprisal_deviation(log_p, ids), own - h)
        # A spread of 1e-5 leaves its rounding 1e-11 of itself.
        rel = 1e-9 if row == "nearly uniform" else 1e-12
        expected = (own - h) / deviation if len(set(p) - {0}) > 1 else INF if own == INF else float("nan")
        check(information.surprisal_z_score(log_p, ids), expected, rel=rel)


SCORES = st.lists(st.integers(-20, 20) | st.just(-INF), min_size=2, max_size=30).filter(
    lambda x: max(x) > -INF
)


@given(SCORES)
def test_deviations_have_mean_0_and_quantiles_mean_one_half(scores: list[float]) -> None:
    log_p = log_probabilities(np.array(scores, dtype=np.float64))
    every = np.arange(len(scores))
    rows = np.tile(log_p, (len(scores), 1))
    p = np.exp(log_p)
    possible = p > 0
    deviation = information.surprisal_deviation(rows, every)
    assert float((p[possible] * deviation[possible]).sum()) == pytest.approx(0, abs=1e-12)
    assert float((p * information.quantile(rows, every)).sum()) == pytest.approx(0.5, abs=1e-12)
    if possible.sum() > 1 and np.ptp(log_p[possible]) > 0:
        z = information.surprisal_z_score(rows, every)
        assert float((p[possible] * z[possible] ** 2).sum()) == pytest.approx(1, rel=1e-9)


def test_the_greedy_token_has_no_regret_and_no_mass_above() -> None:
    log_p = log_probabilities(ROWS["wide"])
    token = np.array(log_p.argmax())
    assert float(information.regret(log_p, token)) == 0
    assert float(information.mass_above(log_p, token)) == 0


def test_entropy_reduction_is_never_negative() -> None:
    found = information.entropy_reduction(np.array([3.0, 1.0, 2.0]), np.array([1.0, 2.0, np.nan]))
    np.testing.assert_array_equal(found, [2, 0, np.nan])


def test_token_ids_must_fit_the_rows() -> None:
    rows = torch.zeros(2, 5)
    measures = (
        information.surprisal,
        information.rank,
        information.ties,
        information.mass_above,
        information.quantile,
        information.regret,
        information.surprisal_deviation,
        information.surprisal_z_score,
    )
    for measure in measures:
        with pytest.raises(ValueError, match=r"shape \(3,\) .*, but must be whole numbers of shape \(2,\)"):
            measure(rows, torch.zeros(3, dtype=torch.int64))
        with pytest.raises(ValueError, match=r"dtype torch\.float32, but must be whole numbers"):
            measure(rows, torch.zeros(2))


@pytest.mark.parametrize("base", [0, 1, -2, INF, float("nan"), True, "2"])
def test_a_base_that_is_none_is_refused(base: float) -> None:
    with pytest.raises(ValueError, match=f"base is {base!r}, but must be a positive number other than 1"):
        information.entropy(torch.zeros(2), base=base)


def test_successors_stand_beside_the_token_before_them() -> None:
    values = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]], dtype=np.float32)
    found = information.successor(values)
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, [[np.nan, 3.0, np.nan], [5.0, 6.0, np.nan]])
    assert information.successor(torch.zeros(2, 0)).shape == (2, 0)
