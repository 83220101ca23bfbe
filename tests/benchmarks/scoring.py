"""Scoring a given text: all statistics of every token against a prefill that keeps nothing."""

from __future__ import annotations

from typing import Any

import torch

from tests.benchmarks.bench import FLOAT32, Bench
from tests.benchmarks.child import can_tell_peaks
from tests.benchmarks.harness import Row, at_least, at_most, repeat, stopwatch, take_turns

HOW = ("bare", "full logits", "scored")
_MOST_PEAKS = 3


def scoring(bench: Bench) -> list[Row]:
    """Time and memory of a prompt of known tokens."""
    engine, token_ids = bench.engine(), bench.prompt(bench.sizes.scored)

    def bare() -> float:
        with stopwatch() as watch:
            prefill(engine.model, token_ids)
        return watch.seconds

    def plain() -> float:
        with stopwatch() as watch:
            bench.engines(FLOAT32)["plain"].session(token_ids)
        return watch.seconds

    def scored() -> float:
        with stopwatch() as watch:
            engine.session(token_ids)
        return watch.seconds

    taken = take_turns({"bare": bare, "plain": plain, "scored": scored}, bench.rounds)
    time = (
        "engine.session against transformers' model without its head, which fills a DynamicCache and keeps "
        "no logits; both from token ids"
    )
    what = f"scoring {len(token_ids)} tokens"
    return [
        Row(
            f"{what}, time against a bare prefill",
            taken["scored"] / taken["bare"],
            "times",
            at_most(1.15),
            time,
        ),
        Row(f"{what}, the same by the plain route", taken["plain"] / taken["bare"], "times", None, time),
        *_memory(bench, what),
    ]


def _memory(bench: Bench, what: str) -> list[Row]:
    what += ", less extra memory than full logits"
    if not can_tell_peaks():
        return [Row(what, None, "times", at_least(5), "only Linux says how much a process took at most")]

    def peaks() -> dict[str, float]:
        wanted = {"model": bench.model, "tokens": bench.sizes.scored}
        return {how: bench.child("peak_memory", wanted | {"how": how})["bytes"] / 2**20 for how in HOW}

    # How much of what was freed is used again differs from one process to the next.
    mib = repeat(peaks, min(bench.rounds, _MOST_PEAKS))
    note = (
        "peak resident memory above that of the loaded model, each in a fresh process after a short text: "
        + ", ".join(f"{how} {size.median:.0f} MiB" for how, size in mib.items())
        + "; all of them hold the keys and values of the prompt"
    )
    return [Row(what, mib["full logits"] / mib["scored"], "times", at_least(5), note)]


@torch.inference_mode()
def prefill(model: Any, token_ids: list[int]) -> Any:
    """Run transformers' model without its head; return what it leaves."""
    return model.base_model(torch.tensor([token_ids]), use_cache=True)


@torch.inference_mode()
def full_logits(model: Any, token_ids: list[int]) -> Any:
    """Run transformers' model with the logits of every token."""
    return model(torch.tensor([token_ids]), use_cache=True)
