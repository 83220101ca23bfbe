"""Predicates: where they hold, their algebra, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from itwidgets.information import row_measures
from itwidgets.information.names import FIGURES
from itwidgets.interventions import (
    AllOf,
    AnyOf,
    Compare,
    LastToken,
    Not,
    PositionIn,
    Predicate,
    Program,
    Step,
    Temperature,
    TextMatches,
    When,
)


class Letters:
    """A vocabulary of single characters."""

    characters = "abc .é"

    def __len__(self) -> int:
        return len(self.characters)

    def token_bytes(self, token_id: int) -> bytes:
        return self.characters[token_id].encode()

    def text(self, token_ids: Sequence[int]) -> str:
        return "".join(self.characters[i] for i in token_ids)

    def token_ids(self, tokens: int | str | Sequence[int]) -> list[int]:
        if isinstance(tokens, str):
            return [self.characters.index(character) for character in tokens]
        return [tokens] if isinstance(tokens, int) else list(tokens)


LETTERS = Letters()
FLAT, SHARP = torch.zeros(8), torch.tensor([9.0, 0, 0, 0, 0, 0, 0, 0])
OF_ROWS = {
    "entropy": None,
    "varentropy": None,
    "top_probability": None,
    "renyi_entropy": 2.0,
    "nucleus_size": 0.5,
    "head_mass": 3.0,
}
COMPARISONS = st.one_of(
    st.builds(
        lambda measure, comparison, value, of: Compare(measure, comparison, value, of, OF_ROWS[measure]),
        st.sampled_from([*OF_ROWS]),
        st.sampled_from([">", ">=", "<", "<="]),
        st.floats(0, 10),
        st.sampled_from(["p", "current"]),
    ),
    st.builds(
        Compare,
        st.sampled_from(FIGURES),
        st.sampled_from([">", ">=", "<", "<="]),
        st.floats(0, 10),
        st.just("previous"),
    ),
)
LEAVES: st.SearchStrategy[Predicate] = st.one_of(
    COMPARISONS,
    st.builds(TextMatches, st.sampled_from(["a$", r"\.\s", "[abc]+"]), st.integers(1, 50)),
    st.builds(PositionIn, st.integers(0, 9), st.none() | st.integers(0, 9)),
    st.builds(LastToken, st.lists(st.integers(0, 9), max_size=3)),
)
PREDICATES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(AllOf, st.lists(inner, max_size=3)),
        st.builds(AnyOf, st.lists(inner, max_size=3)),
    ),
    max_leaves=6,
)


def _at(text: str, *, prompt: int = 0, position: int = 0) -> Step:
    return Step(position, LETTERS.token_ids(text), prompt, vocabulary=LETTERS)


@pytest.mark.parametrize(
    ("text", "pattern", "holds"),
    [
        ("ab.", r"\.$", True),
        ("ab. ", r"\.$", False),
        ("abc", "^bc", False),
        ("", "^$", True),
        ("é", "é", True),
        ("abc" * 100, "^abc", False),
    ],
)
def test_a_pattern_is_searched_at_the_end_of_the_text(text: str, pattern: str, holds: bool) -> None:
    assert TextMatches(pattern, characters=7)(_at(text), None) == holds


def test_a_text_without_a_tokenizer_cannot_be_matched() -> None:
    with pytest.raises(ValueError, match=r"TextMatches\(.*\) reads text, but no tokenizer is known here"):
        TextMatches("a")(Step(0, [1], 1), None)


def test_a_pattern_is_asked_of_the_past() -> None:
    step = _at("ab.c", prompt=1, position=3)
    assert TextMatches(r"\.$").has_held(step)
    assert not TextMatches(r"c$").has_held(step)


def test_positions_and_last_tokens() -> None:
    assert [PositionIn(2, 4)(Step(i, [1], 1), None) for i in range(6)] == [
        False,
        False,
        True,
        True,
        False,
        False,
    ]
    assert [PositionIn(2)(Step(i, [1], 1), None) for i in range(4)] == [False, False, True, True]
    assert LastToken([3, 5])(Step(0, [1, 5], 1), None)
    assert not LastToken([3, 5])(Step(0, [5, 1], 1), None)
    assert not LastToken([3, 5])(Step(0, [], 0), None)


@given(PREDICATES, PREDICATES, st.text("abc .", max_size=5))
def test_connectives_are_those_of_logic(a: Predicate, b: Predicate, text: str) -> None:
    ids = LETTERS.token_ids(text)
    figures = {name: [1.0] * len(ids) for name in FIGURES}
    step = Step(len(ids), ids, 0, scores=FLAT, vocabulary=LETTERS, past=figures)
    one, other = a(step, SHARP), b(step, SHARP)
    assert (a & b)(step, SHARP) == (one and other)
    assert (a | b)(step, SHARP) == (one or other)
    assert (~a)(step, SHARP) == (not one)


@given(PREDICATES)
def test_json_brings_the_same_predicate_back(predicate: Predicate) -> None:
    program = Program((When(predicate, Program((Temperature(0.5),))),))
    again = Program.from_json(program.to_json())
    assert again == program
    assert hash(again) == hash(program)
    assert again.to_json() == program.to_json()


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (
            lambda: Compare("surprise", ">", 1),
            ValueError,
            f"measure is 'surprise', but must be one of {', '.join(map(repr, row_measures()))}, "
            "or a measure that register_measure has added here",
        ),
        (
            lambda: Compare("top_margin", ">", 1, of="previous"),
            ValueError,
            "measure is 'top_margin', but must be one of 'rank', 'surprisal', 'entropy', 'varentropy', "
            "'surprisal_q', 'surprisal_s', 'cost', 'expected_cost', or a measure that register_measure has "
            "added here",
        ),
        (
            lambda: Compare("entropy", ">", 1, of="previous", argument=2),
            ValueError,
            "argument is 2, but must be None: entropy takes none",
        ),
        (
            lambda: Compare("renyi_entropy", ">", 1, argument=math.inf),
            ValueError,
            "argument is inf, but must be a finite number",
        ),
        (
            lambda: Compare("renyi_entropy", ">", 1),
            ValueError,
            "argument is None, but must be a number: renyi_entropy needs its alpha",
        ),
        (
            lambda: Compare("entropy", "==", 1),
            ValueError,
            "comparison is '==', but must be one of '>', '>=', '<', '<='",
        ),
        (lambda: Compare("entropy", ">", math.nan), ValueError, "value is nan, but must be a finite number"),
        (
            lambda: Compare("entropy", ">", 1, of="q"),
            ValueError,
            "of is 'q', but must be one of 'p', 'current', 'previous'",
        ),
        (
            lambda: TextMatches("["),
            ValueError,
            "pattern is '[', which is no regular expression: unterminated character set at position 0",
        ),
        (
            lambda: TextMatches("a", 0),
            ValueError,
            "characters is 0, but must be a whole number of at least 1",
        ),
        (lambda: PositionIn(-1), ValueError, "start is -1, but must be a whole number of at least 0"),
        (lambda: PositionIn(0, 1.5), ValueError, "stop is 1.5, but must be a whole number of at least 0"),  # type: ignore[arg-type]
        (
            lambda: PositionIn() & 3,  # type: ignore[operator]
            TypeError,
            "3 was given, but a predicate is needed, such as Compare or TextMatches",
        ),
    ],
)
def test_a_bad_parameter_is_named_with_its_value(make: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == sentence
