"""Decoding with all statistics against transformers, llama.cpp and the memory limit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import torch

from itwidgets import Engine
from tests.benchmarks.bench import BFLOAT16, FLOAT32, SHORT, Bench, grow
from tests.benchmarks.harness import Measured, Row, Target, Turn, at_least, at_most, stopwatch, take_turns
from tests.benchmarks.machine import Reader, multiplies_bfloat16
from tests.benchmarks.peers import NO_LLAMA_CPP, LlamaCpp, generate_seconds, has_llama_cpp

ROUTES = ("plain", "packed", "fused")
_TARGETS = {
    ("packed", FLOAT32): at_least(1.5),
    ("packed", BFLOAT16): at_least(1.25),
    ("fused", FLOAT32): at_least(1.9),
    ("fused", BFLOAT16): at_least(2.4),
}
_AGAINST_LLAMA_CPP = {BFLOAT16: at_most(1.5)}
_SLOW_ROUNDS = 3
_LIMIT = (
    "the bytes of the weights that a token needs, over the bandwidth at which torch sums a large buffer in "
    "the same round"
)


def decoding(bench: Bench) -> list[Row]:
    """Decode steps of every system in turn, in one dtype and then in the other."""
    return [row for dtype in (FLOAT32, BFLOAT16) for row in _decoding(bench, dtype)]


def _decoding(bench: Bench, dtype: str) -> list[Row]:
    token_ids, new, short = bench.prompt(bench.sizes.prompt), bench.sizes.new, SHORT[dtype]
    turns = {"read": Reader().seconds_per_byte}
    turns |= transformers_and_ours(bench.engines(dtype), short, token_ids, new)
    with _llama_cpp(bench, dtype) as peer:
        if peer is not None:
            turns[f"llama.cpp {short}"] = lambda: peer.seconds(token_ids, new)
        taken = take_turns(turns, _rounds(bench, dtype))
    times = [Row(f"{name}, a token", taken[name] * 1e3, "ms") for name in turns if name != "read"]
    return [
        _bandwidth(taken["read"]),
        *times,
        *_against_generate(taken, dtype),
        _against_llama_cpp(taken, dtype),
        *limit_rows(taken, bench.engine(dtype), short),
    ]


def _rounds(bench: Bench, dtype: str) -> int:
    # Without instructions for it a prefill alone takes half a minute.
    slow = dtype == BFLOAT16 and not multiplies_bfloat16()
    return min(bench.rounds, _SLOW_ROUNDS) if slow else bench.rounds


def transformers_and_ours(
    engines: Mapping[str, Engine], suffix: str, token_ids: Sequence[int], new: int
) -> dict[str, Turn]:
    """Turns of ``generate`` and of our routes, all on one model."""
    model = next(iter(engines.values())).model
    turns: dict[str, Turn] = {
        f"generate {suffix}": lambda: generate_seconds(model, token_ids, new),
    }
    for route, engine in engines.items():
        turns[f"ours {route} {suffix}"] = lambda engine=engine: _seconds(engine, token_ids, new)  # type: ignore[misc]
    return turns


def _seconds(engine: Engine, token_ids: Sequence[int], new: int) -> float:
    """Seconds a token of a session, prefill aside, with everything recorded that a session records."""
    session = engine.session(token_ids)
    with stopwatch() as watch:
        made = grow(session, new)
    return watch.seconds / made


def limit_rows(
    taken: Mapping[str, Measured], engine: Engine, suffix: str, targets: Mapping[str, Target] | None = None
) -> list[Row]:
    """Say how near to the memory limit each system of a dtype comes."""
    limit = taken["read"] * weight_bytes(engine.model)
    return [
        Row(
            f"{name}, of the memory limit",
            limit / taken[name] * 100,
            "%",
            (targets or {}).get(name),
            _LIMIT,
        )
        for name in taken
        if name.endswith(suffix)
    ]


def weight_bytes(model: torch.nn.Module) -> int:
    """Bytes of all matrices that a token is multiplied with; an embedding gives one row only."""
    return sum(module.weight.nbytes for module in model.modules() if isinstance(module, torch.nn.Linear))


def _bandwidth(read: Measured) -> Row:
    per_second = Measured(tuple(1e-9 / seconds for seconds in read.values))
    return Row("memory bandwidth, reading", per_second, "GB/s")


def _against_generate(taken: Mapping[str, Measured], dtype: str) -> list[Row]:
    short = SHORT[dtype]
    generate = taken[f"generate {short}"]
    rows = []
    for route in ROUTES:
        what, target = f"decode {short}, {route} route, faster than generate", _TARGETS.get((route, dtype))
        ours = taken.get(f"ours {route} {short}")
        if ours is None:
            rows.append(Row(what, None, "times", target, f"this model has no {route} route on this machine"))
        else:
            rows.append(Row(what, generate / ours, "times", target))
    return rows


def _against_llama_cpp(taken: Mapping[str, Measured], dtype: str) -> Row:
    short = SHORT[dtype]
    what, target = f"decode {short}, best route, time against llama.cpp", _AGAINST_LLAMA_CPP.get(dtype)
    ours = [taken[f"ours {route} {short}"] for route in ROUTES if f"ours {route} {short}" in taken]
    best = min(ours, key=lambda measured: measured.median)
    peer = taken.get(f"llama.cpp {short}")
    if peer is None:
        return Row(what, None, "times", target, NO_LLAMA_CPP)
    return Row(what, best / peer, "times", target)


@contextmanager
def _llama_cpp(bench: Bench, dtype: str) -> Iterator[LlamaCpp | None]:
    if bench.model != "embedded" or not has_llama_cpp():
        yield None
        return
    context = bench.sizes.prompt + bench.sizes.new + 1
    with tempfile.TemporaryDirectory() as folder, closing(LlamaCpp(dtype, Path(folder), context)) as peer:
        yield peer
