"""Control: where a program acts, what stage it has, and how it comes back from JSON, nested at will."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from itwidgets.interventions import (
    At,
    Ban,
    Bias,
    Compare,
    Every,
    Greedy,
    KLBudget,
    LastToken,
    Mask,
    Mass,
    Mix,
    Operator,
    Pool,
    PositionIn,
    Predicate,
    Program,
    Schedule,
    Step,
    Temperature,
    TopK,
    Until,
    When,
    lint,
)

ROW = torch.randn(20, generator=torch.Generator().manual_seed(0))
BAN = Program((Ban([3]),))
HOT = Program((Temperature(2.0),))
LEAVES: st.SearchStrategy[Operator] = st.one_of(
    st.builds(Temperature, st.floats(0.1, 5)),
    st.builds(TopK, st.integers(1, 9)),
    st.builds(Bias, st.dictionaries(st.integers(0, 19), st.floats(-9, 9), max_size=3)),
    st.builds(Ban, st.lists(st.integers(0, 19), max_size=3)),
)
CONDITIONS: st.SearchStrategy[Predicate] = st.one_of(
    st.builds(Compare, st.just("entropy"), st.sampled_from(["<", ">"]), st.floats(0, 4)),
    st.builds(PositionIn, st.integers(0, 5), st.none() | st.integers(0, 9)),
    st.builds(LastToken, st.lists(st.integers(0, 19), max_size=3)),
)


def _controls(inner: st.SearchStrategy[Operator]) -> st.SearchStrategy[Operator]:
    programs = st.lists(inner, max_size=3).map(lambda operators: Program(tuple(operators)))
    return st.one_of(
        st.builds(At, st.lists(st.integers(0, 9), max_size=3), programs),
        st.builds(Every, st.integers(1, 5), programs, st.integers(0, 5)),
        st.builds(When, CONDITIONS, programs, st.none() | programs),
        st.builds(Until, CONDITIONS, programs),
    )


OPERATORS = st.recursive(LEAVES, _controls, max_leaves=6)


def _step(position: int, *, entropies: list[float] | None = None) -> Step:
    past = {"entropy": entropies if entropies is not None else [1.0] * position}
    return Step(position, range(1 + position), 1, scores=ROW, past=past)


def _acts_at(operator: Operator, count: int = 10) -> list[int]:
    return [i for i in range(count) if operator(_step(i), ROW) is not ROW]


def test_an_operator_stands_for_the_program_of_it_alone() -> None:
    # Under strict types too.
    ban, odd = Ban([3]), LastToken([3])
    pairs: list[tuple[Operator, Operator]] = [
        (At([1], ban), At([1], BAN)),
        (Every(2, ban), Every(2, BAN)),
        (When(odd, ban, otherwise=ban), When(odd, BAN, otherwise=BAN)),
        (Until(odd, ban), Until(odd, BAN)),
        (Mask(ban), Mask(BAN)),
        (KLBudget(ban, 1.0), KLBudget(BAN, 1.0)),
        (Mix(0.5, ban), Mix(0.5, BAN)),
        (Pool([ban, HOT]), Pool([BAN, HOT])),
    ]
    for one, other in pairs:
        assert one == other
        assert hash(one) == hash(other)
        assert torch.equal(one(_step(1), ROW), other(_step(1), ROW))
    assert lint(ban) == lint(BAN) == []


@pytest.mark.parametrize(
    ("operator", "positions"),
    [
        (At([2, 5], BAN), [2, 5]),
        (At(3, BAN), [3]),  # type: ignore[arg-type]
        (At([], BAN), []),
        (Every(3, BAN), [0, 3, 6, 9]),
        (Every(4, BAN, start=3), [3, 7]),
        (Every(1, BAN, 8), [8, 9]),
        (When(PositionIn(4, 6), BAN), [4, 5]),
        (Until(PositionIn(4, 6), BAN), [0, 1, 2, 3]),
        (Until(LastToken([5]), BAN), [0, 1, 2, 3, 4]),
        (At([1, 2, 3], Program((Every(2, BAN),))), [2]),
    ],
    ids=str,
)
def test_a_program_acts_at_its_places_and_nowhere_else(operator: Operator, positions: list[int]) -> None:
    assert _acts_at(operator) == positions
    for position in positions:
        assert torch.equal(operator(_step(position), ROW), BAN.last_row(_step(position), ROW))


def test_until_does_not_act_again() -> None:
    until = Until(Compare("entropy", ">", 3.0), BAN)
    # The row itself has more than three bits, so the condition holds here and now.
    assert until(_step(2), ROW) is ROW
    sharp = torch.tensor([50.0] + [0.0] * 19)
    after = Step(3, range(4), 1, scores=sharp, past={"entropy": [1.0, 3.5, 1.0]})
    assert until(after, sharp) is sharp
    before = Step(3, range(4), 1, scores=sharp, past={"entropy": [1.0, 2.5, 1.0]})
    assert torch.equal(until(before, sharp), BAN.last_row(before, sharp))


def test_when_has_another_branch() -> None:
    when = When(PositionIn(2), HOT, otherwise=BAN)
    assert torch.equal(when(_step(1), ROW), BAN.last_row(_step(1), ROW))
    assert torch.equal(when(_step(2), ROW), HOT.last_row(_step(2), ROW))


def test_a_condition_may_ask_what_operators_before_have_made_of_the_row() -> None:
    when = When(Compare("entropy", "<", 0.5, of="current"), BAN)
    sharpened, plain = Temperature(0.01) >> when, Temperature(1.0) >> when
    assert sharpened(_step(0), ROW).fired == 0b11
    assert plain(_step(0), ROW).fired == 0


@pytest.mark.parametrize(
    "wrap", [lambda then: At([0], then), lambda then: When(PositionIn(), then)], ids=["At", "When"]
)
def test_control_has_the_stage_of_what_it_lets_act(wrap: Callable[[Program], Operator]) -> None:
    assert wrap(HOT).stage == "sampler"
    assert wrap(BAN).stage == "intervention"
    assert wrap(Program((*HOT.operators, *BAN.operators))).stage == "intervention"
    assert not wrap(Program((Greedy(),))).is_deterministic


def test_both_branches_count_for_the_stage() -> None:
    assert When(PositionIn(), HOT, HOT).stage == "sampler"
    assert When(PositionIn(), HOT, BAN).stage == "intervention"
    assert Schedule(Temperature(1.0), "temperature", [(0, 1.0)]).stage == "sampler"
    assert Schedule(Mass([0], 0.5), "probability", [(0, 1.0)]).stage == "intervention"


def test_an_operator_stands_for_a_program_of_it() -> None:
    operator: Any = Ban([3])
    assert At([0], operator) == At([0], BAN)
    assert Every(2, operator) == Every(2, BAN)
    assert When(PositionIn(), operator, operator) == When(PositionIn(), BAN, BAN)
    assert Until(PositionIn(), operator) == Until(PositionIn(), BAN)


def test_a_parameter_moves_on_straight_lines_between_points() -> None:
    schedule = Schedule(Temperature(9.0), "temperature", [(8, 0.5), (2, 1.0), (4, 2.0)])
    values = [schedule.at(i).parameters()["temperature"] for i in (0, 2, 3, 4, 6, 8, 100)]
    assert values == pytest.approx([1, 1, 1.5, 2, 1.25, 0.5, 0.5])
    assert torch.equal(schedule(_step(3), ROW), Temperature(1.5)(_step(3), ROW))


def test_a_whole_parameter_stays_whole() -> None:
    schedule = Schedule(TopK(5), "k", [(0, 10), (4, 1)])
    assert [schedule.at(i) for i in range(5)] == [TopK(k) for k in (10, 8, 6, 3, 1)]


@given(OPERATORS)
def test_json_brings_the_same_nest_back(operator: Operator) -> None:
    program = Program((operator,))
    again = Program.from_json(program.to_json())
    assert again == program
    assert hash(again) == hash(program)
    assert again.digest == program.digest


@given(
    st.sampled_from([Temperature(1.0), TopK(5)]),
    st.dictionaries(st.integers(0, 99), st.integers(1, 9), min_size=1),
)
def test_json_brings_the_same_schedule_back(operator: Operator, points: dict[int, int]) -> None:
    (name,) = operator.parameters()
    schedule = Schedule(operator, name, list(points.items()))
    again = Program.from_json(Program((schedule,)).to_json()).operators
    assert again == (schedule,)


@given(OPERATORS, st.integers(0, 9))
def test_what_does_not_act_gives_the_same_row_object(operator: Operator, position: int) -> None:
    outside = At([position + 1], Program((operator,)))
    assert outside(_step(position), ROW) is ROW
    assert Program((outside,))(_step(position), ROW).fired == 0


def test_a_row_emptied_inside_names_the_control() -> None:
    with pytest.raises(ValueError, match=r"^At\(.*\) leaves no token to draw at position 0"):
        Program((At([0], Program((Ban(range(20)),))),))(_step(0), ROW)


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: At([-1], BAN), ValueError, "position is -1, but must be a whole number of at least 0"),
        (lambda: At([1.5], BAN), ValueError, "position is 1.5, but must be a whole number of at least 0"),  # type: ignore[list-item]
        (lambda: Every(0, BAN), ValueError, "n is 0, but must be a whole number of at least 1"),
        (lambda: Every(2, BAN, -1), ValueError, "start is -1, but must be a whole number of at least 0"),
        (lambda: At([0], 3), TypeError, "3 was given, but an operator or a program is needed"),  # type: ignore[arg-type]
        (
            lambda: When(3, BAN),  # type: ignore[arg-type]
            TypeError,
            "3 was given, but a predicate is needed, such as Compare or TextMatches",
        ),
        (
            lambda: Until(BAN, BAN),  # type: ignore[arg-type]
            TypeError,
            f"{BAN!r} was given, but a predicate is needed, such as Compare or TextMatches",
        ),
        (lambda: Schedule(BAN, "k", [(0, 1)]), TypeError, f"{BAN!r} was given, but an operator is needed"),  # type: ignore[arg-type]
        (
            lambda: Schedule(TopK(5), "p", [(0, 1)]),
            ValueError,
            "parameter is 'p', but TopK(k=5) has k",
        ),
        (lambda: Schedule(Greedy(), "p", [(0, 1)]), ValueError, "parameter is 'p', but Greedy() has none"),
        (
            lambda: Schedule(TopK(5), "k", []),
            ValueError,
            "points are [], but must be pairs (position, value), one a position",
        ),
        (
            lambda: Schedule(TopK(5), "k", [(0, 1), (0, 2)]),
            ValueError,
            "points are [(0, 1), (0, 2)], but must be pairs (position, value), one a position",
        ),
        (
            lambda: Schedule(Temperature(1.0), "temperature", [(0, 1), (5, 0)]),
            ValueError,
            "temperature is 0.0, but must be above 0",
        ),
        (
            lambda: Schedule(Temperature(1.0), "temperature", [(0, math.nan)]),
            ValueError,
            "temperature is nan, but must be above 0",
        ),
    ],
)
def test_a_bad_parameter_is_named_with_its_value(make: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "operators",
    [
        '[{"operator":"At","positions":[0],"then":3}]',
        '[{"operator":"At","positions":[0],"then":{"operators":[{"operator":"Evil"}]}}]',
        '[{"operator":"When","condition":{"predicate":"Evil"},"then":{"operators":[]}}]',
        '[{"operator":"When","condition":null,"then":{"operators":[]}}]',
        '[{"operator":"When","condition":{"predicate":"Predicate"},"then":{"operators":[]}}]',
        '[{"operator":"Schedule","then":{"operator":"Greedy"},"parameter":"p","points":[[0,1]]}]',
    ],
)
def test_what_is_no_control_is_refused(operators: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has words of its own
        Program.from_json(f'{{"version":1,"operators":{operators}}}')
