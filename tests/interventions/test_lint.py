"""The linter: what it says of a program's order, where it says nothing, and which pairs commute."""

from __future__ import annotations

import re
from itertools import combinations, product
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from itwidgets.interventions import (
    GREEDY,
    At,
    Ban,
    Bias,
    Compare,
    Constrain,
    Every,
    Force,
    Greedy,
    KLBudget,
    Mass,
    MinP,
    Mirostat,
    Operator,
    Pool,
    Power,
    Program,
    Schedule,
    Step,
    TargetEntropy,
    Temperature,
    TopK,
    TopP,
    When,
    commute,
    lint,
)

ENTROPY: Any = TargetEntropy(3.0)
STEP = Step(0, [1], 1)


@pytest.mark.parametrize(
    "program",
    [
        Program(),
        GREEDY,
        Bias({3: 1.0}) >> Ban([4]) >> Temperature(0.7) >> TopK(5) >> TopP(0.9),
        Ban([4]) >> ENTROPY,
        Bias({3: 1.0}) >> KLBudget(Program((Temperature(0.5), TopP(0.9))), 0.5),
        Mass([3], 0) >> Mass([4, 5], 1.0) >> Temperature(0.7),
        At([0], ENTROPY) >> At([1, 2], Ban([3])),
        At([0, 2], ENTROPY) >> Every(2, Ban([3]), start=1),
        At([1], Force(3)) >> TopP(0.9),
    ],
    ids=str,
)
def test_of_a_sound_program_nothing_is_said(program: Program) -> None:
    assert lint(program) == []


@pytest.mark.parametrize(
    ("target", "promise"),
    [
        (ENTROPY, "an entropy of 3.0 bits"),
        (Mass([5], 0.25), "a probability of 0.25 for token 5"),
        (Mass([5, 6], 0.25), "a probability of 0.25 for 2 tokens"),
        (KLBudget(Program(), 0.5), "a cost of at most 0.5 bits"),
        (Constrain([ENTROPY, Mass([5], 0.5)]), "an entropy of 3.0 bits and a probability of 0.5 for token 5"),
    ],
    ids=str,
)
@pytest.mark.parametrize("later", [Bias({2: 1.0}), Temperature(0.7), TopK(5), Mirostat(3.0)], ids=str)
def test_what_undoes_a_target_is_named(target: Operator, promise: str, later: Operator) -> None:
    (sentence,) = lint(target >> later)
    assert sentence.startswith(f"{later} comes after ")
    assert sentence.endswith(f"undoes it: the row need not have {promise} any more; put the target last")


@pytest.mark.parametrize("later", [Ban([5]), Mass([5], 0.5), TargetEntropy(2.0)], ids=str)
def test_two_that_can_be_met_together_are_sent_to_constrain(later: Operator) -> None:
    (sentence,) = lint(ENTROPY >> later)
    assert sentence == (
        f"{later} comes after TargetEntropy(bits=3.0) and undoes it: the row need not have an entropy of 3.0 "
        "bits any more; put the target last, or let Constrain meet both"
    )


@pytest.mark.parametrize(
    "program",
    [
        At([0], ENTROPY) >> TopK(5),
        At([0, 4], ENTROPY) >> At([4], TopK(5)),
        Every(2, ENTROPY) >> At([4], TopK(5)),
        ENTROPY >> When(Compare("entropy", ">", 2), TopK(5)),
        Schedule(ENTROPY, "bits", [(0, 3.0), (9, 1.0)]) >> TopK(5),
        When(Compare("entropy", ">", 2), Program(), otherwise=ENTROPY) >> TopK(5),
        At([0], ENTROPY >> TopK(5)) >> At([1], TopK(5)),
        Program((Pool([ENTROPY >> TopK(5), Program()]),)),
    ],
    ids=str,
)
def test_control_is_looked_into(program: Program) -> None:
    (sentence,) = lint(program)
    assert re.search(r"(TopK.*|When) comes after TargetEntropy.* (may undo|undoes) it", sentence)


def test_each_later_operator_has_a_sentence() -> None:
    assert len(lint(ENTROPY >> Ban([3]) >> Mass([4], 0.5) >> TopK(5))) == 4


def test_a_sampler_stage_before_an_intervention_is_named() -> None:
    (sentence,) = lint(TopP(0.9) >> Bias({3: 1.0}) >> TopK(5))
    assert sentence == (
        "TopP(p=0.9) is a sampler stage before the intervention Bias(nats={3: 1.0}), so that what it does "
        "counts as an intervention and has a cost: put it last"
    )
    (sentence,) = lint(Temperature(0.7) >> Ban([3]))
    assert sentence.endswith("put it last, which changes nothing of what is drawn")


def test_what_follows_a_single_token_is_named() -> None:
    assert lint(Greedy() >> TopK(5) >> TopP(0.9)) == [
        "TopK(k=5) comes after Greedy(), which leaves one token: nothing is left to choose",
        "TopP(p=0.9) comes after Greedy(), which leaves one token: nothing is left to choose",
    ]


def test_long_operators_are_named_by_their_kind() -> None:
    (sentence,) = lint(ENTROPY >> Ban(range(100)))
    assert sentence.startswith("Ban comes after TargetEntropy(bits=3.0)")


KINDS: dict[str, st.SearchStrategy[Operator]] = {
    "temperature": st.builds(Temperature, st.floats(0.2, 5)) | st.builds(Power, st.floats(0.2, 5)),
    "support": st.builds(Ban, st.lists(st.integers(0, 11), max_size=5)),
    "bias": st.builds(Bias, st.dictionaries(st.integers(0, 11), st.floats(-3, 3), max_size=4)),
    "top-k": st.builds(TopK, st.integers(1, 12)),
    "min-p": st.builds(MinP, st.floats(0, 0.9)),
}
EXAMPLES: dict[str, list[Operator]] = {
    "temperature": [Temperature(0.7), Power(0.7)],
    "support": [Ban([0, 2]), Ban([5])],
    "bias": [Bias({0: 2.0, 1: -1.0})],
    "top-k": [TopK(7), TopK(8)],
    "top-p": [TopP(0.9)],
    "min-p": [MinP(0.01)],
    "mass": [Mass([0, 1], 0.6)],
    "entropy": [TargetEntropy(1.5)],
}
COMMUTING = [("temperature", "support"), ("temperature", "top-k"), ("support", "bias"), ("top-k", "min-p")]
OTHERS = [pair for pair in combinations(EXAMPLES, 2) if pair not in COMMUTING]


@given(st.sampled_from(COMMUTING), st.data(), st.integers(0, 999))
def test_pairs_that_are_said_to_commute_do(pair: tuple[str, str], data: Any, seed: int) -> None:
    first, second = (data.draw(KINDS[name]) for name in pair)
    assert commute(first, second)
    assert commute(second, first)
    torch.testing.assert_close(*_both_ways(first, second, seed), equal_nan=True)


@pytest.mark.parametrize("pair", OTHERS, ids=str)
def test_all_others_fail_at_some_row(pair: tuple[str, str]) -> None:
    assert not any(commute(first, second) for first, second in product(*(EXAMPLES[name] for name in pair)))
    assert any(
        not torch.allclose(*_both_ways(first, second, seed), atol=1e-6)
        for first, second in product(*(EXAMPLES[name] for name in pair))
        for seed in range(50)
    )


def _both_ways(first: Operator, second: Operator, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    row = 2 * torch.randn(12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    one, other = first >> second, second >> first
    return one.last_row(STEP, row).softmax(-1), other.last_row(STEP, row).softmax(-1)
