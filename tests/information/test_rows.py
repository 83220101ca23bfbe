"""The table's statistics against mpmath, torch's distributions and the measures."""

from __future__ import annotations

import math
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Categorical

from itwidgets.information import RowStatistics, log_probabilities, rank, row_statistics, surprisal

Row = npt.NDArray[Any]
INF = float("inf")
TOKENS = [3, 0, 17, 17]
K = 50


def _logits(dtype: torch.dtype) -> torch.Tensor:
    logits = torch.randn(4, 30, generator=torch.Generator().manual_seed(1)) * 3
    logits[1, 5:9] = -torch.inf
    logits[2] = logits[2].round()  # ties
    return logits.to(dtype)


def _random(size: int, scale: float) -> Row:
    return np.random.default_rng(size).normal(scale=scale, size=size)


def _peak_over(size: int, nats: float) -> Row:
    """One token above many that tie: their rounding errors are all the same and add up."""
    row = np.full(size, 0.1)
    row[-1] += nats
    return row


ROWS: dict[str, Row] = {
    "two": np.array([0.3, -1.2]),
    "two that tie": np.zeros(2),
    "peaked": np.array([0.0, -80.0, -200.0, -700.0]),
    "certain": np.array([0.0, -25.0, -26.0]),
    "excluded": np.array([0.1, -INF, 2.0, -INF, -3.0]),
    "far from zero": 1e4 + _random(200, 3),
    "far below zero": -3e38 + np.array([0.0, 1e38]),
    "flat": _random(3000, 0.01),
    "wide": _random(3000, 6),
    "a peak over ties": _peak_over(3000, 7.3),
}


def _one(row: Row, token: int, dtype: torch.dtype, k: int = K) -> RowStatistics:
    return row_statistics(torch.from_numpy(row).to(dtype)[None], [token], k)


