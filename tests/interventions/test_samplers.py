"""Each sampler stage against the processor of the same name in transformers, bit for bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from itwidgets.interventions import (
    Greedy,
    MinP,
    Operator,
    Step,
    Temperature,
    TopK,
    TopP,
    sampling_program,
)
from tests.interventions.rows import rows_of_all_kinds

STEP = Step(0, [1], 1)
PAIRS = [
    *((Temperature(t), TemperatureLogitsWarper(t)) for t in (0.01, 0.7, 1.3)),
    *((TopK(k), TopKLogitsWarper(k)) for k in (1, 5, 10_000)),
    *((TopP(p), TopPLogitsWarper(p)) for p in (1e-9, 0.1, 0.5, 0.95)),
    *((MinP(p), MinPLogitsWarper(p)) for p in (0.0, 0.05, 0.5, 1.0)),
]
IDS = [str(ours) for ours, _ in PAIRS]


def _theirs(warper: Any, row: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = warper(torch.tensor([[1]]), row[None].clone())[0]
    return result


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=IDS)
def test_a_stage_is_bit_equal_to_transformers(ours: Operator, theirs: Any) -> None:
    for row in rows_of_all_kinds():
        assert torch.equal(ours(STEP, row), _theirs(theirs, row))


@pytest.mark.parametrize("ours", [*(pair[0] for pair in PAIRS), Greedy()], ids=str)
def test_a_stage_leaves_its_input_alone(ours: Operator) -> None:
    for row in rows_of_all_kinds():
        before = row.clone()
        result = ours(STEP, row)
        assert torch.equal(row, before)
        assert result.dtype == row.dtype
        assert not torch.isnan(result).any()


@given(
    scores=st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=60),
    temperature=st.floats(0.05, 5),
    k=st.none() | st.integers(1, 70),
    p=st.none() | st.floats(0.01, 0.99),
    floor=st.none() | st.floats(0, 1),
)
def test_the_chain_is_that_of_transformers(
    scores: list[float], temperature: float, k: int | None, p: float | None, floor: float | None
) -> None:
    # The order in which `generate` puts them.
    stages = LogitsProcessorList([TemperatureLogitsWarper(temperature)] if temperature != 1 else [])
    stages += [TopKLogitsWarper(k)] if k is not None else []
    stages += [TopPLogitsWarper(p)] if p is not None else []
    stages += [MinPLogitsWarper(floor)] if floor is not None else []
    row = torch.tensor(scores)
    outcome = sampling_program(temperature, k, p, floor)(STEP, row)
    assert torch.equal(outcome.s, _theirs(stages, row))
    assert torch.equal(outcome.q, row)


def test_greedy_keeps_the_lowest_id_of_a_tie() -> None:
    row = torch.tensor([0.0, 2.0, 2.0, 1.0])
    assert Greedy()(STEP, row).isfinite().nonzero().flatten().tolist() == [1]


def test_temperature_zero_is_greedy() -> None:
    assert sampling_program(temperature=0, top_k=5).operators == (Greedy(),)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Temperature(0), "temperature is 0, but must be above 0"),
        (lambda: Temperature(float("nan")), "temperature is nan, but must be above 0"),
        (lambda: Temperature(float("inf")), "temperature is inf, but must be above 0"),
        (lambda: TopK(0), "k is 0, but must be a whole number of at least 1"),
        (lambda: TopK(2.5), "k is 2.5, but must be a whole number of at least 1"),  # type: ignore[arg-type]
        (lambda: TopK(True), "k is True, but must be a whole number of at least 1"),
        (lambda: TopP(0), "p is 0, but must be above 0 and at most 1"),
        (lambda: TopP(1.5), "p is 1.5, but must be above 0 and at most 1"),
        (lambda: MinP(-0.1), "p is -0.1, but must be between 0 and 1"),
        (lambda: sampling_program(temperature=-1), "temperature is -1, but must be above 0"),
    ],
)
def test_a_bad_parameter_is_named_with_its_value(make: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole sentence is compared
        make()
    assert str(caught.value) == sentence


@pytest.mark.parametrize("operator", [Temperature, TopP, MinP])
def test_text_for_a_number_is_refused_in_one_sentence(operator: type[Operator]) -> None:
    with pytest.raises(ValueError, match=r"is '0.5', but must be"):
        operator("0.5")  # type: ignore[call-arg]
