"""Drawing: noise that is a pure function, frequencies that are those of softmax, tokens of transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from itwidgets.interventions import (
    GREEDY,
    Ban,
    Program,
    Step,
    Temperature,
    check_seed,
    draw,
    drawing,
    gumbel_noise,
    sampling_program,
)
from itwidgets.interventions.draw import _winner_on_device
from tests.models import tiny_model

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


def _by_definition(scores: torch.Tensor, seed: int, position: int) -> int:
    return int(np.argmax(scores.double().numpy() + gumbel_noise(seed, position, len(scores))))


SCORES = st.floats(-120, 120, width=32) | st.sampled_from([0.0, -float("inf")])


@given(st.lists(SCORES, min_size=1, max_size=300), SEEDS, POSITIONS)
def test_the_token_is_the_argmax_of_scores_plus_noise(scores: list[float], seed: int, position: int) -> None:
    row = torch.tensor(scores)
    if row.isinf().all():
        return
    assert draw(row, seed, position) == _by_definition(row, seed, position)
    # What other devices than the CPU do.
    assert int(_winner_on_device(row, seed, position)) == _by_definition(row, seed, position)


@pytest.mark.parametrize("scale", [0.0, 0.01, 1, 4, 30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_large_vocabulary_has_the_same_winner(scale: float, dtype: torch.dtype) -> None:
    row = (torch.randn(49_152, generator=torch.Generator().manual_seed(1)) * scale).to(dtype)
    for seed in range(8):
        assert draw(row, seed, 2) == _by_definition(row, seed, 2)


def test_another_device_is_not_waited_for() -> None:
    # Of a meta tensor no value can be had, as of a device's none without waiting.
    scores = torch.empty(100, device="meta")
    for program in (GREEDY, Program()):
        token = drawing("gumbel", 0, program)(scores, 0)
        assert (token.device.type, token.shape, token.dtype) == ("meta", (), torch.int64)


def test_a_deterministic_program_needs_no_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(np.random, "Philox")
    scores = torch.tensor([0.0, 2.0, 1.0, 2.0])
    for program in (GREEDY, Ban([1]) >> GREEDY):
        for sampling in ("gumbel", "torch"):
            outcome = program(Step(0, [1], 1), scores)
            expected = 1 if program is GREEDY else 3
            assert int(drawing(sampling, 0, program)(outcome.s, 0)) == expected


def test_only_a_program_that_ends_in_greedy_is_deterministic() -> None:
    assert GREEDY.is_deterministic
    assert (Temperature(0.5) >> GREEDY).is_deterministic
    assert not (GREEDY >> Temperature(0.5)).is_deterministic
    assert not Program().is_deterministic


WARPERS: list[dict[str, Any]] = [
    {"temperature": 1.0},
    {"temperature": 0.7, "top_k": 20},
    {"temperature": 1.5, "top_p": 0.9},
    {"temperature": 1.1, "top_k": 100, "top_p": 0.8, "min_p": 0.02},
]


@pytest.mark.parametrize("seed", [0, 5, 2**63])
@pytest.mark.parametrize("options", WARPERS, ids=str)
def test_torch_sampling_draws_what_generate_draws(options: dict[str, Any], seed: int) -> None:
    model: Any = tiny_model("llama")
    ids = torch.tensor([[5, 6, 7]])
    torch.manual_seed(seed)
    made = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=True,
        max_new_tokens=25,
        output_logits=True,
        return_dict_in_generate=True,
        **{"top_k": 0} | options,
    )
    program = sampling_program(**options)
    draw_next = drawing("torch", seed, program)
    drawn = [
        int(draw_next(program(Step(i, [], 0), row[0].float()).s, i)) for i, row in enumerate(made.logits)
    ]
    assert drawn == made.sequences[0, 3:].tolist()


def test_each_generation_has_a_generator_of_its_own() -> None:
    scores = torch.zeros(1000)
    one, other = (drawing("torch", 3, Program()) for _ in range(2))
    first = [int(one(scores, i)) for i in range(4)]
    torch.rand(7)
    assert [int(other(scores, i)) for i in range(4)] == first
    assert len(set(first)) > 1


def test_an_unknown_sampling_is_named() -> None:
    with pytest.raises(ValueError, match=r"^sampling is 'top', but must be one of gumbel, torch$"):
        drawing("top", 0, Program())


@pytest.mark.parametrize("fixed", ["seed", "position"])
def test_frequencies_are_those_of_softmax(fixed: str) -> None:
    scores = torch.tensor([2.0, 1.0, 0.0, -torch.inf, -1.0, 1.0])
    count = 8_000
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
