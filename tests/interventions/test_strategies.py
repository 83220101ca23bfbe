"""Ready strategies: what programs they are, which tokens spell a word, and what they do to a text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from itwidgets.information import entropy, log_probabilities
from itwidgets.interventions import (
    DRY,
    GREEDY,
    Ban,
    Bias,
    Contrast,
    Guidance,
    JsonSchema,
    MinP,
    Mirostat,
    NoRepeatNGram,
    Operator,
    Program,
    Regex,
    Step,
    TargetEntropy,
    Temperature,
    TopP,
    Typical,
    Watermark,
    lint,
    strategies,
)
from itwidgets.tree import Vocabulary
from tests.models import VOCABULARY_SIZE, byte_level_tokenizer, sentencepiece_tokenizer

STEP = Step(0, [1], 1)


class Spellings:
    """A vocabulary of the given pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces

    def __len__(self) -> int:
        return len(self.pieces)

    def token_bytes(self, token_id: int) -> bytes:
        return self.pieces[token_id]

    def text(self, token_ids: Sequence[int]) -> str:
        return b"".join(self.pieces[i] for i in token_ids).decode()

    def token_ids(self, tokens: int | str | Sequence[int]) -> list[int]:
        raise NotImplementedError


PIECES = Spellings(
    *(b"sea", b" sea", b"Sea", b" SEA", b" seal", b"  sea", b"\xc3", b" tide", b"Stra\xc3\x9fe", b"\n")
)


def other_source(step: Step) -> torch.Tensor:
    return torch.tensor([2.0, 0.0, 1.0])


READY: list[tuple[Program, tuple[Operator, ...]]] = [
    (strategies.greedy(), GREEDY.operators),
    (strategies.nucleus(), (TopP(0.95),)),
    (strategies.nucleus(0.9, temperature=0), GREEDY.operators),
    (strategies.min_p(0.1, temperature=1.5), (Temperature(1.5), MinP(0.1))),
    (strategies.typical(0.5, temperature=0.7), (Temperature(0.7), Typical(0.5))),
    (strategies.target_entropy(2.5), (TargetEntropy(2.5),)),
    (strategies.mirostat(3.0, 0.2), (Mirostat(3.0, 0.2),)),
    (strategies.no_repeat(4), (NoRepeatNGram(4),)),
    (strategies.dry(base=2.0), (DRY(base=2.0),)),
    (strategies.dry(PIECES, breakers=["\n", "S"]), (DRY(breakers=[2, 3, 8, 9]),)),
    (strategies.watermark(0.5, 1.0, 7), (Watermark(0.5, 1.0, 7),)),
    (strategies.contrastive(other_source), (Contrast(other_source, 1.0, 0.1),)),
    (strategies.classifier_free_guidance(other_source, 2.0), (Guidance(other_source, 2.0),)),
    (strategies.json_shape(), (JsonSchema({"type": "object"}),)),
    (strategies.json_shape({"type": "integer"}, 2), (JsonSchema({"type": "integer"}, 2),)),
    (strategies.regex_shape("a+", 1), (Regex("a+", 1),)),
]


@pytest.mark.parametrize(("program", "operators"), READY, ids=range(len(READY)))
def test_a_strategy_is_a_sound_program_that_json_can_hold(
    program: Program, operators: tuple[Operator, ...]
) -> None:
    assert program.operators == operators
    assert lint(program) == []
    assert Program.from_json(program.to_json(), allow={"other_source": other_source}) == program


def test_typical_at_temperature_zero_is_greedy() -> None:
    assert strategies.typical(temperature=0) == GREEDY


def test_a_boost_multiplies_the_odds_of_all_spellings() -> None:
    program = strategies.topic_boost(PIECES, ["sea"], bits=2)
    assert program.operators == (Bias(dict.fromkeys(range(4), 2 * math.log(2))),)
    assert strategies.topic_boost(PIECES, [" SEA"], factor=4) == program
    before = torch.randn(10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    odds = (program(STEP, before).q - before).exp()
    assert odds.tolist() == pytest.approx([4] * 4 + [1] * 6)


def test_a_suppression_divides_the_odds_or_excludes() -> None:
    halved = strategies.topic_suppression(PIECES, ["sea", "tide"], factor=2)
    assert halved.operators == (Bias(dict.fromkeys([0, 1, 2, 3, 7], -math.log(2))),)
    assert strategies.topic_suppression(PIECES, ["sea", "tide"], bits=1) == halved
    assert strategies.topic_suppression(PIECES, ["STRASSE"]).operators == (Ban([8]),)


@pytest.mark.parametrize("make", [byte_level_tokenizer, sentencepiece_tokenizer])
def test_a_word_is_found_in_real_vocabularies(make: Callable[[], Any]) -> None:
    vocabulary = Vocabulary(make(), VOCABULARY_SIZE)
    spelt = {i: vocabulary.token_bytes(i).decode(errors="replace") for i in range(len(vocabulary))}
    words = sorted(
        {text.strip().lower() for text in spelt.values() if len(text.strip()) > 1 and text.strip().isalpha()}
    )
    assert words
    (operator,) = strategies.topic_suppression(vocabulary, [words[0]]).operators
    assert isinstance(operator, Ban)
    assert {spelt[i].strip().lower() for i in operator.token_ids} == {words[0]}


def test_a_word_without_a_token_is_left_out_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="^no single token spells 'ocean', 'Reef': left out$"):
        program = strategies.topic_boost(PIECES, ["ocean", "tide", "Reef"], bits=1)
    assert program == strategies.topic_boost(PIECES, ["tide"], bits=1)


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ((["ocean"], 1, None), ValueError, "words is ['ocean'], but no single token spells any of them"),
        (([], 1, None), ValueError, "words is [], but must be words of at least one character"),
        (([" "], 1, None), ValueError, "words is [' '], but must be words of at least one character"),
        (("sea", 1, None), TypeError, "words is 'sea', but must be a list of words"),
        ((["sea"], 0, None), ValueError, "bits is 0, but must be above 0 and finite"),
        ((["sea"], None, 1), ValueError, "factor is 1, but must be above 1 and finite"),
        ((["sea"], 1, 2), ValueError, "bits is 1 and factor is 2, but exactly one of them must be given"),
    ],
)
@pytest.mark.parametrize("strategy", [strategies.topic_boost, strategies.topic_suppression])
def test_what_cannot_be_boosted_is_refused(
    strategy: Any, arguments: tuple[Any, ...], error: type[Exception], sentence: str
) -> None:
    words, bits, factor = arguments
    with pytest.raises(error) as caught:
        strategy(PIECES, words, bits=bits, factor=factor)
    assert str(caught.value) == sentence


def test_a_boost_needs_a_size() -> None:
    with pytest.raises(ValueError, match="bits is None and factor is None, but exactly one of them"):
        strategies.topic_boost(PIECES, ["sea"])


def test_strategies_compose() -> None:
    program = strategies.topic_suppression(PIECES, ["sea"]) >> strategies.target_entropy(1.5)
    assert lint(program) == []
    row = torch.randn(10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    q = program(STEP, row).q
    assert float(entropy(log_probabilities(q))) == pytest.approx(1.5, abs=1e-10)
    assert q[:4].isneginf().all()
