"""Scoring words: the probabilities of all that may follow sum to 1, in each tokenizer, batch and window."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.decoders import ByteFallback
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

import itwidgets as itw
from itwidgets import Engine
from itwidgets.engine.scoring.windows import Text, windows_of
from itwidgets.engine.scoring.words import word_masks
from itwidgets.information import word_surprisals
from tests.models import byte_level_tokenizer, fresh_logits, sentencepiece_tokenizer, tiny_model

SENTENCE = "The naïve capital  of France\nis 🦜, says he."
TEXTS: list[str | list[int]] = [SENTENCE, "a", "The the and of to in", [7], "read  ", [5, 9, 11, 3]]
LONG = np.random.default_rng(0).integers(3, 500, 49).tolist()
CONTEXT = 16
EXACT: Any = {"rtol": 1e-12, "atol": 1e-12}
TOKENIZERS = {"byte-level": byte_level_tokenizer, "SentencePiece": sentencepiece_tokenizer}


@pytest.fixture(scope="module", params=TOKENIZERS)
def exact(request: pytest.FixtureRequest) -> Engine:
    """Give an engine in float64 by a tokenizer of each kind."""
    return Engine(tiny_model(dtype=torch.float64), TOKENIZERS[request.param]())


@pytest.fixture(scope="module", params=TOKENIZERS)
def short(request: pytest.FixtureRequest) -> Engine:
    """Give one with a short context."""
    return Engine(
        tiny_model(dtype=torch.float64, max_position_embeddings=CONTEXT), TOKENIZERS[request.param]()
    )


def rows_after(engine: Engine, contexts: Sequence[list[int]]) -> torch.Tensor:
    """Log-probabilities after each context, by the model itself; without one they are missing."""
    missing = torch.full((len(engine.vocabulary),), torch.nan, dtype=torch.float64)
    found = [fresh_logits(engine.model, ids)[-1].log_softmax(-1) if ids else missing for ids in contexts]
    return torch.stack(found)


def expected_bits(engine: Engine, token_ids: list[int], contexts: Sequence[list[int]]) -> Any:
    """Surprisals of words from whole rows, each after its own context, that after the last token included."""
    rows, masks = rows_after(engine, contexts), word_masks(engine.vocabulary, engine.stop_ids)
    return word_surprisals(rows, np.array(token_ids), *masks).surprisal


def of_text(frame: pd.DataFrame, index: int) -> pd.DataFrame:
    return frame[frame["text_index"] == index].reset_index(drop=True)


# ---------------------------------------------------------------- against whole rows


@pytest.mark.parametrize("batch_tokens", [5, 48])
def test_words_are_those_of_whole_rows_of_the_model_alone(exact: Engine, batch_tokens: int) -> None:
    tokens = itw.score(exact, TEXTS, batch_tokens=batch_tokens)
    words = itw.score(exact, TEXTS, batch_tokens=batch_tokens, words=True)
    before = tokens.attrs["bos_token_ids"]
    assert words["text_index"].unique().tolist() == list(range(len(TEXTS)))
    for index in range(len(TEXTS)):
        ids = of_text(tokens, index)["token_id"].tolist()
        expected = expected_bits(exact, ids, [before + ids[:n] for n in range(len(ids) + 1)])
        np.testing.assert_allclose(of_text(words, index)["surprisal_bits"], expected, **EXACT)
        assert math.isnan(expected[0]) == (not before)


def test_recurrent_models_score_words_without_windows(shared_engine: Callable[[str], Engine]) -> None:
    engine = shared_engine("lfm2")
    ids = of_text(itw.score(engine, SENTENCE), 0)["token_id"].tolist()
    expected = expected_bits(engine, ids, [ids[:n] for n in range(len(ids) + 1)])
    found = itw.score(engine, SENTENCE, words=True, batch_tokens=7)["surprisal_bits"]
    np.testing.assert_allclose(found, expected, rtol=1e-3)


# ---------------------------------------------------------------- windows


@pytest.mark.parametrize("length", [15, 16, 17, 18, 25, 49])
def test_the_row_after_the_last_token_has_all_the_context_that_fits(short: Engine, length: int) -> None:
    ids = LONG[:length]
    tokens, words = itw.score(short, [ids]), itw.score(short, [ids], words=True)
    before = tokens.attrs["bos_token_ids"]
    contexts = [
        before * (count > 0) + ids[place - max(0, count - len(before)) : place]
        for place, count in enumerate([*tokens["context_length"], min(CONTEXT, len(before) + length)])
    ]
    assert [len(context) for context in contexts[:-1]] == tokens["context_length"].tolist()
    np.testing.assert_allclose(words["surprisal_bits"], expected_bits(short, ids, contexts), **EXACT)
    # The windows of the tokens are those that they have without words.
    firsts = tokens["context_length"].to_numpy()[words["first_token_index"]]
    assert words["context_length"].tolist() == firsts.tolist()


@given(
    length=st.integers(1, 40),
    prefix=st.integers(0, 2),
    added=st.booleans(),
    context=st.none() | st.integers(4, 12),
    stride=st.integers(1, 3),
)
def test_the_row_after_the_last_token_changes_no_window_of_the_others(
    length: int, prefix: int, added: bool, context: int | None, stride: int
) -> None:
    text = Text(list(range(10, 10 + prefix + length)), prefix, prefix if added else 0)
    plain, more = (
        {
            window.row + i: window.token_ids[: window.skipped + 1 + i]
            for window in windows_of(text, 5, context, stride, after=after)
            for i in range(len(window.scored))
        }
        for after in (False, True)
    )
    tokens = text.tokens
    if context is not None and len(tokens) > context:
        tokens = tokens[:prefix] + tokens[prefix - context :]
    assert more == plain | {5 + len(text.given): tokens}


# ---------------------------------------------------------------- sums over all words


@pytest.mark.parametrize("name", TOKENIZERS)
def test_words_and_the_end_of_the_text_sum_to_1(name: str) -> None:
    engine = Engine(tiny_model(dtype=torch.float64), TOKENIZERS[name]())
    vocabulary, end = engine.vocabulary, engine.tokenizer.eos_token_id
    starts, ends = word_masks(vocabulary, engine.stop_ids)
    pieces = [i for i in range(len(engine.tokenizer)) if not starts[i] and not ends[i]]
    spaced, inner = np.flatnonzero(starts)[:9].tolist(), pieces[60:63]
    # Few tokens, and those within words so rare that no longer word counts.
    shifts = torch.full((len(vocabulary),), -200.0, dtype=torch.float64)
    shifts[[*spaced, end]] = 0.0
    shifts[inner] = -12.0
    engine.model.get_output_embeddings().register_forward_hook(lambda *call: call[-1] + shifts)
    tails = [list(tail) for n in range(3) for tail in itertools.product(inner, repeat=n)]

    def probabilities(context: list[int], firsts: list[int]) -> Any:
        words = [[first, *tail] for first in firsts for tail in tails]
        found = itw.score(engine, [[*context, *word] for word in [*words, [end]]], bos="none", words=True)
        last = found.groupby("text_index").tail(1)
        assert (last["first_token_index"] == len(context)).all()
        return 2.0 ** -last["surprisal_bits"].to_numpy()

    written = engine.tokenizer("The capital", add_special_tokens=False)["input_ids"]
    for context in ([end, *written], [end, *written, inner[0]], [end, spaced[0], inner[1]]):
        assert probabilities(context, spaced).sum() == pytest.approx(1, rel=1e-12)
    # The first word as byte-level BPE writes it, without a space, and as SentencePiece does, with one: of
    # those words the end of the text is no part, but has what is left.
    assert probabilities([end], inner).sum() == pytest.approx(1, rel=1e-12)
    row = rows_after(engine, [[end]])[0].exp()
    ended = float(row[ends].sum() / row[starts | ends].sum())
    assert probabilities([end], spaced)[:-1].sum() == pytest.approx(1 - ended, rel=1e-12)
    # Those of their tokens alone do not.
    texts = [[end, *written, first, *tail] for first in spaced for tail in tails]
    tokens = itw.score(engine, texts, bos="none")
    chosen = tokens[tokens["token_index"] > len(written)].groupby("text_index")["surprisal_bits"].sum()
    naive = float((2.0**-chosen).sum() + rows_after(engine, [[end, *written]])[0].exp()[end])
    assert abs(naive - 1) > 1e-7


# ---------------------------------------------------------------- the table


def test_each_word_stands_where_the_text_has_it(exact: Engine) -> None:
    tokens, words = itw.score(exact, [SENTENCE, "a"]), itw.score(exact, [SENTENCE, "a"], words=True)
    first = of_text(words, 0)
    assert [word for word in first["word"] if word] == SENTENCE.split()
    encoded = SENTENCE.encode()
    spans = zip(first["byte_start"], first["byte_end"], strict=True)
    assert [encoded[start:stop].decode() for start, stop in spans] == first["word"].tolist()
    assert words["word_index"].tolist() == [*range(len(first)), 0]
    # The words are made of all the tokens, one after the other.
    for index, found in words.groupby("text_index"):
        stops = found["first_token_index"] + found["token_count"]
        assert found["first_token_index"].tolist() == [0, *stops[:-1]]
        assert stops.iloc[-1] == len(of_text(tokens, int(str(index))))
    assert json.loads(json.dumps(words.attrs)) == words.attrs == tokens.attrs | {"words": True}
    assert exact.session("The").score([SENTENCE, "a"], words=True).equals(words)


def test_special_tokens_are_rows_of_their_own_and_begin_texts(exact: Engine) -> None:
    end = exact.tokenizer.eos_token_id
    texts = [
        exact.tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("The model", "says it")
    ]
    words = itw.score(exact, [[end, *texts[0], end, *texts[1]], [end, *texts[1]]], words=True)
    together, alone = of_text(words, 0), of_text(words, 1)
    eos = exact.tokenizer.eos_token
    assert together["word"].tolist() == [eos, "The", "model", eos, "says", "it"]
    assert alone["word"].tolist() == [eos, "says", "it"]
    assert math.isnan(alone["surprisal_bits"][0]) == (not words.attrs["bos_token_ids"])
    assert not together["surprisal_bits"][1:].isna().any()


def test_what_ends_the_models_text_ends_words_too(exact: Engine) -> None:
    plain, found = exact.vocabulary.word_starts, []
    spaced = int(np.flatnonzero(plain)[0])
    for stop_ids in (exact.stop_ids, {spaced}):
        starts, ends = word_masks(exact.vocabulary, stop_ids)
        assert not (starts & ends).any()
        found.append((bool(starts[spaced]), bool(ends[spaced])))
    assert found == [(True, False), (False, True)]


# ---------------------------------------------------------------- bad input


def test_alternatives_to_words_are_refused(exact: Engine) -> None:
    with pytest.raises(ValueError, match="top_k is 3, but it lists alternatives to tokens, not to words"):
        itw.score(exact, "a", words=True, top_k=3)


def test_a_vocabulary_without_whitespace_has_no_words() -> None:
    letters = Tokenizer(WordLevel({letter: i for i, letter in enumerate("abcdefgh")}, unk_token="a"))
    letters.decoder = ByteFallback()
    engine = Engine(tiny_model(), PreTrainedTokenizerFast(tokenizer_object=letters))
    with pytest.raises(ValueError, match="no token of this vocabulary begins with whitespace"):
        itw.score(engine, [[1, 2]], words=True)
    assert len(itw.score(engine, [[1, 2]])) == 2


def test_an_end_that_the_vocabulary_does_not_have_ends_no_word(exact: Engine) -> None:
    starts, ends = word_masks(exact.vocabulary, [-1, len(exact.vocabulary) + 7])
    assert ends.tolist() == word_masks(exact.vocabulary, [])[1].tolist()
    assert starts.any()


@pytest.mark.parametrize("words", [None, 2, "yes"])
def test_words_is_a_truth_value(exact: Engine, words: Any) -> None:
    with pytest.raises(TypeError, match=f"words is {words!r}, but must be True or False"):
        itw.score(exact, "It is", words=words)
