"""The extractor gives the probabilities that transformers gives, and says what each of them is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
import tokenizers
import torch
from tokenizers import decoders
from tokenizers.models import BPE
from transformers import (
    LogitsProcessorList,
    PreTrainedTokenizerFast,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

import itwidgets.probability_extractor
from itwidgets import Engine, ProbabilityExtractor, compute_entropy, compute_varentropy
from tests.models import PROMPT, fresh_logits, tiny_model


@pytest.fixture
def extractor(shared_engine: Callable[[str], Engine]) -> ProbabilityExtractor:
    return ProbabilityExtractor(shared_engine("llama"))


def model_rows(extractor: ProbabilityExtractor, token_ids: list[int]) -> torch.Tensor:
    """Scores of transformers' own forward pass, float64."""
    rows: torch.Tensor = fresh_logits(extractor.engine.model, token_ids)
    return rows


def prompt_ids(extractor: ProbabilityExtractor) -> list[int]:
    ids: list[int] = extractor.engine.tokenizer(PROMPT)["input_ids"]
    return ids


def test_the_distribution_is_the_softmax_of_transformers(extractor: ProbabilityExtractor) -> None:
    result = extractor.get_next_token_probabilities(PROMPT, return_top_k=5)
    logits = model_rows(extractor, prompt_ids(extractor))[-1]
    expected = logits.softmax(-1)
    assert result["probabilities"].dtype == torch.float64
    torch.testing.assert_close(result["probabilities"], expected, rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(result["logits"].double(), logits, rtol=1e-4, atol=1e-4)
    assert float(result["probabilities"].sum()) == pytest.approx(1, abs=1e-12)
    assert torch.equal(result["log_probabilities"].exp(), result["probabilities"])
    best = expected.sort(descending=True).indices[:5].tolist()
    assert result["top_k_indices"] == best
    texts = [extractor.engine.vocabulary.token_bytes(i).decode(errors="replace") for i in best]
    assert result["top_k_tokens"] == [
        (text, float(result["probabilities"][i])) for text, i in zip(texts, best, strict=True)
    ]
    assert result["entropy"] == pytest.approx(compute_entropy(result["probabilities"]), rel=1e-12)
    assert result["varentropy"] == pytest.approx(compute_varentropy(result["probabilities"]), rel=1e-12)
    assert result["prompt"] == PROMPT


def test_all_tokens_are_listed_where_more_are_asked_for(extractor: ProbabilityExtractor) -> None:
    result = extractor.get_next_token_probabilities(PROMPT, return_top_k=10**6)
    assert len(result["top_k_tokens"]) == len(extractor.engine.vocabulary)


def test_token_probabilities_are_p_and_sampling_probabilities_are_s(extractor: ProbabilityExtractor) -> None:
    result = extractor.generate_with_probabilities(PROMPT, 12, temperature=1.7, top_k=30, top_p=0.9, seed=4)
    before = prompt_ids(extractor)
    rows = model_rows(extractor, before + result["token_ids"])[len(before) - 1 : -1]
    warpers: Any = LogitsProcessorList(
        [TemperatureLogitsWarper(1.7), TopKLogitsWarper(30), TopPLogitsWarper(0.9)]
    )
    ids = torch.tensor(result["token_ids"])[:, None]
    p = rows.softmax(-1)
    for name, expected in (
        ("token_probabilities", p),
        ("sampling_probabilities", warpers(ids, rows.clone()).softmax(-1)),
    ):
        np.testing.assert_allclose(result[name], expected.gather(-1, ids)[:, 0], rtol=1e-4)
    np.testing.assert_allclose(
        result["entropies"], scipy.stats.entropy(p.numpy(), base=2, axis=-1), rtol=1e-4
    )
    np.testing.assert_allclose(result["varentropies"], compute_varentropy(p), rtol=1e-3)
    np.testing.assert_allclose(result["surprisals"], -np.log2(result["token_probabilities"]), rtol=1e-6)
    assert result["ranks"] == [1 + int((row > row[i]).sum()) for row, i in zip(rows, ids[:, 0], strict=True)]


def test_greedy_is_what_generate_makes(extractor: ProbabilityExtractor) -> None:
    result = extractor.generate_with_probabilities(PROMPT, 8, temperature=0)
    model: Any = extractor.engine.model
    made = model.generate(torch.tensor([prompt_ids(extractor)]), max_new_tokens=8, do_sample=False)
    assert result["token_ids"] == made[0, len(prompt_ids(extractor)) :].tolist()
    assert result["sampling_probabilities"] == [1.0] * 8


def test_the_texts_fit_together(extractor: ProbabilityExtractor) -> None:
    result = extractor.generate_with_probabilities(PROMPT, 8)
    vocabulary = extractor.engine.vocabulary
    assert result["generated_text"] == vocabulary.text(prompt_ids(extractor) + result["token_ids"])
    assert result["generated_text"] == PROMPT + result["new_text"]
    pieces = [vocabulary.token_bytes(i).decode(errors="replace") for i in result["token_ids"]]
    assert result["generated_tokens"] == pieces
    assert [node.token_id for node in result["nodes"]] == result["token_ids"]
    assert result["session"].nodes[-8:] == result["nodes"]
    assert result["prompt"] == PROMPT


def test_a_seed_is_a_text(extractor: ProbabilityExtractor) -> None:
    texts = [extractor.generate_with_probabilities(PROMPT, 8, seed=seed)["token_ids"] for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]


def test_probabilities_of_tokens_are_those_of_the_distribution(extractor: ProbabilityExtractor) -> None:
    p = extractor.get_next_token_probabilities(PROMPT)["probabilities"]
    the = extractor.engine.vocabulary.token_id(" the")
    assert extractor.get_token_probability(PROMPT, " the") == pytest.approx(float(p[the]), rel=1e-12)
    assert extractor.get_token_probability(PROMPT, 7) == pytest.approx(float(p[7]), rel=1e-12)
    found = extractor.compare_token_probabilities(PROMPT, [7, " the", "."])
    assert list(found) == [7, " the", "."]
    assert found[" the"] == extractor.get_token_probability(PROMPT, " the")


def test_prompts_may_be_ids_and_messages(extractor: ProbabilityExtractor) -> None:
    by_ids = extractor.get_next_token_probabilities(prompt_ids(extractor))
    assert torch.equal(
        by_ids["probabilities"], extractor.get_next_token_probabilities(PROMPT)["probabilities"]
    )
    chat = extractor.generate_with_probabilities([{"role": "user", "content": "The"}], 2)
    assert chat["generated_text"].startswith("<|user|>The<|end|><|model|>")


def test_models_with_an_encoder_are_read_too(shared_seq2seq: Callable[[str], Engine]) -> None:
    result = ProbabilityExtractor(shared_seq2seq("t5")).generate_with_probabilities(PROMPT, 3)
    assert len(result["token_probabilities"]) <= 3


def test_everything_is_loaded_by_load(
    monkeypatch: pytest.MonkeyPatch, extractor: ProbabilityExtractor
) -> None:
    calls = []

    def load(*names: Any, **options: Any) -> Engine:
        calls.append((names, options))
        return extractor.engine

    monkeypatch.setattr(itwidgets.probability_extractor, "load", load)
    ProbabilityExtractor()
    ProbabilityExtractor("a model", device="cpu", load_in_4bit=True, dtype="float64")
    no, four = {"load_in_8bit": False, "load_in_4bit": False}, {"load_in_8bit": False, "load_in_4bit": True}
    assert calls == [
        ((None,), {"device": None, **no}),
        (("a model",), {"device": "cpu", **four, "dtype": "float64"}),
    ]


def test_an_engine_is_not_loaded_again(extractor: ProbabilityExtractor) -> None:
    assert ProbabilityExtractor(extractor.engine, load_in_8bit=False).engine is extractor.engine
    options: list[dict[str, Any]] = [{"load_in_8bit": True}, {"device": "cpu"}, {"dtype": "float64"}]
    for option in options:
        with pytest.raises(ValueError, match=f"which is loaded already: leave out {next(iter(option))}"):
            ProbabilityExtractor(extractor.engine, **option)


def test_a_model_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="load_in_8bit=True and load_in_4bit=True were both given"):
        ProbabilityExtractor(load_in_8bit=True, load_in_4bit=True)
    with pytest.raises(FileNotFoundError, match=r"there is no file 'none\.gguf'"):
        ProbabilityExtractor("none.gguf")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0, but must be a whole number of at least 1"),
        ({"max_new_tokens": 2.5}, "max_new_tokens is 2.5, but must be a whole number of at least 1"),
        ({"temperature": -1}, "temperature is -1, but must be at least 0"),
        ({"temperature": math.nan}, "temperature is nan, but must be at least 0"),
        ({"temperature": "hot"}, "temperature is 'hot', but must be at least 0"),
        ({"top_k": 0}, "top_k is 0, but must be a whole number of at least 1"),
        ({"top_p": 0}, "top_p is 0, but must be above 0 and at most 1"),
        ({"top_p": 1.5}, "top_p is 1.5, but must be above 0 and at most 1"),
        ({"temperature": 0, "top_k": -1}, "top_k is -1, but must be a whole number of at least 1"),
        ({"seed": -1}, "seed is -1, but must be a whole number of at least 0"),
        ({"prompt": ""}, "the prompt is empty"),
        ({"prompt": "the " * 2000}, "tokens, but the model's context holds 1024"),
    ],
)
def test_arguments_that_generate_refuses(
    extractor: ProbabilityExtractor, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        extractor.generate_with_probabilities(**{"prompt": PROMPT, **arguments})


def test_tokens_that_are_none(extractor: ProbabilityExtractor) -> None:
    with pytest.raises(ValueError, match="return_top_k is 0, but must be a whole number of at least 1"):
        extractor.get_next_token_probabilities(PROMPT, return_top_k=0)
    for token, said in (
        ("zzzz", "^token: 'zzzz' is no single token but 4"),
        ("", "^token: '' is no single token but 0"),
        (520, "^token: token id 520 is not in the vocabulary: 0 to 519 are accepted"),
    ):
        with pytest.raises(ValueError, match=said):
            extractor.get_token_probability(PROMPT, token)
    with pytest.raises(TypeError, match=r"^token: token is 0.5, but must be a token id or the text"):
        extractor.get_token_probability(PROMPT, 0.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^tokens is empty, but must name at least one token"):
        extractor.compare_token_probabilities(PROMPT, [])
    with pytest.raises(ValueError, match=r"^tokens: 'zzzz' is no single token"):
        extractor.compare_token_probabilities(PROMPT, [" the", "zzzz"])
    for no_list in ("the", 5, None):
        with pytest.raises(TypeError, match=r"^tokens is .*, but must be a list of token texts or ids"):
            extractor.compare_token_probabilities(PROMPT, no_list)  # type: ignore[arg-type]


def test_a_text_that_the_tokenizer_does_not_know_is_refused() -> None:
    vocabulary = {"<unk>": 0, "a": 1, "b": 2, " ": 3}
    tokenizer = tokenizers.Tokenizer(BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **{"unk_token": "<unk>"})
    engine = Engine(tiny_model("llama"), fast)
    extractor = ProbabilityExtractor(engine)
    assert 0 < extractor.get_token_probability("ab", "b") < 1
    assert 0 < extractor.get_token_probability("ab", "<unk>") < 1
    with pytest.raises(ValueError, match=r"^token: 'é' has characters that the tokenizer does not know"):
        extractor.get_token_probability("ab", "é")
    engine.close()
