"""Processors of others: what they write in place, what they remember, and what JSON says of them."""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from llguidance.numpy import allocate_token_bitmask, apply_token_bitmask_inplace
from transformers import TemperatureLogitsWarper

from itwidgets import Engine
from itwidgets.interventions import GREEDY, Ban, FromHF, PositionIn, Program, Step, When
from tests.interventions.processors import (
    CASE_IDS,
    CASES,
    LENGTH,
    PROMPT_IDS,
    SYNTH_ID,
    TOKENS,
    made,
)
from tests.models import VOCABULARY_SIZE, byte_level_tokenizer, fresh_log_probs


def _in_place(input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    scores[:, ::2] = -torch.inf
    return scores


def _llguidance(input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    mask = allocate_token_bitmask(1, VOCABULARY_SIZE)
    mask.view(np.uint32).fill(0b10101010101010101010101010101010)
    apply_token_bitmask_inplace(scores.numpy(), mask)
    return scores


class _WritesOn:
    """Keeps every row that it was ever given or has returned, and writes into all of them again."""

    def __init__(self) -> None:
        self._rows: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        for earlier in self._rows:
            earlier.zero_()
        self._rows.append(scores)
        return _in_place(input_ids, scores)


IN_PLACE = pytest.mark.parametrize(
    "make", [lambda: _in_place, lambda: _llguidance, _WritesOn], ids=["slice", "llguidance", "later"]
)


@IN_PLACE
def test_what_writes_in_place_cannot_change_p(engine: Engine, make: Callable[[], Any]) -> None:
    session = engine.session(PROMPT_IDS)
    nodes = session.generate(max_new_tokens=TOKENS, program=FromHF(make()) >> GREEDY).wait()
    odd = [*range(0, VOCABULARY_SIZE, 2)]
    other = engine.session(PROMPT_IDS)
    expected = other.generate(max_new_tokens=TOKENS, program=Ban(odd) >> GREEDY).wait()
    for count, (mine, theirs) in enumerate(zip(nodes, expected, strict=True)):
        assert mine.token_id == theirs.token_id
        assert (mine.surprisal, mine.entropy, mine.cost) == (theirs.surprisal, theirs.entropy, theirs.cost)
        log_p = fresh_log_probs(engine.model, session.token_ids[: LENGTH + count])
        assert session.distribution(count).log_probs == pytest.approx(log_p, abs=1e-4)


@IN_PLACE
def test_what_writes_in_place_cannot_change_the_row(make: Callable[[], Any]) -> None:
    row = torch.randn(VOCABULARY_SIZE, generator=torch.Generator().manual_seed(0))
    before, operator = row.clone(), FromHF(make())
    first = operator(Step(0, [1], 1), row)
    copy = first.clone()
    operator(Step(1, [1, 2], 1), row)
    assert torch.equal(row, before)
    assert torch.equal(first, copy)
    assert torch.equal(first, Ban(range(0, VOCABULARY_SIZE, 2))(Step(0, [1], 1), row))


def test_a_grammar_of_xgrammar_cannot_change_p(engine: Engine) -> None:
    xgrammar, hf = (importlib.import_module(name) for name in ("xgrammar", "xgrammar.contrib.hf"))
    known = xgrammar.TokenizerInfo.from_huggingface(byte_level_tokenizer(), vocab_size=VOCABULARY_SIZE)
    grammar = xgrammar.GrammarCompiler(known).compile_regex("[a-z ]{4,}")
    program = FromHF(lambda: hf.LogitsProcessor(grammar), stateful=True, name="letters") >> GREEDY
    session, text = engine.session(PROMPT_IDS), ""
    nodes = session.generate(max_new_tokens=TOKENS, program=program).wait()
    for count, node in enumerate(nodes):
        text += node.text
        log_p = fresh_log_probs(engine.model, session.token_ids[: LENGTH + count])
        assert node.surprisal == pytest.approx(-log_p[node.token_id] / math.log(2), abs=1e-3)
        assert session.distribution(count).log_probs == pytest.approx(log_p, abs=1e-4)
    assert re.fullmatch("[a-z ]+", text)
    with pytest.raises(ValueError, match=r"^LogitsProcessor keeps what it has seen"):
        FromHF(hf.LogitsProcessor(grammar))


def test_branches_of_a_stateful_processor_do_not_meet() -> None:
    mark = FromHF("SynthIDTextWatermarkLogitsProcessor", SYNTH_ID)
    generator = torch.Generator().manual_seed(0)
    texts = [[1, 2, 3, *torch.randint(50, (8,), generator=generator).tolist()] for _ in range(3)]
    rows = torch.randn(9, VOCABULARY_SIZE, generator=generator)

    def row_of(operator: FromHF, text: list[int], position: int) -> torch.Tensor:
        return operator(Step(position, text[: 3 + position], 3), rows[position])

    expected = []
    for text in texts:
        theirs = made("SynthIDTextWatermarkLogitsProcessor", SYNTH_ID)
        expected.append([theirs(torch.tensor([text[: 3 + i]]), rows[i][None])[0] for i in range(9)])
    # Interleaved, then again from the middle, and backwards.
    order = [(branch, i) for i in range(9) for branch in range(3)]
    for branch, position in [*order, *order[10:], *order[::-1]]:
        assert torch.equal(row_of(mark, texts[branch], position), expected[branch][position])


def test_a_stateful_processor_sees_positions_at_which_it_does_not_act() -> None:
    mark = FromHF("SynthIDTextWatermarkLogitsProcessor", SYNTH_ID)
    row = torch.randn(VOCABULARY_SIZE, generator=torch.Generator().manual_seed(0))
    step = Step(5, [1, 2, 3, 4, 5, 6, 7, 8], 3)
    late = When(PositionIn(5), Program((mark,)))
    theirs = made("SynthIDTextWatermarkLogitsProcessor", SYNTH_ID)
    for length in range(3, 9):
        expected = theirs(torch.tensor([list(step.token_ids[:length])]), row[None])[0]
    assert torch.equal(late(step, row), expected)


def test_what_is_left_as_it_is_keeps_its_digits() -> None:
    row = torch.tensor([0.1, 1 / 3, 0.7], dtype=torch.float64)
    result = FromHF("TopKLogitsWarper", {"top_k": 2})(Step(0, [1], 1), row)
    assert result.tolist() == [-torch.inf, 1 / 3, 0.7]
    low = row.bfloat16()
    assert FromHF("TemperatureLogitsWarper", {"temperature": 0.5})(Step(0, [1], 1), low).dtype == low.dtype


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=CASE_IDS)
def test_a_class_with_its_arguments_can_be_written_and_read(name: str, arguments: dict[str, Any]) -> None:
    program = Program((FromHF(name, arguments),))
    read = Program.from_json(program.to_json())
    assert read == program
    assert hash(read) == hash(program)
    assert read.digest == program.digest
    assert program.code == {}


def test_what_was_given_itself_is_read_only_where_it_is_allowed() -> None:
    warper = TemperatureLogitsWarper(0.5)
    program = FromHF(warper, name="half") >> FromHF(lambda: warper, stateful=True, name="made")
    text = program.to_json()
    assert set(program.code) == {"half", "made"}
    assert Program.from_json(text, allow=program.code) == program
    for allow in ({}, {"half": warper}):
        with pytest.raises(ValueError, match=r"the program names the processor '(half|made)'"):
            Program.from_json(text, allow=allow)


@pytest.mark.parametrize("name", ["LogitsProcessor", "LogitsProcessorList", "os", "torch", "nobody", ""])
def test_a_file_reaches_no_other_code_than_the_processors_of_transformers(name: str) -> None:
    text = f'{{"operators":[{{"operator":"FromHF","processor":"{name}","arguments":{{}}}}],"version":1}}'
    with pytest.raises(ValueError, match=f"processor is '{name}', but must be one of AlternatingCodebooks"):
        Program.from_json(text)


def _with_extra(input_ids: torch.Tensor, scores: torch.Tensor, cache: Any) -> torch.Tensor:
    return scores


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: FromHF(_with_extra),
            "function asks for cache besides input_ids and scores, which only the loop of generate can give",
        ),
        (
            lambda: FromHF(made("SynthIDTextWatermarkLogitsProcessor", SYNTH_ID)),
            "SynthIDTextWatermarkLogitsProcessor keeps what it has seen, so one instance cannot serve "
            "several branches: give a function that makes one, and stateful=True",
        ),
        (
            lambda: FromHF(TemperatureLogitsWarper(0.5), {"temperature": 0.5}),
            "arguments are {'temperature': 0.5}, but only a class that is named takes any",
        ),
    ],
    ids=["extra", "stateful", "arguments"],
)
def test_what_cannot_be_an_operator_is_refused_in_one_sentence(make: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole sentence is compared
        make()
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: FromHF(5), "processor is 5, but must be callable"),
        (lambda: FromHF(lambda: 5, stateful=True), "the processor is 5, but must be callable"),
        (lambda: FromHF("TopKLogitsWarper", {"k": 5}), "unexpected keyword argument 'k'"),
        (lambda: FromHF("TopKLogitsWarper", {"top_k": 5, "filter_value": -torch.inf}), "-inf cannot be"),
        (lambda: FromHF(lambda ids, scores: None)(Step(0, [1], 1), torch.zeros(3)), "returned None"),
    ],
    ids=["number", "made", "arguments", "json", "result"],
)
def test_what_is_no_processor_is_refused(make: Any, sentence: str) -> None:
    with pytest.raises(TypeError, match=sentence):
        make()


def test_a_result_of_another_shape_is_refused() -> None:
    operator = FromHF(lambda ids, scores: scores[:, :2], name="cut")
    with pytest.raises(ValueError, match=r"returned scores of shape \[2\], but the row has \[3\]"):
        operator(Step(0, [1], 1), torch.zeros(3))
