"""Predicates: what they ask, of which distribution and of which token, and their algebra."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from itwidgets.information import (
    entropy,
    log_probabilities,
    register_measure,
    registered_measures,
    regret,
    row_measures,
    surprisal,
    unregister_measure,
)
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


# Of probabilities 1/2, 1/4, 1/4, by hand.
BY_HAND: dict[str, tuple[float | None, float]] = {
    "entropy": (None, 1.5),
    "varentropy": (None, 0.25),
    "top_probability": (None, 0.5),
    "top_margin": (None, 0.25),
    "log_odds_margin": (None, 1.0),
    "head_mass": (2, 0.75),
    "tail_mass": (1, 0.5),
    "nucleus_size": (0.6, 2.0),
    "min_p_size": (0.4, 3.0),
    "renyi_entropy": (2, math.log2(8 / 3)),
    "min_entropy": (None, 1.0),
    "tsallis_entropy": (2, 5 / 8),
    "hill_number": (0, 3.0),
    "effective_choices": (None, 2**1.5),
    "normalised_entropy": (None, 1.5 / math.log2(3)),
    "redundancy": (None, math.log2(3) - 1.5),
    "self_certainty": (None, 5 / 3 - math.log2(3)),
    "fisher_rao_to_uniform": (None, 2 / math.pi * math.acos(math.sqrt(1 / 6) + 2 * math.sqrt(1 / 12))),
    "information_skewness": (None, 0.0),
    "spike_entropy": (1, 1 / 3 + 2 / 5),
}


@pytest.mark.parametrize("measure", row_measures())
def test_a_comparison_is_of_any_measure_of_the_row(measure: str) -> None:
    row = torch.tensor([0.5, 0.25, 0.25]).log()
    step = Step(0, [1], 1, scores=row)
    argument, value = BY_HAND[measure]
    for comparison, below, above in ((">", True, False), (">=", True, False), ("<", False, True)):
        assert Compare(measure, comparison, value - 1e-4, argument=argument)(step, row) == below
        assert Compare(measure, comparison, value + 1e-4, argument=argument)(step, row) == above


def test_a_measure_that_is_no_number_compares_with_nothing() -> None:
    # A uniform distribution has no skewness.
    step = Step(0, [1], 1, scores=FLAT)
    assert not any(Compare("information_skewness", word, 0)(step, FLAT) for word in (">", ">=", "<", "<="))


@pytest.fixture
def registered() -> Iterator[None]:
    register_measure("my_regret", regret)
    register_measure("my_surprisal", surprisal)
    register_measure("my_entropy", lambda log_p, token_ids: entropy(log_p))
    yield
    for name in registered_measures():
        unregister_measure(name)


@pytest.mark.usefixtures("registered")
def test_a_registered_measure_is_asked_of_the_row_and_its_most_probable_token() -> None:
    step = Step(0, [1], 1, scores=FLAT)
    best = float(-log_probabilities(SHARP)[0] / math.log(2))
    assert Compare("my_entropy", ">=", 3.0)(step, SHARP)
    assert Compare("my_entropy", "<", 0.1, of="current")(step, SHARP)
    assert Compare("my_regret", "<=", 0.0)(step, SHARP)
    assert Compare("my_surprisal", ">=", best, of="current")(step, SHARP)
    assert Compare("my_surprisal", "<=", best, of="current")(step, SHARP)


@pytest.mark.usefixtures("registered")
def test_a_registered_measure_of_the_previous_token_is_looked_up() -> None:
    step = Step(2, [1, 5, 6], 1, past={"my_regret": [0.0, 2.5], "entropy": [1.0, 1.0]})
    asked = Compare("my_regret", ">", 2.0, of="previous")
    assert asked.is_recorded
    assert asked(step, FLAT)
    assert not asked.has_held(step)
    with pytest.raises(ValueError, match="my_entropy is not known of the 2 tokens before position 2"):
        Compare("my_entropy", ">", 2.0, of="previous")(step, FLAT)
    # What was recorded is that of the token that came, not of the most probable one.
    of_row = Compare("my_regret", ">", 2.0)
    assert not of_row.is_recorded
    with pytest.raises(ValueError, match="its row of scores is gone"):
        of_row.has_held(step)


@pytest.mark.usefixtures("registered")
def test_a_program_that_names_an_unknown_measure_is_refused_where_it_is_opened() -> None:
    for of in ("p", "previous"):
        asked = Compare("my_regret", ">", 2.0, of=of)
        program = When(asked, Program((Temperature(0.5),))) >> Program()
        assert Program.from_json(program.to_json()) == program
        unregister_measure("my_regret")
        with pytest.raises(
            ValueError, match=r"'Compare' cannot be read: measure is 'my_regret', but must be"
        ):
            Program.from_json(program.to_json())
        register_measure("my_regret", regret)
    unregister_measure("my_regret")
    with pytest.raises(
        ValueError, match=r"^measure is 'my_regret', but must be one of 'effective_choices', "
    ):
        Compare("my_regret", ">", 2.0)


@pytest.mark.parametrize(("comparison", "holds"), [(">", False), (">=", True), ("<", False), ("<=", True)])
def test_at_the_value_only_the_weak_comparisons_hold(comparison: str, holds: bool) -> None:
    assert Compare("entropy", comparison, 3.0)(Step(0, [1], 1, scores=FLAT), FLAT) == holds


def test_p_and_what_operators_have_made_of_it_are_told_apart() -> None:
    step = Step(0, [1], 1, scores=FLAT)
    assert Compare("entropy", ">", 2)(step, SHARP)
    assert not Compare("entropy", ">", 2, of="current")(step, SHARP)


def test_the_previous_token_is_asked_by_any_figure() -> None:
    step = Step(2, [1, 5, 6], 1, past={"surprisal": [9.0, 1.0], "cost": [0.0, 2.5]})
    assert Compare("surprisal", "<", 2, of="previous")(step, FLAT)
    assert Compare("cost", ">=", 2.5, of="previous")(step, FLAT)
    with pytest.raises(ValueError, match="rank is not known of the 2 tokens before position 2"):
        Compare("rank", ">", 1, of="previous")(step, FLAT)


def test_where_there_is_no_previous_token_no_comparison_holds() -> None:
    first = Step(0, [1], 1)
    assert not Compare("surprisal", "<", 2, of="previous")(first, FLAT)
    assert not Compare("surprisal", ">=", 2, of="previous")(first, FLAT)


def test_without_the_scores_of_p_it_says_so() -> None:
    with pytest.raises(
        ValueError, match=r"Compare\(.*\) needs the scores of p, which are not known at position 0"
    ):
        Compare("entropy", ">", 2)(Step(0, [1], 1), FLAT)


def test_the_past_is_looked_up() -> None:
    step = Step(3, [1, 5, 6, 7], 1, past={"entropy": [1.0, 4.0, 2.0], "surprisal": [0.5, 6.0, 1.0]})
    assert Compare("entropy", ">", 3).has_held(step)
    assert not Compare("entropy", ">", 5).has_held(step)
    # Before the last of the three tokens, the previous one had 6 bits; the last of all is the next step's.
    assert Compare("surprisal", ">", 5, of="previous").has_held(step)
    assert not Compare("surprisal", ">", 5, of="previous").has_held(step.before(1))
    assert not Compare("entropy", ">", 3).has_held(Step(0, [1], 1))


def test_what_was_not_recorded_cannot_be_asked_of_the_past() -> None:
    step = Step(1, [1, 5], 1, past={"surprisal": [0.5]})
    for asked in (Compare("entropy", ">", 3), Compare("entropy", ">", 3, of="current")):
        with pytest.raises(
            ValueError, match=r"cannot be asked of a token of the past: its row of scores is gone"
        ):
            asked.has_held(step)


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
