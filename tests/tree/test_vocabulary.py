"""Identity of tokens: exact bytes, whole characters, and texts that are no single token."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from itwidgets import Engine
from itwidgets.tree import Vocabulary
from tests.models import VOCABULARY_SIZE, byte_level_tokenizer, sentencepiece_tokenizer
from tests.seq2seq import closing_tokenizer

VOCABULARIES = {
    "byte-level": Vocabulary(byte_level_tokenizer(), VOCABULARY_SIZE),
    "SentencePiece": Vocabulary(sentencepiece_tokenizer(), VOCABULARY_SIZE),
}
# A surrogate is no character of UTF-8 text.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@pytest.fixture(params=VOCABULARIES)
def vocabulary(request: pytest.FixtureRequest) -> Vocabulary:
    return VOCABULARIES[request.param]


def _prompt_ids(vocabulary: Vocabulary, text: str) -> list[int]:
    ids = vocabulary.tokenizer(text, add_special_tokens=False)["input_ids"]
    return [int(i) for i in ids]


@pytest.mark.parametrize("name", VOCABULARIES)
@given(text=TEXTS)
def test_bytes_spell_the_text(name: str, text: str) -> None:
    vocabulary = VOCABULARIES[name]
    ids = _prompt_ids(vocabulary, text)
    assert vocabulary.text(ids) == vocabulary.decode(ids) == text
    pieces = b"".join(map(vocabulary.token_bytes, ids))
    assert pieces.removeprefix(b" " if vocabulary.strips_first_space else b"") == text.encode()


@pytest.mark.parametrize("name", VOCABULARIES)
@given(data=st.data())
def test_any_tokens_read_as_the_tokenizer_decodes_them(name: str, data: st.DataObject) -> None:
    vocabulary = VOCABULARIES[name]
    known = st.integers(0, len(vocabulary.tokenizer) - 1)
    ids = data.draw(st.lists(known, max_size=12))
    # Decoders differ in what they show for bytes that are no whole characters.
    assume("\ufffd" not in vocabulary.text(ids))
    assert vocabulary.text(ids) == vocabulary.decode(ids)


@pytest.mark.parametrize("emoji", ["🦜", "👩‍🚀", "🇫🇷", "€", "𝔘"])
def test_a_character_of_several_tokens_is_whole(vocabulary: Vocabulary, emoji: str) -> None:
    ids = _prompt_ids(vocabulary, f"a{emoji}b")
    assert len(ids) > 4
    assert vocabulary.text(ids) == f"a{emoji}b"
    # Torn in the middle there is a sign for what is missing, and the bytes are exact.
    assert "\ufffd" in vocabulary.text(ids[:-2])


def test_special_tokens_are_text(vocabulary: Vocabulary) -> None:
    special = vocabulary.tokenizer.eos_token
    ids = [*_prompt_ids(vocabulary, "so"), vocabulary.tokenizer.eos_token_id]
    assert vocabulary.text(ids) == f"so{special}"
    assert vocabulary.token_bytes(ids[-1]) == special.encode()
    assert vocabulary.token_id(special) == ids[-1]


def test_a_prompt_with_bos_shows_it() -> None:
    vocabulary = VOCABULARIES["SentencePiece"]
    ids = vocabulary.tokenizer("so")["input_ids"]
    assert vocabulary.text(ids).startswith("<s>")
    assert vocabulary.text(ids) == vocabulary.decode(ids)


def test_all_256_bytes_have_a_token_of_their_own(vocabulary: Vocabulary) -> None:
    pieces = {vocabulary.token_bytes(i) for i in range(len(vocabulary.tokenizer))}
    assert {bytes([byte]) for byte in range(256)} <= pieces


def test_ids_that_the_tokenizer_lacks_can_be_shown(vocabulary: Vocabulary) -> None:
    assert vocabulary.token_bytes(VOCABULARY_SIZE - 1) == f"<[{VOCABULARY_SIZE - 1}]>".encode()
    assert len(vocabulary) == VOCABULARY_SIZE


def test_ids_without_a_token_are_marked(vocabulary: Vocabulary) -> None:
    known = vocabulary.tokenizer.convert_ids_to_tokens(list(range(VOCABULARY_SIZE)))
    assert vocabulary.undecodable.tolist() == [token is None for token in known]
    assert 0 < vocabulary.undecodable.sum() < VOCABULARY_SIZE


def test_gaps_between_tokens_are_marked() -> None:
    vocabulary = Vocabulary(_with_gap(), 12)
    assert np.flatnonzero(vocabulary.undecodable).tolist() == [2, 4, 5, 7, 8, 9, 10, 11]


def test_a_head_narrower_than_the_tokenizer_marks_its_own_ids() -> None:
    assert Vocabulary(_with_gap(), 3).undecodable.tolist() == [False, False, True]
    assert not Vocabulary(byte_level_tokenizer(), 400).undecodable.any()


def test_words_begin_where_the_tokenizers_write_a_space() -> None:
    signs = {"byte-level": ("Ġ", "Ċ"), "SentencePiece": ("▁", "<0x0A>", "<0x20>")}
    for name, vocabulary in VOCABULARIES.items():
        tokens = vocabulary.tokenizer.convert_ids_to_tokens(list(range(len(vocabulary.tokenizer))))
        is_start = vocabulary.word_starts[: len(tokens)]
        begins = np.array([token.startswith(signs[name]) for token in tokens])
        assert is_start[begins].all()
        # Besides those, the other signs for whitespace that ASCII has.
        assert {vocabulary.token_bytes(i) for i in np.flatnonzero(is_start & ~begins).tolist()} == {
            bytes([byte]) for byte in b"\t\v\f\r\x1c\x1d\x1e\x1f"
        }
        assert not vocabulary.word_starts[len(tokens) :].any()


def test_special_tokens_delimit_texts_but_unknown_text_does_not(smollm: Engine) -> None:
    found = {
        name: set(vocabulary.tokenizer.convert_ids_to_tokens(np.flatnonzero(vocabulary.delimiters).tolist()))
        for name, vocabulary in VOCABULARIES.items()
    }
    assert found == {"byte-level": {"<|end|>", "<|user|>", "<|model|>"}, "SentencePiece": {"<s>", "</s>"}}
    # Its end of a text bears the name of unknown text too.
    assert smollm.vocabulary.delimiters[smollm.tokenizer.unk_token_id]


def _with_gap() -> PreTrainedTokenizerFast:
    """Make a tokenizer with the ids 0, 1 and 6, and the special token 3."""
    tokenizer = Tokenizer(WordLevel({"a": 0, "b": 1, "c": 6}, unk_token="a"))
    tokenizer.add_special_tokens(["<s>"])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    assert sorted(fast.get_vocab().values()) == [0, 1, 3, 6]
    return fast


@pytest.mark.parametrize("name", VOCABULARIES)
@given(left=TEXTS.filter(bool), right=TEXTS.filter(bool))
def test_a_continuation_gets_no_space_of_its_own(name: str, left: str, right: str) -> None:
    vocabulary = VOCABULARIES[name]
    ids = [*_prompt_ids(vocabulary, left), *vocabulary.encode(right)]
    assert vocabulary.text(ids) == left + right


def test_a_single_token_is_found_by_its_text(vocabulary: Vocabulary) -> None:
    ids = vocabulary.encode(" France")
    assert len(ids) == 1
    assert vocabulary.token_id(" France") == ids[0]
    assert vocabulary.token_bytes(ids[0]) == b" France"
    assert vocabulary.token_id(ids[0]) == ids[0]


def test_text_of_several_tokens_is_refused_with_its_parts(vocabulary: Vocabulary) -> None:
    with pytest.raises(ValueError, match=r"' France is' is no single token but 2 \(' France', ' is'\)"):
        vocabulary.token_id(" France is")
    with pytest.raises(ValueError, match=r"'' is no single token but 0"):
        vocabulary.token_id("")


@pytest.mark.parametrize("token", [-1, VOCABULARY_SIZE])
def test_ids_outside_the_vocabulary_are_refused(vocabulary: Vocabulary, token: int) -> None:
    sentence = f"token id {token} is not in the vocabulary: 0 to {VOCABULARY_SIZE - 1} are accepted"
    with pytest.raises(ValueError, match=sentence):
        vocabulary.token_id(token)
    with pytest.raises(ValueError, match=sentence):
        vocabulary.token_ids([0, token])


def test_what_is_forced_may_be_given_in_three_ways(vocabulary: Vocabulary) -> None:
    ids = vocabulary.encode(" France is")
    assert vocabulary.token_ids(" France is") == ids
    assert vocabulary.token_ids(ids) == ids
    assert vocabulary.token_ids(ids[0]) == [ids[0]]
    nothings: list[str | list[int]] = ["", []]
    for nothing in nothings:
        with pytest.raises(ValueError, match="has no tokens: give at least one"):
            vocabulary.token_ids(nothing)


def test_search_finds_every_case(vocabulary: Vocabulary) -> None:
    found = vocabulary.search("fr")
    assert vocabulary.search("FR") == found
    expected = [
        i
        for i in range(VOCABULARY_SIZE)
        if "fr" in vocabulary.token_bytes(i).decode(errors="replace").casefold()
    ]
    assert found == expected
    assert vocabulary.token_id(" France") in found
    assert vocabulary.search("no such token") == []


def test_the_fingerprint_tells_tokenizers_apart() -> None:
    first, second = VOCABULARIES.values()
    assert first.fingerprint != second.fingerprint
    assert Vocabulary(byte_level_tokenizer(), VOCABULARY_SIZE).fingerprint == first.fingerprint


def test_a_slow_tokenizer_is_refused_in_one_sentence() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(TypeError, match="Slow is not a fast tokenizer"):
        Vocabulary(Slow(), 10)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["Hello, 🦜 world\n\tשלום", "<script>&amp;</script>", "  two  spaces "])
def test_the_embedded_tokenizer_spells_exactly(smollm: Engine, text: str) -> None:
    vocabulary = smollm.vocabulary
    ids = vocabulary.encode(text)
    assert vocabulary.text(ids) == text
    assert b"".join(map(vocabulary.token_bytes, ids)) == text.encode()


def test_every_embedded_token_has_the_bytes_that_decoding_gives(smollm: Engine) -> None:
    vocabulary = smollm.vocabulary
    ids = range(0, len(vocabulary), 37)
    decoded = [vocabulary.decode([i]) for i in ids]
    assert [vocabulary.text([i]) for i in ids] == decoded


def test_what_a_tokenizer_puts_around_each_text() -> None:
    bos, end = (sentencepiece_tokenizer().convert_tokens_to_ids(token) for token in ("<s>", "</s>"))
    assert VOCABULARIES["byte-level"].frame == ([], [])
    assert VOCABULARIES["SentencePiece"].frame == ([bos], [])
    assert Vocabulary(closing_tokenizer(), VOCABULARY_SIZE).frame == ([], [end])
