"""Only, Force and ForceText: what may come, what it costs, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PrefixConstrainedLogitsProcessor

from itwidgets import Engine
from itwidgets.information import kl_divergence, log_probabilities, surprisal
from itwidgets.interventions import At, Ban, Force, ForceText, Greedy, Only, Operator, Program, Step
from itwidgets.tree import Origin
from tests.models import PROMPT

STEP = Step(3, [5, 6, 7, 8], 1)
ROW = torch.randn(20, generator=torch.Generator().manual_seed(0))
TOKENS = st.lists(st.integers(0, 19), min_size=1, max_size=20)
SUPPORTS = st.one_of(
    TOKENS.map(Only),
    st.integers(0, 19).map(Force),
    st.builds(ForceText, TOKENS, st.integers(0, 50)),
)


@given(TOKENS)
def test_only_is_the_constraint_of_transformers(tokens: list[int]) -> None:
    theirs = PrefixConstrainedLogitsProcessor(lambda batch, ids: tokens, num_beams=1)
    assert torch.equal(Only(tokens)(STEP, ROW), theirs(torch.tensor([[5, 6]]), ROW[None].clone())[0])


@given(TOKENS)
def test_a_support_costs_the_surprisal_of_its_mass(tokens: list[int]) -> None:
    log_p, log_q = (log_probabilities(row.double()) for row in (ROW, Only(tokens)(STEP, ROW)))
    expected = -math.log2(log_p.exp()[sorted(set(tokens))].sum())
    assert float(kl_divergence(log_q, log_p)) == pytest.approx(expected, abs=1e-9)
    for token in tokens:
        assert float(log_q[token] - log_p[token]) / math.log(2) == pytest.approx(expected, abs=1e-9)


def test_a_forced_token_costs_its_surprisal() -> None:
    outcome = Program((Force(7),))(STEP, ROW)
    log_p, log_q = log_probabilities(ROW), log_probabilities(outcome.q)
    assert log_q[7] == 0
    expected = float(surprisal(log_p, torch.tensor(7)))
    assert float(kl_divergence(log_q, log_p)) == pytest.approx(expected)


def test_a_forced_text_comes_from_its_position_on(engine: Engine) -> None:
    session = engine.session(PROMPT)
    vocabulary = session.tree.vocabulary
    text = ForceText.spelling(" Paris and London", vocabulary, start=2)  # type: ignore[arg-type]
    assert len(text.token_ids) > 1
    nodes = session.generate(max_new_tokens=len(text.token_ids) + 4, program=text >> Greedy()).wait()
    plain = engine.session(PROMPT)
    free = plain.generate(max_new_tokens=2).wait()
    ids = [node.token_id for node in nodes]
    assert ids[:2] == [node.token_id for node in free]
    assert tuple(ids[2 : 2 + len(text.token_ids)]) == text.token_ids
    assert session.new_text[len(plain.new_text) :].startswith(" Paris and London")
    assert all(node.origin == Origin.SAMPLED for node in nodes)
    for node in nodes[2 : 2 + len(text.token_ids)]:
        assert node.cost == pytest.approx(node.surprisal, abs=1e-5)


def test_a_token_is_forced_at_its_positions(engine: Engine) -> None:
    session = engine.session(PROMPT)
    nodes = session.generate(max_new_tokens=4, program=At([1, 3], Program((Force(17),)))).wait()
    assert [node.token_id == 17 for node in nodes] == [False, True, False, True]


@pytest.mark.parametrize("last", [Only([4]), Force(4), ForceText([4], start=3)], ids=str)
def test_what_was_excluded_cannot_be_forced(last: Operator) -> None:
    with pytest.raises(ValueError, match=r"^(Only|Force|ForceText)\(.*leaves no token to draw at position 3"):
        (Ban([4]) >> last)(STEP, ROW)


@given(SUPPORTS)
def test_a_support_can_be_written_and_read(operator: Operator) -> None:
    program = Program((operator,))
    assert Program.from_json(program.to_json()) == program
    assert hash(operator) == hash(Program.from_json(program.to_json()).operators[0])


@given(SUPPORTS)
def test_a_support_leaves_its_input_alone(operator: Operator) -> None:
    row = ROW.clone()
    result = operator(STEP, row)
    assert torch.equal(row, ROW)
    kept = result > -torch.inf
    assert torch.equal(result[kept], ROW[kept])


def test_elsewhere_a_forced_text_gives_the_row_itself() -> None:
    assert ForceText([1, 2], start=4)(STEP, ROW) is ROW
    assert ForceText([1, 2, 3], start=0)(STEP, ROW) is ROW
    assert Ban([])(STEP, ROW) is ROW


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Only([]), "token_ids is empty, but must name at least one token"),
        (lambda: ForceText([1], start=-1), "start is -1, but must be a whole number of at least 0"),
        (lambda: Force(-1), "token_id is -1, but must be a whole number of at least 0"),
        (lambda: Force("a"), "token_id is 'a', but must be a whole number of at least 0"),  # type: ignore[arg-type]
        (
            lambda: Force(20)(STEP, ROW),
            "token id 20 is not in the vocabulary: ids from 0 to 19 are accepted",
        ),
    ],
)
def test_bad_input_is_one_sentence(make: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole sentence is compared
        make()
    assert str(caught.value) == sentence
