"""Truncating stages: against transformers to the bit, else against their definitions written out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from transformers import EpsilonLogitsWarper, EtaLogitsWarper, TopHLogitsWarper, TypicalLogitsWarper

from itwidgets.interventions import (
    XTC,
    Epsilon,
    Eta,
    Operator,
    Program,
    SamplerStage,
    Step,
    Temperature,
    TopA,
    TopH,
    TopNSigma,
    Typical,
)
from tests.interventions.rows import rows_of_all_kinds

STEP = Step(0, [1], 1)
PAIRS = [
    *((Typical(m), TypicalLogitsWarper(m)) for m in (1e-6, 0.2, 0.9, 0.999)),
    *((Epsilon(e), EpsilonLogitsWarper(e)) for e in (1e-6, 3e-4, 0.05, 0.9)),
    *((Eta(e), EtaLogitsWarper(e)) for e in (1e-6, 3e-4, 0.05, 0.9)),
]
SCORES = st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=60)
SHARES = st.floats(0.01, 0.99)
STAGES = st.one_of(
    SHARES.map(Typical),
    SHARES.map(Epsilon),
    SHARES.map(Eta),
    SHARES.map(TopA),
    SHARES.map(TopH),
    st.floats(0.01, 5).map(TopNSigma),
    st.builds(XTC, SHARES, SHARES, st.lists(st.integers(0, 1)), st.integers(0, 2**64 - 1)),
)


def _kept(operator: Operator, row: torch.Tensor, step: Step = STEP) -> set[int]:
    return set(operator(step, row).isfinite().nonzero().flatten().tolist())


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=[str(ours) for ours, _ in PAIRS])
def test_a_stage_is_bit_equal_to_transformers(ours: Operator, theirs: Any) -> None:
    for row in rows_of_all_kinds():
        expected = theirs(torch.tensor([[1]]), row[None].clone())[0]
        assert torch.equal(ours(STEP, row), expected)


@given(STAGES, SCORES)
def test_a_stage_only_excludes_and_always_leaves_a_token(stage: SamplerStage, scores: list[float]) -> None:
    row = torch.tensor(scores)
    before = row.clone()
    result = stage(STEP, row)
    assert torch.equal(row, before)
    kept = result > -torch.inf
    assert kept.any()
    assert torch.equal(result[kept], row[kept])
    assert stage.stage == "sampler"


@given(STAGES)
def test_a_stage_can_be_written_and_read(stage: SamplerStage) -> None:
    program = Program((stage,))
    assert Program.from_json(program.to_json()) == program


@pytest.mark.parametrize(
    "stage",
    [Typical(0.5), Epsilon(0.1), Eta(0.1), TopA(0.5), TopNSigma(1.0), TopH(0.5), XTC(0.1, 1.0)],
    ids=str,
)
def test_rows_of_all_kinds_come_back_in_their_dtype(stage: SamplerStage) -> None:
    for row in rows_of_all_kinds():
        result = stage(STEP, row)
        assert result.dtype == row.dtype
        assert not result.isnan().any()
        assert (result > -torch.inf).any()


@given(SCORES, SHARES)
def test_top_a_keeps_what_its_square_allows(scores: list[float], a: float) -> None:
    row = torch.tensor(scores, dtype=torch.float64)
    p = np.exp(np.array(scores) - np.logaddexp.reduce(scores))
    bound = a * p.max() ** 2
    assume(np.abs(p / bound - 1).min() > 1e-9)
    assert _kept(TopA(a), row) == set(np.flatnonzero(p >= bound).tolist())


@given(SCORES, st.floats(0.05, 4))
def test_top_n_sigma_is_a_distance_in_deviations(scores: list[float], n: float) -> None:
    values = np.array(scores)
    bound = values.max() - n * values.std()
    assume(np.abs(values - bound).min() > 1e-9)
    row = torch.tensor([*scores, -torch.inf], dtype=torch.float64)
    assert _kept(TopNSigma(n), row) == set(np.flatnonzero(values >= bound).tolist())
    # At any temperature the same tokens.
    assert _kept(TopNSigma(n), Temperature(4.0)(STEP, row)) == _kept(TopNSigma(n), row)


def _entropy(row: torch.Tensor) -> float:
    distribution: Any = torch.distributions.Categorical(logits=row)
    return float(distribution.entropy())


@given(SCORES, SHARES)
def test_top_h_is_the_largest_set_within_the_bound(scores: list[float], alpha: float) -> None:
    row = torch.tensor(scores, dtype=torch.float64)
    kept = _kept(TopH(alpha), row)
    best = np.argsort(-row.numpy(), kind="stable")
    assert kept == set(best[: len(kept)].tolist())
    bound = alpha * _entropy(row)
    assert len(kept) == 1 or _entropy(row[best[: len(kept)]]) <= bound + 1e-9
    if len(kept) < len(row):
        assert _entropy(row[best[: len(kept) + 1]]) > bound - 1e-9


def test_top_h_of_a_flat_row_is_exact() -> None:
    # H of k equal tokens is ln k: 0.5 * ln 65536 = ln 256.
    assert len(_kept(TopH(0.5), torch.zeros(65536))) == 256


def test_top_h_of_transformers_goes_beyond_the_bound() -> None:
    row = torch.zeros(50)
    warper: Any = TopHLogitsWarper(0.4)
    theirs = int(warper(torch.tensor([[1]]), row[None])[0].isfinite().sum())
    ours = len(_kept(TopH(0.4), row))
    assert math.log(ours) <= 0.4 * math.log(50) < math.log(ours + 1)
    assert math.log(theirs) > 0.4 * math.log(50)


def test_the_whole_mass_cuts_nothing() -> None:
    row = rows_of_all_kinds()[3]
    assert Typical(1)(STEP, row) is row
    assert TopH(1)(STEP, row) is row


@given(SCORES, SHARES)
def test_xtc_leaves_the_last_of_the_top_choices(scores: list[float], threshold: float) -> None:
    row = torch.tensor(scores)
    p = row.softmax(-1)
    choices = [i for i in range(len(p)) if p[i] >= threshold]
    last = min(choices, key=lambda i: (float(p[i]), -i), default=0)
    expected = set(range(len(p))) - ({*choices} - {last})
    assert _kept(XTC(threshold, 1.0), row) == expected
    assert XTC(threshold, 0.0)(STEP, row) is row


def test_xtc_excludes_nothing_where_it_would_exclude_what_is_protected() -> None:
    row = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    assert XTC(0.1, 1.0, protected=[1])(STEP, row) is row
    assert _kept(XTC(0.1, 1.0, protected=[2]), row) == {2, 3}


def test_xtc_acts_by_chance_that_depends_on_seed_and_position() -> None:
    row = torch.zeros(4)
    steps = [Step(position, range(position + 1), 1) for position in range(400)]
    acts = [XTC(0.1, 0.3, seed=5)(step, row) is not row for step in steps]
    assert acts == [XTC(0.1, 0.3, seed=5)(step, row) is not row for step in steps]
    assert acts != [XTC(0.1, 0.3, seed=6)(step, row) is not row for step in steps]
    # Within five standard deviations.
    assert abs(sum(acts) - 120) < 5 * math.sqrt(400 * 0.3 * 0.7)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Typical(0), "mass is 0, but must be above 0 and at most 1"),
        (lambda: Epsilon(1), "epsilon is 1, but must be between 0 and 1, and neither"),
        (lambda: Eta(0.0), "epsilon is 0.0, but must be between 0 and 1, and neither"),
        (lambda: TopA(-0.1), "a is -0.1, but must be between 0 and 1"),
        (lambda: TopNSigma(0), "n is 0, but must be above 0"),
        (lambda: TopH(1.1), "alpha is 1.1, but must be above 0 and at most 1"),
        (lambda: XTC(threshold=0), "threshold is 0, but must be above 0 and at most 1"),
        (lambda: XTC(probability=2), "probability is 2, but must be between 0 and 1"),
        (lambda: XTC(seed=-1), "seed is -1, but must be a whole number of at least 0"),
    ],
)
def test_a_bad_parameter_is_named_with_its_value(make: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole sentence is compared
        make()
    assert str(caught.value) == sentence
