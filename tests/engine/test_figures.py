"""Figures that a device may still be computing: what is queued, what is waited for, what comes of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from itwidgets.engine.decoding import figures
from itwidgets.engine.decoding.figures import PendingToken, pending_drawn, pending_forced, pending_given
from itwidgets.interventions import GREEDY, Ban, Bias, Outcome, Program, Step, Temperature, TopK
from itwidgets.tree import TOP_K

PROGRAMS = {
    "plain": Program(),
    "greedy": GREEDY,
    "temperature": Program((Temperature(0.7),)),
    "bias": Program((Bias({5: 3.0, 40: -2.0}),)),
    "bias and temperature": Bias({5: 3.0, 40: -2.0}) >> Temperature(1.5),
    "ban and list": Ban(range(0, 520, 2)) >> TopK(20),
    "bias and greedy": Bias({5: 3.0}) >> GREEDY,
}
STEP = Step(0, [1], 1)


def _scores(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)) * 3


@pytest.mark.parametrize("name", PROGRAMS)
def test_figures_of_a_drawn_token_agree_with_torch(name: str) -> None:
    program = PROGRAMS[name]
    scores = _scores(520)
    outcome = program(STEP, scores)
    token = outcome.s.argmax()
    pending = pending_drawn(scores, outcome, token, program)
    p, q, s = (Categorical(logits=row.double()) for row in (scores, outcome.q, outcome.s))
    bits = [-float(one.log_prob(token)) / math.log(2) for one in (p, q, s)]  # type: ignore[no-untyped-call]
    found = pending.read()
    assert pending.token_id == int(pending.token) == int(token)
    names = ("surprisal", "surprisal_q", "surprisal_s")
    assert [found[name] for name in names] == pytest.approx(bits, abs=1e-6)
    assert found["cost"] == pytest.approx(bits[0] - bits[1], abs=1e-6)
    assert found["expected_cost"] == pytest.approx(float(kl_divergence(q, p)) / math.log(2), abs=1e-9)
    assert all(math.copysign(1, found[name]) == 1 for name in names)


def test_without_an_intervention_nothing_costs() -> None:
    scores = _scores(520)
    for program in (Program(), GREEDY, Temperature(0.5) >> TopK(5)):
        outcome = program(STEP, scores)
        found = pending_drawn(scores, outcome, outcome.s.argmax(), program).read()
        assert found["surprisal_q"] == found["surprisal"]
        assert found["cost"] == found["expected_cost"] == 0
    assert pending_drawn(scores, GREEDY(STEP, scores), scores.argmax(), GREEDY).read()["surprisal_s"] == 0


def test_figures_of_given_tokens_are_columns_and_each_is_as_alone() -> None:
    rows, tokens = _scores(7, 520), [5, 0, 519, 3, 3, 3, 9]
    columns = pending_given(rows, tokens).read()
    assert columns["surprisal"].shape == (7,)
    assert columns["top_ids"].shape == columns["top_log_probs"].shape == (7, TOP_K)
    for i, token in enumerate(tokens):
        forced = pending_forced(rows[i], token).read()
        for name, column in columns.items():
            np.testing.assert_array_equal(column[i], forced[name])
        assert forced["cost"] == forced["expected_cost"] == forced["surprisal"]
        assert forced["surprisal_q"] == forced["surprisal_s"] == 0


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_waits_for_the_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of a meta tensor no value can be had, as of a device's none without waiting.
    queued: list[torch.Tensor] = []
    monkeypatch.setattr(
        figures.PendingFigures, "__init__", lambda self, numbers, finish: queued.append(numbers)
    )
    program = PROGRAMS[name]
    here = program(STEP, _scores(520))
    q = torch.empty(520, device="meta")
    s = q if here.s is here.q else torch.empty(520, device="meta")
    outcome = Outcome(q, s, torch.empty((), device="meta").long())
    pending_drawn(torch.empty(520, device="meta"), outcome, torch.empty((), device="meta").long(), program)
    pending_forced(torch.empty(520, device="meta"), 5)
    pending_given(torch.empty(3, 520, device="meta"), [5, 6, 7])
    assert [numbers.device.type for numbers in queued] == ["meta"] * 3
    assert queued[1].shape == (1 + 5 + 2 * TOP_K,)


@pytest.mark.parametrize("last", [Program(), Program((Temperature(0.7),)), GREEDY])
def test_a_program_that_left_no_token_shows_when_its_figures_are_read(last: Program) -> None:
    scores = _scores(520)
    program = Ban(range(520)) >> last
    outcome = program(STEP, scores, check=False)
    assert math.isnan(pending_drawn(scores, outcome, torch.tensor(0), program).read()["surprisal_s"])


def test_reading_waits_for_the_copy_and_making_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []

    class Event:
        def synchronize(self) -> None:
            waited.append(True)

    monkeypatch.setattr(figures, "_recorded_event", lambda device: Event())
    pending: PendingToken = pending_forced(_scores(520), 5)
    assert not waited
    assert pending.token_id == 5
    assert waited
    pending.read()
    assert len(waited) == 2
