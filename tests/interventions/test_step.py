"""Step: what is known of a place, of the places before it, and what is said where something is not known."""

from __future__ import annotations

from collections import Counter, UserDict
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from itwidgets.interventions import Compare, LastToken, Predicate, Step

PAST = {"surprisal": [1.0, 2.0, 3.0], "entropy": [0.5, 0.25, 0.125]}
STEP = Step(3, [8, 9, 1, 2, 3], 2, scores=torch.zeros(4), past=PAST)


def test_new_tokens_are_those_after_the_prompt() -> None:
    assert STEP.new_ids == [1, 2, 3]
    assert Step(0, [8, 9], 2).new_ids == []


def test_figures_are_one_a_new_token() -> None:
    assert STEP.figures("surprisal") == [1.0, 2.0, 3.0]
    assert list(Step(0, [8], 1).figures("anything")) == []


@pytest.mark.parametrize(
    ("name", "past", "recorded"),
    [
        ("cost", PAST, "recorded are entropy, surprisal"),
        ("cost", {}, "recorded are no figures"),
        ("surprisal", {"surprisal": [1.0]}, "recorded are surprisal"),
    ],
)
def test_figures_that_are_not_known_of_all_tokens_are_refused(
    name: str, past: dict[str, list[float]], recorded: str
) -> None:
    step = Step(3, [8, 9, 1, 2, 3], 2, past=past)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole sentence is compared
        step.figures(name)
    assert str(caught.value) == f"{name} is not known of the 3 tokens before position 3: {recorded}"


def test_a_step_of_the_past_has_what_was_known_then_and_what_came() -> None:
    before = STEP.before(1)
    assert (before.position, before.token_ids, before.prompt_length) == (1, [8, 9, 1], 2)
    assert before.scores is None
    assert before.past == {"surprisal": [1.0], "entropy": [0.5]}
    assert before.came == {"surprisal": 2.0, "entropy": 0.25}


class _Counted(UserDict[str, Sequence[float]]):
    """Figures that count how often each was looked up."""

    def __init__(self, figures: dict[str, Sequence[float]]) -> None:
        self.looks: Counter[str] = Counter()
        super().__init__(figures)

    def __getitem__(self, name: str) -> Sequence[float]:
        self.looks[name] += 1
        return super().__getitem__(name)


@pytest.mark.parametrize(
    ("predicate", "looks"),
    [
        (LastToken([4]), {}),
        (Compare("entropy", ">", 9), {"entropy": 1}),
        (
            Compare("surprisal", ">", 9, of="previous") | Compare("entropy", ">", 9),
            {"entropy": 1, "surprisal": 1},
        ),
    ],
    ids=str,
)
def test_a_look_at_all_the_past_reads_each_figure_that_it_asks_for_once(
    predicate: Predicate, looks: dict[str, int]
) -> None:
    past = _Counted(dict(PAST))
    assert not predicate.has_held(Step(3, [8, 9, 1, 2, 3], 2, past=past))
    assert past.looks == looks


@given(st.integers(0, 3), st.integers(0, 5), st.data())
def test_the_past_of_the_past_is_the_past(prompt: int, count: int, data: st.DataObject) -> None:
    figures = {"surprisal": [float(i) for i in range(count)]}
    step = Step(count, range(prompt + count), prompt, past=figures)
    if count < 2:
        return
    late = data.draw(st.integers(1, count - 1))
    early = data.draw(st.integers(0, late - 1))
    once, twice = step.before(early), step.before(late).before(early)
    assert twice == once
    assert (twice.past, twice.came) == (once.past, once.came)
    assert once.position == len(once.new_ids) == early


def test_positions_that_do_not_start_at_the_prompt_are_kept() -> None:
    # A branch that goes on from a token of the prompt's kind: positions count from where it was told.
    step = Step(7, [8, 1, 2], 1, past={"surprisal": [1.0, 2.0]})
    assert [step.before(index).position for index in range(2)] == [5, 6]


def test_what_is_asked_for_and_missing_is_said() -> None:
    with pytest.raises(ValueError, match="'it' needs the scores of p, which are not known at position 4"):
        Step(4, [1], 1).require_scores("'it'")
    with pytest.raises(ValueError, match="'it' reads text, but no tokenizer is known here: give one"):
        Step(4, [1], 1).require_vocabulary("'it'")
    assert STEP.require_scores("it") is STEP.scores
