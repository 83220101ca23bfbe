"""Scoring many sentences: ``itwidgets.score`` against minicons, on the same model and the same sentences."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import math
import re
from collections.abc import Callable
from pydoc_data import topics
from typing import Any

import numpy as np

import itwidgets
from itwidgets import Engine
from tests.benchmarks.bench import Bench
from tests.benchmarks.harness import Measured, Row, at_least, at_most, stopwatch, take_turns

NO_MINICONS = "minicons is not installed: pip install minicons"

_BATCH = 16
_MOST_ROUNDS = 3
"""One call of minicons on all sentences takes a minute."""

_SENTENCE = re.compile(r"[A-Z][^.!?]*(?:[.!?](?! |$)[^.!?]*)*[.!?](?= |$)")


def sentences(count: int) -> list[str]:
    """Return sentences of Python's own manual, drawn by chance: text of mixed length that is everywhere."""
    paragraphs = (text for topic in sorted(topics.topics) for text in topics.topics[topic].split("\n\n"))
    found = {one for text in paragraphs for one in _SENTENCE.findall(" ".join(text.split()))}
    chosen = sorted(one for one in found if len(one.split()) > 2)
    places = np.random.default_rng(0).choice(len(chosen), count, replace=False)
    return [chosen[place] for place in places]


def minicons_scorer(engine: Engine) -> Any:
    """Return minicons' scorer on the model of an engine."""
    scorer: Any = importlib.import_module("minicons.scorer")
    # It changes the tokenizer that it is given.
    tokenizer = copy.deepcopy(engine.tokenizer)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return scorer.IncrementalLMScorer(engine.model, "cpu", tokenizer=tokenizer)


def scored_sentences(bench: Bench) -> list[Row]:
    """Time of one table of all figures against that of minicons' surprisals, and how far these agree."""
    texts = sentences(bench.sizes.sentences)
    engine = bench.engine()
    what = f"scoring {len(texts)} sentences, faster than minicons in one call"
    if importlib.util.find_spec("minicons") is None:
        return [Row(what, None, "times", at_least(3), NO_MINICONS)]
    other = minicons_scorer(engine)
    found: dict[str, Any] = {}

    def ours() -> float:
        with stopwatch() as watch:
            found["ours"] = itwidgets.score(engine, texts, progress=False)
        return watch.seconds

    def theirs(size: int) -> Callable[[], float]:
        def turn() -> float:
            with stopwatch() as watch:
                found["theirs"] = [
                    one
                    for start in range(0, len(texts), size)
                    for one in other.token_score(texts[start : start + size], surprisal=True)
                ]
            return watch.seconds

        return turn

    turns = {str(size): theirs(size) for size in (1, _BATCH, len(texts))}
    taken = take_turns({"ours": ours} | turns, min(bench.rounds, _MOST_ROUNDS))
    lengths = found["ours"].groupby("text_index").size()
    note = (
        f"sentences of {lengths.min()} to {lengths.max()} tokens, on average {lengths.mean():.0f}; ours "
        "gives surprisal, entropy, varentropy and rank, minicons' token_score the surprisal alone; in one "
        "call it fills all sentences up to the longest"
    )
    ratios = {size: taken[str(size)] / taken["ours"] for size in (1, _BATCH, len(texts))}
    return [
        Row(what, ratios[len(texts)], "times", at_least(3), note),
        Row("the same, than minicons one by one", ratios[1], "times", None, note),
        Row(f"the same, than minicons in batches of {_BATCH}", ratios[_BATCH], "times", None, note),
        Row(
            "the same, largest difference of a surprisal",
            Measured.once(_largest_difference(found["ours"], found["theirs"])),
            "bits",
            at_most(1e-3),
            "minicons gives 0 where there is no context; those are left out",
        ),
    ]


def _largest_difference(ours: Any, theirs: Any) -> float:
    nats = np.array([value for sentence in theirs for _, value in sentence])
    gaps = (ours["surprisal_bits"] - nats / math.log(2)).abs()
    return float(gaps.max())
