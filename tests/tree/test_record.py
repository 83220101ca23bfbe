"""The record beside the rows: recipes told apart, calls counted, models in order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from itwidgets.interventions import Ban, Bias, Operator, Program, Step, Temperature
from itwidgets.tree import (
    Maker,
    ModelIdentity,
    Origin,
    Recipe,
    Recomputation,
    Record,
    StoredVocabulary,
    TokenTree,
)

IDENTITY = ModelIdentity("a model", "a", "b", "float32", 20)


@dataclass(frozen=True)
class Mine(Operator):
    """An operator that no file may name, with a parameter that has no truth value."""

    weights: torch.Tensor
    stage = "intervention"

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        return scores + self.weights


def test_equal_recipes_share_an_index() -> None:
    record = Record()
    mine = Mine(torch.ones(2))
    recipes = [
        Recipe(Temperature(0.5) >> Ban([1]), 3),
        Recipe(Temperature(0.5) >> Ban([1]), 4),
        Recipe(Ban([1]) >> Temperature(0.5), 3),
        Recipe(Temperature(0.5) >> Ban([1]), 3, "torch", 2),
        Recipe(Program((Bias({1: 2.0}),)), 3),
        Recipe(Program((mine,)), 3),
        Recipe(Program((Mine(torch.ones(2)),)), 3),
        Recipe(Program((mine, mine)), 3),
        Recipe("shown only", 3),
    ]
    assert [record.intern(recipe) for recipe in recipes] == list(range(9))
    again = [replace(recipe) for recipe in recipes]
    again[4] = Recipe(Program() >> Bias({1: 2}), 3)
    again[5] = Recipe(Program() >> mine, 3)
    assert [record.intern(recipe) for recipe in reversed(again)] == list(reversed(range(9)))
    assert record.recipes == tuple(recipes)


def test_only_a_program_that_a_file_may_name_has_a_text() -> None:
    program = Temperature(0.5) >> Ban([1])
    assert Recipe(program, 0).text == program.to_json()
    assert Recipe(program >> Mine(torch.ones(2)), 0).text is None
    assert Recipe("shown only", 0).text is None


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"seed": -1}, "seed is -1, but must be a whole number of at least 0"),
        ({"seed": 2**64}, r"seed is 18446744073709551616, but must be below 2\*\*64"),
        ({"seed": 1.5}, "seed is 1.5, but must be a whole number"),
        ({"seed": 0, "sampling": "dice"}, "sampling is 'dice', but must be one of gumbel, torch"),
    ],
)
def test_a_wrong_recipe_is_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Recipe(Program(), **values)


def test_forward_calls_are_counted_for_rows_and_what_is_computed_again() -> None:
    tree = TokenTree(StoredVocabulary({1: b"a"}))
    record = tree.record
    assert record.next_forward == 0
    given: dict[str, Any] = {"token_id": 1, "origin": Origin.PROMPT}
    tree.append(parent=-1, forward=record.next_forward, **given)
    assert record.note_recomputed([0], renewed=[0]) == Recomputation(1, (0,), (0,))
    tree.append(parent=0, forward=record.next_forward, **given)
    tree.append(parent=1, forward=2, **given)
    assert tree.column("forward").tolist() == [0, 2, 2]
    assert record.next_forward == 3
    assert record.recomputed == (Recomputation(1, (0,), (0,)),)


def test_a_model_makes_the_rows_until_another_does() -> None:
    record = Record()
    assert list(record.makers) == []
    record.note_recomputed([0], renewed=[])
    record.note_maker(IDENTITY)
    record.note_recomputed([0], renewed=[])
    record.note_maker(replace(IDENTITY))
    record.note_maker(replace(IDENTITY, dtype="bfloat16"))
    bfloat16 = replace(IDENTITY, dtype="bfloat16")
    assert list(record.makers) == [Maker(0, IDENTITY), Maker(2, bfloat16)]
    # Who has made nothing is forgotten.
    record.note_maker(IDENTITY)
    assert list(record.makers) == [Maker(0, IDENTITY)]


def test_models_compute_alike_whatever_they_are_called() -> None:
    assert IDENTITY.computes_like(replace(IDENTITY, name="another name"))
    for change in (
        {"dtype": "bfloat16"},
        {"attention": "eager"},
        {"route": "fused"},
        {"environment": {"torch": "1"}},
    ):
        assert not IDENTITY.computes_like(replace(IDENTITY, **change))
    with pytest.raises(ValueError, match="route is 'slow', but must be one of plain, packed, fused"):
        replace(IDENTITY, route="slow")
