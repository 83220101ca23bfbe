"""Adapters that do not fit, and sessions that were made with one, as files."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PromptTuningConfig
from safetensors.torch import load_file, save_file

import itwidgets
from itwidgets import Engine, Session
from itwidgets.engine import ReadOnlyError
from tests.adapters import adapted, assert_made_by, assert_next, lora, oracle, save_adapter
from tests.models import PROMPT, byte_level_tokenizer, tiny_engine
from tests.sessions import assert_fits_schema, document_of, write_document

Change = Callable[[Path], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_adapter(tmp_path / "one", lora())


def _with_config(**changes: Any) -> Change:
    def change(folder: Path) -> None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def _with_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    def changed(folder: Path) -> None:
        weights = load_file(folder / "adapter_model.safetensors")
        change(weights)
        save_file(weights, folder / "adapter_model.safetensors")

    return changed


def _replaced(path: Path, **options: Any) -> Path:
    return save_adapter(path, lora(**options.pop("lora", {})), **options)


A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
FAULTS: dict[str, tuple[Change, type[Exception], str]] = {
    "no folder": (lambda f: f.rename(f.with_name("gone")), OSError, "no adapter could be read from .*one'"),
    "no config": (lambda f: (f / "adapter_config.json").unlink(), OSError, "no adapter could be read"),
    "no weights": (lambda f: (f / "adapter_model.safetensors").unlink(), OSError, "no adapter could be"),
    "cut off": (
        lambda f: (f / "adapter_model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{"),
        OSError,
        "no adapter could be read",
    ),
    "other kind": (
        _with_config(peft_type="NO_SUCH"),
        OSError,
        "no adapter could be read",
    ),
    "other layers": (
        _with_config(target_modules=["c_attn"]),
        ValueError,
        "'one' does not fit this LlamaForCausalLM: .*c_attn.* not found",
    ),
    "deeper": (lambda f: _replaced(f, num_hidden_layers=3), ValueError, "does not fit .*: it has .*layers.2"),
    "wider": (lambda f: _replaced(f, hidden_size=64), ValueError, "does not fit .*: .*size mismatch"),
    "shallower": (
        lambda f: _replaced(f, num_hidden_layers=1),
        ValueError,
        "does not fit .*: it lacks .*layers.1",
    ),
    "a tensor too few": (_with_weights(lambda w: w.pop(A)), ValueError, "it lacks .*layers.0.*lora_A"),
    "a tensor too many": (_with_weights(lambda w: w.update(x=torch.ones(1))), ValueError, "it has x, but"),
    "of the base": (
        _with_weights(lambda w: w.update({"base_model.model.model.norm.weight": torch.zeros(32)})),
        ValueError,
        "it brings model.norm.weight, which is the model's own, with other values",
    ),
    "biases": (_with_config(bias="all"), ValueError, r"changes the model's own weights \(bias='all'\)"),
    "pissa": (
        _with_config(init_lora_weights="pissa"),
        ValueError,
        r"changes the model's own weights \(init_lora_weights='pissa'\)",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_said_and_changes_nothing(engine: Engine, folder: Path, fault: str) -> None:
    change, error, sentence = FAULTS[fault]
    change(folder)
    session = engine.session(PROMPT)
    modules = list(engine.model.modules())
    before = session.distribution(0).log_probs
    with pytest.raises(error, match=sentence):
        engine.load_adapter(folder, "one")
    assert engine.adapters == []
    assert list(engine.model.modules()) == modules
    np.testing.assert_array_equal(engine.session(PROMPT).distribution(0).log_probs, before)


def test_names(engine: Engine, folder: Path) -> None:
    engine.load_adapter(folder, "one")
    with pytest.raises(ValueError, match="there is an adapter 'one' already: give the new one another name"):
        engine.load_adapter(folder, "one")
    for name in ("", "a.b", "a b", "../a"):
        with pytest.raises(ValueError, match=r"an adapter cannot be named .*: letters, digits, _ and -"):
            engine.load_adapter(folder, name)
    with pytest.raises(ValueError, match="'train' does not fit"):
        engine.load_adapter(folder, "train")
    with pytest.raises(ValueError, match="there is no adapter 'two': loaded are 'one'"):
        engine.session(PROMPT, adapter="two")
    with pytest.raises(ValueError, match="there is no adapter 'two': loaded are none"):
        tiny_engine().session(PROMPT, adapter="two")
    engine.load_adapter(folder, "lora")
    assert_next(oracle(folder), engine.session(PROMPT, adapter="lora"), 0)


def test_two_adapters_that_cannot_stand_together(engine: Engine, tmp_path: Path) -> None:
    head = save_adapter(tmp_path / "head", lora("q_proj", "lm_head"))
    other = save_adapter(tmp_path / "other", lora("q_proj", "v_proj", modules_to_save=["lm_head"]), seed=2)
    engine.load_adapter(head, "head")
    sessions = [engine.session(PROMPT), engine.session(PROMPT, adapter="head")]
    with pytest.raises(ValueError, match=r"'other' does not fit .*modules_to_save cannot be applied"):
        engine.load_adapter(other, "other")
    assert engine.adapters == ["head"]
    for session, folder in zip(sessions, (None, head), strict=True):
        session.generate(max_new_tokens=2).wait()
        assert_made_by(oracle(folder), session)


def test_a_first_adapter_that_fails_halfway_leaves_nothing_on(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft.tuners.lora import LoraLayer

    update, calls = LoraLayer.update_layer, []

    def fail(self: Any, *args: Any, **options: Any) -> Any:
        calls.append(self)
        if len(calls) == 4:
            raise MemoryError("injected")
        return update(self, *args, **options)

    monkeypatch.setattr(LoraLayer, "update_layer", fail)
    with pytest.raises(MemoryError, match="injected"):
        engine.load_adapter(folder, "one")
    monkeypatch.undo()
    assert engine.adapters == []
    assert_next(oracle(None), engine.session(PROMPT), 0)
    engine.load_adapter(folder, "one")
    for name, where in (("one", folder), (None, None)):
        assert_next(oracle(where), engine.session(PROMPT, adapter=name), 0)


def test_a_closed_engine_loads_nothing(folder: Path) -> None:
    engine = tiny_engine()
    engine.close()
    with pytest.raises(RuntimeError, match="the engine is closed"):
        engine.load_adapter(folder, "one")


def test_without_peft_a_sentence_says_how_to_get_it(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModuleNotFoundError, match=r"adapters need the package peft .*itwidgets\[peft\]"):
        engine.load_adapter(folder, "one")
    assert engine.session(PROMPT).distribution(0).entropy > 0


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2), "is of kind PROMPT_TUNING"),
        (lora(bias="lora_only"), r"changes the model's own weights \(bias='lora_only'\)"),
    ],
    ids=["prompts", "biases"],
)
def test_a_model_whose_adapter_stays_on_is_refused(config: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Engine(adapted(config, seed=1), byte_level_tokenizer())


# ------------------------------------------------------------------ sessions as files


@pytest.fixture
def session(engine: Engine, folder: Path) -> Session:
    engine.load_adapter(folder, "one")
    session = engine.session(PROMPT, adapter="one")
    session.generate(max_new_tokens=4).wait()
    return session


@pytest.fixture
def path(session: Session, tmp_path: Path) -> Path:
    session.save(tmp_path / "x.itw.json")
    return tmp_path / "x.itw.json"


def test_a_session_goes_on_with_the_adapter_that_it_had(
    engine: Engine, session: Session, path: Path, folder: Path
) -> None:
    assert_fits_schema(path)
    again = tiny_engine()
    again.load_adapter(folder, "one")
    for where in (engine, again):
        opened = itwidgets.open(path, where)
        assert opened.read_only is None
        assert opened.identity == session.identity
        opened.generate(max_new_tokens=3).wait()
        assert_made_by(oracle(folder), opened)
    again.close()


def test_sessions_of_the_base_do_not_see_that_there_are_adapters(folder: Path, tmp_path: Path) -> None:
    for tied in (False, True):
        engine, with_adapter = (tiny_engine(tie_word_embeddings=tied) for _ in range(2))
        with_adapter.load_adapter(folder, "one")
        for first, second in ((engine, with_adapter), (with_adapter, engine)):
            session = first.session(PROMPT)
            session.save(tmp_path / "base.itw.json")
            opened = itwidgets.open(tmp_path / "base.itw.json", second)
            assert (opened.read_only, opened.identity.adapter) == (None, None)
            assert_next(oracle(None, tie_word_embeddings=tied), opened, 0)
        engine.close()
        with_adapter.close()


def _other_weights(folder: Path) -> Path:
    _with_weights(lambda w: w[A].mul_(2))(folder)
    return folder


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (lambda engine, folder: None, "made with the adapter 'one', which is not loaded: see engine.load"),
        (
            lambda engine, folder: engine.load_adapter(folder, "two"),
            "made with the adapter 'one', which is not",
        ),
        (
            lambda engine, folder: engine.load_adapter(_other_weights(folder), "one"),
            "made with an adapter 'one' of other weights than the one that is loaded",
        ),
        (
            lambda engine, folder: (_with_config(lora_alpha=9)(folder), engine.load_adapter(folder, "one")),
            "made with an adapter 'one' of other weights",
        ),
    ],
    ids=["none", "another name", "other weights", "another factor"],
)
def test_without_its_adapter_a_session_may_only_be_read(
    path: Path, session: Session, folder: Path, prepare: Callable[[Engine, Path], object], sentence: str
) -> None:
    engine = tiny_engine()
    prepare(engine, folder)
    with pytest.warns(UserWarning, match=f"is opened for reading only: it was {sentence}"):
        opened = itwidgets.open(path, engine)
    assert (opened.token_ids, opened.identity) == (session.token_ids, session.identity)
    with pytest.raises(ReadOnlyError, match=sentence):
        opened.generate(max_new_tokens=1)
    engine.close()


def test_the_file_names_the_adapter_as_a_text_or_not_at_all(path: Path) -> None:
    document = document_of(path)
    (model,) = document["content"]["models"]
    assert model["adapter"] == "one"
    for value in (5, ["one"]):
        model["adapter"] = value
        write_document(path, document)
        with pytest.raises(ValueError, match=r"adapter is .*, but must be a text"):
            itwidgets.open(path)
    del model["adapter"]
    write_document(path, document)
    with pytest.raises(ValueError, match="adapter is missing"):
        itwidgets.open(path)
