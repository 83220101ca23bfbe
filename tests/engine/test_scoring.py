"""Scoring given texts: every token once, as the model itself says, whatever is batched, cut or chunked."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import itwidgets as itw
from itwidgets import Engine
from itwidgets.engine.scoring.score import Scope, start_scoring
from itwidgets.engine.scoring.windows import Text, strided, windows_of
from itwidgets.engine.worker import StoppedError
from itwidgets.information import entropy, varentropy
from tests.models import (
    KINDS,
    byte_level_tokenizer,
    fresh_logits,
    gate_at,
    tiny_engine,
    tiny_model,
)

SENTENCE = "The capital of France is Paris."
TEXTS: list[str | list[int]] = [
    SENTENCE,
    "a",
    [7],
    "naïve café: 你好 🦜",
    [5, 9, 11, 3],
    "A model reads a text token by token, and says how likely each of the next ones is.",
]
IN_FLOAT32 = {"falcon_h1", "mamba", "qwen3_next"}
"""Their states, or their logits, are float32 whatever the weights are."""

LONG = np.random.default_rng(0).integers(3, 500, 100).tolist()
EXACT: Any = {"rtol": 1e-12, "atol": 1e-12}


@pytest.fixture(scope="module")
def exact() -> Engine:
    """Give an engine in float64, byte-level, without BOS."""
    return tiny_engine(dtype=torch.float64)


@pytest.fixture(scope="module")
def with_bos() -> Engine:
    """Give an engine in float64 whose tokenizer begins texts with <s>, with a short context."""
    return tiny_engine(dtype=torch.float64, bos=True, max_position_embeddings=16)


def expected_bits(model: Any, token_ids: list[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Surprisals of all tokens but the first, by the model itself, in one pass without any of our code."""
    log_probs = fresh_logits(model, token_ids[:-1]).log_softmax(-1)
    chosen = log_probs.gather(1, torch.tensor(token_ids[1:])[:, None])[:, 0]
    return -chosen.numpy() / math.log(2)


def column(frame: pd.DataFrame, name: str, text: int = 0) -> np.ndarray[Any, Any]:
    return frame.loc[frame["text_index"] == text, name].to_numpy()


# ---------------------------------------------------------------- against the model itself


@pytest.mark.parametrize("batch_tokens", [5, 48, 1000])
@pytest.mark.parametrize("kind", KINDS)
def test_surprisals_are_those_of_the_model_alone(kind: str, batch_tokens: int) -> None:
    model = tiny_model(kind, dtype=torch.float32 if kind in IN_FLOAT32 else torch.float64)
    # The default of experts takes no float64.
    model.config._experts_implementation = "eager"
    engine = Engine(model, byte_level_tokenizer())
    frame = itw.score(engine, TEXTS, batch_tokens=batch_tokens)
    assert frame["text_index"].unique().tolist() == list(range(len(TEXTS)))
    for index in range(len(TEXTS)):
        token_ids = column(frame, "token_id", index).tolist()
        first, *others = column(frame, "surprisal_bits", index)
        assert math.isnan(first)
        if others:
            tolerance: Any = {"rtol": 1e-3, "atol": 1e-4} if kind in IN_FLOAT32 else EXACT
            np.testing.assert_allclose(others, expected_bits(model, token_ids), **tolerance)
    engine.close()


def test_all_figures_are_those_of_the_whole_row(exact: Engine) -> None:
    frame = itw.score(exact, SENTENCE, top_k=3)
    token_ids = column(frame, "token_id").tolist()
    rows = fresh_logits(exact.model, token_ids)[:-1]
    log_probs = rows.log_softmax(-1)
    scored = frame.iloc[1:]
    np.testing.assert_allclose(scored["entropy_bits"], entropy(log_probs), **EXACT)
    np.testing.assert_allclose(scored["varentropy_bits2"], varentropy(log_probs), **EXACT)
    chosen = rows.gather(1, torch.tensor(token_ids[1:])[:, None])
    assert scored["rank"].tolist() == (1 + (rows > chosen).sum(1)).tolist()
    best = log_probs.topk(3)
    assert scored["top_ids"].tolist() == best.indices.tolist()
    np.testing.assert_allclose(scored["top_log_probs_nats"].tolist(), best.values, **EXACT)
    free = torch.from_numpy(exact.vocabulary.undecodable)
    assert free.any()
    np.testing.assert_allclose(scored["undecodable_mass"], log_probs.exp()[:, free].sum(1), **EXACT)