def _exact(row: Row, token: int) -> tuple[float, float, float]:
    """Entropy, varentropy and surprisal of scores, in bits."""
    with mpmath.workdps(40):
        scores = [mpmath.mpf(float(x)) for x in row]
        peak = max(scores)
        weights = [mpmath.exp(x - peak) for x in scores]
        total = mpmath.fsum(weights)
        log_total = mpmath.log(total, 2)
        kept = [(w / total, w) for w in weights if w > 0]
        h = mpmath.fsum(p * (log_total - mpmath.log(w, 2)) for p, w in kept)
        v = mpmath.fsum(p * (log_total - mpmath.log(w, 2) - h) ** 2 for p, w in kept)
        return float(h), float(v), float(log_total - (scores[token] - peak) / mpmath.log(2))


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize(("dtype", "rel"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_figures_agree_with_mpmath(name: str, dtype: torch.dtype, rel: float) -> None:
    row = ROWS[name].astype(np.float32)
    token = len(row) - 1
    found = _one(row, token, dtype)
    entropy, varentropy, bits = _exact(row, token)
    assert found.entropy[0] == pytest.approx(entropy, rel=rel, abs=rel)
    assert found.varentropy[0] == pytest.approx(varentropy, rel=rel, abs=rel)
    assert found.surprisal[0] == pytest.approx(bits, rel=rel, abs=rel)


@pytest.mark.parametrize("size", [49_152, 50_257, 262_144])
@pytest.mark.parametrize("scale", [0.01, 1, 6])
def test_large_vocabularies_lose_no_digits(size: int, scale: float) -> None:
    row = _random(size, scale).astype(np.float32)
    found = _one(row, 7, torch.float32)
    oracle = Categorical(logits=torch.from_numpy(row).double())
    entropy = float(oracle.entropy()) / math.log(2)  # type: ignore[no-untyped-call]
    bits = -oracle.logits / math.log(2)
    assert found.entropy[0] == pytest.approx(entropy, rel=2e-7)
    assert found.varentropy[0] == pytest.approx(float((oracle.probs * (bits - entropy) ** 2).sum()), rel=1e-6)
    assert found.surprisal[0] == pytest.approx(float(bits[7]), rel=2e-7)
    np.testing.assert_array_equal(found.top_ids[0], np.argsort(-row, kind="stable")[:K])
    assert found.rank[0] == 1 + (row > row[7]).sum()


def test_a_certain_token_has_no_information_at_all() -> None:
    for size in (1, 2, 300, 49_152):
        row = np.full(size, -INF)
        row[size // 2] = 3.3
        found = _one(row, size // 2, torch.float32)
        assert [found.entropy[0], found.varentropy[0], found.surprisal[0], found.rank[0]] == [0, 0, 0, 1]
        assert math.copysign(1, found.surprisal[0]) == 1
        assert found.top_ids[0, 0] == size // 2


def test_a_nearly_certain_token_keeps_its_digits() -> None:
    # In float32, 1 + 1e-11 is 1.
    found = _one(np.array([0.0, -25.0]), 0, torch.float32)
    assert found.surprisal[0] == pytest.approx(math.log1p(math.exp(-25)) / math.log(2), rel=1e-5)


@pytest.mark.parametrize("size", [2, 1024, 65_536])
def test_uniform_rows_have_their_size_in_bits_and_no_varentropy(size: int) -> None:
    found = _one(np.full(size, 7.3), 1, torch.float32)
    assert found.entropy[0] == math.log2(size)
    assert found.varentropy[0] == 0
    assert found.top_ids[0, : min(size, K)].tolist() == list(range(min(size, K)))


def test_an_excluded_token_has_infinite_surprisal_and_the_last_rank() -> None:
    found = _one(ROWS["excluded"], 1, torch.float32, k=5)
    assert found.surprisal[0] == INF
    assert found.rank[0] == 4
    assert found.top_ids[0].tolist() == [2, 0, 4, 1, 3]
    assert found.top_log_probs[0, 3:].tolist() == [-INF, -INF]


@pytest.mark.parametrize(("dtype", "rel"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_statistics_are_those_of_the_measures(dtype: torch.dtype, rel: float) -> None:
    logits = _logits(dtype)
    log_p, tokens = log_probabilities(logits), torch.tensor(TOKENS)
    found = row_statistics(logits, tokens, k=6)
    np.testing.assert_allclose(found.surprisal, surprisal(log_p, tokens), rtol=rel)
    np.testing.assert_array_equal(found.rank, rank(log_p, tokens))
    np.testing.assert_allclose(found.top_log_probs, log_p.topk(6).values, rtol=rel)
    of_top = log_p.gather(1, torch.from_numpy(found.top_ids))
    np.testing.assert_allclose(of_top, found.top_log_probs, rtol=rel)


def test_half_precision_is_upcast_and_no_more() -> None:
    logits = _logits(torch.bfloat16)
    for half, single in zip(
        vars(row_statistics(logits, TOKENS, k=6)).values(),
        vars(row_statistics(logits.float(), TOKENS, k=6)).values(),
        strict=True,
    ):
        np.testing.assert_array_equal(half, single)


SCORES = st.floats(-300, 300, width=32) | st.sampled_from([-INF, 0.0, 1.0])
BLOCKS = st.integers(2, 700).flatmap(lambda v: st.lists(st.lists(SCORES, min_size=v, max_size=v), max_size=3))


@given(BLOCKS, st.integers(1, 60), st.data())
def test_a_row_gives_the_same_bits_alone_and_among_others(
    block: list[list[float]], k: int, data: st.DataObject
) -> None:
    rows = [row for row in block if max(row) > -INF]
    if not rows:
        return
    logits = torch.tensor(rows)
    tokens = data.draw(st.lists(st.integers(0, logits.shape[1] - 1), min_size=len(rows), max_size=len(rows)))
    together = row_statistics(logits, tokens, k)
    for i, token in enumerate(tokens):
        alone = row_statistics(logits[i : i + 1].clone(), [token], k)
        for name, column in vars(together).items():
            np.testing.assert_array_equal(getattr(alone, name)[0], column[i])
    for row, ids, found_rank, varentropy, token in zip(
        logits.numpy(), together.top_ids, together.rank, together.varentropy, tokens, strict=True
    ):
        np.testing.assert_array_equal(ids[: len(row)], np.argsort(-row, kind="stable")[:k])
        assert found_rank == 1 + (row > row[token]).sum()
        assert varentropy >= 0


@pytest.mark.parametrize("size", [49_152, 50_257])
def test_rows_of_a_large_block_are_as_they_are_alone(size: int) -> None:
    logits = torch.randn(5, size, generator=torch.Generator().manual_seed(0)) * 3
    together = row_statistics(logits, [0, 1, 2, 3, 4], K)
    for i in range(5):
        alone = row_statistics(logits[i].clone()[None], [i], K)
        for name, column in vars(together).items():
            np.testing.assert_array_equal(getattr(alone, name)[0], column[i])


def test_a_small_vocabulary_is_filled_up() -> None:
    found = row_statistics(torch.zeros(1, 2), [1], k=4)
    assert found.top_ids[0].tolist() == [0, 1, -1, -1]
    np.testing.assert_allclose(found.top_log_probs[0, :2], -np.log(2), rtol=1e-15)
    assert np.isnan(found.top_log_probs[0, 2:]).all()


def test_the_rows_are_left_as_they_were() -> None:
    logits = _logits(torch.float32).double()
    before = logits.clone()
    row_statistics(logits, TOKENS, k=5)
    log_probabilities(logits)
    assert torch.equal(logits, before)


def test_there_is_one_token_a_row() -> None:
    with pytest.raises(
        ValueError, match=r"scores have shape \[6, 100000\] and the tokens \[8\], but must have"
    ):
        row_statistics(torch.zeros(6, 100_000), list(range(8)), k=2)


def test_rows_without_numbers_leave_others_as_they_are() -> None:
    logits = _logits(torch.float32)
    alone = row_statistics(logits[:1], TOKENS[:1], k=6)
    logits[1:3] = torch.nan
    logits[2, :7] = 1.0
    found = row_statistics(logits, TOKENS, k=6)
    assert found.entropy[0] == alone.entropy[0]
    assert np.isnan(found.entropy[1:3]).all()
    assert found.top_ids.shape == (4, 6)
    assert np.isnan(row_statistics(logits[1:2], [0], k=6).entropy).all()
    assert row_statistics(logits[:0], [], k=6).top_ids.shape == (0, 6)
