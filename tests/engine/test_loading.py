"""`load`: names, dtypes, devices and quantised weights, without a network."""

from __future__ import annotations

import gc
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

import itwidgets
from itwidgets import Engine
from itwidgets.engine.loading import embedded
from tests.models import PROMPT, byte_level_tokenizer, tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a tiny model as transformers does; bitsandbytes wants rows of 64."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    model = tiny_model(dtype=torch.bfloat16, hidden_size=64, intermediate_size=128)
    model.save_pretrained(folder)
    byte_level_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note where the model is moved to, and move nothing: the device is not there."""
    moves: list[str] = []

    def move(self: PreTrainedModel, where: object) -> PreTrainedModel:
        moves.append(str(where))
        return self

    monkeypatch.setattr(PreTrainedModel, "to", move)
    return moves


def _speaks(engine: Engine) -> None:
    session = engine.session(PROMPT)
    assert len(session.generate(max_new_tokens=3).wait()) == 3
    assert session.distribution(0).entropy > 0
    engine.close()


@pytest.mark.parametrize("as_text", [False, True])
def test_a_folder_is_loaded_in_float32_on_a_cpu(folder: Path, as_text: bool) -> None:
    engine = itwidgets.load(str(folder) if as_text else folder, device="cpu")
    assert engine.name == str(folder)
    assert engine.model.dtype == torch.float32
    assert engine.model.device.type == "cpu"
    _speaks(engine)


@pytest.mark.parametrize("runs", [True, False])
def test_the_garbage_collector_is_left_as_it_was(folder: Path, tmp_path: Path, runs: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if runs else gc.disable)()
        itwidgets.load(folder, device="cpu").close()
        assert gc.isenabled() is runs
        with pytest.raises(OSError, match="no model could be read"):
            itwidgets.load(tmp_path)
        assert gc.isenabled() is runs
    finally:
        (gc.enable if before else gc.disable)()


@pytest.mark.parametrize("dtype", ["bfloat16", torch.bfloat16])
def test_a_dtype_is_given_itself_or_by_its_name(folder: Path, dtype: Any) -> None:
    engine = itwidgets.load(folder, dtype=dtype, device="cpu")
    assert engine.model.dtype == torch.bfloat16
    _speaks(engine)


@pytest.mark.parametrize("dtype", ["float33", "int8", torch.int64, "Tensor", "nn"])
def test_what_is_no_float_dtype_is_refused(folder: Path, dtype: Any) -> None:
    with pytest.raises(ValueError, match=r"dtype is .*, but must be 'auto' or a float dtype such as"):
        itwidgets.load(folder, dtype=dtype)


def test_a_device_and_a_device_map_exclude_each_other(folder: Path) -> None:
    with pytest.raises(ValueError, match="device='cpu' and device_map='auto' were both given"):
        itwidgets.load(folder, device="cpu", device_map="auto")


@pytest.mark.parametrize("device_map", [{"": "cpu"}, "cpu", "auto"], ids=str)
def test_a_device_map_has_the_last_word(
    folder: Path, moves: list[str], monkeypatch: pytest.MonkeyPatch, device_map: Any
) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    engine = itwidgets.load(folder, device_map=device_map)
    assert moves == []
    assert {parameter.device.type for parameter in engine.model.parameters()} == {"cpu"}
    _speaks(engine)


def test_an_unknown_device_is_named(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="gpu0"):
        itwidgets.load(folder, device="gpu0")


def test_eight_and_four_bits_exclude_each_other(folder: Path) -> None:
    with pytest.raises(ValueError, match="load_in_8bit=True and load_in_4bit=True were both given"):
        itwidgets.load(folder, load_in_8bit=True, load_in_4bit=True)


@pytest.mark.parametrize("bits", [8, 4])
def test_quantised_weights_are_loaded_and_speak(folder: Path, bits: int) -> None:
    pytest.importorskip("bitsandbytes")
    options: dict[str, bool] = {f"load_in_{bits}bit": True}
    engine = itwidgets.load(folder, device="cpu", **options)  # type: ignore[arg-type]
    kinds = {type(module).__name__ for module in engine.model.modules()}
    assert {8: "Linear8bitLt", 4: "Linear4bit"}[bits] in kinds
    _speaks(engine)


def test_eight_bit_layers_tell_once_that_they_round(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("bitsandbytes")
    logger = logging.getLogger("bitsandbytes.autograd._functions")
    for known in logger.filters[:]:
        logger.removeFilter(known)
    for _ in range(2):
        _speaks(itwidgets.load(folder, device="cpu", load_in_8bit=True))
    assert [record.getMessage() for record in caplog.records if record.name == logger.name] == [
        "8-bit layers round what they are given from torch.float32 to float16 "
        "(bitsandbytes says so once, not at each)"
    ]
    assert len(logger.filters) == 1


def test_other_messages_of_the_same_source_get_through(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    functions = pytest.importorskip("bitsandbytes.autograd._functions")
    real = functions.F.int8_vectorwise_quant

    def grumbling(*args: Any, **kwargs: Any) -> Any:
        functions.logger.warning("MatMul8bitLt: another matter")
        return real(*args, **kwargs)

    engine = itwidgets.load(folder, device="cpu", load_in_8bit=True)
    monkeypatch.setattr(functions.F, "int8_vectorwise_quant", grumbling)
    _speaks(engine)
    said = [record.getMessage() for record in caplog.records if record.name == functions.logger.name]
    assert said.count("MatMul8bitLt: another matter") > 10
    assert sum("round what they are given" in text for text in said) <= 1


@pytest.mark.parametrize("options", [{}, {"load_in_4bit": True}], ids=str)
def test_nothing_is_silenced_for_other_models(folder: Path, options: Any) -> None:
    pytest.importorskip("bitsandbytes")
    logger = logging.getLogger("bitsandbytes.autograd._functions")
    for known in logger.filters[:]:
        logger.removeFilter(known)
    itwidgets.load(folder, device="cpu", **options).close()
    assert logger.filters == []


NO_MODEL = r"no model .*nowhere.* was found: give a local folder, a \.gguf file, or a model id"


@pytest.mark.parametrize("name", ["nobody/nowhere", "./nowhere", "nowhere at all"])
def test_an_unknown_name_gives_one_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match=NO_MODEL) as caught:
        itwidgets.load(name)
    assert "\n" not in str(caught.value)


def test_a_missing_file_gives_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no file '.*model\.gguf': give the path"):
        itwidgets.load(tmp_path / "model.gguf")


@pytest.mark.parametrize("content", [None, "{}", '{"model_type": "no such model"}', "{"])
def test_a_folder_without_a_model_gives_one_sentence(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(OSError, match=r"no model could be read from '.*': ..") as caught:
        itwidgets.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected", "dtype"),
    [
        (True, True, "cuda", torch.bfloat16),
        (False, True, "cpu", torch.float32),
        (False, False, "cpu", torch.float32),
    ],
)
def test_the_first_device_that_is_there_is_taken(
    folder: Path,
    moves: list[str],
    monkeypatch: pytest.MonkeyPatch,
    cuda: bool,
    mps: bool,
    expected: str,
    dtype: torch.dtype,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    engine = itwidgets.load(folder)
    assert moves == [expected]
    assert engine.model.dtype == dtype
    engine.close()


def test_code_of_a_model_is_not_run_unless_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    real = AutoModelForCausalLM.from_pretrained

    def spied(*args: Any, **kwargs: Any) -> Any:
        asked.append(kwargs["trust_remote_code"])
        return real(*args, **kwargs)

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", spied)
    for trust in (False, True):
        itwidgets.load(folder, device="cpu", trust_remote_code=trust).close()
    itwidgets.load(folder, device="cpu").close()
    assert asked == [False, True, False]


def test_the_embedded_model_is_there(smollm: Engine) -> None:
    assert smollm.name == "SmolLM2-135M-Instruct"
    assert len(smollm.vocabulary) == 49152
    assert smollm.context_length == 8192
    assert smollm.capabilities.branches == "held"
    assert smollm.tokenizer.eos_token_id in smollm.stop_ids


def test_a_gguf_file_is_loaded_by_its_path(smollm: Engine) -> None:
    engine = itwidgets.load(embedded.gguf_file(), device="cpu")
    assert engine.identity.model_fingerprint == smollm.identity.model_fingerprint
    assert engine.identity.tokenizer_fingerprint == smollm.identity.tokenizer_fingerprint
    _speaks(engine)
