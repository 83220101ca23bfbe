"""Bias and Ban: what they do to a row, and what they refuse."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import SequenceBiasLogitsProcessor, SuppressTokensLogitsProcessor

from itwidgets.interventions import Ban, Bias, Operator, Step, Temperature

STEP = Step(3, [5, 6, 7, 8], 1)
ROW = torch.randn(20, generator=torch.Generator().manual_seed(0))
IDS = torch.tensor([[5, 6]])


def test_a_bias_is_that_of_transformers() -> None:
    nats = {2: 1.5, 0: -2.0, 19: 0.25}
    theirs = SequenceBiasLogitsProcessor([[[token], value] for token, value in nats.items()])
    assert torch.equal(Bias(nats)(STEP, ROW), theirs(IDS, ROW[None].clone())[0])


def test_a_ban_is_that_of_transformers() -> None:
    theirs = SuppressTokensLogitsProcessor([4, 9], device="cpu")
    assert torch.equal(Ban([4, 9])(STEP, ROW), theirs(IDS, ROW[None].clone())[0])


@given(st.dictionaries(st.integers(0, 19), st.floats(-5, 5), max_size=5), st.integers(0, 19))
def test_a_bias_multiplies_odds(nats: dict[int, float], other: int) -> None:
    before, after = ROW.double(), Bias(nats)(STEP, ROW.double())
    for token, value in nats.items():
        moved = (after[token] - after[other]) - (before[token] - before[other])
        assert math.isclose(float(moved), value - nats.get(other, 0), abs_tol=1e-9)


def test_a_ban_keeps_the_proportions_of_the_rest() -> None:
    kept = [i for i in range(20) if i not in (4, 9)]
    before, after = ROW.double().softmax(-1), Ban([4, 9])(STEP, ROW.double()).softmax(-1)
    assert after[[4, 9]].tolist() == [0, 0]
    torch.testing.assert_close(after[kept], before[kept] / before[kept].sum())


@pytest.mark.parametrize("operator", [Bias({1: 2.0}), Ban([0, 1]), Ban([])], ids=str)
def test_an_operator_leaves_its_input_alone(operator: Operator) -> None:
    row = ROW.clone()
    assert operator(STEP, row) is not row or torch.equal(row, ROW)
    assert torch.equal(row, ROW)


def test_operators_do_not_change_with_their_arguments() -> None:
    nats, ids = {1: 2.0}, [1]
    bias, ban = Bias(nats), Ban(ids)
    nats[2], ids[0] = 5.0, 3
    assert bias == Bias({1: 2.0})
    assert ban == Ban([1])
    assert len({bias, Bias({1: 2.0}), ban, Temperature(1.0)}) == 3


@pytest.mark.parametrize(("operator", "wrong"), [(Bias({20: 1.0}), 20), (Ban([3, 21]), 21)])
def test_ids_outside_the_vocabulary_are_refused(operator: Operator, wrong: int) -> None:
    with pytest.raises(ValueError, match=rf"token id {wrong} is not in the vocabulary: ids from 0 to 19"):
        operator(STEP, ROW)
