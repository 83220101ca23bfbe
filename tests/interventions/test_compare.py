"""Comparisons: which measures they ask, of which distribution, and of which token."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch

from itwidgets.information import (
    entropy,
    log_probabilities,
    register_measure,
    registered_measures,
    regret,
    row_measures,
    surprisal,
    unregister_measure,
)
from itwidgets.interventions import Compare, Program, Step, Temperature, When

FLAT, SHARP = torch.zeros(8), torch.tensor([9.0, 0, 0, 0, 0, 0, 0, 0])

# Of probabilities 1/2, 1/4, 1/4, by hand.
BY_HAND: dict[str, tuple[float | None, float]] = {
    "entropy": (None, 1.5),
    "varentropy": (None, 0.25),
    "top_probability": (None, 0.5),
    "top_margin": (None, 0.25),
    "log_odds_margin": (None, 1.0),
    "head_mass": (2, 0.75),
    "tail_mass": (1, 0.5),
    "nucleus_size": (0.6, 2.0),
    "min_p_size": (0.4, 3.0),
    "renyi_entropy": (2, math.log2(8 / 3)),
    "min_entropy": (None, 1.0),
    "tsallis_entropy": (2, 5 / 8),
    "hill_number": (0, 3.0),
    "effective_choices": (None, 2**1.5),
    "normalised_entropy": (None, 1.5 / math.log2(3)),
    "redundancy": (None, math.log2(3) - 1.5),
    "self_certainty": (None, 5 / 3 - math.log2(3)),
    "fisher_rao_to_uniform": (None, 2 / math.pi * math.acos(math.sqrt(1 / 6) + 2 * math.sqrt(1 / 12))),
    "information_skewness": (None, 0.0),
    "spike_entropy": (1, 1 / 3 + 2 / 5),
}


@pytest.mark.parametrize("measure", row_measures())
def test_a_comparison_is_of_any_measure_of_the_row(measure: str) -> None:
    row = torch.tensor([0.5, 0.25, 0.25]).log()
    step = Step(0, [1], 1, scores=row)
    argument, value = BY_HAND[measure]
    for comparison, below, above in ((">", True, False), (">=", True, False), ("<", False, True)):
        assert Compare(measure, comparison, value - 1e-4, argument=argument)(step, row) == below
        assert Compare(measure, comparison, value + 1e-4, argument=argument)(step, row) == above


def test_a_measure_that_is_no_number_compares_with_nothing() -> None:
    # A uniform distribution has no skewness.
    step = Step(0, [1], 1, scores=FLAT)
    assert not any(Compare("information_skewness", word, 0)(step, FLAT) for word in (">", ">=", "<", "<="))


@pytest.fixture
def registered() -> Iterator[None]:
    register_measure("my_regret", regret)
    register_measure("my_surprisal", surprisal)
    register_measure("my_entropy", lambda log_p, token_ids: entropy(log_p))
    yield
    for name in registered_measures():
        unregister_measure(name)


@pytest.mark.usefixtures("registered")
def test_a_registered_measure_is_asked_of_the_row_and_its_most_probable_token() -> None:
    step = Step(0, [1], 1, scores=FLAT)
    best = float(-log_probabilities(SHARP)[0] / math.log(2))
    assert Compare("my_entropy", ">=", 3.0)(step, SHARP)
    assert Compare("my_entropy", "<", 0.1, of="current")(step, SHARP)
    assert Compare("my_regret", "<=", 0.0)(step, SHARP)
    assert Compare("my_surprisal", ">=", best, of="current")(step, SHARP)
    assert Compare("my_surprisal", "<=", best, of="current")(step, SHARP)


@pytest.mark.usefixtures("registered")
def test_a_registered_measure_of_the_previous_token_is_looked_up() -> None:
    step = Step(2, [1, 5, 6], 1, past={"my_regret": [0.0, 2.5], "entropy": [1.0, 1.0]})
    asked = Compare("my_regret", ">", 2.0, of="previous")
    assert asked.is_recorded
    assert asked(step, FLAT)
    assert not asked.has_held(step)
    with pytest.raises(ValueError, match="my_entropy is not known of the 2 tokens before position 2"):
        Compare("my_entropy", ">", 2.0, of="previous")(step, FLAT)
    # What was recorded is that of the token that came, not of the most probable one.
    of_row = Compare("my_regret", ">", 2.0)
    assert not of_row.is_recorded
    with pytest.raises(ValueError, match="its row of scores is gone"):
        of_row.has_held(step)


@pytest.mark.usefixtures("registered")
def test_a_program_that_names_an_unknown_measure_is_refused_where_it_is_opened() -> None:
    for of in ("p", "previous"):
        asked = Compare("my_regret", ">", 2.0, of=of)
        program = When(asked, Program((Temperature(0.5),))) >> Program()
        assert Program.from_json(program.to_json()) == program
        unregister_measure("my_regret")
        with pytest.raises(
            ValueError, match=r"'Compare' cannot be read: measure is 'my_regret', but must be"
        ):
            Program.from_json(program.to_json())
        register_measure("my_regret", regret)
    unregister_measure("my_regret")
    with pytest.raises(
        ValueError, match=r"^measure is 'my_regret', but must be one of 'effective_choices', "
    ):
        Compare("my_regret", ">", 2.0)


@pytest.mark.parametrize(("comparison", "holds"), [(">", False), (">=", True), ("<", False), ("<=", True)])
def test_at_the_value_only_the_weak_comparisons_hold(comparison: str, holds: bool) -> None:
    assert Compare("entropy", comparison, 3.0)(Step(0, [1], 1, scores=FLAT), FLAT) == holds


def test_p_and_what_operators_have_made_of_it_are_told_apart() -> None:
    step = Step(0, [1], 1, scores=FLAT)
    assert Compare("entropy", ">", 2)(step, SHARP)
    assert not Compare("entropy", ">", 2, of="current")(step, SHARP)


def test_the_previous_token_is_asked_by_any_figure() -> None:
    step = Step(2, [1, 5, 6], 1, past={"surprisal": [9.0, 1.0], "cost": [0.0, 2.5]})
    assert Compare("surprisal", "<", 2, of="previous")(step, FLAT)
    assert Compare("cost", ">=", 2.5, of="previous")(step, FLAT)
    with pytest.raises(ValueError, match="rank is not known of the 2 tokens before position 2"):
        Compare("rank", ">", 1, of="previous")(step, FLAT)


def test_where_there_is_no_previous_token_no_comparison_holds() -> None:
    first = Step(0, [1], 1)
    assert not Compare("surprisal", "<", 2, of="previous")(first, FLAT)
    assert not Compare("surprisal", ">=", 2, of="previous")(first, FLAT)


def test_without_the_scores_of_p_it_says_so() -> None:
    with pytest.raises(
        ValueError, match=r"Compare\(.*\) needs the scores of p, which are not known at position 0"
    ):
        Compare("entropy", ">", 2)(Step(0, [1], 1), FLAT)


def test_the_past_is_looked_up() -> None:
    step = Step(3, [1, 5, 6, 7], 1, past={"entropy": [1.0, 4.0, 2.0], "surprisal": [0.5, 6.0, 1.0]})
    assert Compare("entropy", ">", 3).has_held(step)
    assert not Compare("entropy", ">", 5).has_held(step)
    # Before the last of the three tokens, the previous one had 6 bits; the last of all is the next step's.
    assert Compare("surprisal", ">", 5, of="previous").has_held(step)
    assert not Compare("surprisal", ">", 5, of="previous").has_held(step.before(1))
    assert not Compare("entropy", ">", 3).has_held(Step(0, [1], 1))


def test_what_was_not_recorded_cannot_be_asked_of_the_past() -> None:
    step = Step(1, [1, 5], 1, past={"surprisal": [0.5]})
    for asked in (Compare("entropy", ">", 3), Compare("entropy", ">", 3, of="current")):
        with pytest.raises(
            ValueError, match=r"cannot be asked of a token of the past: its row of scores is gone"
        ):
            asked.has_held(step)