def test_what_has_no_context_is_missing(exact: Engine) -> None:
    first = itw.score(exact, SENTENCE, top_k=1).iloc[0]
    measures = ["surprisal_bits", "entropy_bits", "varentropy_bits2", "rank", "undecodable_mass", "top_ids"]
    assert first[measures].isna().all()
    assert first["context_length"] == 0


def test_mass_on_ids_without_a_token_is_told_only_where_there_are_such(smollm: Engine) -> None:
    assert "undecodable_mass" not in smollm.session("The").score("Paris is")


# ---------------------------------------------------------------- batches


def test_texts_of_about_one_length_pass_together(exact: Engine) -> None:
    calls: list[tuple[int, ...]] = []
    hook = exact.model.get_input_embeddings().register_forward_pre_hook(
        lambda _, given: calls.append(tuple(given[0].shape))
    )
    # The last token of a text is not passed: nothing is asked of what follows it.
    itw.score(exact, [[5] * 6, [7] * 21, [5] * 5, [7] * 20, [9] * 50], batch_tokens=40)
    itw.score(exact, [[5, 6]] * 7, batch_size=3)
    hook.remove()
    assert calls == [(1, 40), (1, 9), (2, 20), (2, 5), (3, 1), (3, 1), (1, 1)]


def test_the_order_of_the_texts_does_not_matter(exact: Engine) -> None:
    one, other = itw.score(exact, TEXTS), itw.score(exact, TEXTS[::-1])
    for index in range(len(TEXTS)):
        np.testing.assert_allclose(
            column(one, "surprisal_bits", index),
            column(other, "surprisal_bits", len(TEXTS) - 1 - index),
            **EXACT,
        )


# ---------------------------------------------------------------- what begins a text


def test_the_beginning_is_context_and_has_no_row(with_bos: Engine) -> None:
    bos = with_bos.tokenizer.bos_token_id
    for policy in ("auto", "add"):
        frame = itw.score(with_bos, "The model", bos=policy)
        token_ids = column(frame, "token_id").tolist()
        assert bos not in token_ids
        assert frame["context_length"].tolist() == list(range(1, len(frame) + 1))
        np.testing.assert_allclose(
            frame["surprisal_bits"], expected_bits(with_bos.model, [bos, *token_ids]), **EXACT
        )
        assert frame.attrs["bos"] == policy
        assert frame.attrs["bos_token_ids"] == [bos]
    bare = itw.score(with_bos, "The model", bos="none")
    assert bare["token_id"].tolist() == token_ids
    assert math.isnan(bare["surprisal_bits"][0])
    assert bare["context_length"].tolist() == list(range(len(bare)))


@pytest.mark.parametrize("policy", ["auto", "add"])
def test_the_beginning_is_never_doubled(with_bos: Engine, policy: str) -> None:
    token_ids = with_bos.tokenizer("The model")["input_ids"]
    frame = itw.score(with_bos, [token_ids, "The model"], bos=policy)
    given, written = column(frame, "surprisal_bits", 0), column(frame, "surprisal_bits", 1)
    assert math.isnan(given[0])
    np.testing.assert_allclose(given[1:], written, **EXACT)


def test_a_tokenizer_without_bos_adds_nothing_by_itself(exact: Engine) -> None:
    assert itw.score(exact, "The model").attrs["bos_token_ids"] == []
    with pytest.raises(ValueError, match="bos is 'add', but this model has no token that begins a text"):
        itw.score(exact, "The model", bos="add")


# ---------------------------------------------------------------- windows


