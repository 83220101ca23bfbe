"""Constrain: all targets at once, in any order, at the least cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import rel_entr

from itwidgets.information import entropy, kl_divergence, log_probabilities
from itwidgets.interventions import (
    Ban,
    Constrain,
    Mass,
    MaxEntropy,
    Operator,
    Program,
    Step,
    TargetEntropy,
    TargetMoment,
    TargetSurprisal,
    TopK,
)

LN2 = math.log(2)
STEP = Step(3, [5, 6, 7, 8], 1)
ROW = torch.tensor([1.5, -0.25, 0.75, 3.0, -2.0, 0.0, 1.0], dtype=torch.float64)
VALUES = {0: 1.0, 1: -2.0, 3: 0.5, 4: 3.0}
ALL = [Mass([0, 1], 0.4), TargetSurprisal(3, 2.0), TargetMoment(VALUES, 0.5), TargetEntropy(2.3)]


def _log_q(operator: Operator, row: torch.Tensor = ROW) -> torch.Tensor:
    return log_probabilities(operator(STEP, row))


def _cost(operator: Operator, row: torch.Tensor = ROW) -> float:
    return float(kl_divergence(_log_q(operator, row), log_probabilities(row)))


def _errors(targets: Sequence[Operator], log_q: torch.Tensor) -> list[float]:
    q = log_q.exp()
    return [
        float(q[list(target.token_ids)].sum()) - target.probability
        if isinstance(target, Mass)
        else -float(log_q[target.token_id]) / LN2 - target.bits
        if isinstance(target, TargetSurprisal)
        else sum(float(q[i]) * x for i, x in target.values.items()) - target.mean
        if isinstance(target, TargetMoment)
        else float(entropy(log_q)) - target.bits
        if isinstance(target, TargetEntropy)
        else math.nan
        for target in targets
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_all_targets_are_met_in_any_order(count: int) -> None:
    first = _log_q(Constrain(ALL[:count]))
    for order in permutations(ALL[:count]):
        log_q = _log_q(Constrain(order))
        assert max(map(abs, _errors(order, log_q))) < 1e-9
        torch.testing.assert_close(log_q, first, rtol=0, atol=1e-9)


@settings(max_examples=20)
@given(st.data(), st.integers(0, 10_000))
def test_what_some_distribution_has_is_met(data: Any, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    size = data.draw(st.integers(4, 60))
    row, wanted = 3 * torch.randn(2, size, generator=generator, dtype=torch.float64)
    log_w, numbers = log_probabilities(wanted), torch.randn(size, generator=generator).tolist()
    w = log_w.exp()
    ids = data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=size - 1, unique=True))
    targets: list[Any] = [
        Mass(ids, float(w[ids].sum())),
        TargetSurprisal(2, -float(log_w[2]) / LN2),
        TargetMoment(dict(enumerate(numbers)), float(w @ torch.tensor(numbers, dtype=w.dtype))),
    ]
    chosen = data.draw(st.lists(st.sampled_from(targets), min_size=1, unique_by=id))
    constrain = Constrain(chosen)
    assert max(map(abs, _errors(chosen, _log_q(constrain, row)))) < 1e-9
    # The projection is the nearest of all that have the means, this one among them.
    assert _cost(constrain, row) <= float(kl_divergence(log_w, log_probabilities(row))) + 1e-9


@settings(max_examples=20)
@given(st.integers(3, 60), st.integers(1, 3), st.floats(0.3, 10), st.integers(0, 10_000))
def test_means_and_entropy_that_some_distribution_has_are_met(
    size: int, count: int, temperature: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    row = 2 * torch.randn(size, generator=generator, dtype=torch.float64)
    numbers = torch.randn(min(count, size - 2), size, generator=generator, dtype=torch.float64)
    multipliers = 2 * torch.randn(len(numbers), generator=generator, dtype=torch.float64)
    # Of the family on which the solution lies, so that it is known too.
    log_q = log_probabilities(row / temperature + multipliers @ numbers)
    targets: list[Any] = [
        TargetMoment(dict(enumerate(number.tolist())), float(number @ log_q.exp())) for number in numbers
    ]
    targets.append(TargetEntropy(float(entropy(log_q))))
    found = _log_q(Constrain(targets), row)
    assert max(map(abs, _errors(targets, found))) < 1e-9
    torch.testing.assert_close(found.exp(), log_q.exp(), rtol=0, atol=1e-6)


def test_a_mass_and_an_entropy_are_met_far_from_where_the_row_has_them() -> None:
    targets: list[Any] = [Mass([0], 0.79), TargetEntropy(0.9288060486642568)]
    row = torch.tensor([0.3, 0.1, -1.5], dtype=torch.float64)
    assert max(map(abs, _errors(targets, _log_q(Constrain(targets), row)))) < 1e-9


def test_a_path_that_bends_is_followed() -> None:
    row = torch.tensor([1.68, 0.1, 0.72, -0.16, -3.47, -0.68], dtype=torch.float64)
    numbers = row.new_tensor(
        [[-2.03, -1.52, 1.14, 0.76, -1.18, -1.01], [-1.43, -1.1, 0.96, 1.05, 3.07, -0.14]]
    )
    log_q = log_probabilities(row / 0.375 - 1.08 * numbers[0] - 1.33 * numbers[1])
    means = [(dict(enumerate(number.tolist())), float(number @ log_q.exp())) for number in numbers]
    targets: list[Any] = [TargetMoment(*mean) for mean in means]
    found = _log_q(Constrain([*targets, TargetEntropy(float(entropy(log_q)))]), row)
    torch.testing.assert_close(found.exp(), log_q.exp(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("target", ALL, ids=str)
def test_one_target_alone_is_what_it_is_by_itself(target: Any) -> None:
    torch.testing.assert_close(_log_q(Constrain([target])), _log_q(target), rtol=0, atol=1e-10)


def test_one_after_another_does_not_do_it() -> None:
    mass, entropy_target = Mass([0], 0.5), TargetEntropy(2.0)
    row = (mass >> entropy_target)(STEP, ROW).s
    assert abs(_errors([mass], log_probabilities(row))[0]) > 0.01
    assert _errors([mass], _log_q(Constrain([mass, entropy_target])))[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("targets", [ALL[:2], ALL[:3], [ALL[0], ALL[3]], ALL], ids=str)
def test_nothing_nearer_meets_them(targets: list[Any]) -> None:
    p = ROW.softmax(-1).numpy()
    best = _log_q(Constrain(targets)).exp().numpy()

    def conditions(q: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        log_q = torch.from_numpy(np.log(np.maximum(q, 1e-300)))
        return np.array([*_errors(targets, log_q), q.sum() - 1])

    starts = [best * np.exp(0.1 * np.random.default_rng(seed).normal(size=len(p))) for seed in range(4)]
    found = [
        minimize(
            lambda q: rel_entr(q, p).sum() / LN2,
            start / start.sum(),
            method="SLSQP",
            bounds=[(1e-12, 1)] * len(p),
            constraints={"type": "eq", "fun": conditions},
            options={"ftol": 1e-15, "maxiter": 500},
        )
        for start in starts
    ]
    met = [one.fun for one in found if one.success and np.abs(conditions(one.x)).max() < 1e-8]
    assert min(met) == pytest.approx(_cost(Constrain(targets)), rel=1e-6)


def test_a_support_is_kept() -> None:
    kept = Constrain([Mass([0, 1], 0.6), TargetEntropy(1.4)], [Ban([1]), TopK(5)])
    log_q = _log_q(kept)
    assert log_q.isfinite().tolist() == [True, False, True, True, False, True, True]
    assert max(map(abs, _errors(kept.targets, log_q))) < 1e-9


def test_the_order_of_supports_does_not_matter() -> None:
    targets = [Mass([0, 1], 0.6)]
    one, other = Constrain(targets, [Ban([3]), TopK(5)]), Constrain(targets, [TopK(5), Ban([3])])
    assert torch.equal(one(STEP, ROW), other(STEP, ROW))


def test_all_or_nothing_together_with_an_entropy() -> None:
    constrain = Constrain([Mass([0, 2, 5], 1), TargetEntropy(0.5)])
    log_q = _log_q(constrain)
    assert log_q.isfinite().nonzero().flatten().tolist() == [0, 2, 5]
    assert float(entropy(log_q)) == pytest.approx(0.5, abs=1e-10)


def test_redundant_targets_do_no_harm() -> None:
    twice = Constrain([Mass([0, 1], 0.4), Mass([0, 1], 0.4), Mass([2, 3, 4, 5, 6], 0.6)])
    torch.testing.assert_close(_log_q(twice), _log_q(Mass([0, 1], 0.4)), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "targets",
    [
        [Mass([0], 0.7), Mass([1], 0.7)],
        [Mass([0], 0.7), Mass([0], 0.8)],
        [Mass([0], 0.5), TargetEntropy(0.9)],
        [Mass([0], 0.5), TargetEntropy(2.5)],
        [Mass([0], 1), Mass([1], 1)],
        [TargetMoment(VALUES, 3.5)],
        [TargetEntropy(3)],
        [Mass([0], 1), TargetSurprisal(0, 1)],
    ],
    ids=str,
)
def test_what_cannot_be_met_together_is_refused(targets: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"^Constrain cannot give .* at position 3: (in place of|no token)"):
        Constrain(targets)(STEP, ROW)


@pytest.mark.parametrize(("bits", "reached"), [(0.9, "1"), (2.5, "2.29248")])
def test_an_entropy_that_a_mass_forbids_is_named_with_the_nearest(bits: float, reached: str) -> None:
    with pytest.raises(ValueError, match=f": in place of an entropy of {bits} bits it reaches {reached}$"):
        Constrain([Mass([0], 0.5), TargetEntropy(bits)])(STEP, ROW)


def test_a_float32_row_stays_one_on_its_scale() -> None:
    row = 5 * torch.randn(2000, generator=torch.Generator().manual_seed(0))
    made = Constrain([Mass([1, 2], 0.25), TargetEntropy(4.0)])(STEP, row)
    assert made.dtype == torch.float32
    assert made.max() == row.max()
    assert float(made.double().softmax(-1)[[1, 2]].sum()) == pytest.approx(0.25, abs=1e-5)


@given(st.permutations(ALL), st.integers(1, 4), st.lists(st.just(Ban([2])) | st.just(TopK(3)), max_size=2))
def test_json_brings_the_same_constraints_back(order: list[Any], count: int, support: list[Operator]) -> None:
    program = Program((Constrain(order[:count], support),))
    again = Program.from_json(program.to_json())
    assert again == program
    assert hash(again) == hash(program)


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: Constrain([]), ValueError, "targets is empty, but must have at least one target"),
        (
            lambda: Constrain([TargetEntropy(1), TargetEntropy(2)]),
            ValueError,
            "targets has 2 entropies, but may have one",
        ),
        (
            lambda: Constrain([MaxEntropy(1)]),
            TypeError,
            r"MaxEntropy\(within_bits=1\) is among the targets, but must be a Mass, a TargetSurprisal, a "
            "TargetMoment or a TargetEntropy",
        ),
        (
            lambda: Constrain([TargetEntropy(1)], [3]),  # type: ignore[list-item]
            TypeError,
            "3 is in the support, but must be an operator that excludes tokens",
        ),
    ],
)
def test_a_bad_parameter_is_named(make: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=f"^{sentence}$"):
        make()
