"""How soon a job ends that is asked to stop."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from itwidgets.engine.worker import Job
from tests.benchmarks.bench import Bench, grow
from tests.benchmarks.harness import Row, at_most, repeat, stopwatch

_STOPS = 5


def stopping(bench: Bench) -> list[Row]:
    """Stop at moments that fall anywhere in a step, and anywhere in a prefill."""
    chance = np.random.default_rng(0)
    engine, sizes = bench.engine(), bench.sizes
    token_ids = bench.prompt(sizes.stopped_prompt)
    session = engine.session(bench.prompt(sizes.prompt))

    def while_decoding() -> float:
        with stopwatch() as steps:
            made = grow(session, 8)
        step = steps.seconds / made
        job = session.generate(max_new_tokens=64)
        time.sleep((2 + chance.random()) * step)
        return _seconds_to_stop(job) / step

    def while_prefilling() -> float:
        with stopwatch() as whole:
            engine.session(token_ids)
        job = engine.empty_session().read_prompt(token_ids)
        time.sleep(chance.uniform(0.1, 0.8) * whole.seconds)
        return _seconds_to_stop(job) / whole.seconds

    def one_round() -> Mapping[str, float]:
        # A stop is short and falls anywhere: one a round would say little.
        return {
            "decoding": float(np.median([while_decoding() for _ in range(_STOPS)])),
            "prefilling": while_prefilling(),
        }

    taken = repeat(one_round, bench.rounds)
    note = "from job.cancel() to the end of the job, at moments drawn by chance"
    return [
        Row("stop while decoding", taken["decoding"], "steps", at_most(0.1), note),
        Row(
            f"stop while prefilling {sizes.stopped_prompt} tokens",
            taken["prefilling"],
            "of the prefill",
            at_most(0.1),
            note,
        ),
    ]


def _seconds_to_stop(job: Job[Any]) -> float:
    ended: list[float] = []
    job.on_done(lambda: ended.append(time.perf_counter()))
    start = time.perf_counter()
    job.cancel()
    job.wait()
    # It may have ended by itself just before.
    return max(ended[0] - start, 0.0)
