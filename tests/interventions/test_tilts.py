"""Power, Mix, Pool, Mask and KLBudget: what they make of a row, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from itwidgets.information import kl_divergence, log_probabilities
from itwidgets.interventions import (
    Ban,
    Bias,
    Greedy,
    KLBudget,
    Mask,
    Mix,
    Only,
    Operator,
    Pool,
    Power,
    Program,
    Step,
    Temperature,
    TopK,
    TopP,
)

STEP = Step(0, [1], 1)
ROW = torch.tensor([1.5, -0.25, 0.75, 3.0, -2.0, 0.0], dtype=torch.float64)
INNER: st.SearchStrategy[Operator] = st.one_of(
    st.builds(Temperature, st.floats(0.1, 5)),
    st.builds(TopP, st.floats(0.1, 1)),
    st.builds(Bias, st.dictionaries(st.integers(0, 5), st.floats(-9, 9))),
    st.builds(Ban, st.lists(st.integers(0, 5), max_size=3)),
)
PROGRAMS = st.lists(INNER, max_size=3).map(lambda operators: Program(tuple(operators)))
FIXED = st.sampled_from([{0: 1.0}, {1: 0.25, 5: 0.75}, {i: 0.5**i for i in range(1, 5)} | {0: 0.0625}])
MADE = st.one_of(
    st.builds(Power, st.floats(0, 9)),
    st.builds(Mix, st.floats(0, 1), PROGRAMS | FIXED),
    st.builds(Pool, st.lists(PROGRAMS, min_size=1, max_size=3)),
    st.builds(
        lambda a, b, x, y: Pool([a, b], [x, y]), PROGRAMS, PROGRAMS, st.floats(0.1, 2), st.integers(1, 3)
    ),
    st.builds(Mask, PROGRAMS),
    st.builds(KLBudget, PROGRAMS, st.floats(0, 5)),
)


def _made(operator: Operator, row: torch.Tensor = ROW) -> torch.Tensor:
    return operator(STEP, row).softmax(-1)


def _cost(operator: Operator, row: torch.Tensor = ROW) -> float:
    return float(kl_divergence(log_probabilities(operator(STEP, row)), log_probabilities(row)))


def _program(*operators: Operator) -> Program:
    return Program(operators)


def _pool(then: Any) -> Operator:
    return Pool([then])


def _mix(then: Any) -> Operator:
    return Mix(0.5, then)


def _budget(then: Any) -> Operator:
    return KLBudget(then, 1.0)


def test_a_power_is_a_temperature_of_one_over_it() -> None:
    torch.testing.assert_close(Power(2.5)(STEP, ROW), Temperature(0.4)(STEP, ROW))
    assert Power(2.5).stage == "intervention"


def test_a_power_of_zero_makes_possible_tokens_equal() -> None:
    assert _made(Power(0), torch.tensor([5.0, -torch.inf, 1.0])).tolist() == [0.5, 0, 0.5]


@given(st.floats(0, 1), PROGRAMS)
def test_a_mixture_adds_probabilities(share: float, program: Program) -> None:
    other = program.last_row(STEP, ROW).softmax(-1)
    if other.isnan().any():
        return
    torch.testing.assert_close(_made(Mix(share, program)), (1 - share) * ROW.softmax(-1) + share * other)


@given(st.floats(0, 1), FIXED)
def test_a_mixture_with_a_fixed_row_adds_probabilities(share: float, fixed: dict[int, float]) -> None:
    other = torch.zeros_like(ROW)
    other[list(fixed)] = torch.tensor(list(fixed.values()), dtype=ROW.dtype)
    mixed = Mix(share, fixed)(STEP, ROW)
    torch.testing.assert_close(mixed.softmax(-1), (1 - share) * ROW.softmax(-1) + share * other)
    torch.testing.assert_close(mixed.logsumexp(-1), ROW.logsumexp(-1))


def test_a_mixture_brings_back_what_was_excluded() -> None:
    row = torch.tensor([0.0, -torch.inf, 0.0])
    assert _made(Mix(0.5, {1: 1.0}), row).tolist() == [0.25, 0.5, 0.25]


def test_a_pool_multiplies_powers_of_probabilities() -> None:
    flat, sharp = _program(Temperature(2.0)), _program(Bias({0: 2.0}), Ban([4]))
    pooled = flat.last_row(STEP, ROW).softmax(-1) ** 0.3 * sharp.last_row(STEP, ROW).softmax(-1) ** 0.7
    torch.testing.assert_close(_made(Pool([flat, sharp], [0.3, 0.7])), pooled / pooled.sum())
    torch.testing.assert_close(Pool([flat, sharp])(STEP, ROW), Pool([flat, sharp], [0.5, 0.5])(STEP, ROW))
    torch.testing.assert_close(Pool([Program(), Program()])(STEP, ROW), ROW)


def test_a_mask_keeps_proportions() -> None:
    masked = Mask(_program(Temperature(3.0), Bias({0: 1.0}), TopK(3)))(STEP, ROW)
    assert masked.isfinite().tolist() == [True, False, True, True, False, False]
    assert torch.equal(masked[masked.isfinite()], ROW[[0, 2, 3]])


@given(PROGRAMS, st.just(0.0) | st.floats(1e-6, 3))
def test_a_budget_is_kept_and_used_up(program: Program, bits: float) -> None:
    whole = program.last_row(STEP, ROW)
    if whole.max() == -torch.inf:
        return
    budget = KLBudget(program, bits)
    row, cost = budget(STEP, ROW), _cost(budget)
    assert cost <= bits + 1e-12
    unaffordable = -float(ROW.softmax(-1)[whole.isfinite()].sum().log2()) >= bits
    if float(kl_divergence(log_probabilities(whole), log_probabilities(ROW))) <= bits:
        torch.testing.assert_close(row, whole)
    elif unaffordable:
        assert row is ROW
    else:
        assert cost == pytest.approx(bits, rel=1e-9)
        kept = row.isfinite()
        # The row lies on the straight line of scores between the two.
        share = (row - ROW)[kept] / (whole - ROW)[kept]
        share = share[share.isfinite()]
        torch.testing.assert_close(share, torch.full_like(share, float(share[0])))


@pytest.mark.parametrize("bits", [1e-12, 1e-6, 0.1, 2.0])
def test_a_small_budget_keeps_its_digits(bits: float) -> None:
    assert _cost(KLBudget(_program(Bias({1: 30.0})), bits)) == pytest.approx(bits, rel=1e-6)


def test_a_budget_below_the_price_of_a_support_leaves_the_row() -> None:
    price = _cost(Only([0, 1]))
    assert KLBudget(_program(Only([0, 1])), 0.999 * price)(STEP, ROW) is ROW
    assert torch.equal(KLBudget(_program(Only([0, 1])), 1.001 * price)(STEP, ROW), Only([0, 1])(STEP, ROW))


def test_a_budget_for_a_program_that_leaves_nothing_is_no_way_round_the_error() -> None:
    with pytest.raises(ValueError, match=r"KLBudget.* leaves no token"):
        _program(KLBudget(_program(Ban(range(6))), 1.0))(STEP, ROW)


@given(MADE)
def test_json_brings_the_same_operator_back(operator: Operator) -> None:
    again = Program.from_json(_program(operator).to_json())
    assert again == _program(operator)
    assert hash(again) == hash(_program(operator))
    assert again.to_json() == _program(operator).to_json()


@given(MADE, st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
def test_a_row_keeps_its_dtype_and_its_input_is_left_alone(operator: Operator, dtype: torch.dtype) -> None:
    row = ROW.to(dtype)
    before = row.clone()
    made = operator(STEP, row)
    assert made.dtype == dtype
    assert made.shape == row.shape
    assert torch.equal(row, before)


@pytest.mark.parametrize("wrap", [Mask, _pool, _mix, _budget])
def test_an_operator_stands_for_a_program_of_it(wrap: Callable[[Any], Operator]) -> None:
    assert wrap(Greedy()) == wrap(_program(Greedy()))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Power(-1), "exponent is -1, but must be at least 0 and finite"),
        (lambda: Mix(1.5, Program()), "share is 1.5, but must be between 0 and 1"),
        (lambda: Mix(0.5, {0: 0.5}), "other has probabilities that sum to 0.5, but they must sum to 1"),
        (
            lambda: Mix(0.5, {0: 1.5, 1: -0.5}),
            "the probability of token 0 is 1.5, but must be between 0 and 1",
        ),
        (lambda: Mix(0.5, {}), "other has probabilities that sum to 0, but they must sum to 1"),
        (lambda: Pool([]), "programs is empty, but must have at least one program"),
        (lambda: Pool([Program()], [1, 2]), "weights are 2 numbers, but must be 1, one a program"),
        (lambda: Pool([Program()], [0]), "weight is 0, but must be above 0 and finite"),
        (lambda: KLBudget(Program(), -0.1), "bits is -0.1, but must be at least 0 and finite"),
    ],
)
def test_a_bad_parameter_is_named_with_its_value(make: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole sentence is compared
        make()
    assert str(caught.value) == sentence


@pytest.mark.parametrize("wrap", [Mask, _pool, _mix])
def test_what_is_no_program_is_refused(wrap: Callable[[Any], Operator]) -> None:
    with pytest.raises(TypeError, match="3 was given, but an operator or a program is needed"):
        wrap(3)
