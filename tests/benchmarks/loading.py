"""Loading the embedded model once it has been converted."""

from __future__ import annotations

from tests.benchmarks.bench import Bench
from tests.benchmarks.harness import Row, at_most, repeat


def loading(bench: Bench) -> list[Row]:
    """Load in fresh processes."""
    bench.engine()  # the first load of all converts the model
    taken = repeat(lambda: bench.child("seconds_to_load", {"model": bench.model}), bench.rounds)
    note = "in a fresh process, after `import itwidgets`; what transformers imports on first use is in it"
    return [
        Row("second load of the embedded model", taken["load"], "s", at_most(3), note),
        Row("import itwidgets before that", taken["import"], "s"),
    ]