@pytest.mark.parametrize("bos", ["none", "add"])
@pytest.mark.parametrize("stride", [1, 5, 16])
def test_each_window_is_what_the_model_says_of_it_alone(with_bos: Engine, bos: str, stride: int) -> None:
    frame = itw.score(with_bos, [LONG], bos=bos, stride=stride)
    before = [with_bos.tokenizer.bos_token_id] if bos == "add" else []
    surprisals, contexts = frame["surprisal_bits"].to_numpy(), frame["context_length"].to_numpy()
    assert contexts.max() == 16
    assert contexts[17:].min() == frame.attrs["min_context"] == 17 - stride
    for place, (surprisal, context) in enumerate(zip(surprisals, contexts, strict=True)):
        if context == 0:
            assert place == 0
            assert math.isnan(surprisal)
            continue
        window = [*before, *LONG[place - context + len(before) : place + 1]]
        assert len(window) == context + 1
        assert surprisal == pytest.approx(expected_bits(with_bos.model, window)[-1], rel=1e-12)


@given(
    length=st.integers(1, 60),
    prefix=st.integers(0, 2),
    added=st.booleans(),
    context=st.integers(4, 20),
    data=st.data(),
)
def test_windows_score_each_token_once(
    length: int, prefix: int, added: bool, context: int, data: st.DataObject
) -> None:
    min_context = data.draw(st.integers(1, context - 1))
    stride = data.draw(st.none() | st.integers(1, context + 1 - max(prefix, min_context)))
    stride = strided(context, prefix, stride, min_context)
    text = Text(list(range(prefix + length)), prefix, prefix if added else 0)
    scored, row = [], 5
    for number, window in enumerate(windows_of(text, row, context, stride)):
        assert len(window.token_ids) <= context
        assert window.token_ids[:prefix] == text.tokens[:prefix]
        assert len(window.token_ids) == window.skipped + len(window.scored)
        follows = [*window.token_ids[window.skipped + 1 :], window.scored[-1]]
        assert follows == window.scored
        assert window.row == 5 + window.scored[0] - text.added
        if number:
            assert window.skipped + 1 >= min_context
        scored += window.scored
    assert scored == text.tokens[max(1, text.added) :]


def test_half_the_context_is_the_default(with_bos: Engine) -> None:
    attrs = itw.score(with_bos, [LONG]).attrs
    assert (attrs["stride"], attrs["min_context"], attrs["context_length"]) == (8, 9, 16)
    assert itw.score(with_bos, [LONG], min_context=12).attrs["stride"] == 5


def test_a_model_without_a_limit_has_no_windows(shared_engine: Callable[[str], Engine]) -> None:
    engine = shared_engine("mamba")
    assert itw.score(engine, [LONG]).attrs["stride"] is None
    with pytest.raises(ValueError, match="stride is 5, but this model's context has no limit"):
        itw.score(engine, [LONG], stride=5)


# ---------------------------------------------------------------- the table


def test_the_table_says_what_was_scored_and_how(with_bos: Engine) -> None:
    text = "The naïve model 🦜"
    frame = itw.score(with_bos, [text, "a"])
    first = frame[frame["text_index"] == 0]
    spans = zip(first["byte_start"], first["byte_end"], strict=True)
    spelled = with_bos.vocabulary.text(first["token_id"].tolist()).encode()
    assert spelled.decode() == text
    assert b"".join(spelled[start:stop] for start, stop in spans) == spelled
    assert frame["token_index"].tolist() == [*range(len(first)), *range(len(frame) - len(first))]
    assert json.loads(json.dumps(frame.attrs)) == frame.attrs
    assert frame.attrs["model"] == "tiny-llama"
    assert frame.attrs["dtype"] == "float64"
    assert frame.attrs["attention"] == "sdpa"


def test_a_column_of_a_table_is_a_list_of_texts(exact: Engine) -> None:
    texts = pd.Series(["The model", "a text"], index=[7, 9])
    pd.testing.assert_frame_equal(itw.score(exact, texts), itw.score(exact, list(texts)))
    pd.testing.assert_frame_equal(itw.score(exact, texts), itw.score(exact, iter(texts)))


def test_a_session_scores_with_its_own_adapter_and_keeps_its_tree(exact: Engine) -> None:
    session = exact.session("The capital")
    rows = len(session.tree)
    pd.testing.assert_frame_equal(session.score(TEXTS, top_k=2), itw.score(exact, TEXTS, top_k=2))
    assert len(session.tree) == rows


