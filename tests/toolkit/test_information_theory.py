"""The toolkit's measures: their numbers against scipy and mpmath, what they accept, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from itwidgets import (
    analyze_token_information,
    compute_entropy,
    compute_kl_divergence,
    compute_perplexity,
    compute_shannon_information,
    compute_varentropy,
)

BASES = (2, math.e, 10)
WEIGHTS = st.lists(st.floats(1e-3, 1.0), min_size=2, max_size=40)


def normalised(weights: Sequence[float]) -> list[float]:
    shares: list[float] = (np.array(weights) / np.sum(weights)).tolist()
    return shares


def exact_moments(probabilities: Sequence[float], base: float) -> tuple[float, float]:
    """Entropy and varentropy at 40 digits."""
    with mpmath.workdps(40):
        nats = [(mpmath.mpf(p), -mpmath.log(p)) for p in probabilities if p]
        entropy = sum(p * i for p, i in nats)
        varentropy = sum(p * (i - entropy) ** 2 for p, i in nats)
        unit = mpmath.log(base)
        return float(entropy / unit), float(varentropy / unit**2)


@given(WEIGHTS, st.sampled_from(BASES))
def test_entropy_and_varentropy_are_what_mpmath_says(weights: list[float], base: float) -> None:
    p = normalised(weights)
    entropy, varentropy = exact_moments(p, base)
    assert compute_entropy(p, base) == pytest.approx(entropy, rel=1e-12)
    assert compute_varentropy(p, base) == pytest.approx(varentropy, rel=1e-11, abs=1e-14)
    assert compute_entropy(p, base) == pytest.approx(scipy.stats.entropy(p, base=base), rel=1e-12)


@given(
    st.integers(2, 40).flatmap(
        lambda n: st.tuples(*[st.lists(st.floats(1e-3, 1), min_size=n, max_size=n)] * 2)
    )
)
def test_the_divergence_is_what_scipy_says(weights: tuple[list[float], list[float]]) -> None:
    p, q = map(normalised, weights)
    assert compute_kl_divergence(p, q) == pytest.approx(
        scipy.stats.entropy(p, q, base=2), rel=1e-9, abs=1e-14
    )
    assert compute_kl_divergence(p, p) == 0.0


@given(st.lists(st.floats(1e-300, 1.0), min_size=1, max_size=40), st.sampled_from(BASES))
def test_the_analysis_is_what_numpy_says_of_the_surprisals(probabilities: list[float], base: float) -> None:
    found = analyze_token_information(probabilities, base)
    surprisals = -np.log(np.array(probabilities)) / np.log(base)
    expected = {
        "total_information": surprisals.sum(),
        "mean_surprisal": surprisals.mean(),
        "std_surprisal": surprisals.std(),
        "min_surprisal": surprisals.min(),
        "max_surprisal": surprisals.max(),
        "perplexity": 1 / scipy.stats.gmean(probabilities),
    }
    assert found["surprisals"] == pytest.approx(surprisals.tolist(), rel=1e-12)
    assert found["num_tokens"] == len(probabilities)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-9), name
    assert compute_perplexity(probabilities) == found["perplexity"]
    if len(probabilities) > 1:
        assert found["standard_error"] == pytest.approx(scipy.stats.sem(surprisals), rel=1e-9, abs=1e-9)
    else:
        assert math.isnan(found["standard_error"])


@pytest.mark.parametrize(
    ("probability", "bits"),
    [(1, 0.0), (1.0, 0.0), (0.25, 2.0), (0, math.inf), (np.float32(0.5), 1.0), (5e-324, 1074.0)],
)
def test_one_probability_has_one_surprisal(probability: float, bits: float) -> None:
    found = compute_shannon_information(probability)
    assert type(found) is float
    assert found == bits
    assert math.copysign(1, found) == 1


def test_what_is_certain_or_uniform_is_exact() -> None:
    assert compute_entropy([0.0, 1.0, 0.0]) == compute_varentropy([0.0, 1.0, 0.0]) == 0.0
    assert compute_entropy(np.full(2**16, 2.0**-16)) == 16.0
    assert compute_varentropy(np.full(2**16, 2.0**-16)) == 0.0
    assert compute_kl_divergence([0.5, 0.5], [1.0, 0.0]) == math.inf


ROW = [0.5, 0.25, 0.25]


@pytest.mark.parametrize(
    "measure",
    [compute_entropy, compute_varentropy, compute_perplexity, lambda p: compute_kl_divergence(p, p)],
)
@pytest.mark.parametrize(
    "kind", [list, tuple, np.array, np.float32, torch.tensor, lambda row: [torch.tensor(x) for x in row]]
)
def test_one_row_of_any_kind_gives_a_float(measure: Callable[[Any], Any], kind: Callable[[Any], Any]) -> None:
    found = measure(kind(ROW))
    assert type(found) is float
    assert found == measure(ROW)


@pytest.mark.parametrize(
    "measure",
    [
        compute_entropy,
        compute_varentropy,
        compute_perplexity,
        compute_shannon_information,
        lambda p: compute_kl_divergence(p, p),
    ],
)
def test_several_rows_give_their_kind(measure: Callable[[Any], Any]) -> None:
    rows = np.array([ROW, [1.0, 0.0, 0.0]])
    found = measure(rows)
    assert isinstance(found, np.ndarray)
    for other in (torch.tensor(rows), rows.tolist()):
        answer = measure(other)
        assert isinstance(answer, torch.Tensor)
        assert answer.tolist() == found.tolist()


def test_a_softmax_in_float32_is_a_distribution() -> None:
    probabilities = torch.linspace(-20, 10, 50_000).softmax(-1)
    expected = scipy.stats.entropy(probabilities.double().numpy(), base=2)
    assert compute_entropy(probabilities) == pytest.approx(expected, abs=1e-5)


NOT_DISTRIBUTIONS = [
    ([0.5, 0.4], "sum to 0.9"),
    ([0.5, 0.6], "sum to 1.1"),
    ([1.5, -0.5], "is -0.5"),
    ([0.5, math.nan], "is NaN"),
    ([[0.5, 0.5], [0.5, 0.4]], "sum to 0.9"),
    ([], r"shape \(0,\)"),
    (0.5, r"shape \(\)"),
    ([math.inf, 0.0], "sum to inf"),
]


@pytest.mark.parametrize(("values", "said"), NOT_DISTRIBUTIONS)
def test_what_is_no_distribution_is_refused_by_its_name(values: Any, said: str) -> None:
    for measure in (compute_entropy, compute_varentropy):
        with pytest.raises(ValueError, match=f"^probabilities is no distribution: .*{said}"):
            measure(values)
    with pytest.raises(ValueError, match=f"^p is no distribution: .*{said}"):
        compute_kl_divergence(values, [0.5, 0.5])
    with pytest.raises(ValueError, match=f"^q is no distribution: .*{said}"):
        compute_kl_divergence([0.5, 0.5], values)


def test_distributions_over_different_vocabularies_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(3,\)"):
        compute_kl_divergence([0.5, 0.5], [0.5, 0.25, 0.25])


@pytest.mark.parametrize("value", [1.5, -0.1, math.nan, math.inf])
def test_what_is_no_probability_is_refused(value: float) -> None:
    with pytest.raises(
        ValueError, match=f"^probability has {value}, but probabilities are numbers from 0 to 1"
    ):
        compute_shannon_information(value)
    with pytest.raises(ValueError, match=f"^probabilities has {value}"):
        compute_perplexity([0.5, value])
    with pytest.raises(ValueError, match=f"^token_probabilities has {value}"):
        analyze_token_information([0.5, value])


def test_a_text_without_tokens_is_refused() -> None:
    nothing: Any
    for nothing in ([], 0.5):
        with pytest.raises(ValueError, match=r"^probabilities has shape"):
            compute_perplexity(nothing)
        with pytest.raises(ValueError, match=r"^token_probabilities has shape"):
            analyze_token_information(nothing)
    with pytest.raises(ValueError, match=r"shape \(1, 2\), but must be one row"):
        analyze_token_information([[0.5, 0.5]])


@pytest.mark.parametrize(
    "value",
    [
        "0.5",
        None,
        [[0.5, 0.5], [1.0]],
        ["a"],
        [True, False],
        np.array([0.5j]),
        torch.tensor([0.5j]),
        object(),
    ],
)
def test_what_is_no_number_is_refused(value: Any) -> None:
    for measure in (compute_entropy, compute_varentropy, compute_perplexity):
        with pytest.raises(TypeError, match=r"^probabilities is .*, but must be numbers"):
            measure(value)
    with pytest.raises(TypeError, match=r"^probability is .*, but must be numbers"):
        compute_shannon_information(value)


@pytest.mark.parametrize("base", [0, 1, -2, math.inf, math.nan, "2", True, None])
def test_a_base_that_is_none_is_refused(base: Any) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: compute_entropy([1.0], base),
        lambda: compute_varentropy([1.0], base),
        lambda: compute_kl_divergence([1.0], [1.0], base),
        lambda: compute_shannon_information(0.5, base),
        lambda: analyze_token_information([0.5], base),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"^base is .*, but must be a positive number other than 1"):
            call()


def test_the_measures_come_without_a_model() -> None:
    import subprocess
    import sys

    code = "import sys, itwidgets; itwidgets.compute_entropy([1.0]); print('transformers' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
