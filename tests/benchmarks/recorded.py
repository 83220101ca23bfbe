"""What recording costs: all statistics of a row, and the full row from what is kept of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from transformers.cache_utils import DynamicCache

from itwidgets import Engine, Session
from itwidgets.information import log_probabilities, row_statistics
from itwidgets.interventions import Operator, Step
from itwidgets.tree import TOP_K
from tests.benchmarks.bench import FLOAT32, Bench, grow
from tests.benchmarks.harness import Measured, Row, at_least, at_most, repeat, stopwatch

_STEPS = 24


def statistics(bench: Bench) -> list[Row]:
    """All statistics and the top 50 of a row, right after the step that made the row."""
    model = bench.engine().model
    token_ids = bench.prompt(bench.sizes.prompt)

    def one_round() -> Mapping[str, float]:
        steps, figures = zip(*_steps_and_figures(model, token_ids), strict=True)
        return {"step": float(np.median(steps)), "figures": float(np.median(figures))}

    taken = repeat(one_round, bench.rounds)
    note = (
        "the plain model's step is transformers' forward call with its DynamicCache; the statistics are "
        "computed right after each step, so that neither finds the other's data in the processor's caches"
    )
    share = taken["figures"] / taken["step"] * 100
    return [Row("all statistics and top 50, of a plain step fp32", share, "%", at_most(3), note)]


@torch.inference_mode()
def _steps_and_figures(model: Any, token_ids: Sequence[int]) -> Iterator[tuple[float, float]]:
    cache = DynamicCache(config=model.config)
    scores = model(torch.tensor([token_ids]), past_key_values=cache, logits_to_keep=1).logits[0, -1]
    for _ in range(_STEPS):
        token_id = int(scores.argmax())
        with stopwatch() as step:
            scores = model(torch.tensor([[token_id]]), past_key_values=cache).logits[0, -1]
        with stopwatch() as figures:
            row_statistics(scores[None], [int(scores.argmax())], TOP_K)
        yield step.seconds, figures.seconds


@dataclass(frozen=True)
class _Witness(Operator):
    """Writes down the scores that the program was given, and changes nothing."""

    stage: ClassVar[Literal["sampler"]] = "sampler"
    seen: dict[int, torch.Tensor] = field(default_factory=dict, compare=False, repr=False)

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Keep a copy."""
        self.seen[step.position] = scores.clone()
        return scores

    def parameters(self) -> dict[str, Any]:
        """Nothing that a file would need."""
        return {}


def full_row(bench: Bench) -> list[Row]:
    """The whole distribution of a token made before, against what it was drawn from."""
    engine, sizes = bench.engine(), bench.sizes
    session = engine.session(bench.prompt(sizes.prompt))
    witness = _Witness()
    positions = len(session.generate(max_new_tokens=sizes.new, program=witness).wait())
    chosen = np.random.default_rng(0)

    def one_round() -> Mapping[str, float]:
        with stopwatch() as steps:
            made = grow(session, 4)
        position = int(chosen.integers(positions))
        with stopwatch() as reading:
            distribution = session.distribution(position)
        drawn_from = log_probabilities(witness.seen[position]).cpu().numpy()
        return {
            "step": steps.seconds / made,
            "reading": reading.seconds,
            "equal": float(np.array_equal(distribution.log_probs, drawn_from)),
        }

    taken = repeat(one_round, 2 * bench.rounds)
    equal = Measured.once(100 * sum(taken["equal"].values) / len(taken["equal"].values))
    note = "session.distribution: from its call to the log-probabilities of the whole vocabulary"
    return [
        Row(
            "full row of a token made before", taken["reading"] / taken["step"], "steps", at_most(0.15), note
        ),
        Row("full rows that are bit-equal to what was drawn from", equal, "%", at_least(100)),
        _memory(session, engine),
    ]


def _memory(session: Session, engine: Engine) -> Row:
    kept = session.memory().rows / len(session.tree)
    row = engine.runner.vocabulary_size * torch.float32.itemsize
    note = f"{kept:.0f} bytes are kept of a row of {row} bytes ({FLOAT32})"
    return Row(
        "row is larger than what is kept of it", Measured.once(row / kept), "times", at_least(50), note
    )
