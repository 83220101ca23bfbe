"""Grammars as supports: whole texts against re and jsonschema, and masks against llguidance's own."""

from __future__ import annotations

import copy
import json
import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import jsonschema
import llguidance
import llguidance.numpy
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import itwidgets
from itwidgets import Engine
from itwidgets.interventions import Grammar, JsonSchema, Operator, Program, Regex, Step, Temperature, TopK
from itwidgets.tree import Vocabulary
from tests.models import PROMPT, VOCABULARY_SIZE, byte_level_tokenizer, sentencepiece_tokenizer

Engines = Callable[[str], Engine]

VOCABULARY = Vocabulary(byte_level_tokenizer(), VOCABULARY_SIZE)
EOS = byte_level_tokenizer().eos_token_id
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 4}, "age": {"type": "integer", "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
SUM = """
start: term ("+" term)*
term: /[0-9]{1,2}/ | "(" start ")"
"""
LANGUAGES: st.SearchStrategy[Operator] = st.one_of(
    st.builds(Regex, st.sampled_from(["a*", " (London|Rome)", r"\d{3}"]), st.integers(0, 5)),
    st.builds(JsonSchema, st.sampled_from([SCHEMA, {"type": "null"}, json.dumps(SCHEMA)]), st.integers(0, 5)),
    st.builds(Grammar, st.just(SUM), st.integers(0, 5)),
)


def step_after(token_ids: list[int], prompt: int = 0, vocabulary: Vocabulary = VOCABULARY) -> Step:
    return Step(len(token_ids) - prompt, token_ids, prompt, vocabulary=vocabulary)


def allowed(operator: Operator, token_ids: list[int], vocabulary: Vocabulary = VOCABULARY) -> set[int]:
    row = operator(step_after(token_ids, vocabulary=vocabulary), torch.zeros(len(vocabulary)))
    return set(row.isfinite().nonzero()[:, 0].tolist())


def beginnings(texts: list[str], vocabulary: Vocabulary = VOCABULARY) -> set[int]:
    """Tokens with which one of some texts begins."""
    pieces = {i: vocabulary.token_bytes(i) for i in range(len(vocabulary))}
    return {
        i for i, piece in pieces.items() if any(text.encode().startswith(piece) for text in texts) and piece
    }


@pytest.mark.parametrize("tokenizer", [byte_level_tokenizer, sentencepiece_tokenizer])
def test_only_beginnings_of_what_matches_are_allowed(tokenizer: Callable[[], Any]) -> None:
    vocabulary = Vocabulary(tokenizer(), VOCABULARY_SIZE)
    texts = ["London calls", "Rome calls", "then", "thou"]
    t, h, e, n = (vocabulary.encode(letter)[-1] for letter in "then")
    operator = Regex("(London|Rome) calls|then|thou")
    assert allowed(operator, [], vocabulary) == beginnings(texts, vocabulary)
    assert allowed(operator, [t, h], vocabulary) == beginnings(["en", "ou"], vocabulary)
    # Where only one text can follow, its own tokens alone, however it was spelled so far.
    assert allowed(operator, [t, h, e], vocabulary) == {n}
    # The text is whole, and cannot go on.
    assert allowed(operator, [t, h, e, n], vocabulary) == {tokenizer().eos_token_id}


def test_the_end_is_allowed_where_the_text_may_end() -> None:
    operator = Regex("a{2,3}")
    (a,) = VOCABULARY.encode("a")
    assert EOS not in allowed(operator, [a])
    assert allowed(operator, [a, a]) == {a, EOS}
    assert allowed(operator, [a, a, a]) == {EOS}
    assert allowed(operator, [a, a, EOS]) == {EOS}


def test_the_masks_are_those_of_llguidance() -> None:
    operator = JsonSchema(SCHEMA)
    matcher = llguidance.LLMatcher(VOCABULARY.pieces, operator.grammar)
    mask = llguidance.numpy.allocate_token_bitmask(1, VOCABULARY.pieces.vocab_size)
    ids: list[int] = []
    for token_id in [*VOCABULARY.encode('{"name": "Ada", "age": 36}'), EOS]:
        llguidance.numpy.fill_next_token_bitmask(matcher, mask)
        row = np.zeros((1, VOCABULARY.pieces.vocab_size), np.float32)
        llguidance.numpy.apply_token_bitmask_inplace(row, mask)
        assert allowed(operator, ids) == set(np.flatnonzero(np.isfinite(row[0])).tolist())
        assert matcher.consume_token(token_id)
        ids.append(token_id)


def test_a_row_wider_than_the_vocabulary_and_a_narrower_one() -> None:
    (a,) = VOCABULARY.encode("a")
    for size in (a + 1, VOCABULARY_SIZE + 40):
        row = Regex("a")(step_after([]), torch.zeros(size, dtype=torch.float64))
        assert row.dtype == torch.float64
        assert row.isfinite().nonzero()[:, 0].tolist() == [a]


def test_steps_in_any_order_give_the_same_rows() -> None:
    # As branches and rollouts ask; a fresh operator has no memory to go wrong by.
    operator = Grammar(SUM)
    texts = [VOCABULARY.encode(text) for text in ("(1+2)+33", "(1+(4+5))", "7+8+9", "(1+2)+4+(6)")]
    places = [ids[:count] for ids in texts for count in range(len(ids) + 1)]
    expected = [allowed(Grammar(SUM), ids) for ids in places]
    order = torch.randperm(len(places), generator=torch.Generator().manual_seed(0)).tolist() * 3
    for i in order:
        assert allowed(operator, places[i]) == expected[i]


def test_before_its_start_it_changes_nothing() -> None:
    operator = Regex("London|Rome", start=2)
    row = torch.zeros(VOCABULARY_SIZE)
    ids = VOCABULARY.encode("Rome, yes")
    assert operator(step_after(ids[:1]), row) is row
    assert allowed(operator, ids[:2]) == beginnings(["London", "Rome"])
    # The prompt is no part of the text that it is about.
    step = step_after([*ids, *VOCABULARY.encode("x")], prompt=len(ids))
    found = Regex("x(y|z)")(step, row).isfinite().nonzero()[:, 0].tolist()
    assert found == sorted(beginnings(["y", "z"]))


def test_a_text_that_everything_may_follow_keeps_its_row() -> None:
    vocabulary = Vocabulary(byte_level_tokenizer(), VOCABULARY_SIZE)
    row = torch.zeros(3)
    step = Step(0, [], 0, vocabulary=vocabulary)
    assert Regex("(?s:.*)")(step, row[:1]) is not row
    assert torch.equal(Regex("(?s:.*)", start=1)(step, row), row)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Regex("a(b"), r"pattern is 'a\(b', which is no regular expression: .*unclosed group"),
        (lambda: Regex(cast("Any", 3)), "pattern is 3, but must be a text"),
        (lambda: Regex("a", start=-1), "start is -1, but must be a whole number of at least 0"),
        (lambda: JsonSchema({"type": "objekt"}), "which is no JSON schema: Invalid type: objekt"),
        (lambda: JsonSchema("{"), "schema is '{', which is no JSON"),
        (lambda: JsonSchema({"a": {1}}), "which is no JSON: Object of type set"),
        (lambda: JsonSchema({"minimum": math.nan}), "which is no JSON: Out of range"),
        (lambda: JsonSchema("3"), "schema is '3', but must be a JSON object"),
        (lambda: Grammar('start: "a" foo'), 'which is no grammar: .*unknown name: "foo"'),
        (lambda: Grammar(cast("Any", None)), "lark is None, but must be a text"),
    ],
)
def test_what_is_no_language_is_refused_when_it_is_made(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_text_that_does_not_match_is_refused() -> None:
    ids = VOCABULARY.encode("Lond")
    wrong = VOCABULARY.encode("x")
    sentence = (
        rf"Regex\(pattern='London', start=0\) does not allow .* token {wrong[0]} after {len(ids)} others"
    )
    with pytest.raises(ValueError, match=sentence):
        Regex("London")(step_after([*ids, *wrong]), torch.zeros(VOCABULARY_SIZE))


def test_a_language_without_texts_leaves_no_token() -> None:
    with pytest.raises(
        ValueError, match=r"Regex\(pattern='\[a&&b\]', start=0\) allows no token after 0 others"
    ):
        (Temperature(1.0) >> Regex("[a&&b]"))(step_after([]), torch.zeros(VOCABULARY_SIZE))


def test_without_a_tokenizer_it_says_what_it_needs() -> None:
    with pytest.raises(ValueError, match="reads text, but no tokenizer is known"):
        Regex("a")(Step(0, [], 0), torch.zeros(4))


def test_a_token_that_the_tokenizer_has_not_is_named() -> None:
    with pytest.raises(ValueError, match=r"cannot be used with this tokenizer: .*<\|nothing\|>"):
        Grammar("start: <|nothing|>")(step_after([]), torch.zeros(VOCABULARY_SIZE))


# ---------------------------------------------------------------- JSON


@given(st.lists(LANGUAGES, max_size=3).map(lambda operators: Program(tuple(operators))))
def test_json_brings_the_same_program_back(program: Program) -> None:
    again = Program.from_json(program.to_json())
    assert again == program
    assert again.digest == program.digest
    assert hash(again) == hash(program)


def test_json_keeps_the_order_of_properties_and_names_like_operator() -> None:
    schema = {"type": "object", "properties": {"operator": {"type": "null"}, "a": {"type": "null"}}}
    schema["required"] = ["operator", "a"]
    operator = JsonSchema(schema)
    schema.clear()
    (again,) = Program.from_json(Program((operator,)).to_json()).operators
    assert again == operator
    ids = VOCABULARY.encode('{"')
    assert allowed(again, ids) == set(VOCABULARY.encode('{"operator":')[len(ids) :][:1])


def test_what_was_read_is_no_part_of_an_operator() -> None:
    operator, fresh = Regex("a+"), Regex("a+")
    allowed(operator, VOCABULARY.encode("aa"))
    assert operator == fresh
    assert hash(operator) == hash(fresh)
    assert repr(operator) == repr(fresh) == "Regex(pattern='a+', start=0)"
    assert operator.described() == {"operator": "Regex", "pattern": "a+", "start": 0}


def pickled(operator: Operator) -> Operator:
    return cast("Operator", pickle.loads(pickle.dumps(operator)))  # noqa: S301 - bytes of this very test


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
@pytest.mark.parametrize("operator", [Regex("a+", start=1), JsonSchema(SCHEMA), Grammar(SUM)], ids=str)
def test_copies_allow_the_same(operator: Operator, copied: Callable[[Operator], Operator]) -> None:
    allowed(operator, [])
    again = copied(operator)
    assert again is not operator
    assert again == operator
    assert allowed(again, []) == allowed(operator, [])


# ---------------------------------------------------------------- in sessions


@settings(max_examples=3)
@given(seed=st.integers(0, 1000))
def test_texts_are_of_the_language(shared_engine: Engines, seed: int) -> None:
    engine = shared_engine("llama")
    pattern = r"[a-c]{2,5}(, [a-c]{2,5}){0,2}\."
    for program, holds in (
        (Regex(pattern) >> Temperature(1.5), lambda text: re.fullmatch(pattern, text)),
        (JsonSchema(SCHEMA) >> TopK(20), lambda text: jsonschema.validate(json.loads(text), SCHEMA) is None),
    ):
        session = engine.session(PROMPT)
        nodes = session.generate(60, program=program, seed=seed).wait()
        if session.has_ended:
            assert holds(session.new_text.removesuffix("<|end|>"))
        for node in nodes[:4]:
            # Of a mask the price is the same whatever is drawn: the mass of what is allowed.
            (mask, *_) = session.distribution(node).stages
            p = session.distribution(node).log_probs
            mass = math.exp(torch.from_numpy(p[mask.log_probs > -math.inf]).logsumexp(0))
            assert node.cost == pytest.approx(-math.log2(mass), abs=1e-4)
            assert node.expected_cost == pytest.approx(node.cost, abs=1e-4)


def test_a_bounded_language_ends(shared_engine: Engines) -> None:
    session = shared_engine("llama").session(PROMPT)
    session.generate(50, program=Regex(" (London|Rome)") >> Temperature(2.0), seed=5).wait()
    assert session.has_ended
    assert session.new_text.removesuffix("<|end|>") in (" London", " Rome")


def test_branches_rollouts_and_replays(shared_engine: Engines, tmp_path: Path) -> None:
    engine = shared_engine("llama")
    program = Regex("[a-c ]{30}") >> Temperature(1.5)
    session = engine.session(PROMPT)
    session.generate(6, program=program, seed=1).wait()
    session.force(2, "b")
    session.generate(4, program=program, seed=1).wait()
    rollout = session.rollout(1, tokens=["a", "b", "c"], max_new_tokens=5, program=program, seed=2)
    for one in rollout:
        assert re.fullmatch("[a-c ]*", session.new_nodes[0].text + one.text)
    session.adopt(rollout[1])
    assert session.replay().first_difference is None
    session.save(tmp_path / "one.itw.json")
    replay = itwidgets.open(tmp_path / "one.itw.json", engine).replay()
    assert (replay.first_difference, replay.not_drawn) == (None, 0)
