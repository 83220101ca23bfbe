"""Surprisals of words against minicons' correction in float64, and by what exactly the two differ."""

from __future__ import annotations

import copy
import importlib
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import itwidgets as itw
from itwidgets import Engine
from itwidgets.engine.scoring.words import word_masks
from itwidgets.information import corrected_surprisals, surprisal, word_boundaries
from tests.models import fresh_logits

Numbers = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

TEXT = "Information is the most unbelievable resolution of uncertainty,\nmeasured in bits."
EXACT: Any = {"rtol": 1e-12, "atol": 1e-12}


@pytest.fixture(scope="module")
def token_ids(exact: Engine) -> list[int]:
    return [int(i) for i in exact.tokenizer(TEXT)["input_ids"]]


@pytest.fixture(scope="module")
def spaced(exact: Engine) -> Mask:
    """Give the mask of what begins a word in minicons: a space, but no line break, and no end of the text."""
    tokens = exact.tokenizer.convert_ids_to_tokens(list(range(len(exact.vocabulary))))
    return np.array([token.startswith("Ġ") for token in tokens])


def minicons(engine: Engine, **options: Any) -> Numbers:
    """Corrected surprisals of the text's tokens in nats, what stands at its beginning left out."""
    with warnings.catch_warnings():
        # What it imports is its own.
        warnings.simplefilter("ignore")
        scorers = importlib.import_module("minicons.scorer")
    scorer = scorers.IncrementalLMScorer(engine.model, "cpu", tokenizer=copy.deepcopy(engine.tokenizer))
    (tokens,) = scorer.token_score([TEXT], surprisal=True, bow_correction=True, **options)
    assert tokens[0][1] == 0.0
    return np.array([value for _, value in tokens[1:]])


def rows_of(engine: Engine, token_ids: Sequence[int]) -> Numbers:
    """Log-probabilities after each token, by transformers alone."""
    log_p: Numbers = fresh_logits(engine.model, token_ids).log_softmax(-1).numpy()
    return log_p


def log_mass(rows: Numbers, mask: Mask) -> Numbers:
    """Log-probability of a set of tokens, in nats."""
    found: Numbers = np.logaddexp.reduce(rows[..., mask], -1)
    return found


@pytest.fixture(scope="module")
def after_bos(exact: Engine, token_ids: list[int]) -> Numbers:
    """Give the rows of all tokens after BOS, and that after the last."""
    return rows_of(exact, [exact.tokenizer.bos_token_id, *token_ids])


def test_with_the_same_words_all_but_the_first_token_agree(
    exact: Engine, token_ids: list[int], after_bos: Numbers, spaced: Mask
) -> None:
    nobody = np.zeros_like(spaced)
    plain = surprisal(after_bos[:-1], np.array(token_ids), base=math.e)
    boundaries = word_boundaries(after_bos, spaced, nobody)
    mine = corrected_surprisals(plain, boundaries, np.array(token_ids), spaced, nobody, base=math.e)
    theirs = minicons(exact, bos_token=True)
    np.testing.assert_allclose(mine[1:], theirs[1:], **EXACT)
    # A known difference: there the first word is not conditioned on beginning without a space.
    named = log_mass(after_bos[0], ~spaced)
    assert named < -0.01
    np.testing.assert_allclose(mine[0] - theirs[0], named, **EXACT)


def test_words_differ_by_what_ends_a_word_beside_a_space(
    exact: Engine, token_ids: list[int], after_bos: Numbers, spaced: Mask
) -> None:
    words = itw.score(exact, TEXT, bos="add", words=True)
    first = words["first_token_index"].to_numpy()
    theirs = np.add.reduceat(minicons(exact, bos_token=True), first)
    starts, ends = word_masks(exact.vocabulary, exact.stop_ids)
    # Known differences: what ends a word there is a space alone, without the end of the text and line breaks;
    # and the first word, as above. A line break there is a part of the word before it.
    at_edges = np.append(first, len(token_ids))
    all_ends, spaces = (log_mass(after_bos[at_edges], mask) for mask in (starts | ends, spaced))
    opens = np.array([spaced[token_ids[place]] for place in first])
    closes = np.append(opens[1:], True)
    opening = np.where(opens, all_ends[:-1] - spaces[:-1], all_ends[:-1])
    opening[0] = log_mass(after_bos[0], ~starts)
    closing = np.where(closes, all_ends[1:] - spaces[1:], all_ends[1:])
    mine = words["surprisal_bits"].to_numpy() * math.log(2)
    assert (~opens).sum() == 2
    assert np.abs(mine - theirs).max() > 0.1
    np.testing.assert_allclose(mine - theirs, opening - closing, **EXACT)


def test_without_a_beginning_the_first_word_is_missing_here_and_the_second_uncorrected_there(
    exact: Engine, token_ids: list[int], spaced: Mask
) -> None:
    rows = rows_of(exact, token_ids)
    words = itw.score(exact, TEXT, bos="none", words=True)
    assert math.isnan(words["surprisal_bits"][0])
    nobody, ids = np.zeros_like(spaced), np.array(token_ids)
    missing = np.concatenate([np.full_like(rows[:1], np.nan), rows])
    plain = surprisal(missing[:-1], ids, base=math.e)
    mine = corrected_surprisals(
        plain, word_boundaries(missing, spaced, nobody), ids, spaced, nobody, base=math.e
    )
    theirs = minicons(exact)
    assert len(theirs) == len(ids) - 1
    # Of the second token it is not asked whether it begins a word.
    np.testing.assert_allclose(mine[2:], theirs[1:], **EXACT)
    assert spaced[ids[1]]
    np.testing.assert_allclose(mine[1] - theirs[0], log_mass(rows[0], spaced), **EXACT)
