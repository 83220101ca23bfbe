"""Targets: that they are met, that nothing nearer meets them, what they cost, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import rel_entr

from itwidgets.information import entropy, kl_divergence, log_probabilities
from itwidgets.interventions import (
    Force,
    Mass,
    MaxEntropy,
    Only,
    Operator,
    Program,
    Step,
    Target,
    TargetEntropy,
    TargetMoment,
    TargetSurprisal,
    Temperature,
)

LN2 = math.log(2)
STEP = Step(3, [5, 6, 7, 8], 1)
SCORES = [1.5, -0.25, 0.75, 3.0, -2.0, 0.0]
ROW = torch.tensor(SCORES, dtype=torch.float64)
# In steps of 1/16: scores that differ by less than floats can tell apart are ties in all but name.
ROWS = st.lists(st.integers(-128, 128), min_size=3, max_size=40).map(
    lambda sixteenths: torch.tensor(sixteenths, dtype=torch.float64) / 16
)
NUMBERS = {0: 1.0, 1: -2.0, 3: 0.5, 4: 3.0}
TARGETS: list[Operator] = [
    Mass([0, 4], 0.7),
    Mass([3], 0.01),
    TargetSurprisal(1, 3.5),
    TargetMoment(NUMBERS, 1.25),
    TargetEntropy(1.1),
    TargetEntropy(2.4),
    MaxEntropy(0.2),
]
MADE: st.SearchStrategy[Operator] = st.one_of(
    st.builds(Mass, st.lists(st.integers(0, 19), min_size=1, max_size=4), st.floats(0, 1)),
    st.builds(TargetSurprisal, st.integers(0, 19), st.floats(0, 60)),
    st.builds(
        TargetMoment,
        st.dictionaries(st.integers(0, 19), st.floats(-9, 9) | st.integers(-9, 9), min_size=1),
        st.floats(-9, 9),
    ),
    st.builds(TargetEntropy, st.floats(0, 17)),
    st.builds(MaxEntropy, st.floats(0, 17)),
)


def _probabilities(operator: Operator, row: torch.Tensor = ROW) -> torch.Tensor:
    return operator(STEP, row).softmax(-1)


def _cost(operator: Operator, row: torch.Tensor = ROW) -> float:
    return float(kl_divergence(log_probabilities(operator(STEP, row)), log_probabilities(row)))


def _entropy(row: torch.Tensor) -> float:
    return float(entropy(log_probabilities(row)))


def _numpy_entropy(q: npt.NDArray[np.float64]) -> float:
    return float(-np.sum(q * np.log2(np.maximum(q, 1e-300))))


@given(ROWS, st.data(), st.floats(0.001, 0.999))
def test_a_mass_is_met_and_costs_the_binary_divergence(row: torch.Tensor, data: Any, a: float) -> None:
    ids = data.draw(st.lists(st.integers(0, len(row) - 1), min_size=1, max_size=len(row) - 1, unique=True))
    q, p = _probabilities(Mass(ids, a), row), row.softmax(-1)
    assert math.isclose(float(q[ids].sum()), a, rel_tol=1e-12)
    torch.testing.assert_close(q[ids] / q[ids].sum(), p[ids] / p[ids].sum(), rtol=1e-10, atol=0)
    before = float(p[ids].sum())
    binary = float(rel_entr(a, before) + rel_entr(1 - a, 1 - before)) / LN2
    assert math.isclose(_cost(Mass(ids, a), row), binary, rel_tol=1e-9, abs_tol=1e-13)


@given(ROWS, st.floats(0.01, 300))
def test_a_surprisal_is_met(row: torch.Tensor, bits: float) -> None:
    log_q = log_probabilities(TargetSurprisal(1, bits)(STEP, row))
    assert math.isclose(-float(log_q[1]) / LN2, bits, rel_tol=1e-12)


def test_a_surprisal_below_all_floats_is_met() -> None:
    log_q = log_probabilities(TargetSurprisal(1, 5000)(STEP, ROW))
    assert math.isclose(-float(log_q[1]) / LN2, 5000, rel_tol=1e-12)


def test_all_or_nothing_is_a_support() -> None:
    for made, support in [
        (Mass([0, 4], 1), Only([0, 4])),
        (Mass([0, 4], 0), Only([1, 2, 3, 5])),
        (TargetSurprisal(2, 0), Force(2)),
    ]:
        assert torch.equal(made(STEP, ROW), support(STEP, ROW))
        kept = support(STEP, ROW).isfinite()
        # A hard mask costs -log p(A), and so does whatever token is drawn from it.
        price = -float(ROW.softmax(-1)[kept].sum().log2())
        assert math.isclose(_cost(made), price, rel_tol=1e-12)
        realised = (log_probabilities(made(STEP, ROW)) - log_probabilities(ROW))[kept] / LN2
        torch.testing.assert_close(realised, torch.full_like(realised, price))


@given(ROWS, st.floats(0.02, 0.98))
def test_a_moment_is_met(row: torch.Tensor, share: float) -> None:
    numbers = torch.sin(torch.arange(len(row)).double())
    values = dict(enumerate(numbers.tolist()))
    mean = float(numbers.min() + share * (numbers.max() - numbers.min()))
    assert math.isclose(float(_probabilities(TargetMoment(values, mean), row) @ numbers), mean, abs_tol=1e-11)


def test_a_moment_at_the_end_of_its_range_is_a_support() -> None:
    assert torch.equal(
        TargetMoment({0: 2, 3: 2, 4: 1}, 2)(STEP, ROW).softmax(-1), _probabilities(Only([0, 3]))
    )


def test_a_moment_of_an_indicator_is_a_mass() -> None:
    torch.testing.assert_close(
        _probabilities(TargetMoment({0: 1, 4: 1}, 0.7)),
        _probabilities(Mass([0, 4], 0.7)),
        rtol=1e-11,
        atol=0,
    )


@given(ROWS, st.floats(0.001, 0.999))
def test_an_entropy_is_met_within_its_range(row: torch.Tensor, share: float) -> None:
    least = math.log2(float((row == row.max()).sum()))
    most = math.log2(len(row))
    assume(most - least > 1e-6)
    bits = least + share * (most - least)
    assert abs(_entropy(TargetEntropy(bits)(STEP, row)) - bits) <= 1e-10


@pytest.mark.parametrize("size", [32_000, 152_064])
@pytest.mark.parametrize("bits", [0.2, 1.0, 4.75, 9.3, 13.5])
def test_an_entropy_is_met_in_a_large_vocabulary(bits: float, size: int) -> None:
    row = 3 * torch.randn(size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert abs(_entropy(TargetEntropy(bits)(STEP, row)) - bits) <= 1e-10


def test_a_float32_row_stays_one_and_meets_its_target_as_nearly_as_it_can() -> None:
    row = 30 * torch.randn(5000, generator=torch.Generator().manual_seed(1))
    for target, found in [
        (TargetEntropy(0.5), _entropy),
        (Mass([3, 4], 0.5), lambda made: float(made.double().softmax(-1)[[3, 4]].sum())),
    ]:
        made = target(STEP, row)
        assert made.dtype == torch.float32
        assert abs(found(made) - 0.5) < 1e-5


@pytest.mark.parametrize("bits", [0.0, math.log2(6), 3.0])
def test_an_entropy_out_of_reach_is_refused_with_the_range(bits: float) -> None:
    with pytest.raises(
        ValueError,
        match=r"TargetEntropy cannot give an entropy of .* bits at position 3: .* "
        r"above 0 and below 2\.58496$",
    ):
        TargetEntropy(bits)(STEP, ROW)


def test_ties_bound_the_entropy_from_below() -> None:
    with pytest.raises(ValueError, match=r"above 1 and below 1\.58496"):
        TargetEntropy(0.9)(STEP, torch.tensor([1.0, 1.0, 0.0]))


def test_an_entropy_that_is_there_changes_nothing() -> None:
    assert TargetEntropy(2)(STEP, torch.zeros(4)).tolist() == [0] * 4
    row = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64).log()
    assert TargetEntropy(1.5)(STEP, row) is row


def test_tempering_costs_what_the_formula_says() -> None:
    # D = (b - 1) E_q[log p] - log sum p ** b with b = 1 / T.
    for temperature in (0.3, 0.9, 1.7, 6.0):
        log_p, q = log_probabilities(ROW), _probabilities(Temperature(temperature))
        b = 1 / temperature
        nats = (b - 1) * float(q @ log_p) - float((b * log_p).logsumexp(-1))
        assert math.isclose(_cost(Temperature(temperature)), nats / LN2, rel_tol=1e-12)
        bits = _entropy(Temperature(temperature)(STEP, ROW))
        assert math.isclose(_cost(TargetEntropy(bits)), nats / LN2, rel_tol=1e-10)


@given(ROWS, st.floats(0.001, 3))
def test_the_greatest_entropy_keeps_to_its_budget(row: torch.Tensor, bits: float) -> None:
    made = MaxEntropy(bits)(STEP, row)
    cost = _cost(MaxEntropy(bits), row)
    assert cost <= bits + 1e-12
    assert cost > bits - 1e-9 or math.isclose(_entropy(made), math.log2(len(row)))
    assert _entropy(made) >= _entropy(row) - 1e-12


def test_a_budget_large_enough_gives_the_uniform_distribution() -> None:
    row = torch.tensor([3.0, 1.0, -torch.inf, 0.0])
    assert _probabilities(MaxEntropy(9), row).tolist() == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3])
    assert MaxEntropy(0)(STEP, row) is row


@pytest.mark.parametrize(
    ("target", "condition"),
    [
        (Mass([0, 4], 0.7), lambda q: q[[0, 4]].sum() - 0.7),
        (TargetSurprisal(1, 3.5), lambda q: q[1] - 2**-3.5),
        (TargetMoment(NUMBERS, 1.25), lambda q: sum(q[i] * x for i, x in NUMBERS.items()) - 1.25),
        (TargetEntropy(1.1), lambda q: _numpy_entropy(q) - 1.1),
        (TargetEntropy(2.4), lambda q: _numpy_entropy(q) - 2.4),
    ],
    ids=str,
)
def test_nothing_nearer_meets_the_target(target: Operator, condition: Any) -> None:
    p = ROW.softmax(-1).numpy()

    def cost(q: npt.NDArray[np.float64]) -> float:
        return float(rel_entr(q, p).sum() / LN2)

    conditions = [{"type": "eq", "fun": condition}, {"type": "eq", "fun": lambda q: q.sum() - 1}]
    found = [
        minimize(
            cost,
            start,
            method="SLSQP",
            bounds=[(1e-12, 1)] * len(p),
            constraints=conditions,
            options={"ftol": 1e-15, "maxiter": 500},
        )
        for start in (p, np.full(len(p), 1 / len(p)), _probabilities(target).numpy())
    ]
    met = [one.fun for one in found if one.success and abs(condition(one.x)) < 1e-9]
    assert min(met) == pytest.approx(_cost(target), rel=1e-6)


def test_nothing_within_the_budget_has_more_entropy() -> None:
    p = ROW.softmax(-1).numpy()
    found = minimize(
        lambda q: -_numpy_entropy(q),
        p,
        method="SLSQP",
        bounds=[(1e-12, 1)] * len(p),
        constraints=[
            {"type": "ineq", "fun": lambda q: 0.2 - rel_entr(q, p).sum() / LN2},
            {"type": "eq", "fun": lambda q: q.sum() - 1},
        ],
        options={"ftol": 1e-15, "maxiter": 500},
    )
    assert -found.fun == pytest.approx(_entropy(MaxEntropy(0.2)(STEP, ROW)), rel=1e-7)


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_a_target_leaves_its_input_and_excluded_tokens_alone(target: Operator) -> None:
    row = torch.cat([ROW, torch.full((3,), -torch.inf)]).float()
    before = row.clone()
    made = target(STEP, row)
    assert torch.equal(row, before)
    assert made.dtype == row.dtype
    assert (made[6:] == -torch.inf).all()
    torch.testing.assert_close(made[:6], target(STEP, ROW.float()))


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_a_target_does_not_depend_on_a_shift_of_the_scores(target: Operator) -> None:
    torch.testing.assert_close(_probabilities(target), _probabilities(target, ROW + 100), rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("target", "row", "sentence"),
    [
        (Mass([0], 0.5), [-math.inf, 1, 2], "each of the tokens is excluded"),
        (Mass([0], 1), [-math.inf, 1, 2], "each of the tokens is excluded"),
        (Mass([0], 0.5), [1, -math.inf, -math.inf], "no other token is possible"),
        (Mass([0], 0), [1, -math.inf, -math.inf], "no other token is possible"),
        (TargetSurprisal(1, 2), [0, -math.inf, 0], "each of the tokens is excluded"),
        (TargetMoment({0: 5}, 6), [0, 1, 2], "in place of a mean of 6 it reaches 5"),
        (TargetMoment({0: 5}, -1e-6), [0, 1, 2], "in place of a mean of -1e-06 it reaches"),
        *(
            (target, [0, 1, 2], "token id 6 is not in the vocabulary: ids from 0 to 2")
            for target in (Mass([6], 0.5), TargetSurprisal(6, 1), TargetMoment({6: 1}, 0.5))
        ),
    ],
)
def test_what_a_row_cannot_have_is_refused(target: Target, row: list[float], sentence: str) -> None:
    with pytest.raises(ValueError, match=rf"^(\w+ cannot give .* at position 3: )?{sentence}"):
        target(STEP, torch.tensor(row))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Mass([], 0.5), "token_ids is empty, but must name at least one token"),
        (lambda: Mass([1], 1.5), "probability is 1.5, but must be between 0 and 1"),
        (lambda: Mass([1], math.nan), "probability is nan, but must be between 0 and 1"),
        (lambda: TargetSurprisal(1, -1), "bits is -1, but must be at least 0 and finite"),
        (lambda: TargetSurprisal(-1, 1), "token_id is -1, but must be a whole number of at least 0"),
        (lambda: TargetEntropy(-0.5), "bits is -0.5, but must be at least 0 and finite"),
        (lambda: TargetEntropy("3"), "bits is '3', but must be at least 0 and finite"),  # type: ignore[arg-type]
        (lambda: MaxEntropy(math.inf), "within_bits is inf, but must be at least 0 and finite"),
        (lambda: TargetMoment({}, 1), "values is empty, but must give at least one token a number"),
        (
            lambda: TargetMoment({3: math.inf}, 1),
            "the value of token 3 is inf, but must be a finite number",
        ),
        (lambda: TargetMoment({3: 1}, math.nan), "mean is nan, but must be a finite number"),
    ],
)
def test_a_bad_parameter_is_named_with_its_value(make: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole sentence is compared
        make()
    assert str(caught.value) == sentence


@given(st.lists(MADE, max_size=4).map(lambda operators: Program(tuple(operators))))
def test_json_brings_the_same_targets_back(program: Program) -> None:
    again = Program.from_json(program.to_json())
    assert again == program
    assert hash(again) == hash(program)
    assert again.to_json() == program.to_json()
