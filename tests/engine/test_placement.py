"""Models spread over devices, memory and disk, and in the numbers that others are measured by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import itwidgets
from itwidgets import Engine, Session
from tests.models import PROMPT, byte_level_tokenizer, fresh_log_probs, tiny_model

LAYERS = 4
ALL_HERE = {
    **{f"model.layers.{layer}": "cpu" for layer in range(LAYERS)},
    **dict.fromkeys(["model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head"], "cpu"),
}
MAPS: dict[str, Any] = {
    "auto": "auto",
    "one device": {"": "cpu"},
    "each part": ALL_HERE,
    "two layers on the disk": {**ALL_HERE, "model.layers.1": "disk", "model.layers.2": "disk"},
    "the head on the disk": {**ALL_HERE, "lm_head": "disk", "model.norm": "disk"},
    "the embedding on the disk": {**ALL_HERE, "model.embed_tokens": "disk"},
    "all on the disk": dict.fromkeys(ALL_HERE, "disk"),
}


@pytest.fixture(scope="module")
def plain() -> Engine:
    return Engine(tiny_model(num_hidden_layers=LAYERS), byte_level_tokenizer())


@pytest.fixture(scope="module")
def folder(plain: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    plain.model.save_pretrained(folder)
    plain.tokenizer.save_pretrained(folder)
    return folder


def _grown(engine: Engine) -> Session:
    session = engine.session(PROMPT)
    session.generate(max_new_tokens=6).wait()
    first = session.branches[0]
    session.force(2, " London")
    session.generate(max_new_tokens=3).wait()
    session.switch(first)
    session.generate(max_new_tokens=2).wait()
    return session


@pytest.mark.parametrize("name", MAPS)
def test_a_model_in_pieces_is_the_same_model(folder: Path, plain: Engine, name: str) -> None:
    engine = itwidgets.load(folder, device_map=MAPS[name])
    found, expected = _grown(engine), _grown(plain)
    assert len(found.tree) == len(expected.tree)
    for row in range(1, len(expected.tree)):
        assert found.tree[row].token_id == expected.tree[row].token_id
        before = expected.tree.token_ids(row)[:-1]
        scores = found.distribution(found.tree[row]).log_probs
        np.testing.assert_allclose(scores, fresh_log_probs(plain.model, before), atol=2e-4)
    assert engine.identity.model_fingerprint == plain.identity.model_fingerprint


def test_alternatives_run_together_on_a_model_in_pieces(folder: Path, plain: Engine) -> None:
    engine = itwidgets.load(folder, device_map=MAPS["two layers on the disk"])
    found, expected = (_grown(one).rollout(1, k=3, max_new_tokens=3) for one in (engine, plain))
    assert [one.token_ids for one in found] == [one.token_ids for one in expected]


def test_other_weights_are_told_from_these_on_the_disk_too(folder: Path, tmp_path: Path) -> None:
    tiny_model(num_hidden_layers=LAYERS, seed=1).save_pretrained(tmp_path)
    byte_level_tokenizer().save_pretrained(tmp_path)
    first, second = (
        itwidgets.load(where, device_map=MAPS["all on the disk"]).identity for where in (folder, tmp_path)
    )
    assert first.model_fingerprint != second.model_fingerprint


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-4), ("float64", 1e-9)])
def test_reference_precision_is_that_of_the_model_itself(folder: Path, dtype: str, tolerance: float) -> None:
    engine = itwidgets.load(folder, dtype=dtype, device="cpu")
    assert engine.model.dtype == getattr(torch, dtype)
    assert engine.identity.dtype == dtype
    session = _grown(engine)
    for row in range(1, len(session.tree)):
        expected = fresh_log_probs(engine.model, session.tree.token_ids(row)[:-1])
        scores = session.distribution(session.tree[row]).log_probs
        np.testing.assert_allclose(scores, expected, atol=tolerance)
