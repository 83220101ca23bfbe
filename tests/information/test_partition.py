"""Entropies between and within classes of the vocabulary."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from itwidgets.information import entropy, log_probabilities, partition_entropy
from tests.information.exact import INF, ROWS, check, probabilities
from tests.information.exact import entropy as exact_entropy

TOKENS = st.lists(st.tuples(st.floats(-60, 60) | st.just(-INF), st.integers(0, 6)), min_size=2, max_size=40)
TOKENS = TOKENS.filter(lambda tokens: max(score for score, _ in tokens) > -INF)


@given(TOKENS)
def test_the_chain_rule_holds(tokens: list[tuple[float, int]]) -> None:
    scores, classes = np.array([score for score, _ in tokens]), np.array([c for _, c in tokens])
    log_p = log_probabilities(scores)
    parts = partition_entropy(log_p, classes)
    assert float(parts.between + parts.within) == pytest.approx(float(entropy(log_p)), rel=1e-9, abs=1e-9)
    assert float(parts.masses.sum()) == pytest.approx(1, rel=1e-12)
    for label in range(classes.max() + 1):
        members = scores[classes == label]
        if members.size and members.max() > -INF:
            expected = float(entropy(log_probabilities(members)))
            assert float(parts.conditional[label]) == pytest.approx(expected, rel=1e-9, abs=1e-12)
        else:
            assert math.isnan(parts.conditional[label])
            assert parts.masses[label] == 0


@pytest.mark.parametrize("row", ROWS)
def test_parts_agree_with_mpmath(row: str) -> None:
    log_p, p = log_probabilities(ROWS[row]), probabilities(ROWS[row])
    parts = partition_entropy(log_p, np.arange(len(p)) % 2)
    masses = [sum(p[0::2]), sum(p[1::2])]
    check(parts.between, exact_entropy(masses))
    within = sum(m * exact_entropy([x / m for x in p[k::2]]) for k, m in enumerate(masses) if m)
    check(parts.within, within)


def test_batches_and_kinds() -> None:
    rows = log_probabilities(np.random.default_rng(0).normal(size=(2, 3, 8)))
    classes = np.arange(8) < 3
    parts = partition_entropy(torch.from_numpy(rows), torch.from_numpy(classes))
    assert isinstance(parts.between, torch.Tensor)
    assert parts.masses.shape == (2, 3, 2)
    alone = partition_entropy(rows[1, 2], classes)
    assert isinstance(alone.conditional, np.ndarray)
    np.testing.assert_allclose(parts.conditional[1, 2], alone.conditional, rtol=1e-14)
    nats = partition_entropy(rows, classes, base=math.e)
    np.testing.assert_allclose(nats.within, np.asarray(parts.within) * math.log(2), rtol=1e-14)


@pytest.mark.parametrize("classes", [[0] * 4, [0.0] * 5, [0, 1, -1, 0, 0]])
def test_each_id_has_one_class(classes: list[float]) -> None:
    with pytest.raises(ValueError, match=r"whole numbers of at least 0 and of shape \(5,\)"):
        partition_entropy(torch.zeros(5), torch.tensor(classes))