# ---------------------------------------------------------------- the engine's thread


def test_others_have_their_turn_and_a_stop_ends_it(engine: Engine) -> None:
    session = engine.session("The")
    with gate_at(engine.model, 2) as gate:
        job = start_scoring(engine, [[5] * 20] * 50, Scope(batch_tokens=32))
        gate.wait_until_reached()
        growing = session.generate(max_new_tokens=3)
        gate.open()
        assert len(growing.wait(60)) == 3
        job.cancel()
    if job.passed < job.total:
        with pytest.raises(StoppedError):
            job.wait(60)


def test_a_stopped_scoring_has_no_result(engine: Engine) -> None:
    with gate_at(engine.model, 2) as gate:
        job = start_scoring(engine, [[5] * 20] * 50, Scope(batch_tokens=32))
        gate.wait_until_reached()
        job.cancel()
        gate.open()
        with pytest.raises(StoppedError, match="score was stopped before it had a result"):
            job.wait(60)
    assert job.passed < job.total
    assert len(itw.score(engine, "The model")) > 0


def test_a_bar_is_shown_where_it_is_asked_for(exact: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    itw.score(exact, TEXTS)
    assert capsys.readouterr().err == ""
    itw.score(exact, TEXTS, progress=True)
    assert "scoring" in capsys.readouterr().err


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ([], {}, "texts is empty, but at least one text is needed"),
        (["a", ""], {}, "text 1 is '', which has no tokens, but a text needs at least one"),
        ([[5], []], {}, r"text 1 is \[\], which has no tokens, but a text needs at least one"),
        ("a", {"bos": "yes"}, "bos is 'yes', but must be one of 'auto', 'add', 'none'"),
        ("a", {"stride": 0}, "stride is 0, but must be a whole number of at least 1"),
        ("a", {"stride": 1025}, "stride is 1025, but 1 to 1024 are accepted in a context of 1024 tokens"),
        ("a", {"min_context": 1024}, "min_context is 1024, but 1 to 1023 are accepted in a context of 1024"),
        ("a", {"min_context": 900, "stride": 200}, "a stride of at most 125 leaves so many before"),
        ("a", {"top_k": -1}, "top_k is -1, but must be a whole number of at least 0"),
        ("a", {"batch_tokens": 0}, "batch_tokens is 0, but must be a whole number of at least 1"),
        ("a", {"batch_size": True}, "batch_size is True, but must be a whole number of at least 1"),
        ([[5, 99999]], {}, "token id 99999 is not in the vocabulary"),
        ("a", {"adapter": "none"}, "'none'"),
    ],
)
def test_bad_values_are_told_in_a_sentence(
    exact: Engine, texts: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        itw.score(exact, texts, **options)


@pytest.mark.parametrize("texts", [5, b"text", {"a": 1}, {"a"}, None, np.ones((2, 2), dtype=int)])
def test_what_is_no_text_is_refused(exact: Engine, texts: Any) -> None:
    with pytest.raises(TypeError, match=r"texts is of type \w+, but must be a text or a list of texts"):
        itw.score(exact, texts)


@pytest.mark.parametrize("text", [5, b"text", None, math.nan, [0.5], [True], ["a"]])
def test_a_list_with_something_else_than_texts_is_refused(exact: Engine, text: Any) -> None:
    with pytest.raises(TypeError, match=r"text 1 is .*, but must be a string or a list of token ids"):
        itw.score(exact, ["a", text])


def test_a_model_with_an_encoder_is_refused(shared_seq2seq: Callable[[str], Engine]) -> None:
    with pytest.raises(TypeError, match="has an encoder, but score takes models with a decoder alone"):
        itw.score(shared_seq2seq("t5"), "The model")


def test_a_closed_engine_says_so(engine: Engine) -> None:
    engine.close()
    with pytest.raises(RuntimeError, match="the engine is closed"):
        itw.score(engine, "The model")


def test_scores_that_are_no_numbers_end_it(engine: Engine) -> None:
    with torch.no_grad():
        engine.model.get_output_embeddings().weight[3] = math.nan
    with pytest.raises(FloatingPointError, match="the model's scores are no numbers"):
        itw.score(engine, "The model")
