"""Mixtures of distributions: the papers' formulas, transformers' own guidance, and names in JSON."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import UnbatchedClassifierFreeGuidanceLogitsProcessor

from itwidgets.interventions import Contrast, Experts, Guidance, Operator, Program, Step, Temperature

STEP = Step(0, [1, 2], 2)
ROWS = torch.randn(3, 50, generator=torch.Generator().manual_seed(0)) * 3
P: torch.Tensor = ROWS[0]
FIRST: torch.Tensor = ROWS[1]
SECOND: torch.Tensor = ROWS[2]


def first(step: Step) -> torch.Tensor:
    return FIRST


def second(step: Step) -> torch.Tensor:
    return SECOND


def cut(step: Step) -> torch.Tensor:
    return FIRST.masked_fill(torch.arange(50) < 5, -torch.inf)


CODE: dict[str, Callable[[Step], torch.Tensor]] = {"first": first, "second": second}
SOURCES = st.sampled_from(list(CODE.values()))
NUMBERS = st.floats(-4, 4)
MIXTURES: st.SearchStrategy[Operator] = st.one_of(
    st.builds(Contrast, SOURCES, NUMBERS, st.floats(0, 1)),
    st.builds(Guidance, SOURCES, NUMBERS),
    st.lists(st.tuples(SOURCES, NUMBERS), min_size=1, max_size=3).map(
        lambda pairs: Experts([source for source, _ in pairs], [weight for _, weight in pairs])
    ),
)


def log_probs(row: Any) -> Any:
    return scipy.special.log_softmax(np.asarray(row, np.float64))


def assert_same_distribution(row: torch.Tensor, expected: Any, tolerance: float = 1e-12) -> None:
    np.testing.assert_allclose(row.double().softmax(-1), scipy.special.softmax(expected), atol=tolerance)


@given(weight=NUMBERS, alpha=st.floats(0, 1))
def test_contrast_is_that_of_the_paper(weight: float, alpha: float) -> None:
    p, other = log_probs(P), log_probs(FIRST)
    plausible = np.exp(p) >= alpha * np.exp(p).max() * (1 - 1e-12)
    found = Contrast(first, weight, alpha)(STEP, P.double())
    assert_same_distribution(found, np.where(plausible, p - weight * other, -np.inf))
    assert found.isfinite().sum() <= plausible.sum()
    assert found[P.argmax()].isfinite()


@given(weights=st.tuples(NUMBERS, NUMBERS))
def test_experts_multiply(weights: tuple[float, float]) -> None:
    expected = log_probs(P) + weights[0] * log_probs(FIRST) + weights[1] * log_probs(SECOND)
    assert_same_distribution(Experts([first, second], weights)(STEP, P.double()), expected)


@given(scale=NUMBERS)
def test_guidance_is_that_of_transformers_to_the_bit(scale: float) -> None:
    def model(*_: Any, **__: Any) -> Any:
        return cast("Any", type("Output", (dict,), {"logits": FIRST[None, None]}))()

    negative = cast("Any", torch.tensor([[1]]))
    theirs = UnbatchedClassifierFreeGuidanceLogitsProcessor(scale, cast("Any", model), negative)
    expected = theirs(torch.tensor([[1, 2]]), P[None].clone())[0]
    found = Guidance(first, scale)(STEP, P)
    assert_same_distribution(found, expected.double(), 1e-5)
    if scale != 1:
        assert torch.equal(found, expected)


@given(alpha=st.floats(0, 3))
def test_guidance_is_context_aware_decoding(alpha: float) -> None:
    expected = (1 + alpha) * log_probs(P) - alpha * log_probs(FIRST)
    assert_same_distribution(Guidance(first, 1 + alpha)(STEP, P.double()), expected)


def test_a_scale_of_one_asks_nobody_and_changes_nothing() -> None:
    def never(step: Step) -> torch.Tensor:
        raise AssertionError

    assert Guidance(never, 1.0)(STEP, P) is P


def test_what_either_excludes_is_excluded() -> None:
    row = P.masked_fill(torch.arange(50) >= 45, -torch.inf)
    for operator in (
        Contrast(cut, 2.0),
        Guidance(cut, 3.0),
        Guidance(cut, 0.0),
        Experts([first, cut], [1, -1]),
    ):
        found = operator(STEP, row)
        assert found.isfinite().nonzero()[:, 0].tolist() == list(range(5, 45))
        assert not found.isnan().any()


def test_rows_stay_as_they_are_and_keep_their_dtype() -> None:
    before = ROWS.clone()
    for dtype in (torch.float32, torch.float64):
        for operator in (Contrast(first, 0.5, 0.1), Guidance(first, 1.5), Experts([first], [1.0])):
            assert operator(STEP, P.to(dtype)).dtype == dtype
    assert torch.equal(ROWS, before)


def test_a_source_gets_the_step() -> None:
    seen: list[Step] = []
    source = SimpleNamespace(name="seen")

    def ask(step: Step) -> torch.Tensor:
        seen.append(step)
        return FIRST

    ask.name = "mine"  # type: ignore[attr-defined]
    operator = Contrast(ask, 1.0)
    operator(STEP, P)
    assert seen == [STEP]
    assert operator.described()["source"] == "mine"
    with pytest.raises(TypeError, match="source is namespace"):
        Contrast(cast("Any", source), 1.0)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Contrast(cast("Any", None), 1.0), "source is None, but must be callable"),
        (lambda: Contrast(first, float("nan")), "weight is nan, but must be a finite number"),
        (lambda: Contrast(first, 1.0, 1.5), "plausibility is 1.5, but must be between 0 and 1"),
        (lambda: Guidance(first, cast("Any", "2")), "scale is '2', but must be a finite number"),
        (lambda: Experts([first], [1.0, 2.0]), "2 weights were given for 1 sources"),
        (lambda: Experts([], []), "there must be at least one source"),
        (lambda: Experts([first], [True]), "weight is True, but must be a finite number"),
    ],
)
def test_what_is_no_mixture_is_refused(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence):
        make()


def test_a_source_of_another_width_is_named() -> None:
    def narrow(step: Step) -> torch.Tensor:
        return FIRST[:40]

    sentence = r"the source 'narrow' of Contrast returned scores of shape \[40\], but the row has \[50\]"
    with pytest.raises(ValueError, match=sentence):
        Contrast(narrow, 1.0)(STEP, P)


@given(st.lists(MIXTURES, max_size=3).map(lambda operators: Program(tuple(operators))))
def test_json_has_names_and_brings_the_same_program_back(program: Program) -> None:
    again = Program.from_json(program.to_json(), allow=CODE)
    assert again == program
    assert again.digest == program.digest
    assert set(program.code) <= set(CODE)


@pytest.mark.parametrize(
    "text",
    [
        '{"operator":"Contrast","source":"first","weight":1.0}',
        '{"operator":"Guidance","source":null,"scale":1.0}',
        '{"operator":"Experts","sources":["second"],"weights":[1.0]}',
        '{"operator":"Experts","sources":3,"weights":[1.0]}',
        '{"operator":"Experts","weights":[1.0]}',
        '{"operator":"Mixing"}',
    ],
)
def test_sources_that_are_not_allowed_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"the source|cannot be read|at least one source|unknown operator"):
        Program.from_json(f'{{"version":1,"operators":[{text}]}}')


def test_an_empty_support_names_the_operator() -> None:
    def nothing(step: Step) -> torch.Tensor:
        return torch.full((50,), -torch.inf)

    with pytest.raises(ValueError, match=r"Contrast\(.*leaves no token to draw at position 0"):
        (Temperature(1.0) >> Contrast(nothing, 1.0))(STEP, P)
