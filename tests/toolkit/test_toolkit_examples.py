"""The examples of the toolkit's own text run as written there, where that text lies beside the checkout."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest

import itwidgets
import itwidgets.probability_extractor
from itwidgets import Engine
from itwidgets.engine.loading.embedded import NAME

ROOT = Path(__file__).parents[2]
ANOTHER_MODEL = '"meta-llama/Llama-2-7b-hf"'
TOKENS = 4
# What examples call without saying what it is.
UNDEFINED = {
    "boost_function": "boost_function = science_boost",
    "suppress_function": (
        "suppress_function = intervention_manager.create_token_suppression_intervention("
        "suppress_tokens=[' the', ' a'], suppression_factor=4.0)"
    ),
    "your_intervention": "your_intervention = conditional",
}


def toolkit_text() -> str:
    """Find the text among the neighbours of the folders that the checkout lies in."""
    for parent in ROOT.parents:
        for path in sorted(parent.glob("*/reference/toolkit.md")):
            return path.read_text(encoding="utf-8")
    pytest.skip("no reference/toolkit.md lies beside the checkout")


def examples(text: str) -> list[str]:
    """Return its Python for this package and the embedded model in the places of others, and short texts."""
    blocks: list[str] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return [_here(block) for block in blocks]


def _here(block: str) -> str:
    block = re.sub(r"\bsrc\.", "itwidgets.", block).replace(ANOTHER_MODEL, repr(NAME))
    # Each token of the embedded model takes as long as all else of an example.
    block = re.sub(r"\bmax_new_tokens=\d+", f"max_new_tokens={TOKENS}", block)
    return re.sub(r"\bnum_samples=\d+", f"num_samples=2, max_new_tokens={TOKENS}", block)


@pytest.mark.timeout(1200)  # it loads the model four times
def test_every_example_runs(
    smollm: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = examples(toolkit_text())
    assert len(blocks) >= 9

    @functools.cache
    def loaded(name: str, **options: Any) -> Engine:
        return itwidgets.load(name, **options) if any(options.values()) else smollm

    # Each kind is loaded once, though the examples load some of them again and again.
    monkeypatch.setattr(itwidgets.probability_extractor, "load", loaded)
    names: dict[str, Any] = {}
    for block in blocks:
        for name, definition in UNDEFINED.items():
            if re.search(rf"\b{name}\b", block):
                exec(definition, names)  # noqa: S102 - ours
        exec(block, names)  # noqa: S102 - the text's examples are what is tested
    said = capsys.readouterr().out
    for line in (
        "Top prediction: (' Paris', ",
        "Distribution entropy: ",
        "Mean surprisal: ",
        "Baseline perplexity: ",
    ):
        assert line in said
    assert names["result"]["generated_text"].startswith("Once upon a time")
