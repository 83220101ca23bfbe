"""Surprisals of words under a made-up model whose every word can be counted."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from itwidgets import information
from itwidgets.information import (
    corrected_surprisals,
    log_probabilities,
    sum_over_words,
    word_boundaries,
    word_starts,
    word_surprisals,
)
from tests.information.exact import INF, Row

BOS, EOS = 0, 1
BYTES = [b"<s>", b"</s>", b" the", b" a", b"re", b"s", b",", b" "]
STARTS = word_starts(BYTES, specials=[BOS, EOS])
ENDS = np.isin(np.arange(len(BYTES)), [BOS, EOS])
SPACED, SPACELESS = (2, 3, 7), (4, 5, 6)
LONGEST = 3
"""No word of the model has more tokens, so that all can be listed."""


def _row(context: tuple[int, ...]) -> Row:
    """The model: a distribution that depends on all of the context."""
    scores = np.random.default_rng([len(context), *context]).normal(scale=1.5, size=len(BYTES))
    scores[BOS] = -INF
    tail = context[max((i for i, x in enumerate(context) if STARTS[x] or ENDS[x]), default=0) :]
    if sum(not ENDS[x] for x in tail) >= LONGEST:
        scores[list(SPACELESS)] = -INF
    return log_probabilities(scores)


def _rows(tokens: tuple[int, ...]) -> Row:
    """Rows of all tokens and the one after them; the first token has no context, so its row is missing."""
    missing = np.full(len(BYTES), np.nan)
    return np.stack([missing, *(_row(tokens[:n]) for n in range(1, len(tokens) + 1))])


def _words(first: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    for length in range(LONGEST):
        for rest in itertools.product(SPACELESS, repeat=length):
            yield from ((start, *rest) for start in first)


def _probability(context: tuple[int, ...], word: tuple[int, ...]) -> float:
    text = (*context, *word)
    found = word_surprisals(_rows(text), np.array(text), STARTS, ENDS)
    assert np.asarray(found.first).tolist()[-1] == len(context)
    return float(2 ** -found.surprisal[-1])


CONTEXTS = [(BOS, 4), (BOS, 2), (BOS, 2, 4), (BOS, 5, 3, 6, 6), (BOS, 4, 4, 4), (BOS, 2, 7, 7, 3)]


@pytest.mark.parametrize("context", CONTEXTS)
def test_words_and_the_end_of_the_text_sum_to_1(context: tuple[int, ...]) -> None:
    words = [*_words(SPACED), (EOS,)]
    assert sum(_probability(context, word) for word in words) == pytest.approx(1, rel=1e-12)
    naive = sum(math.exp(sum(_row((*context, *word[:n]))[x] for n, x in enumerate(word))) for word in words)
    assert abs(naive - 1) > 0.01


def test_first_words_without_a_space_and_the_empty_text_sum_to_1() -> None:
    words = [*_words(SPACELESS), (EOS,)]
    assert sum(_probability((BOS,), word) for word in words) == pytest.approx(1, rel=1e-12)


def test_first_words_with_a_space_sum_to_1_with_the_end_of_the_text() -> None:
    # As SentencePiece writes them: the first word is like any other.
    row = np.exp(_row((BOS,)))
    end = row[EOS] / (row[STARTS].sum() + row[EOS])
    assert sum(_probability((BOS,), word) for word in _words(SPACED)) + end == pytest.approx(1, rel=1e-12)


def test_a_text_after_an_end_begins_anew() -> None:
    context = (BOS, 4, EOS)
    words = [*_words(SPACELESS), (EOS,)]
    assert sum(_probability(context, word) for word in words) == pytest.approx(1, rel=1e-12)


TEXTS = st.lists(st.sampled_from([*SPACED, *SPACELESS]), min_size=1, max_size=8)


@given(TEXTS)
def test_corrections_cancel_over_a_whole_text(tokens: list[int]) -> None:
    text = (BOS, *tokens, EOS)
    rows, ids = _wide(text), np.array(text)
    plain = information.surprisal(rows[:-1], ids)
    corrected = corrected_surprisals(plain, word_boundaries(rows, STARTS, ENDS), ids, STARTS, ENDS)
    assert math.isnan(corrected[0])
    # All boundaries are passed twice but the first.
    first = STARTS | ENDS if STARTS[tokens[0]] else ~STARTS
    opening = math.log2(np.exp(rows[1][first]).sum())
    assert float(corrected[1:].sum()) == pytest.approx(float(plain[1:].sum()) + opening, rel=1e-9)


@given(TEXTS)
def test_words_partition_the_tokens(tokens: list[int]) -> None:
    text = np.array([BOS, *tokens])
    rows = _wide(tuple(text))
    found = word_surprisals(rows, text, STARTS, ENDS)
    plain = information.surprisal(rows[:-1], text)
    corrected = corrected_surprisals(plain, word_boundaries(rows, STARTS, ENDS), text, STARTS, ENDS)
    first, stop = np.asarray(found.first), np.asarray(found.stop)
    assert first[0] == 0
    assert stop[-1] == len(text)
    np.testing.assert_array_equal(first[1:], stop[:-1])
    for bits, begin, end in zip(found.surprisal, first, stop, strict=True):
        np.testing.assert_allclose(bits, corrected[begin:end].sum(), rtol=1e-12)
        assert begin <= 1 or STARTS[text[begin]]
        assert not STARTS[text[begin + 1 : end]].any()
    # The beginning of the text has no context: missing, never 0.
    assert math.isnan(found.surprisal[0])
    assert (np.asarray(found.surprisal[1:]) > 0).all()


def _wide(text: tuple[int, ...]) -> Row:
    """Rows in which every token is possible."""
    rows = np.random.default_rng([*text]).normal(size=(len(text) + 1, len(BYTES)))
    rows[0] = np.nan
    return log_probabilities(rows)


def test_batches_bases_and_kinds() -> None:
    texts = np.array([[BOS, 4, 2, 5], [BOS, 2, 3, 4]])
    rows = np.stack([_wide(tuple(text)) for text in texts])
    boundaries = word_boundaries(torch.from_numpy(rows), STARTS, ENDS)
    assert isinstance(boundaries.boundary, torch.Tensor)
    assert boundaries.boundary.shape == (2, 5)
    bits = information.surprisal(torch.from_numpy(rows[:, :-1]), texts)
    batched = corrected_surprisals(bits, boundaries, texts, STARTS, ENDS)
    assert isinstance(batched, torch.Tensor)
    for k in range(2):
        words = sum_over_words(batched[k], texts[k], STARTS, ENDS)
        alone = word_surprisals(rows[k], texts[k], STARTS, ENDS, base=math.e)
        assert isinstance(alone.surprisal, np.ndarray)
        np.testing.assert_allclose(words.surprisal, alone.surprisal / math.log(2), rtol=1e-12)
        np.testing.assert_array_equal(words.stop, alone.stop)


def test_boundaries_are_the_masses_of_the_tokens_there() -> None:
    row = _row((BOS, 2))
    found = word_boundaries(row, STARTS, ENDS)
    assert float(found.boundary) == pytest.approx(math.log(np.exp(row[STARTS | ENDS]).sum()), rel=1e-12)
    assert float(found.spaceless) == pytest.approx(math.log(np.exp(row[~STARTS]).sum()), rel=1e-12)


def test_boundaries_that_underflow_as_probabilities_have_logarithms() -> None:
    rows = np.full((2, len(BYTES)), -900.0)
    rows[:, 4] = 0.0
    rows[1, 2] = 1.0
    found = word_boundaries(log_probabilities(rows), STARTS, ENDS)
    assert float(found.boundary[0]) == pytest.approx(-900 + math.log(5), rel=1e-12)
    assert float(found.boundary[1]) == pytest.approx(1 - math.log1p(math.e), rel=1e-12)
    excluded = np.where(STARTS | ENDS, -INF, 0.0)
    assert float(word_boundaries(log_probabilities(excluded), STARTS, ENDS).boundary) == -INF


def test_a_text_of_no_tokens_has_no_words() -> None:
    found = word_surprisals(np.zeros((1, 8)) - math.log(8), np.zeros(0, dtype=np.int64), STARTS, ENDS)
    assert [np.asarray(part).tolist() for part in found] == [[], [], []]


def test_words_begin_with_whitespace() -> None:
    tokens = [b" x", b"x", b"\n\n", b"\tx", b" x", b"\xa0", b"\xe2", b"", None, b" "]
    expected = [True, False, True, True, True, False, False, False, False, False]
    assert word_starts(tokens, specials={9}).tolist() == expected


def test_tokens_are_bytes() -> None:
    with pytest.raises(TypeError, match="the text of token 1 is ' a', but must be bytes or None"):
        word_starts([b"a", " a"])  # type: ignore[list-item]


def test_shapes_must_fit() -> None:
    rows, starts, ends = torch.zeros(3, 8), torch.from_numpy(STARTS), torch.from_numpy(ENDS)
    three = torch.zeros(3, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"must be those of one text, \[n \+ 1, V\] and \[n\]"):
        word_surprisals(rows, three, starts, ends)
    with pytest.raises(ValueError, match="must hold a truth value for each of 8 vocabulary ids"):
        word_boundaries(rows, starts[:5], ends[:5])
    with pytest.raises(ValueError, match="must hold a truth value for each of 5 vocabulary ids"):
        word_boundaries(rows, starts[:5], ends)
    with pytest.raises(ValueError, match="token 2 both begins a word and ends the text, but can do only one"):
        word_boundaries(rows, starts, starts)
    boundaries = word_boundaries(rows, starts, ends)
    with pytest.raises(ValueError, match="there must be one boundary more along the last axis"):
        corrected_surprisals(torch.zeros(3), boundaries, three, starts, ends)
    with pytest.raises(ValueError, match=r"the token ids have shape \(3,\)"):
        corrected_surprisals(torch.zeros(2), boundaries, three, starts, ends)
    with pytest.raises(ValueError, match=r"must be those of one text, \[n\]"):
        sum_over_words(torch.zeros(1, 3), three[None], starts, ends)
