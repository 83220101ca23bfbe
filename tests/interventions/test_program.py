"""Programs: order, what is q and what is s, JSON, and errors that name the operator."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from itwidgets.interventions import (
    GREEDY,
    Ban,
    Bias,
    Greedy,
    MinP,
    Operator,
    Program,
    Step,
    Temperature,
    TopK,
    TopP,
)

STEP = Step(2, [5, 6, 7], 1)
ROW = torch.randn(20, generator=torch.Generator().manual_seed(0))
TOKENS = st.integers(0, 19)
OPERATORS: st.SearchStrategy[Operator] = st.one_of(
    st.builds(Temperature, st.floats(0.01, 10)),
    st.builds(TopK, st.integers(1, 30)),
    st.builds(TopP, st.floats(0.01, 1)),
    st.builds(MinP, st.floats(0, 1)),
    st.builds(Greedy),
    st.builds(Bias, st.dictionaries(TOKENS, st.floats(-9, 9))),
    st.builds(Ban, st.lists(TOKENS, max_size=3)),
)
PROGRAMS = st.lists(OPERATORS, max_size=5).map(lambda operators: Program(tuple(operators)))


@given(PROGRAMS)
def test_json_brings_the_same_program_back(program: Program) -> None:
    again = Program.from_json(program.to_json())
    assert again == program
    assert again.to_json() == program.to_json()
    assert again.digest == program.digest


@pytest.mark.parametrize(
    "program",
    [Program(), GREEDY, Temperature(0.7) >> TopK(5) >> TopP(0.9) >> MinP(0.1), Program((Ban([3]),))],
)
def test_an_unchecked_program_does_not_wait_for_the_device(program: Program) -> None:
    # Of a meta tensor no value can be had, as of a device's none without waiting.
    outcome = program(STEP, torch.empty(20, device="meta"), check=False)
    assert outcome.s.shape == (20,)


@given(PROGRAMS, PROGRAMS)
def test_other_programs_have_other_digests(a: Program, b: Program) -> None:
    assert (a.digest == b.digest) == (a.to_json() == b.to_json())
    if a == b:
        assert a.digest == b.digest


def test_the_digest_does_not_depend_on_how_a_program_was_written() -> None:
    program = Bias({3: 1.0, 1: 2.0}) >> TopK(4)
    assert program.digest == (Bias({1: 2, 3: 1}) >> (Program() >> TopK(4))).digest
    # Files hold it, so that no release may change it.
    assert program.to_json() == (
        '{"operators":[{"nats":{"1":2.0,"3":1.0},"operator":"Bias"},{"k":4,"operator":"TopK"}],"version":1}'
    )


@given(PROGRAMS, PROGRAMS, PROGRAMS)
def test_composition_is_associative_and_keeps_the_order(a: Program, b: Program, c: Program) -> None:
    assert (a >> b) >> c == a >> (b >> c)
    assert (a >> b).operators == a.operators + b.operators
    assert Program() >> a == a >> Program() == a


@given(PROGRAMS)
def test_a_program_is_its_operators_in_turn(program: Program) -> None:
    row, q = ROW.clone(), ROW
    for operator in program.operators:
        row = operator(STEP, row)
        if not torch.isfinite(row.max()):
            with pytest.raises(ValueError, match="leaves no token"):
                program(STEP, ROW)
            return
        q = row if operator.stage == "intervention" else q
    before = ROW.clone()
    outcome = program(STEP, ROW)
    assert torch.equal(outcome.s, row)
    assert torch.equal(outcome.q, q)
    assert torch.equal(ROW, before)
    assert program.intervenes == any(isinstance(operator, Bias | Ban) for operator in program.operators)


def test_order_matters() -> None:
    row = torch.tensor([3.0, 2.0, 1.0])
    first_banned = (Ban([0]) >> TopK(1))(STEP, row).s
    assert first_banned.isfinite().tolist() == [False, True, False]
    with pytest.raises(ValueError, match="leaves no token"):
        (TopK(1) >> Ban([0]))(STEP, row)


def test_an_empty_support_names_the_operator_and_the_position() -> None:
    with pytest.raises(ValueError, match=r"Ban\(token_ids=\(0, 1\)\) leaves no token to draw at position 2"):
        (Temperature(2.0) >> Ban([0, 1]) >> TopK(1))(STEP, torch.zeros(2))


class Spoiled(Operator):
    """Gives what is no number."""

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        return scores * float("nan")


def test_scores_that_are_no_number_are_refused() -> None:
    with pytest.raises(ValueError, match="leaves no token"):
        Program((Spoiled(),))(STEP, torch.zeros(3))


@pytest.mark.parametrize(
    "operators",
    [
        [{"operator": "os.system", "command": "true"}],
        [{"operator": "Operator"}],
        [{"operator": None}],
        [{}],
        [{"operator": "TopK", "k": 0}],
        [{"operator": "TopK", "k": 3, "extra": 1}],
        [{"operator": "TopP"}],
        [{"operator": "Bias", "nats": 3}],
        [{"operator": "Ban", "token_ids": None}],
        ["Greedy"],
        "Greedy",
        None,
    ],
    ids=str,
)
def test_what_is_no_program_is_refused(operators: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has words of its own
        Program.from_json(json.dumps({"version": 1, "operators": operators}))


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"version": 1}', '{"version": 2, "operators": []}', '"x"', "null", "{"]
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - JSON errors have words of their own
        Program.from_json(text)


def test_an_unknown_operator_is_named_with_those_accepted() -> None:
    with pytest.raises(ValueError, match=r"unknown operator 'Evil': accepted are .*Ban, Bias, .*Greedy"):
        Program.from_json('{"version":1,"operators":[{"operator":"Evil"}]}')


def test_the_greedy_program_is_one_operator() -> None:
    assert Program.from_json(GREEDY.to_json()).operators == (Greedy(),)


def test_an_operator_that_happens_to_be_defined_is_not_loaded_by_its_name() -> None:
    class Handy(Greedy):
        pass

    with pytest.raises(ValueError, match="unknown operator 'Handy'"):
        Program.from_json(Program((Handy(),)).to_json())
