"""Drawing: noise that is a pure function, and frequencies that are those of softmax."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from itwidgets.interventions import check_seed, draw, gumbel_noise

SEEDS = st.integers(0, 2**64 - 1)
POSITIONS = st.integers(0, 10_000)


@given(SEEDS, POSITIONS, st.integers(1, 300), st.integers(1, 300))
def test_noise_is_a_function_of_seed_position_and_token(
    seed: int, position: int, size: int, other: int
) -> None:
    noise = gumbel_noise(seed, position, max(size, other))
    gumbel_noise(seed + 1 if seed < 2**64 - 1 else 0, position, 7)
    np.testing.assert_array_equal(gumbel_noise(seed, position, size), noise[:size])
    assert np.isfinite(noise).all()


@given(SEEDS, POSITIONS)
def test_other_seeds_and_positions_have_other_noise(seed: int, position: int) -> None:
    noise = gumbel_noise(seed, position, 16)
    assert not np.isclose(noise, gumbel_noise(seed, position + 1, 16)).any()
    assert not np.isclose(noise, gumbel_noise(seed ^ 1, position, 16)).any()


def test_the_noise_has_the_moments_of_gumbel() -> None:
    noise = gumbel_noise(3, 0, 200_000)
    assert noise.mean() == pytest.approx(np.euler_gamma, abs=0.01)
    assert noise.var() == pytest.approx(np.pi**2 / 6, rel=0.02)


def test_the_noise_is_that_of_every_release() -> None:
    # A saved seed must give the same text tomorrow.
    np.testing.assert_allclose(
        gumbel_noise(42, 7, 3),
        np.array([0.840081131479938, 2.101264281378111, 0.5258192041873639]),
        rtol=1e-13,
    )


@pytest.mark.parametrize("fixed", ["seed", "position"])
def test_frequencies_are_those_of_softmax(fixed: str) -> None:
    scores = torch.tensor([2.0, 1.0, 0.0, -torch.inf, -1.0, 1.0])
    count = 20_000
    keys = ((5, i) if fixed == "seed" else (i, 5) for i in range(count))
    drawn = np.bincount([draw(scores, seed, position) for seed, position in keys], minlength=6)
    expected = scores.double().softmax(-1).numpy() * count
    assert drawn[3] == 0
    kept = expected > 0
    chi_squared = float(((drawn - expected)[kept] ** 2 / expected[kept]).sum())
    assert chi_squared < 18.5  # 0.1 % of right generators with 4 degrees of freedom are above


@given(st.lists(st.floats(-30, 30, width=32) | st.just(-float("inf")), min_size=2, max_size=40), SEEDS)
def test_an_excluded_token_never_comes(scores: list[float], seed: int) -> None:
    row = torch.tensor(scores)
    if row.isinf().all():
        return
    assert row[draw(row, seed, 0)].isfinite()


@given(st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=40), SEEDS, st.floats(-50, 50))
def test_a_constant_shift_draws_the_same(scores: list[float], seed: int, shift: float) -> None:
    row = torch.tensor(scores).double()
    assert draw(row, seed, 1) == draw(row + shift, seed, 1)


def test_removing_tokens_that_did_not_come_changes_nothing() -> None:
    row = torch.randn(50, generator=torch.Generator().manual_seed(0))
    for seed in range(50):
        token = draw(row, seed, 0)
        fewer = torch.where(torch.arange(50) % 7 == token % 7, row, -torch.inf)
        assert draw(fewer, seed, 0) == token


@pytest.mark.parametrize(
    ("seed", "sentence"),
    [
        (-1, "seed is -1, but must be a whole number of at least 0"),
        (0.5, "seed is 0.5, but must be a whole number of at least 0"),
        ("1", "seed is '1', but must be a whole number of at least 0"),
        (True, "seed is True, but must be a whole number of at least 0"),
        (2**64, f"seed is {2**64}, but must be below 2**64"),
    ],
)
def test_a_bad_seed_is_named(seed: object, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole sentence is compared
        check_seed(seed)
    assert str(caught.value) == sentence
