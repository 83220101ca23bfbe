"""Loading the embedded model once it has been converted."""

from __future__ import annotations

from tests.benchmarks.bench import Bench
from tests.benchmarks.harness import Row, at_most, repeat


def loading(bench: Bench) -> list[Row]:
    """Load in fresh processes."""
    bench.engine()  # the first load of all converts the model

    def one_round() -> dict[str, float]:
        fresh = bench.child("seconds_to_load", {"model": bench.model})
        ready = bench.child("seconds_to_load", {"model": bench.model, "after_libraries": True})
        return {"import": fresh["import"], "fresh": fresh["load"], "ready": ready["load"]}

    taken = repeat(one_round, bench.rounds)
    ready = "in a process of its own, where torch and transformers' code for the model were imported before"
    fresh = "after `import itwidgets` alone: the time of importing torch and transformers is in it"
    what = "second load of the embedded model"
    return [
        Row(what, taken["ready"], "s", at_most(3), ready),
        Row(f"{what}, with its libraries", taken["fresh"], "s", None, fresh),
        Row("import itwidgets before that", taken["import"], "s"),
    ]
