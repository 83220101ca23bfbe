"""What whole texts cost, on a model small enough to enumerate: paths, ledger and importance weights agree."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
import torch

from itwidgets.information import (
    kl_divergence,
    log_importance_weights,
    log_probabilities,
    self_normalised_estimate,
)
from itwidgets.interventions import (
    At,
    Ban,
    Bias,
    LastToken,
    Mass,
    Outcome,
    Program,
    Step,
    Target,
    TargetEntropy,
    TopP,
    When,
    draw,
)
from itwidgets.interventions.past import token_figures

LENGTH = 3
TABLE = torch.tensor(
    [[1.0, 0.2, -0.5], [0.0, 1.5, 0.3], [-1.0, 0.4, 0.9]],
    dtype=torch.float64,
)
"""Scores of the next token after each of three tokens; the prompt is token 0."""

PATHS = list(product(range(3), repeat=LENGTH))
ENTROPY: Target = TargetEntropy(1.2)
PROGRAMS = {
    "bias": Program((Bias({0: 1.0, 2: -0.5}),)),
    "entropy": Program((ENTROPY,)),
    "by text": Program((When(LastToken([1]), Program((Mass([2], 0.8),))),)),
    "mask": Program((Ban([1]),)),
    "mask at one place": Program((At([1], Program((Ban([0, 2]),))), Bias({2: 1.0}))),
    "mask by text": Program((When(LastToken([2]), Program((Ban([2]),))),)),
}


@dataclass(frozen=True)
class Path:
    """One text, with its exact probabilities and its ledger."""

    log_p: float
    log_q: float
    costs: list[float]
    expected_costs: list[float]

    @cached_property
    def q(self) -> float:
        return math.exp(self.log_q)


def _step(tokens: tuple[int, ...]) -> Step:
    return Step(len(tokens), (0, *tokens), 1, scores=_row(tokens))


def _row(tokens: tuple[int, ...]) -> torch.Tensor:
    return TABLE[tokens[-1] if tokens else 0]


def _path(program: Program, tokens: tuple[int, ...]) -> Path:
    log_p = log_q = 0.0
    costs, expected = [], []
    for position, token in enumerate(tokens):
        step = _step(tokens[:position])
        outcome = program(step, _row(tokens[:position]))
        p, q = log_probabilities(_row(tokens[:position])), log_probabilities(outcome.q)
        log_p, log_q = log_p + float(p[token]), log_q + float(q[token])
        costs.append(float(q[token] - p[token]) / math.log(2))
        expected.append(float(kl_divergence(q, p)))
    return Path(log_p, log_q, costs, expected)


def _possible(program: Program) -> list[Path]:
    return [path for path in (_path(program, tokens) for tokens in PATHS) if path.log_q > -math.inf]


@cache
def _outcome(program: Program, tokens: tuple[int, ...]) -> Outcome:
    return program(_step(tokens), _row(tokens))


@cache
def _figures(program: Program, tokens: tuple[int, ...], token: int) -> dict[str, float]:
    return token_figures(_row(tokens), _outcome(program, tokens), token, program)


@cache
def _texts(program: Program) -> list[tuple[int, ...]]:
    """Draw texts."""
    texts = []
    for seed in range(500):
        tokens: tuple[int, ...] = ()
        for position in range(LENGTH):
            tokens = (*tokens, draw(_outcome(program, tokens).s, seed, position))
        texts.append(tokens)
    return texts


def _sampled(program: Program, name: str) -> npt.NDArray[np.float64]:
    """Sum a figure of the token table over each text that was drawn."""
    return np.array(
        [sum(_figures(program, text[:i], text[i])[name] for i in range(LENGTH)) for text in _texts(program)]
    )


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_the_divergence_of_texts_is_the_expected_sum_of_step_costs(program: Program) -> None:
    paths = _possible(program)
    assert sum(path.q for path in paths) == pytest.approx(1, abs=1e-12)
    exact = sum(path.q * (path.log_q - path.log_p) for path in paths) / math.log(2)
    assert sum(path.q * sum(path.expected_costs) for path in paths) == pytest.approx(exact, abs=1e-12)
    assert sum(path.q * sum(path.costs) for path in paths) == pytest.approx(exact, abs=1e-12)
    assert exact > 0.01


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_the_mean_weight_is_the_probability_of_the_support(program: Program) -> None:
    paths = _possible(program)
    weights = log_importance_weights(torch.tensor([sum(path.costs) for path in paths]).double()).exp()
    mean = sum(path.q * float(weight) for path, weight in zip(paths, weights, strict=True))
    support = sum(math.exp(path.log_p) for path in paths)
    assert mean == pytest.approx(support, abs=1e-6)
    assert (len(paths) == len(PATHS)) == (support > 1 - 1e-12)


@pytest.mark.parametrize("name", ["mask", "mask by text"])
def test_a_mask_costs_each_text_the_product_of_what_was_allowed(name: str) -> None:
    for path in _possible(PROGRAMS[name]):
        assert path.costs == pytest.approx(path.expected_costs, abs=1e-12)


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_texts_that_are_drawn_agree_with_the_enumeration(program: Program) -> None:
    paths = _possible(program)
    exact = sum(path.q * sum(path.costs) for path in paths)
    support = sum(math.exp(path.log_p) for path in paths)
    realised, expected = _sampled(program, "cost"), _sampled(program, "expected_cost")
    weights = log_importance_weights(realised)
    for samples, value in ((realised, exact), (expected, exact), (np.exp(weights), support)):
        error = samples.std() / math.sqrt(len(samples))
        assert abs(samples.mean() - value) < 4 * error + 1e-6
    # Along the path the expected costs vary less than the realised ones (Rao and Blackwell).
    assert expected.std() <= realised.std() + 1e-6


@pytest.mark.parametrize("name", ["bias", "entropy", "mask"])
def test_weighted_texts_stand_for_those_of_the_model(name: str) -> None:
    program = PROGRAMS[name]
    paths = _possible(program)
    support = sum(math.exp(path.log_p) for path in paths)
    # The mean surprisal under p, given what q can draw.
    exact = sum(math.exp(path.log_p) * -path.log_p for path in paths) / support / math.log(2)
    weights = log_importance_weights(_sampled(program, "cost"))
    estimate = float(self_normalised_estimate(weights, _sampled(program, "surprisal")))
    assert estimate == pytest.approx(exact, abs=0.2)


def test_sampler_stages_cost_nothing() -> None:
    for tokens in PATHS:
        assert _path(PROGRAMS["bias"] >> TopP(0.8), tokens) == _path(PROGRAMS["bias"], tokens)
