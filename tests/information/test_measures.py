"""Every measure against mpmath at 40 digits, and against torch's own distributions."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch.distributions import Categorical

from itwidgets import information
from itwidgets.information import entropy, kl_divergence, log_probabilities, perplexity, rank, surprisal

Row = npt.NDArray[np.float64]
INF = float("inf")


def _random(size: int, scale: float, seed: int = 0) -> Row:
    return np.random.default_rng(seed).normal(scale=scale, size=size)


ROWS: dict[str, Row] = {
    "two": np.array([0.3, -1.2]),
    "one-hot": np.array([-INF, 2.0, -INF]),
    "uniform": np.zeros(7),
    "ties": np.array([1.0, 1.0, 0.5, 0.5, 0.5]),
    "excluded": np.array([0.1, -INF, 2.0, -INF, -3.0]),
    "peaked": np.array([0.0, -80.0, -200.0, -700.0]),
    "far from zero": np.array([1e4, 1e4 - 1, 1e4 - 2]),
    "wide": _random(500, 4.0),
}


def _exact(row: Row, digits: int = 40) -> tuple[mpmath.mpf, mpmath.mpf]:
    """Entropy in bits and varentropy in bits² of unnormalised scores."""
    with mpmath.workdps(digits):
        weights = [mpmath.exp(mpmath.mpf(float(x))) for x in row if x > -INF]
        total = mpmath.fsum(weights)
        p = [w / total for w in weights]
        h = -mpmath.fsum(x * mpmath.log(x, 2) for x in p)
        return h, mpmath.fsum(x * (mpmath.log(x, 2) + h) ** 2 for x in p)


def _exact_kl(p_row: Row, q_row: Row) -> mpmath.mpf:
    with mpmath.workdps(40):
        p = [mpmath.exp(mpmath.mpf(float(x))) for x in p_row]
        q = [mpmath.exp(mpmath.mpf(float(x))) for x in q_row]
        sum_p, sum_q = mpmath.fsum(p), mpmath.fsum(q)
        return mpmath.fsum(
            a / sum_p * mpmath.log((a / sum_p) / (b / sum_q), 2) for a, b in zip(p, q, strict=True) if a > 0
        )


@pytest.mark.parametrize("name", ROWS)
def test_entropy_and_varentropy_agree_with_mpmath(name: str) -> None:
    log_p = log_probabilities(ROWS[name])
    expected_entropy, expected_varentropy = _exact(ROWS[name])
    assert float(entropy(log_p)) == pytest.approx(float(expected_entropy), rel=1e-12, abs=1e-14)
    assert float(information.varentropy(log_p)) == pytest.approx(
        float(expected_varentropy), rel=1e-11, abs=1e-14
    )


@pytest.mark.parametrize("row", [[0, -20], [0, -30, -31], [5, 5 - 60, -INF], [0, -700]], ids=str)
def test_nearly_certain_rows_lose_no_digits(row: list[float]) -> None:
    log_p = log_probabilities(np.array(row, dtype=np.float64))
    expected_entropy, expected_varentropy = _exact(np.array(row), digits=400)
    with mpmath.workdps(400):
        rest = mpmath.fsum(mpmath.exp(mpmath.mpf(x) - row[0]) for x in row[1:])
        expected_surprisal = mpmath.log1p(rest) / mpmath.log(2)
    exactly = functools.partial(pytest.approx, rel=1e-12, abs=0)
    assert float(entropy(log_p)) == exactly(float(expected_entropy))
    assert float(information.varentropy(log_p)) == exactly(float(expected_varentropy))
    assert float(surprisal(log_p, np.array(0))) == exactly(float(expected_surprisal))


def test_a_row_has_the_same_bits_beside_a_nearly_certain_one() -> None:
    rows = np.array([[0.0, -20.0, -21.0], [0.3, -1.2, 0.1]])
    together = log_probabilities(rows)
    assert np.array_equal(together, np.stack([log_probabilities(row) for row in rows]))


def test_a_large_vocabulary_loses_no_digits() -> None:
    # Few different scores, so that mpmath need not take long; the measures do not know.
    block, copies = _random(1000, 3.0), 152
    expected_entropy, expected_varentropy = _exact(block)
    log_p = log_probabilities(np.tile(block, copies))
    assert float(entropy(log_p)) == pytest.approx(float(expected_entropy) + math.log2(copies), rel=1e-12)
    assert float(information.varentropy(log_p)) == pytest.approx(float(expected_varentropy), rel=1e-12)


@pytest.mark.parametrize("name", ROWS)
def test_entropy_and_surprisal_agree_with_torch(name: str) -> None:
    logits = torch.from_numpy(ROWS[name])
    oracle = Categorical(logits=logits)
    log_p = log_probabilities(logits)
    torch.testing.assert_close(
        entropy(log_p, base=math.e),
        oracle.entropy(),  # type: ignore[no-untyped-call]
        rtol=1e-12,
        atol=1e-12,
    )
    for token in range(min(5, len(logits))):
        expected = -oracle.log_prob(torch.tensor(token))  # type: ignore[no-untyped-call]
        torch.testing.assert_close(surprisal(log_p, torch.tensor(token), base=math.e), expected)


def test_one_hot_rows_are_certain_and_never_nan() -> None:
    log_p = log_probabilities(ROWS["one-hot"])
    assert float(entropy(log_p)) == 0
    assert float(information.varentropy(log_p)) == 0
    assert float(surprisal(log_p, np.array(1))) == 0
    assert float(surprisal(log_p, np.array(0))) == INF


def test_uniform_rows_have_no_varentropy() -> None:
    log_p = log_probabilities(np.zeros(1024))
    assert float(entropy(log_p)) == pytest.approx(10, rel=1e-14)
    assert float(information.varentropy(log_p)) == pytest.approx(0, abs=1e-24)


def test_rank_counts_the_strictly_more_probable() -> None:
    log_p = log_probabilities(ROWS["ties"])
    assert rank(np.tile(log_p, (5, 1)), np.arange(5)).tolist() == [1, 1, 3, 3, 3]
    assert int(rank(log_probabilities(ROWS["excluded"]), np.array(1))) == 4


@pytest.mark.parametrize("seed", range(3))
def test_kl_agrees_with_mpmath_and_torch(seed: int) -> None:
    p_row, q_row = _random(300, 2.0, seed), _random(300, 2.0, seed + 10)
    value = float(kl_divergence(log_probabilities(p_row), log_probabilities(q_row)))
    assert value == pytest.approx(float(_exact_kl(p_row, q_row)), rel=1e-12)
    p, q = (Categorical(logits=torch.from_numpy(row)) for row in (p_row, q_row))
    assert value == pytest.approx(float(torch.distributions.kl_divergence(p, q)) / math.log(2), rel=1e-12)


def test_kl_where_tokens_are_excluded() -> None:
    both, left = log_probabilities(np.array([0.0, 0.0])), log_probabilities(np.array([0.0, -INF]))
    assert float(kl_divergence(left, both)) == pytest.approx(1, rel=1e-14)
    assert float(kl_divergence(both, left)) == INF
    assert float(kl_divergence(left, left)) == 0


def test_a_tiny_kl_keeps_its_digits() -> None:
    p_row = _random(2000, 2.0)
    q_row = p_row + _random(2000, 1e-7, seed=5)
    log_p, log_q = log_probabilities(p_row), log_probabilities(q_row)
    # Of the log-probabilities as they are: their own rounding is not the measure's.
    with mpmath.workdps(40):
        terms = (
            (mpmath.mpf(float(a)), mpmath.mpf(float(b) - float(a))) for a, b in zip(log_p, log_q, strict=True)
        )
        expected = float(mpmath.fsum(mpmath.exp(a) * (mpmath.expm1(d) - d) for a, d in terms) / mpmath.log(2))
    assert 0 < expected < 1e-13
    assert float(kl_divergence(log_p, log_q)) == pytest.approx(expected, rel=1e-6)


def test_perplexity_leaves_missing_values_out() -> None:
    assert float(perplexity(np.array([np.nan, 1.0, 3.0]))) == pytest.approx(4, rel=1e-14)


MEASURES: dict[str, Callable[[Any], Any]] = {
    "log_probabilities": log_probabilities,
    "entropy": entropy,
    "varentropy": information.varentropy,
    "surprisal": lambda rows: surprisal(rows, torch.ones(rows.shape[:-1], dtype=torch.int64)),
    "rank": lambda rows: rank(rows, torch.ones(rows.shape[:-1], dtype=torch.int64)),
    "kl_divergence": lambda rows: kl_divergence(rows, rows),
    "perplexity": perplexity,
}


@pytest.mark.parametrize("name", MEASURES)
def test_numpy_gives_numpy_and_leading_axes_stay(name: str) -> None:
    rows = log_probabilities(_random(24, 1.0).reshape(2, 3, 4))
    batched = MEASURES[name](rows)
    assert isinstance(batched, np.ndarray)
    assert isinstance(MEASURES[name](torch.from_numpy(rows)), torch.Tensor)
    assert batched.shape[:2] == (2, 3)
    single = np.array([[MEASURES[name](row) for row in block] for block in rows])
    np.testing.assert_allclose(batched, single, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_reductions_are_float64_whatever_comes_in(dtype: torch.dtype) -> None:
    logits = torch.randn(64, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert log_probabilities(logits).dtype == torch.float64
    torch.testing.assert_close(
        entropy(log_probabilities(logits)), entropy(log_probabilities(logits.double())), rtol=0, atol=0
    )
