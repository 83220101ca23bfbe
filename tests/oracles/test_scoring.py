"""Scores of given texts against those of lm-eval and minicons, in float64."""

from __future__ import annotations

import copy
import importlib
import math
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import itwidgets as itw
from itwidgets import Engine

TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "Information is the resolution of uncertainty, measured in bits.",
    "🦜 says: naïve café",
]


@pytest.fixture(scope="module")
def scored(exact: Engine) -> pd.DataFrame:
    return itw.score(exact, TEXTS, bos="add")


def _module(name: str) -> Any:
    with warnings.catch_warnings():
        # What they import is theirs.
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


def _minicons(engine: Engine) -> Any:
    # It changes the tokenizer that it is given.
    tokenizer = copy.deepcopy(engine.tokenizer)
    return _module("minicons.scorer").IncrementalLMScorer(engine.model, "cpu", tokenizer=tokenizer)


@pytest.mark.filterwarnings("ignore")
def test_sums_are_those_of_lm_eval(exact: Engine, scored: pd.DataFrame) -> None:
    hflm = _module("lm_eval.models.huggingface").HFLM(
        pretrained=exact.model, tokenizer=copy.deepcopy(exact.tokenizer), batch_size=2
    )
    instance = _module("lm_eval.api.instance").Instance
    requests = [instance("loglikelihood_rolling", {}, (text,), 0) for text in TEXTS]
    assert hflm.prefix_token_id == exact.tokenizer.bos_token_id
    nats = hflm.loglikelihood_rolling(requests, disable_tqdm=True)
    bits = scored.groupby("text_index")["surprisal_bits"].sum()
    np.testing.assert_allclose(bits * math.log(2), [-value for value in nats], rtol=1e-12)


def test_surprisals_are_those_of_minicons(exact: Engine, scored: pd.DataFrame) -> None:
    found = _minicons(exact).token_score(TEXTS, surprisal=True, bos_token=True, rank=True)
    for index, tokens in enumerate(found):
        (_, beginning, _), *others = tokens
        # A known difference: what stands at the beginning costs nothing there, and has no row here.
        assert beginning == 0.0
        mine = scored[scored["text_index"] == index]
        nats = [value for _, value, _ in others]
        np.testing.assert_allclose(mine["surprisal_bits"] * math.log(2), nats, rtol=1e-12)
        assert mine["rank"].tolist() == [rank for *_, rank in others]


def test_a_first_token_without_context_is_missing_here_and_free_in_minicons(exact: Engine) -> None:
    ((_, first), *others) = _minicons(exact).token_score(TEXTS[0], surprisal=True)[0]
    mine = itw.score(exact, TEXTS[0])["surprisal_bits"] * math.log(2)
    assert first == 0.0
    assert math.isnan(mine[0])
    np.testing.assert_allclose(mine[1:], [value for _, value in others], rtol=1e-12)


def test_bits_of_minicons_have_fewer_digits(exact: Engine) -> None:
    # A known difference: there nats are divided by a logarithm in float32.
    tokens = _minicons(exact).token_score(TEXTS[0], surprisal=True, base_two=True)[0]
    mine = itw.score(exact, TEXTS[0])["surprisal_bits"].to_numpy()[1:]
    gaps = np.abs(mine / [value for _, value in tokens[1:]] - 1)
    assert 1e-9 < gaps.max() < 1e-8
    assert torch.tensor(2.0).log().double() != math.log(2)
