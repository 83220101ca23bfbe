"""What the benchmarks share: engines, prompts of a given length, and how large everything is."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

import itwidgets
from itwidgets import Engine, Session
from itwidgets.engine.model.encoder_decoder import make_runner
from tests.models import CORPUS, tiny_engine

FLOAT32, BFLOAT16 = "float32", "bfloat16"
SHORT = {FLOAT32: "fp32", BFLOAT16: "bf16"}

Child = Callable[[str, Mapping[str, Any]], dict[str, float]]
"""Runs a function of :mod:`tests.benchmarks.child` by name and returns its figures."""


@dataclass(frozen=True)
class Sizes:
    """Lengths in tokens, unless said otherwise."""

    prompt: int = 512
    new: int = 128
    branch: int = 2000
    after_force: int = 64
    alternatives: int = 10
    alternative: int = 16
    busy: int = 48
    short_context: int = 500
    long_context: int = 8000
    scored: int = 2000
    sentences: int = 200
    stopped_prompt: int = 1500
    untreated_seconds: float = 12.0


TINY = Sizes(
    prompt=24,
    new=4,
    branch=40,
    after_force=4,
    alternatives=3,
    alternative=3,
    busy=6,
    short_context=16,
    long_context=64,
    scored=48,
    sentences=6,
    stopped_prompt=600,
    untreated_seconds=1.0,
)
"""For a random model of two layers: to see that everything runs."""


def load(model: str, dtype: str) -> Engine:
    """Load the embedded model, or make the tiny one."""
    if model == "tiny":
        return tiny_engine(dtype=getattr(torch, dtype))
    return itwidgets.load(dtype=dtype)


class Bench:
    """Engines that are made once, and prompts.

    Parameters
    ----------
    model
        ``"embedded"`` or ``"tiny"``.
    rounds
        How often everything is measured.
    child
        Runs a measurement that needs a process of its own.
    """

    def __init__(self, model: str, sizes: Sizes, rounds: int, child: Child) -> None:
        self.model = model
        self.sizes = sizes
        self.rounds = rounds
        self.child = child
        self._engines: dict[str, Engine] = {}
        self._by_route: dict[str, dict[str, Engine]] = {}

    def engine(self, dtype: str = FLOAT32) -> Engine:
        """Return the engine as ``load`` makes it."""
        if dtype not in self._engines:
            self._engines[dtype] = load(self.model, dtype)
        return self._engines[dtype]

    def engines(self, dtype: str) -> dict[str, Engine]:
        """Return an engine for each route that there is."""
        if dtype not in self._by_route:
            self._by_route[dtype] = engines_by_route(self.engine(dtype))
        return self._by_route[dtype]

    def prompt(self, length: int) -> list[int]:
        """Return token ids of an English text of this length."""
        vocabulary = self.engine().vocabulary
        sentences = (f"{i}. {CORPUS[0]} {CORPUS[1]}\n" for i in itertools.count(1))
        token_ids: list[int] = []
        while len(token_ids) < length:
            token_ids += vocabulary.token_ids(next(sentences))
        return token_ids[:length]

    def close(self) -> None:
        """Close all engines."""
        for engine in itertools.chain(self._engines.values(), *map(dict.values, self._by_route.values())):
            engine.close()


def engines_by_route(usual: Engine) -> dict[str, Engine]:
    """Return engines on the same weights, by the route that their tokens take; only of routes there are."""
    model, tokenizer = usual.model, usual.tokenizer
    plain = Engine(model, tokenizer)
    plain.runner = make_runner(model, fast=False)
    made = {
        "plain": plain,
        "packed": Engine(_of_no_known_family(model), tokenizer),
        "fused": usual,
    }
    return {route: engine for route, engine in made.items() if _route(engine) == route}


def _of_no_known_family(model: PreTrainedModel) -> PreTrainedModel:
    """Return a model with the same weights and code under another name, which no fused step recognises."""
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    other = copy.deepcopy(model, shared)
    base = other.base_model
    base.__class__ = type("Stranger", (type(base),), {"__module__": __name__})
    return other


def _route(engine: Engine) -> str:
    engine.session([1, 2])
    return engine.capabilities.route


def grow(session: Session, count: int) -> int:
    """Make new tokens at the head, also past the model's own end of its text."""
    made = 0
    while made < count:
        made += len(session.generate(max_new_tokens=count - made).wait())
    return made
