"""What holds for every measure: kinds of arrays, leading axes, float64 inside, inputs left alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from itwidgets import information as info
from tests.information.exact import INF, PAIRS, random_row

SIZE = 12
MASK = np.arange(SIZE) < 5
Q = info.log_probabilities(random_row(SIZE, 1.0, 9))


def _ids(rows: Any) -> npt.NDArray[np.int64]:
    return np.full(rows.shape[:-1], 3)


# Functions of rows of log-probabilities, one number a row.
OF_ROWS: dict[str, Callable[[Any], Any]] = {
    "renyi_entropy": lambda rows: info.renyi_entropy(rows, 2),
    "min_entropy": info.min_entropy,
    "tsallis_entropy": lambda rows: info.tsallis_entropy(rows, 2),
    "hill_number": lambda rows: info.hill_number(rows, 0),
    "effective_choices": info.effective_choices,
    "normalised_entropy": info.normalised_entropy,
    "redundancy": info.redundancy,
    "self_certainty": info.self_certainty,
    "fisher_rao_to_uniform": info.fisher_rao_to_uniform,
    "information_skewness": info.information_skewness,
    "spike_entropy": lambda rows: info.spike_entropy(rows, 1),
    "top_probability": info.top_probability,
    "top_margin": info.top_margin,
    "log_odds_margin": info.log_odds_margin,
    "head_mass": lambda rows: info.head_mass(rows, 2),
    "tail_mass": lambda rows: info.tail_mass(rows, 2),
    "free_energy": lambda rows: info.free_energy(rows, 2),
    "temperature_for_entropy": lambda rows: info.temperature_for_entropy(rows, 1.5),
    "mass_above": lambda rows: info.mass_above(rows, _ids(rows)),
    "quantile": lambda rows: info.quantile(rows, _ids(rows)),
    "surprisal_deviation": lambda rows: info.surprisal_deviation(rows, _ids(rows)),
    "surprisal_z_score": lambda rows: info.surprisal_z_score(rows, _ids(rows)),
    "regret": lambda rows: info.regret(rows, _ids(rows)),
    "offending_mass": lambda rows: info.offending_mass(rows, Q),
    "cross_entropy": lambda rows: info.cross_entropy(rows, Q),
    "jensen_shannon": lambda rows: info.jensen_shannon(rows, Q),
    "jensen_shannon_distance": lambda rows: info.jensen_shannon_distance(rows, Q),
    "renyi_divergence": lambda rows: info.renyi_divergence(rows, Q, 0.7),
    "total_variation": lambda rows: info.total_variation(rows, Q),
    "overlap": lambda rows: info.overlap(rows, Q),
    "hellinger": lambda rows: info.hellinger(rows, Q),
    "bhattacharyya": lambda rows: info.bhattacharyya(rows, Q),
    "top_k_agreement": lambda rows: info.top_k_agreement(rows, Q, 3),
    "rank_correlation": lambda rows: info.rank_correlation(rows, Q),
    "expected_cost": lambda rows: info.expected_cost(rows, Q),
    "realised_cost": lambda rows: info.realised_cost(rows, np.broadcast_to(Q, rows.shape), _ids(rows)),
    "mask_cost": lambda rows: info.mask_cost(rows, MASK),
    "temperature_cost": lambda rows: info.temperature_cost(rows, 0.5),
    "entropy_change": lambda rows: info.entropy_change(rows, Q),
    "entropy_efficiency": lambda rows: info.entropy_efficiency(rows, Q),
    "boost_efficiency": lambda rows: info.boost_efficiency(rows, Q, MASK),
    "contextual_entropy": lambda rows: info.contextual_entropy(rows, MASK, ~MASK),
    "continuation_entropy": lambda rows: info.continuation_entropy(rows, MASK, MASK & False),
    "between": lambda rows: info.partition_entropy(rows, MASK).between,
    "within": lambda rows: info.partition_entropy(rows, MASK).within,
    "lower": lambda rows: info.certified_entropy_interval(rows, SIZE).lower,
    "upper": lambda rows: info.certified_entropy_interval(rows, SIZE).upper,
    # The rows of these are other numbers, which may be any.
    "total_surprisal": info.total_surprisal,
    "length_penalised_score": lambda rows: info.length_penalised_score(rows, 0.7),
    "typical_set_distance": lambda rows: info.typical_set_distance(rows, Q),
    "calibration_z": lambda rows: info.calibration_z(rows, Q, -Q),
    "surprisal_variance": info.surprisal_variance,
    "local_surprisal_variance": info.local_surprisal_variance,
    "local_surprisal_change": info.local_surprisal_change,
    "superlinear_surprisal": lambda rows: info.superlinear_surprisal(-rows, 1.3),
    "maximum_surprisal": info.maximum_surprisal,
    "coefficient_of_variation": info.coefficient_of_variation,
    "gini": lambda rows: info.gini(-rows),
    "autocorrelation": info.autocorrelation,
    "path_cost": info.path_cost,
    "effective_sample_size": info.effective_sample_size,
    "self_normalised_estimate": lambda rows: info.self_normalised_estimate(rows, Q),
    "p_cxmi": lambda rows: info.p_cxmi(rows, Q),
    "pvi": lambda rows: info.pvi(rows, Q),
    "cross_entropy_rate": lambda rows: info.cross_entropy_rate(rows).standard_error,
    "bits_per_unit": lambda rows: info.bits_per_unit(rows, 7).mean,
    "compression_ratio": lambda rows: info.compression_ratio(rows, 7).standard_error,
    "predictive_entropy": lambda rows: info.predictive_entropy(rows).mean,
    "length_normalised_uncertainty": lambda rows: info.length_normalised_uncertainty(rows, MASK + 1),
    "semantic_entropy": lambda rows: info.semantic_entropy(rows, np.broadcast_to(MASK, rows.shape)).entropy,
    "information_value": lambda rows: info.information_value(-rows).nearest,
    "plug_in_entropy": lambda rows: info.plug_in_entropy(-rows),
    "miller_madow_entropy": lambda rows: info.miller_madow_entropy(-rows),
    "jackknife_entropy": lambda rows: info.jackknife_entropy(-16 * rows).mean,
}


@pytest.mark.parametrize("name", OF_ROWS)
def test_every_measure_keeps_kind_and_leading_axes_and_its_input(name: str) -> None:
    measure = OF_ROWS[name]
    rows = info.log_probabilities(random_row(2 * 3 * SIZE, 1.0).reshape(2, 3, SIZE))
    # Neither read-only arrays nor tensors are written to, and arrays that run backwards are read.
    rows.flags.writeable = False
    batched = measure(rows)
    assert isinstance(batched, np.ndarray)
    assert batched.dtype == np.float64
    assert batched.shape == (2, 3)
    assert np.isfinite(batched).all()
    alone = np.array([[measure(row) for row in block] for block in rows])
    np.testing.assert_allclose(batched, alone, rtol=1e-12, atol=1e-14)
    backwards = measure(rows[::-1])
    np.testing.assert_allclose(backwards, batched[::-1], rtol=1e-12, atol=1e-14)
    tensor = torch.from_numpy(rows.copy())
    found = measure(tensor)
    assert isinstance(found, torch.Tensor)
    np.testing.assert_array_equal(found, batched)
    np.testing.assert_array_equal(tensor, rows)


@pytest.mark.parametrize("name", OF_ROWS)
def test_single_precision_is_upcast_and_no_more(name: str) -> None:
    rows = torch.from_numpy(info.log_probabilities(random_row(3 * SIZE, 1.0).reshape(3, SIZE))).float()
    found = OF_ROWS[name](rows)
    assert found.dtype == torch.float64
    assert torch.equal(found, OF_ROWS[name](rows.double()))


def test_probabilities_that_underflow_are_not_zero() -> None:
    # exp(-900) is no float64, but what q excludes of it is still infinitely far.
    log_p, log_q = map(info.log_probabilities, PAIRS["far apart"])
    assert float(info.kl_divergence(log_p, log_q)) == pytest.approx(900 / math.log(2))
    excluded = np.where(log_q < -800, -INF, log_q)
    rare = info.log_probabilities(np.array([-900.0, 0.0, 0.0]))
    assert float(info.kl_divergence(rare, excluded)) == INF
    assert float(info.cross_entropy(rare, excluded)) == INF
    assert info.kl_contributions(rare, excluded).tolist()[0] == INF


def test_every_public_name_is_there() -> None:
    assert sorted(info.__all__) == sorted(set(info.__all__))
    assert all(getattr(info, name).__doc__ for name in info.__all__)
