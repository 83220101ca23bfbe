"""Figures of whole sequences: definitions written out in numpy, and simulated text."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from itwidgets import information
from itwidgets.information import log_probabilities
from tests.information.exact import Row

BITS = st.lists(st.floats(0, 30), min_size=2, max_size=30).map(np.array)


def _with_gap(values: Row) -> Row:
    return np.concatenate([[np.nan], values])


@given(BITS)
def test_missing_values_are_left_out_of_everything(bits: Row) -> None:
    measures: list[Callable[[Any], Any]] = [
        information.total_surprisal,
        information.length_penalised_score,
        information.perplexity,
        information.surprisal_variance,
        information.local_surprisal_variance,
        information.local_surprisal_change,
        information.superlinear_surprisal,
        information.maximum_surprisal,
        information.coefficient_of_variation,
        information.gini,
        information.autocorrelation,
        lambda values: information.cross_entropy_rate(values).mean,
        lambda values: information.bits_per_unit(values, 7).mean,
        lambda values: information.typical_set_distance(values, np.ones_like(values)),
        lambda values: information.calibration_z(values, np.ones_like(values), np.ones_like(values)),
    ]
    for measure in measures:
        np.testing.assert_allclose(measure(_with_gap(bits)), measure(bits), rtol=1e-12, atol=1e-12)


@given(BITS)
def test_definitions_agree_with_numpy(bits: Row) -> None:
    n, mean = len(bits), bits.mean()
    close = functools.partial(pytest.approx, rel=1e-9, abs=1e-9)
    assert float(information.total_surprisal(bits)) == close(bits.sum())
    assert float(information.surprisal_variance(bits)) == close(bits.var())
    assert float(information.surprisal_variance(bits, 3.3)) == close(((bits - 3.3) ** 2).mean())
    steps = bits[1:] - bits[:-1]
    assert float(information.local_surprisal_variance(bits)) == close((steps**2).mean())
    assert float(information.local_surprisal_change(bits)) == close(np.abs(steps).mean())
    assert float(information.superlinear_surprisal(bits, 1.7)) == close((bits**1.7).sum())
    assert float(information.maximum_surprisal(bits)) == bits.max()
    assert float(information.length_penalised_score(bits, 0.8)) == close(-bits.sum() / n**0.8)
    estimate = information.cross_entropy_rate(bits)
    assert float(estimate.mean) == close(mean)
    assert float(estimate.standard_error) == close(bits.std(ddof=1) / math.sqrt(n))
    assert int(estimate.n) == n
    if bits.sum() > 1e-3:
        assert float(information.coefficient_of_variation(bits)) == close(bits.std() / mean)
        gini = np.abs(bits[:, None] - bits).mean() / (2 * mean)
        assert float(information.gini(bits)) == close(gini)


@given(BITS, st.integers(0, 5))
def test_autocorrelation_agrees_with_numpy(bits: Row, lag: int) -> None:
    if lag >= len(bits):
        with pytest.raises(
            ValueError, match=f"lag is {lag}, but must be below the number of values, {len(bits)}"
        ):
            information.autocorrelation(bits, lag)
    elif bits.std() > 1e-3:
        centred = bits - bits.mean()
        expected = (centred[: len(bits) - lag] * centred[lag:]).sum() / (centred**2).sum()
        assert float(information.autocorrelation(bits, lag)) == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.floats(0, 30) | st.just(math.nan), min_size=1, max_size=30), st.integers(1, 40))
def test_moving_means_agree_with_pandas(values: list[float], window: int) -> None:
    expected = pd.Series(values).rolling(window, min_periods=1).apply(np.nanmean)
    np.testing.assert_allclose(information.moving_mean(np.array(values), window), expected, atol=1e-12)


def test_rates_of_units() -> None:
    bits = np.array([[np.nan, 8.0, 4.0, 12.0], [1.0, 1.0, 1.0, 1.0]])
    rate = information.bits_per_unit(bits, np.array([12, 16]))
    np.testing.assert_allclose(rate.mean, [2, 0.25])
    np.testing.assert_allclose(rate.standard_error, [4 / math.sqrt(3) * 3 / 12, 0])
    assert np.asarray(rate.n).tolist() == [3, 4]
    ratio = information.compression_ratio(bits, np.array([12, 16]))
    np.testing.assert_allclose(ratio.mean, [4, 32])
    np.testing.assert_allclose(ratio.standard_error, np.array([8 / 4, 0]) * rate.standard_error)
    with pytest.raises(ValueError, match="must be counts above 0"):
        information.bits_per_unit(bits, 0)


def test_one_token_has_no_standard_error() -> None:
    estimate = information.cross_entropy_rate(torch.tensor([torch.nan, 2.0]))
    assert float(estimate.mean) == 2
    assert math.isnan(estimate.standard_error)


def _simulated(temperature: float, n: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Figures of 400 texts of `n` tokens that were drawn at a temperature."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(n, 50, generator=generator).double() * 2
    drawn = torch.multinomial(
        (scores / temperature).softmax(-1), 400, replacement=True, generator=generator
    ).T
    log_p = log_probabilities(scores).expand(400, n, 50)
    return information.surprisal(log_p, drawn), information.entropy(log_p), information.varentropy(log_p)


def test_sampled_text_is_typical_and_tempered_text_is_not() -> None:
    plain, tempered = _simulated(1.0, 200), _simulated(0.7, 200)
    z = information.calibration_z(*plain)
    # Standard normal: the mean of 400 lies within 0.2 and their deviation within 0.15, four errors each.
    assert abs(float(z.mean())) < 0.2
    assert abs(float(z.std()) - 1) < 0.15
    assert float(information.calibration_z(*tempered).max()) < -2
    near, far = (information.typical_set_distance(*texts[:2]).mean() for texts in (plain, tempered))
    assert float(near) < 0.2 * float(far)


def test_paired_differences_share_their_noise() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(3, 200))
    found = information.paired_difference(noise + 0.5, noise + 0.01 * rng.normal(size=(3, 200)))
    np.testing.assert_allclose(found.mean, 0.5, atol=0.01)
    assert (np.asarray(found.standard_error) < 0.002).all()


def test_what_is_out_of_range_is_refused() -> None:
    bits = torch.ones(3)
    with pytest.raises(ValueError, match="power is 1, but must be above 1"):
        information.superlinear_surprisal(bits, 1)
    with pytest.raises(ValueError, match=r"a surprisal is -0\.5, but must be at least 0"):
        information.superlinear_surprisal(torch.tensor([1.0, -0.5, torch.nan]))
    with pytest.raises(ValueError, match="window is 0, but must be a whole number of at least 1"):
        information.moving_mean(bits, 0)
    with pytest.raises(ValueError, match="penalty is inf, but must be a finite number"):
        information.length_penalised_score(bits, math.inf)
