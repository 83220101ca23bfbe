"""Functions of the user's own: the older toolkit's signature, what may come back, and names in JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import itwidgets
from itwidgets import Engine
from itwidgets.interventions import Ban, Bias, Fn, Operator, Program, Step, Temperature, When
from itwidgets.interventions.predicates import PositionIn
from itwidgets.tree import Recipe
from tests.models import PROMPT, tiny_engine

STEP = Step(3, [5, 6, 7, 8], 1)
ROW = torch.randn(20, generator=torch.Generator().manual_seed(0))


def by_position(logits: Any, position: int, context: Any) -> Any:
    """The toolkit's own example."""
    temperature = 1.0 + (position * 0.1)
    return logits / temperature


def boosted(logits: Any, position: int, context: Any) -> Any:
    logits[3] += 2.0
    return logits


def noting(found: list[Any]) -> Callable[..., Any]:
    """A function that changes nothing and takes the context down."""

    def note(logits: Any, position: int, context: Any) -> Any:
        found.append(context)
        return logits

    return note


CODE: dict[str, Callable[..., Any]] = {"by_position": by_position, "boosted": boosted}
FUNCTIONS: st.SearchStrategy[Operator] = st.builds(
    Fn, st.sampled_from(list(CODE.values())), st.none(), st.text(max_size=5)
)


def test_a_function_gets_a_copy_the_position_and_the_text() -> None:
    seen: list[Any] = []

    class Words:
        def __len__(self) -> int:
            return 20

        def token_bytes(self, token_id: int) -> bytes:
            return b"%d " % token_id

        def text(self, token_ids: Any) -> str:
            return b"".join(map(self.token_bytes, token_ids)).decode()

        def token_ids(self, tokens: Any) -> list[int]:
            raise NotImplementedError

    def spoils(logits: torch.Tensor, position: int, context: str) -> torch.Tensor:
        seen.append((logits.clone(), position, context))
        logits.fill_(float("nan"))
        return torch.arange(20.0)

    before = ROW.clone()
    step = Step(3, [5, 6, 7, 8], 1, vocabulary=Words())
    assert torch.equal(Fn(spoils)(step, ROW), torch.arange(20.0))
    assert torch.equal(ROW, before)
    ((logits, position, context),) = seen
    assert torch.equal(logits, before)
    assert (position, context) == (3, "5 6 7 8 ")


def test_without_a_tokenizer_there_is_no_text() -> None:
    found: list[Any] = []
    Fn(noting(found))(STEP, ROW)
    assert found == [None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_arrays_of_any_kind_come_back_in_the_dtype_of_the_row(dtype: torch.dtype) -> None:
    row = ROW.to(dtype)
    doubled = row.double() * 2
    for returned in (doubled, doubled.numpy(), np.broadcast_to(doubled.numpy(), 20)):
        result = Fn(lambda logits, position, context, returned=returned: returned, "f")(STEP, row)  # type: ignore[misc]
        assert torch.equal(result, doubled.to(dtype))
        assert result.dtype == dtype


@pytest.mark.parametrize(
    ("result", "error", "sentence"),
    [
        (None, TypeError, r"Fn\(name='wrong', version=''\) returned None, but must return scores"),
        ([1.0] * 20, TypeError, "but must return scores, as a tensor or a numpy array"),
        (torch.zeros(19), ValueError, r"returned scores of shape \[19\], but the row has \[20\]"),
        (torch.zeros(1, 20), ValueError, r"of shape \[1, 20\]"),
        (np.full(20, np.nan), ValueError, "returned NaN or inf among its scores"),
        (torch.tensor([float("inf")] + [0.0] * 19), ValueError, "returned NaN or inf"),
    ],
)
def test_what_is_no_row_of_scores_is_refused(result: Any, error: type[Exception], sentence: str) -> None:
    def wrong(logits: Any, position: int, context: Any) -> Any:
        return result

    with pytest.raises(error, match=sentence):
        Fn(wrong)(STEP, ROW)


def test_a_function_that_leaves_no_token_is_named() -> None:
    empty = Fn(lambda logits, position, context: logits - torch.inf, "empty")
    with pytest.raises(
        ValueError, match=r"Fn\(name='empty', version=''\) leaves no token to draw at position 3"
    ):
        (Temperature(2.0) >> empty)(STEP, ROW)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((None,), "function is None, but must be callable"),
        ((boosted, ""), "name is '', but must be a text"),
        ((boosted, 3), "name is 3, but must be a text"),
        ((boosted, "b", 1), "version is 1, but must be a text"),
    ],
)
def test_what_is_no_function_is_refused(arguments: Any, sentence: str) -> None:
    with pytest.raises(TypeError, match=sentence):
        Fn(*arguments)


# ---------------------------------------------------------------- JSON


