"""Tensor parallelism: two processes on the CPU, each with half of every layer, against one with all of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import itwidgets
from tests.engine import ranks
from tests.models import byte_level_tokenizer, tiny_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    models = {
        "even": tiny_model(),
        "odd": tiny_model(num_attention_heads=9, num_key_value_heads=3, hidden_size=36),
        "planless": tiny_model("gpt2"),
    }
    for name, model in models.items():
        model.save_pretrained(folder / name)
        byte_level_tokenizer().save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="module")
def alone(folder: Path) -> dict[str, Any]:
    engine = itwidgets.load(folder / "even", device="cpu")
    return {**ranks.story(engine), "budget": engine.pool.budget.device_bytes}


@pytest.fixture(scope="module")
def told(folder: Path) -> list[dict[str, Any]]:
    """Give what each of two processes told."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = [str(Path(ranks.__file__)), str(folder)]
    # Nobody else's accelerator: transformers takes one for the processes where it sees one.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [*torchrun, *script], env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert run.returncode == 0, run.stderr
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(2)]


def test_every_process_makes_the_tokens_that_one_alone_makes(
    told: list[dict[str, Any]], alone: dict[str, Any]
) -> None:
    for rank in told:
        assert rank["token_ids"] == alone["token_ids"]
        assert rank["alternatives"] == alone["alternatives"]


def test_every_process_has_the_whole_distribution(told: list[dict[str, Any]], alone: dict[str, Any]) -> None:
    for rank in told:
        assert rank["surprisal"] == pytest.approx(alone["surprisal"], abs=1e-3)
        for found, expected in zip(rank["log_probs"], alone["log_probs"], strict=True):
            assert found == pytest.approx(expected, abs=1e-3)
    assert told[0]["log_probs"] == told[1]["log_probs"]


def test_each_process_holds_the_keys_and_values_of_its_heads(
    told: list[dict[str, Any]], alone: dict[str, Any]
) -> None:
    assert [2 * rank["keys and values"] for rank in told] == [alone["keys and values"]] * 2


def test_all_processes_have_one_budget(told: list[dict[str, Any]], alone: dict[str, Any]) -> None:
    assert told[0]["budget"] == told[1]["budget"]
    assert 0 < told[0]["budget"] < alone["budget"]


def test_a_model_in_parts_is_the_same_model(told: list[dict[str, Any]], alone: dict[str, Any]) -> None:
    assert {rank["identity"] for rank in told} == {alone["identity"]}


def test_what_cannot_be_shared_is_one_sentence(told: list[dict[str, Any]]) -> None:
    for rank in told:
        assert rank["refusals"] == {
            "odd": "2 processes cannot share the model's 9 attention and 3 key-value heads evenly: "
            "start a number that divides both",
            "planless": "gpt2 models have no plan of their own for tp_plan='auto': give styles by the names "
            "of modules, or use device_map='auto'",
        }


def test_a_script_that_torchrun_did_not_start_is_told_so(folder: Path) -> None:
    with pytest.raises(RuntimeError, match=r"start the script with `torchrun --nproc-per-node 2 script\.py`"):
        itwidgets.load(folder / "even", tp_plan="auto")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"device": "cpu"}, "device='cpu' and tp_plan='auto'"),
        ({"device_map": "auto"}, "device_map='auto' and tp_plan='auto'"),
        ({"load_in_8bit": True}, "load_in_8bit=True and tp_plan='auto'"),
        ({"load_in_4bit": True}, "load_in_4bit=True and tp_plan='auto'"),
    ],
    ids=str,
)
def test_a_plan_excludes_other_placements(folder: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{said} were both given: give one of them")):
        itwidgets.load(folder / "even", tp_plan="auto", **options)


@pytest.mark.parametrize("plan", [5, "rows", ["auto"]], ids=str)
def test_what_is_no_plan_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch, plan: Any) -> None:
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.setenv(name, "1")
    with pytest.raises(ValueError, match=r"tp_plan is .*, but must be 'auto' or styles by the names"):
        itwidgets.load(folder / "even", tp_plan=plan)


def test_one_process_has_the_model_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, alone: dict[str, Any]
) -> None:
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    engine = itwidgets.load(folder / "even", tp_plan="auto")
    assert ranks.story(engine)["token_ids"] == alone["token_ids"]
