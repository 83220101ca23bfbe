"""Adapters of PEFT: each session with one of them, or with the model alone, all on one engine."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import IA3Config, LNTuningConfig, PeftConfig
from peft.functional import set_adapter

from itwidgets import Engine
from itwidgets.interventions import Temperature
from tests.adapters import (
    assert_made_by,
    assert_next,
    difference,
    lora,
    oracle,
    save_adapter,
)
from tests.models import PROMPT, byte_level_tokenizer, fresh_logits, gate_at, tiny_engine, tiny_model
from tests.seq2seq import SOURCE, seq2seq_engine, tiny_seq2seq
from tests.seq2seq import fresh_logits as fresh_seq2seq_logits

NAMES = (None, "a", "b")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str | None, Path | None]:
    """Give an adapter of the layers, and one of the layers and the output head."""
    root = tmp_path_factory.mktemp("adapters")
    return {
        None: None,
        "a": save_adapter(root / "a", lora("q_proj", "v_proj", "down_proj"), seed=1),
        "b": save_adapter(root / "b", lora("k_proj", modules_to_save=["lm_head"]), seed=2),
    }


@pytest.fixture
def loaded(engine: Engine, folders: dict[str, Path]) -> Engine:
    for name in ("a", "b"):
        engine.load_adapter(folders[name], name)
    return engine


def _put_on(model: Any, name: str) -> None:
    """Let a model have an adapter on, as its user does it."""
    for layer in model.modules():
        if hasattr(type(layer), "adapter_layer_names"):
            layer.enable_adapters(True)
    set_adapter(model, name, inference_mode=True)


@contextmanager
def switches(model: Any) -> Iterator[list[str | None]]:
    """Give a list that grows by what is on at each forward call."""
    seen: list[str | None] = []
    layer = model.model.layers[0].self_attn.k_proj

    def note(*_: Any) -> None:
        seen.append(None if layer.disable_adapters else layer.active_adapters[0])

    hook = model.get_input_embeddings().register_forward_hook(note)
    try:
        yield seen
    finally:
        hook.remove()


def test_sessions_with_different_adapters_run_at_once(loaded: Engine, folders: dict[Any, Any]) -> None:
    sessions = {name: loaded.session(PROMPT, adapter=name) for name in NAMES}
    with switches(loaded.model) as seen, gate_at(loaded.model, 1) as gate:
        jobs = [
            session.generate(max_new_tokens=6, program=Temperature(1.0), seed=3)
            for session in sessions.values()
        ]
        gate.wait_until_reached()
        gate.open()
        for job in jobs:
            job.wait()
    assert sum(one != other for one, other in itertools.pairwise(seen)) >= 10
    for name, session in sessions.items():
        assert_made_by(oracle(folders[name]), session)
    models = [oracle(folders[name]) for name in NAMES]
    text = sessions[None].token_ids
    assert min(difference(models[i], models[j], text) for i, j in ((0, 1), (0, 2), (1, 2))) > 0.5


def test_kept_states_are_read_by_the_head_of_their_own_session(
    loaded: Engine, folders: dict[Any, Any]
) -> None:
    sessions = {name: loaded.session(PROMPT, adapter=name) for name in NAMES}
    for session in sessions.values():
        session.generate(max_new_tokens=3).wait()
    for name in ("b", None, "b", "a", None):
        for position in range(4):
            assert_next(oracle(folders[name]), sessions[name], position)


@pytest.mark.parametrize("name", NAMES)
def test_branches_of_an_adapted_session_are_its_own(
    loaded: Engine, folders: dict[Any, Any], name: str | None
) -> None:
    model = oracle(folders[name])
    session, other = loaded.session(PROMPT, adapter=name), loaded.session(PROMPT)
    session.generate(max_new_tokens=4).wait()
    other.generate(max_new_tokens=2).wait()
    session.force(1, " London")
    session.generate(max_new_tokens=3).wait()
    assert_made_by(model, session)
    session.forget()
    session.switch(session.branches[0])
    session.generate(max_new_tokens=2).wait()
    assert_made_by(model, session)


@pytest.mark.parametrize(
    ("kind", "targets"),
    [
        ("llama", ["q_proj", "up_proj"]),
        ("mistral", ["q_proj"]),
        ("gemma3", ["v_proj", "lm_head"]),
        ("gpt2", ["c_attn"]),
        ("mamba", ["in_proj"]),
        ("lfm2", ["in_proj", "q_proj"]),
        ("falcon_h1", ["q_proj", "k_proj"]),
    ],
)
def test_rollouts_under_an_adapter(tmp_path: Path, kind: str, targets: list[str]) -> None:
    config = lora(*targets, fan_in_fan_out=kind == "gpt2")
    folder = save_adapter(tmp_path / "one", config, kind=kind)
    engine = tiny_engine(kind)
    engine.load_adapter(folder, "one")
    model = oracle(folder, kind)
    session, other = engine.session(PROMPT, adapter="one"), engine.session(PROMPT)
    running = other.generate(max_new_tokens=6)
    rollout = session.rollout(0, k=3, max_new_tokens=4)
    running.wait()
    for continuation in rollout:
        text = [*session.token_ids, *continuation.token_ids]
        log_probs = fresh_logits(model, text).log_softmax(-1).numpy()
        expected = -log_probs[range(len(text) - 5, len(text) - 1), text[-4:]] / np.log(2)
        np.testing.assert_allclose(continuation.surprisals, expected, rtol=0, atol=1e-3)
    session.adopt(rollout[1])
    session.generate(max_new_tokens=2).wait()
    assert_made_by(model, session)
    assert_made_by(tiny_model(kind), other)
    engine.close()


@pytest.mark.parametrize(("kind", "target"), [("t5", "v"), ("bart", "v_proj")])
def test_an_encoder_is_adapted_too(tmp_path: Path, kind: str, target: str) -> None:
    options: dict[str, Any] = {"kind": kind, "make": tiny_seq2seq}
    folder = save_adapter(tmp_path / "one", lora(target), **options)
    engine = seq2seq_engine(kind)
    engine.load_adapter(folder, "one")
    sessions = [engine.session(SOURCE), engine.session(SOURCE, adapter="one")]
    jobs = [session.generate(max_new_tokens=5) for session in sessions]
    for job, session, where in zip(jobs, sessions, (None, folder), strict=True):
        job.wait()
        logits = fresh_seq2seq_logits(oracle(where, **options), session.source_ids or [], session.token_ids)
        found = [session.distribution(position).log_probs for position in range(6)]
        np.testing.assert_allclose(found, logits.log_softmax(-1).numpy()[-6:], rtol=0, atol=5e-4)
    entropies = [session.distribution(0).entropy for session in sessions]
    assert abs(entropies[0] - entropies[1]) > 1e-3
    engine.close()


@pytest.mark.parametrize(
    "config",
    [
        lora("q_proj", use_dora=True),
        lora("q_proj", "lm_head", use_rslora=True, lora_alpha=5),
        lora("q_proj", "embed_tokens"),
        lora("q_proj", trainable_token_indices=[3, 5, 300]),
        IA3Config(
            task_type="CAUSAL_LM", target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]
        ),
        LNTuningConfig(task_type="CAUSAL_LM", target_modules=["input_layernorm"]),
    ],
    ids=["dora", "head", "embedding", "tokens", "ia3", "norms"],
)
# What PEFT tells those who will train or merge.
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`", "ignore:Unsupported layer type")
@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_kinds_of_adapters(tmp_path: Path, folders: dict[Any, Any], config: PeftConfig, tied: bool) -> None:
    changes: dict[str, Any] = {"tie_word_embeddings": tied}
    folder = save_adapter(tmp_path / "one", config, **changes)
    engine = tiny_engine(**changes)
    engine.load_adapter(folders["a"], "a")
    engine.load_adapter(folder, "one")
    for name, where in (("one", folder), (None, None), ("a", folders["a"]), ("one", folder)):
        session = engine.session(PROMPT, adapter=name)
        session.generate(max_new_tokens=3).wait()
        assert_made_by(oracle(where, **changes), session)
    engine.close()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_adapters_count_in_the_precision_that_peft_gives_them(tmp_path: Path, dtype: torch.dtype) -> None:
    folder = save_adapter(tmp_path / "one", lora("q_proj", "down_proj"), dtype=dtype)
    engine = tiny_engine(dtype=dtype)
    engine.load_adapter(folder, "one")
    session = engine.session(PROMPT, adapter="one")
    expected = fresh_logits(oracle(folder, dtype=dtype), session.token_ids)[-1].log_softmax(-1)
    noise = 0.3 if dtype == torch.bfloat16 else 1e-9
    np.testing.assert_allclose(session.distribution(0).log_probs, expected.numpy(), rtol=0, atol=noise)
    weights = [p for name, p in engine.model.named_parameters() if "lora_" in name]
    assert {p.dtype for p in weights} == {torch.float32 if dtype == torch.bfloat16 else dtype}
    engine.close()


def test_what_a_user_switches_meanwhile_does_not_count(loaded: Engine, folders: dict[Any, Any]) -> None:
    session, plain = loaded.session(PROMPT, adapter="a"), loaded.session(PROMPT)
    for one, name in ((session, "a"), (plain, None)):
        one.generate(max_new_tokens=1).wait()
        set_adapter(loaded.model, "b")
        one.generate(max_new_tokens=2).wait()
        assert_made_by(oracle(folders[name]), one)


@pytest.mark.parametrize("own", NAMES)
def test_after_a_job_the_model_is_as_its_user_had_it(
    loaded: Engine, folders: dict[Any, Any], own: str | None
) -> None:
    if own is not None:
        _put_on(loaded.model, own)
    expected = fresh_logits(oracle(folders[own]), [5, 6, 7])
    for name in NAMES:
        session = loaded.session([5, 6, 7], adapter=name)
        session.generate(max_new_tokens=2).wait()
        torch.testing.assert_close(fresh_logits(loaded.model, [5, 6, 7]), expected, atol=1e-5, rtol=1e-5)
        assert_made_by(oracle(folders[name]), session)


def test_an_adapter_that_is_gone_ends_the_job_and_not_the_session(loaded: Engine) -> None:
    session = loaded.session(PROMPT, adapter="a")
    model: Any = loaded.model
    with gate_at(model, 2) as gate:
        job = session.start_rollout(0, k=2, max_new_tokens=20)
        gate.wait_until_reached()
        config = model.peft_config.pop("a")
        gate.open()
        with pytest.raises(ValueError, match="there is no adapter 'a'"):
            job.wait(60)
    model.peft_config["a"] = config
    assert len(session.generate(max_new_tokens=2).wait(60)) == 2
    assert len(session.rollout(0, k=2, max_new_tokens=2)) == 2


def test_an_adapter_is_loaded_while_others_run(engine: Engine, folders: dict[Any, Any]) -> None:
    plain = engine.session(PROMPT)
    with gate_at(engine.model, 3) as gate:
        job = plain.generate(max_new_tokens=8)
        gate.wait_until_reached()
        gate.open()
        engine.load_adapter(folders["a"], "a")
        job.wait()
    assert_made_by(oracle(None), plain)
    session = engine.session(PROMPT, adapter="a")
    session.generate(max_new_tokens=2).wait()
    assert_made_by(oracle(folders["a"]), session)


def test_compiled_steps_switch_too(folders: dict[Any, Any]) -> None:
    engine = Engine(tiny_model(), byte_level_tokenizer(), compile="eager")
    engine.session(PROMPT).generate(max_new_tokens=2).wait()
    for loaded in ("a", "b"):
        engine.load_adapter(folders[loaded], loaded)
    sessions = {name: engine.session(PROMPT, adapter=name) for name in NAMES}
    jobs = [session.generate(max_new_tokens=4) for session in sessions.values()]
    for job in jobs:
        job.wait()
    for name, session in sessions.items():
        assert_made_by(oracle(folders[name]), session)
    engine.close()


def test_a_model_of_peft_brings_its_adapters(folders: dict[Any, Any]) -> None:
    model = oracle(folders["a"])
    model.load_adapter(str(folders["b"]), "b")
    engine = Engine(model, byte_level_tokenizer())
    assert engine.model is model.get_base_model()
    assert engine.adapters == ["default", "b"]
    assert engine.identity.model_fingerprint == tiny_engine().identity.model_fingerprint
    for name, folder in (("default", folders["a"]), (None, None), ("b", folders["b"])):
        session = engine.session(PROMPT, adapter=name)
        session.generate(max_new_tokens=2).wait()
        assert_made_by(oracle(folder), session)
    engine.load_adapter(folders["a"], "again")
    assert engine.adapters == ["default", "b", "again"]
    assert_next(oracle(folders["a"]), engine.session(PROMPT, adapter="again"), 0)
    engine.close()


def test_adapters_that_transformers_has_loaded_count_too(folders: dict[Any, Any]) -> None:
    model: Any = tiny_model()
    model.load_adapter(str(folders["a"]), adapter_name="a")
    engine = Engine(model, byte_level_tokenizer())
    assert engine.adapters == ["a"]
    for name in (None, "a"):
        assert_next(oracle(folders[name]), engine.session(PROMPT, adapter=name), 0)
    engine.close()


def test_loaded_weights_can_be_trained(loaded: Engine, folders: dict[Any, Any]) -> None:
    loaded.session(PROMPT, adapter="a")
    weight = loaded.model.get_submodule("model.layers.0.self_attn.q_proj.lora_A.a").weight
    assert not weight.requires_grad
    _put_on(loaded.model, "a")
    weight.requires_grad_(True)
    loaded.model(torch.tensor([[1, 2, 3]])).logits.sum().backward()
    assert weight.grad is not None