@given(st.lists(FUNCTIONS, max_size=4).map(lambda operators: Program(tuple(operators))))
def test_json_has_names_and_brings_the_same_program_back(program: Program) -> None:
    again = Program.from_json(program.to_json(), allow=CODE)
    assert again == program
    assert again.digest == program.digest
    assert set(program.code) <= set(CODE)


def test_json_says_which_code_must_be_allowed() -> None:
    program = When(PositionIn(0, 2), Program((Fn(boosted),))) >> Fn(by_position, version="2")
    assert program.code == CODE
    assert Program.from_json(program.to_json(), allow=program.code) == program


@pytest.mark.parametrize(
    ("text", "allow", "sentence"),
    [
        ('{"operator":"Fn","name":"boosted","version":""}', {}, "'boosted', but no code is allowed"),
        ('{"operator":"Fn","name":"os.system","version":""}', CODE, "but allowed are boosted, by_position"),
        ('{"operator":"Fn"}', CODE, "names the function None"),
        ('{"operator":"Fn","name":["boosted"]}', CODE, "names the function"),
        ('{"operator":"Fn","name":"boosted","function":3}', CODE, "cannot be read"),
        ('{"operator":"Fn","name":"three"}', {"three": 3}, "function is 3, but must be callable"),
    ],
)
def test_code_that_is_not_allowed_is_refused(text: str, allow: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Program.from_json(f'{{"version":1,"operators":[{text}]}}', allow=allow)


# ---------------------------------------------------------------- recipes and files


def test_recipes_are_alike_if_their_functions_are() -> None:
    def another() -> Any:
        def boosted(logits: Any, position: int, context: Any) -> Any:
            return logits

        return boosted

    mine = Recipe(Fn(boosted) >> Temperature(0.5), seed=1)
    assert mine.text is not None
    assert mine.is_same(Recipe(Fn(boosted) >> Temperature(0.5), seed=1))
    assert not mine.is_same(Recipe(Fn(boosted, version="2") >> Temperature(0.5), seed=1))
    # As in a notebook's cell that was changed and run again.
    assert not mine.is_same(Recipe(Fn(another()) >> Temperature(0.5), seed=1))


def test_two_functions_of_one_name_are_shown_only() -> None:
    both = Fn(boosted, "f") >> Fn(by_position, "f")
    assert Recipe(both, seed=0).text is None
    assert Recipe(both, seed=0).is_same(Recipe(both, seed=0))


class Temperatur(Temperature):
    """An operator of the user's own."""


def test_code_of_ones_own_inside_a_control_is_alike_if_it_is_one() -> None:
    def limited(operator: Operator) -> Recipe:
        return Recipe(Program((When(PositionIn(0, 2), Program((operator,))),)), 0)

    inner = Temperatur(0.5)
    mine, other = limited(inner), limited(Temperatur(0.5))
    assert mine.text is None
    assert mine.is_same(limited(inner))
    assert not mine.is_same(other)


def grown(engine: Engine) -> Any:
    session = engine.session(PROMPT)
    program = Ban(sorted(engine.stop_ids)) >> Fn(by_position) >> Bias({40: 1.0}) >> Fn(boosted)
    session.generate(8, program=program, seed=3).wait()
    return session


def test_a_function_draws_like_the_operator_that_it_is() -> None:
    engine = tiny_engine()
    session, same = engine.session(PROMPT), engine.session(PROMPT)
    session.generate(8, program=Fn(lambda row, position, context: row / 1.7, "hot"), seed=2).wait()
    same.generate(8, program=Temperature(1.7), seed=2).wait()
    assert session.token_ids == same.token_ids
    # It is an intervention, whatever it does.
    assert [node.surprisal_q for node in session.new_nodes] == pytest.approx(
        [node.surprisal_s for node in same.new_nodes], abs=1e-5
    )
    assert any(node.cost != 0 for node in session.new_nodes)


def test_the_text_so_far_is_that_of_the_session() -> None:
    texts: list[str] = []
    session = tiny_engine().session(PROMPT)
    session.generate(4, program=Fn(noting(texts))).wait()
    assert texts == [session.tree.text(node.row - 1) for node in session.new_nodes]


def test_a_session_with_functions_replays_where_they_are_allowed(tmp_path: Path) -> None:
    engine, path = tiny_engine(), tmp_path / "one.itw.json"
    session = grown(engine)
    session.save(path)
    assert session.replay().first_difference is None
    assert session.replay().not_drawn == 0
    shown = itwidgets.open(path, engine)
    assert shown.replay().not_drawn == 8
    # Saving it again loses nothing.
    shown.save(tmp_path / "two.itw.json")
    assert (tmp_path / "two.itw.json").read_bytes() == path.read_bytes()
    replay = itwidgets.open(tmp_path / "two.itw.json", engine, allow=CODE).replay()
    assert (replay.first_difference, replay.not_drawn) == (None, 0)
    other = itwidgets.open(path, engine, allow={**CODE, "boosted": lambda row, *_: row.flip(0)}).replay()
    assert other.first_difference is not None
