"""What operators and programs are given: by people and by files, in numpy's numbers, or wrongly."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from itwidgets import interventions
from itwidgets.interventions import (
    At,
    Ban,
    Bias,
    Compare,
    Fn,
    Operator,
    Program,
    Schedule,
    Step,
    TargetEntropy,
    Temperature,
    TopK,
    strategies,
    to_logits_processor,
)
from itwidgets.tree import Recipe

# What no type checker lets pass.
WRONG: Any = interventions
CURRENT = Compare("entropy", ">", 1, of="current")
UNRECORDED = Compare("top_probability", ">", 0.9)


def test_equal_programs_have_one_text() -> None:
    one, other = Program((Temperature(1),)), Program((Temperature(1.0),))
    assert one == other
    assert one.to_json() == other.to_json()
    assert '"temperature":1.0' in one.to_json()


@pytest.mark.parametrize(
    ("numpys", "pythons"),
    [
        (TopK(np.int64(40)), TopK(40)),  # type: ignore[arg-type]
        (Temperature(np.float32(0.5)), Temperature(0.5)),  # type: ignore[arg-type]
        (At(np.int64(2), Program((Ban([np.int64(1)]),))), At([2], Program((Ban([1]),)))),  # type: ignore[arg-type, list-item]
    ],
    ids=str,
)
def test_numbers_of_numpy_are_numbers(numpys: Operator, pythons: Operator) -> None:
    program = Program((numpys,))
    assert program.to_json() == Program((pythons,)).to_json()
    assert Program.from_json(program.to_json()).operators == (pythons,)
    assert Recipe(program, 0).text is not None


def test_what_moves_between_whole_numbers_moves_on_a_line() -> None:
    steady = Schedule(TargetEntropy(3), "bits", [(0, 2.0), (20, 4.0)])
    assert [steady.at(position) for position in (3, 5)] == [TargetEntropy(2.3), TargetEntropy(2.5)]
    cooling = Schedule(Temperature(1), "temperature", [(0, 1.5), (10, 0.5)])
    assert cooling.at(9) == Temperature(0.6)
    assert Schedule(TopK(5), "k", [(0, 1), (10, 6)]).at(5) == TopK(4)


class Writing(Operator):
    """Writes into the row that it is given."""

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        scores[0] -= 100
        return scores


def test_an_operator_that_writes_into_its_row_cannot_change_p_inside_generate() -> None:
    processor = to_logits_processor(Program((Writing(),)), prompt_length=1)
    row = torch.zeros(1, 4)
    processor(torch.tensor([[3]]), row)
    processor(torch.tensor([[3, 2]]), row)
    (place,) = [place for text, place in processor._places.items() if len(text) == 2]
    assert place.past is not None
    assert place.past[0]["surprisal"] == pytest.approx(2.0)
    assert place.past[0]["cost"] == pytest.approx(np.log2(4 / 3))


def test_one_name_for_two_functions_is_refused() -> None:
    program = Fn(lambda logits, position, context: logits + 1) >> Fn(
        lambda logits, position, context: logits * 2
    )
    with pytest.raises(ValueError, match="stands for two things in the program: give them names"):
        program.code  # noqa: B018


def test_a_list_of_operators_is_a_program() -> None:
    program = Program([Ban([1])])  # type: ignore[arg-type]
    assert (program >> Ban([2])).operators == (Ban([1]), Ban([2]))
    assert hash(program) == hash(Program((Ban([1]),)))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: WRONG.Ban("12"), r"token_ids is '12', but must be a list of token ids"),
        (lambda: WRONG.Only({1: 2}), r"token_ids is \{1: 2\}, but must be a list"),
        (lambda: WRONG.Ban([1.7]), r"token_ids has 1\.7, but must have token ids: whole numbers from 0 up"),
        (lambda: WRONG.Ban([True]), r"token_ids has True"),
        (lambda: WRONG.ForceText("12"), r"^token_ids is '12'"),
        (lambda: WRONG.LastToken("12"), r"token_ids is '12', but must"),
        (lambda: WRONG.XTC(threshold=0.1, probability=0.5, protected=[-1]), r"protected has -1"),
        (lambda: Bias({1: float("inf")}), r"nats has inf, but must have finite numbers"),
        (lambda: WRONG.Program((5,)), r"5 was given, but a program is made of operators"),
        (
            lambda: WRONG.Until(CURRENT, Temperature(2.0)),
            r"of='current'.*\) cannot be asked of the past",
        ),
        (
            lambda: WRONG.Until(UNRECORDED, Temperature(2.0)),
            r"of='p'.*\) cannot be asked of the past",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence):
        make()


class Words:
    """A vocabulary without tokens."""

    def __len__(self) -> int:
        return 0


def test_words_must_be_words() -> None:
    with pytest.raises(TypeError, match=r"words is \[5\], but must be a list of words"):
        strategies.topic_boost(Words(), [5], bits=1)  # type: ignore[arg-type, list-item]


@pytest.mark.parametrize(
    ("operators", "sentence"),
    [
        ([{"operator": "Bias", "nats": {"abc": 1}}], "operator 'Bias' cannot be read"),
        ([{"operator": "TopK", "k": 0}], "operator 'TopK' cannot be read: k is 0"),
        ([{"operator": "Temperature", "temperature": float("inf")}], "Infinity is no JSON"),
    ],
)
def test_what_a_file_says_wrongly_names_the_operator(operators: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Program.from_json(json.dumps({"version": 1, "operators": operators}))
