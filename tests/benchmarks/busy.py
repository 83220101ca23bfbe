"""A cell that computes in pure Python while the engine works."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping

from itwidgets.engine.decoding.generation import Generation
from tests.benchmarks.bench import Bench
from tests.benchmarks.harness import Row, at_least, repeat


def busy_cell(bench: Bench) -> list[Row]:
    """Tokens a second with an idle main thread, a busy one, and a busy one that nobody cares for."""
    rates = _Rates(bench)
    taken = repeat(rates.one_round, bench.rounds)
    treated = "the main thread adds numbers in a loop while the job runs"
    untreated = (
        f"the same with the interpreter's usual switch interval put back during the job, for at most "
        f"{bench.sizes.untreated_seconds:.0f} s a round"
    )
    return [
        Row(
            "tokens/s beside a busy cell, of undisturbed",
            taken["busy"] / taken["idle"] * 100,
            "%",
            at_least(20),
            treated,
        ),
        Row("the same untreated", taken["untreated"] / taken["idle"] * 100, "%", None, untreated),
    ]


class _Rates:
    def __init__(self, bench: Bench) -> None:
        self._session = bench.engine().session(bench.prompt(bench.sizes.prompt))
        self._sizes = bench.sizes
        self._usual = sys.getswitchinterval()

    def one_round(self) -> Mapping[str, float]:
        """Return tokens a second in each state."""
        return {
            "idle": self._rate(_wait, self._sizes.busy),
            "busy": self._rate(_compute_until_done, self._sizes.busy),
            "untreated": self._rate(self._compute_untreated, 2),
        }

    def _rate(self, meanwhile: Callable[[Generation, float], None], count: int) -> float:
        job = self._session.generate(max_new_tokens=count + 1)
        # The first token is not counted: by then the worker has set the interval for itself.
        while not job.nodes and not job.done:
            time.sleep(1e-3)
        before, start = len(job.nodes), time.perf_counter()
        meanwhile(job, start + self._sizes.untreated_seconds)
        made, seconds = len(job.nodes) - before, time.perf_counter() - start
        job.cancel()
        job.wait()
        # What made no token in all that time made less than one.
        return max(made, 1) / seconds

    def _compute_untreated(self, job: Generation, deadline: float) -> None:
        # The worker puts back what it found when it began, which is the same.
        sys.setswitchinterval(self._usual)
        _compute_until_done(job, deadline)


def _wait(job: Generation, deadline: float) -> None:
    job.wait()


def _compute_until_done(job: Generation, deadline: float) -> None:
    while not job.done and time.perf_counter() < deadline:
        total = 0
        for number in range(20_000):
            total += number * number
