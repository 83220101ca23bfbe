"""Entropy of the next word under a made-up model whose every word can be counted."""

from __future__ import annotations

import itertools
import math

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pytest
import torch

from itwidgets.information import (
    contextual_entropy,
    continuation_entropy,
    log_probabilities,
    predictive_entropy,
)
from tests.information.exact import INF, Row, check, entropy, probabilities

STARTS = np.array([False, True, True, False, False, False])
ENDS = np.array([True, False, False, False, False, False])
SPACED, INNER = (1, 2), (3, 4, 5)
LONGEST = 3


def _row(word: tuple[int, ...]) -> Row:
    """The model: a distribution that depends on what there is of a word, in which the last token ends it."""
    scores = np.random.default_rng([len(word), *word]).normal(scale=1.5, size=len(STARTS))
    if len(word) == LONGEST:
        scores[list(INNER)] = -INF
    return log_probabilities(scores)


def _begun() -> list[tuple[int, ...]]:
    tails = (tail for n in range(LONGEST) for tail in itertools.product(INNER, repeat=n))
    return [(first, *tail) for tail in tails for first in SPACED]


def _log_p_begun(word: tuple[int, ...]) -> float:
    """Log-probability that the next word begins with these tokens."""
    rows = [_row(word[:n]) for n in range(len(word))]
    begins = math.log(np.exp(rows[0][STARTS | ENDS]).sum())
    return float(sum(row[token] for row, token in zip(rows, word, strict=True)) - begins)


def test_the_parts_add_up_to_the_entropy_over_all_words() -> None:
    begun = _begun()
    log_p_begun = np.array([_log_p_begun(word) for word in begun])
    rows = np.stack([_row(word) for word in begun])
    log_p_words = log_p_begun + np.log(np.exp(rows[:, STARTS | ENDS]).sum(-1))
    start = _row(())
    log_p_end = start[ENDS] - math.log(np.exp(start[STARTS | ENDS]).sum())
    every = np.concatenate([log_p_words, log_p_end])
    assert np.exp(every).sum() == pytest.approx(1, rel=1e-12)
    whole = -(np.exp(every) * every).sum() / math.log(2)
    first = float(contextual_entropy(start, STARTS, ENDS))
    rest = float((np.exp(log_p_begun) * continuation_entropy(rows, STARTS, ENDS)).sum())
    assert first + rest == pytest.approx(whole, rel=1e-12)
    assert first < whole - 0.1
    # Sampled words estimate it.
    drawn = np.random.default_rng(0).choice(every, size=4000, p=np.exp(every) / np.exp(every).sum())
    estimate = predictive_entropy(drawn)
    assert abs(float(estimate.mean) - whole) < 4 * float(estimate.standard_error)


@pytest.mark.parametrize(
    "scores",
    [
        [0.3, -1.0, 2.0, 0.5, 1.0, -3.0],
        [-900.0, -901.0, 0.0, 3.0, 1.0, -INF],
        [1.0, -INF, 0.0, -INF, -INF, 800.0],
    ],
)
def test_entropies_of_rows_agree_with_mpmath(scores: list[float]) -> None:
    log_p, p = log_probabilities(np.array(scores)), probabilities(np.array(scores))
    begins = [x for x, is_in in zip(p, STARTS | ENDS, strict=True) if is_in]
    mass = mpmath.fsum(begins)
    check(contextual_entropy(log_p, STARTS, ENDS), entropy(x / mass for x in begins))
    inner = [x for x, is_in in zip(p, STARTS | ENDS, strict=True) if not is_in]
    check(continuation_entropy(log_p, STARTS, ENDS), entropy([*inner, mass]))


def test_what_is_not_possible_or_missing_has_no_entropy() -> None:
    rows = log_probabilities(np.stack([np.where(STARTS | ENDS, -INF, 0.0), np.full(6, np.nan)]))
    assert np.isnan(contextual_entropy(rows, STARTS, ENDS)).all()
    found = continuation_entropy(rows, STARTS, ENDS)
    np.testing.assert_allclose(found, [math.log2(3), np.nan])


def test_bases() -> None:
    row = torch.from_numpy(_row(()))
    for measure in (contextual_entropy, continuation_entropy):
        bits, nats = (measure(row, STARTS, ENDS, base=base) for base in (2, math.e))
        assert float(nats) == pytest.approx(float(bits) * math.log(2), rel=1e-12)
    with pytest.raises(ValueError, match="must hold a truth value for each of 6 vocabulary ids"):
        contextual_entropy(row, STARTS[:5], ENDS)
