"""Penalties against transformers where it has them, else against their definitions written out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    MinNewTokensLengthLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
)

from itwidgets.interventions import (
    DRY,
    Ban,
    Frequency,
    MinNewTokens,
    NoRepeatNGram,
    Operator,
    Presence,
    Program,
    Repetition,
    Step,
)

SIZE = 8
ROW = torch.randn(SIZE, generator=torch.Generator().manual_seed(0))
# Few different tokens, so that they repeat; the last two are none that the row has.
TEXTS = st.lists(st.integers(0, SIZE + 1), min_size=1, max_size=40)
PROMPTS = st.integers(0, 5)
NATS = st.floats(-3, 3)
PENALTIES = st.one_of(
    st.builds(Repetition, st.floats(0.1, 3), st.booleans()),
    st.builds(Presence, NATS, st.booleans()),
    st.builds(Frequency, NATS, st.booleans()),
    st.integers(1, 4).map(NoRepeatNGram),
    st.builds(
        DRY, st.floats(0, 2), st.floats(1, 2), st.integers(1, 4), st.lists(st.integers(0, SIZE), max_size=2)
    ),
    st.builds(MinNewTokens, st.integers(0, 20), st.lists(st.integers(0, SIZE - 1), max_size=2)),
)


def _step(text: list[int], prompt: int) -> Step:
    prompt = min(prompt, len(text))
    return Step(len(text) - prompt, tuple(text), prompt)


def _theirs(processor: Any, text: list[int], row: torch.Tensor = ROW) -> torch.Tensor:
    result: torch.Tensor = processor(torch.tensor([text]), row[None].clone())[0]
    return result


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@given(text=TEXTS, penalty=st.floats(0.1, 3))
def test_repetition_is_that_of_transformers(text: list[int], penalty: float, dtype: torch.dtype) -> None:
    row = ROW.to(dtype)
    expected = _theirs(RepetitionPenaltyLogitsProcessor(penalty), text, row)
    assert torch.equal(Repetition(penalty)(_step(text, 2), row), expected)


@given(TEXTS, PROMPTS, st.floats(0.1, 3))
def test_repetition_without_the_prompt_is_that_of_transformers(
    text: list[int], prompt: int, penalty: float
) -> None:
    step = _step(text, prompt)
    theirs = RepetitionPenaltyLogitsProcessor(penalty, prompt_ignore_length=step.prompt_length)
    assert torch.equal(Repetition(penalty, include_prompt=False)(step, ROW), _theirs(theirs, text))


@given(TEXTS, st.integers(1, 5))
def test_no_repeated_ngrams_is_that_of_transformers(text: list[int], n: int) -> None:
    assert torch.equal(NoRepeatNGram(n)(_step(text, 1), ROW), _theirs(NoRepeatNGramLogitsProcessor(n), text))


@given(TEXTS, PROMPTS, st.integers(0, 20))
def test_a_least_length_is_that_of_transformers(text: list[int], prompt: int, count: int) -> None:
    step = _step(text, prompt)
    theirs = MinNewTokensLengthLogitsProcessor(step.prompt_length, count, [1, 3])
    assert torch.equal(MinNewTokens(count, [1, 3])(step, ROW), _theirs(theirs, text))


@given(TEXTS, PROMPTS, NATS, st.booleans())
def test_presence_and_frequency_count(text: list[int], prompt: int, nats: float, include: bool) -> None:
    step, row = _step(text, prompt), ROW.double()
    counted = text if include else list(step.new_ids)
    counts = torch.tensor([counted.count(i) for i in range(SIZE)], dtype=torch.float64)
    torch.testing.assert_close(Frequency(nats, include)(step, row), row - nats * counts)
    torch.testing.assert_close(Presence(nats, include)(step, row), row - nats * counts.clamp(max=1))


def _longest_match(text: list[int], token: int, breakers: list[int]) -> int:
    """By definition: the most last tokens that somewhere before stood in front of the token."""
    longest = 0
    for length in range(1, len(text)):
        suffix = text[-length:]
        if token in breakers or set(suffix) & set(breakers):
            break
        if any(
            text[at : at + length] == suffix and text[at + length] == token
            for at in range(len(text) - length)
        ):
            longest = length
    return longest


@given(
    TEXTS,
    st.floats(0.1, 2),
    st.floats(1, 2),
    st.integers(1, 4),
    st.lists(st.integers(0, SIZE - 1), max_size=2),
)
def test_dry_penalises_the_longest_repetition(
    text: list[int], nats: float, base: float, allowed: int, breakers: list[int]
) -> None:
    row = ROW.double()
    expected = row.clone()
    for token in range(SIZE):
        length = _longest_match(text, token, breakers)
        if length >= allowed:
            expected[token] -= nats * base ** (length - allowed)
    torch.testing.assert_close(DRY(nats, base, allowed, breakers)(_step(text, 1), row), expected)


def test_dry_of_a_text_that_only_repeats_stays_finite() -> None:
    row = DRY()(Step(5000, [3] * 5001, 1), ROW)
    assert row[3] < -1e10
    assert row.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("base", [1e8, 1e300])
def test_dry_with_a_large_base_stays_finite_and_orders_as_before(base: float, dtype: torch.dtype) -> None:
    step = _step([3] * 60, 1)
    row = DRY(base=base)(step, (ROW - 40).to(dtype))
    assert row.isfinite().all()
    assert int(row.argmin()) == 3
    assert DRY(nats=0.0, base=base)(step, ROW.to(dtype)).tolist() == ROW.to(dtype).tolist()


@given(PENALTIES, TEXTS, PROMPTS)
def test_a_penalty_leaves_its_input_alone(operator: Operator, text: list[int], prompt: int) -> None:
    row = ROW.clone()
    result = operator(_step(text, prompt), row)
    assert torch.equal(row, ROW)
    assert result.dtype == row.dtype
    assert operator.stage == "intervention"


@given(PENALTIES)
def test_a_penalty_can_be_written_and_read(operator: Operator) -> None:
    program = Program((operator,))
    assert Program.from_json(program.to_json()) == program


@pytest.mark.parametrize(
    "operator",
    [
        Repetition(1.3),
        Repetition(1.0),
        Presence(1.0),
        Frequency(1.0),
        NoRepeatNGram(2),
        DRY(),
        MinNewTokens(0, [1]),
    ],
    ids=str,
)
def test_where_there_is_nothing_to_penalise_the_row_itself_comes_back(operator: Operator) -> None:
    assert operator(Step(0, [SIZE], 1), ROW) is ROW


def test_what_is_excluded_stays_excluded() -> None:
    row = Ban([2])(Step(0, [1], 1), ROW)
    for operator in (Repetition(1.3), Presence(-2.0), Frequency(-2.0), DRY(allowed_length=1)):
        assert operator(Step(3, [0, 2, 2, 2], 1), row)[2] == -torch.inf


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Repetition(0), "penalty is 0, but must be above 0"),
        (lambda: Presence(float("nan")), "nats is nan, but must be a finite number"),
        (lambda: Frequency(float("inf")), "nats is inf, but must be a finite number"),
        (lambda: NoRepeatNGram(0), "n is 0, but must be a whole number of at least 1"),
        (lambda: DRY(nats=-1), "nats is -1, but must be at least 0"),
        (lambda: DRY(base=0.5), "base is 0.5, but must be at least 1"),
        (lambda: DRY(allowed_length=0), "allowed_length is 0, but must be a whole number of at least 1"),
        (lambda: MinNewTokens(-1, [0]), "count is -1, but must be a whole number of at least 0"),
    ],
)
def test_a_bad_parameter_is_named_with_its_value(make: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole sentence is compared
        make()
    assert str(caught.value) == sentence
