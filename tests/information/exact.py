"""Rows that are hard on measures, and their probabilities to 400 digits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import pytest

Row = npt.NDArray[np.float64]
Exact = list[Any]
INF = float("inf")

# What the oracles compute with, here and in the tests: 1 + exp(-700) is not 1.
mpmath.mp.dps = 400


def random_row(size: int, scale: float, seed: int = 0) -> Row:
    return np.random.default_rng(seed).normal(scale=scale, size=size)


ROWS: dict[str, Row] = {
    "two": np.array([0.3, -1.2]),
    "one-hot": np.array([-INF, 2.0, -INF]),
    "uniform": np.zeros(7),
    "uniform on its support": np.array([1.0, -INF, 1.0, 1.0]),
    "ties": np.array([1.0, 1.0, 0.5, 0.5, 0.5]),
    "excluded": np.array([0.1, -INF, 2.0, -INF, -3.0]),
    "peaked": np.array([0.0, -80.0, -200.0, -700.0]),
    "nearly certain": np.array([0.0, -25.0, -26.0]),
    "nearly uniform": 1e-5 * random_row(50, 1.0, 8),
    "wide": random_row(300, 4.0),
}

SURE = ("one-hot", "peaked", "nearly certain")
"""Rows whose entropies are so small that only all their digits say something."""

PAIRS: dict[str, tuple[Row, Row]] = {
    "two": (ROWS["two"], np.array([-2.0, 1.0])),
    "random": (random_row(200, 2.0, 1), random_row(200, 2.0, 2)),
    "close": (random_row(200, 2.0, 1), random_row(200, 2.0, 1) + random_row(200, 1e-3, 3)),
    "q is wider": (ROWS["excluded"], random_row(5, 1.0)),
    "p is wider": (random_row(5, 1.0), ROWS["excluded"]),
    "disjoint": (np.array([0.0, 1.0, -INF]), np.array([-INF, -INF, 3.0])),
    "far apart": (np.array([0.0, -80.0, -900.0]), np.array([-900.0, -20.0, 0.0])),
    "certain": (ROWS["one-hot"], np.array([0.0, 0.0, 1.0])),
}


def probabilities(row: Row) -> Exact:
    """Probabilities of unnormalised scores."""
    weights = [mpmath.exp(mpmath.mpf(float(x))) for x in row]
    total = mpmath.fsum(weights)
    return [w / total for w in weights]


def log2(x: Any) -> Any:
    return mpmath.log(x, 2)


def entropy(p: Iterable[Any]) -> Any:
    """Bits."""
    return -mpmath.fsum(x * log2(x) for x in p if x)


def kl(p: Exact, q: Exact) -> Any:
    """Bits."""
    if any(a and not b for a, b in zip(p, q, strict=True)):
        return mpmath.inf
    return mpmath.fsum(a * log2(a / b) for a, b in zip(p, q, strict=True) if a)


def check(value: Any, expected: Any, *, rel: float = 1e-12, absolute: float = 1e-15) -> None:
    """Compare a result with a number of many digits."""
    assert float(value) == pytest.approx(float(expected), rel=rel, abs=absolute, nan_ok=True)
