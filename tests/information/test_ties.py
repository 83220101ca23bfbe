"""Tokens that tie stand in one order everywhere: as bfloat16 logits do so often."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from itwidgets.information import log_probabilities, row_statistics
from itwidgets.information.ranking import best
from tests.models import tiny_engine


def test_the_lower_id_comes_first() -> None:
    scores = torch.tensor([0.0, 2.0, 1.0, 2.0, 1.0, 1.0, -torch.inf])
    assert best(scores, 4).tolist() == [1, 3, 2, 4]
    assert best(scores, 99).tolist() == [1, 3, 2, 4, 5, 0, 6]


def test_half_precision_and_nan_are_put_in_order_too() -> None:
    assert best(torch.tensor([0.0, 2.0, 1.0], dtype=torch.bfloat16), 2).tolist() == [1, 2]
    assert best(torch.tensor([[0.0, torch.nan, 1.0], [torch.nan, 0.0, 1.0]]), 3).tolist() == [
        [2, 0, 1],
        [2, 1, 0],
    ]
    with pytest.raises(ValueError, match="k is 0, but must be a whole number of at least 1"):
        best(torch.zeros(3), 0)


def test_nan_counts_as_excluded_in_a_block_and_behind_the_last_one() -> None:
    scores = torch.randn(3, 1003, generator=torch.Generator().manual_seed(0))
    scores[:, [5, 999]] = torch.nan
    expected = np.argsort(-np.nan_to_num(scores.numpy(), nan=-np.inf), kind="stable")[:, :60]
    for k in (1, 2, 60):
        np.testing.assert_array_equal(best(scores, k), expected[:, :k])
        np.testing.assert_array_equal(best(scores[0], k), expected[0, :k])


def test_the_stored_tokens_and_the_whole_distribution_have_one_order() -> None:
    engine = tiny_engine(dtype=torch.bfloat16)
    session = engine.session("The capital of France is Paris")
    ties = 0
    for node in session.nodes[1:]:
        distribution = session.distribution(node)
        stored = session.tree.column("top_ids")[node.row]
        np.testing.assert_array_equal(stored, distribution.order[: len(stored)])
        ties += len(stored) - len(np.unique(distribution.log_probs[stored]))
    assert ties > 0
    engine.close()


def test_statistics_keep_that_order() -> None:
    scores = torch.randn(3, 500, generator=torch.Generator().manual_seed(0)).bfloat16().float()
    statistics = row_statistics(scores, [0, 1, 2], 50)
    for row, ids in zip(log_probabilities(scores).numpy(), statistics.top_ids, strict=True):
        np.testing.assert_array_equal(ids, np.argsort(-row, kind="stable")[:50])
