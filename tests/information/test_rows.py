"""The table's statistics against the measures, one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from itwidgets.information import (
    entropy,
    log_probabilities,
    rank,
    row_statistics,
    surprisal,
    varentropy,
)

TOKENS = [3, 0, 17, 17]


def _logits(dtype: torch.dtype) -> torch.Tensor:
    logits = torch.randn(4, 30, generator=torch.Generator().manual_seed(1)) * 3
    logits[1, 5:9] = -torch.inf
    logits[2] = logits[2].round()  # ties
    return logits.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_statistics_are_those_of_the_measures(dtype: torch.dtype) -> None:
    logits = _logits(dtype)
    log_p, tokens = log_probabilities(logits), torch.tensor(TOKENS)
    found = row_statistics(logits, TOKENS, k=6)
    np.testing.assert_allclose(found.surprisal, surprisal(log_p, tokens), rtol=1e-12)
    np.testing.assert_allclose(found.entropy, entropy(log_p), rtol=1e-12)
    np.testing.assert_allclose(found.varentropy, varentropy(log_p), rtol=1e-11)
    np.testing.assert_array_equal(found.rank, rank(log_p, tokens))
    np.testing.assert_allclose(found.top_log_probs, log_p.topk(6).values, rtol=1e-12, atol=1e-14)
    of_top = log_p.gather(1, torch.from_numpy(found.top_ids))
    np.testing.assert_allclose(of_top, found.top_log_probs, rtol=1e-12, atol=1e-14)


def test_a_small_vocabulary_is_filled_up() -> None:
    found = row_statistics(torch.zeros(1, 2), [1], k=4)
    assert sorted(found.top_ids[0, :2]) == [0, 1]
    assert found.top_ids[0, 2:].tolist() == [-1, -1]
    np.testing.assert_allclose(found.top_log_probs[0, :2], -np.log(2), rtol=1e-15)
    assert np.isnan(found.top_log_probs[0, 2:]).all()


def test_the_rows_are_left_as_they_were() -> None:
    logits = _logits(torch.float32).double()
    before = logits.clone()
    row_statistics(logits, TOKENS, k=5)
    log_probabilities(logits)
    assert torch.equal(logits, before)
