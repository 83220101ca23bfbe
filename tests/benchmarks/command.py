"""The command: which benchmarks run, how often, and where the result goes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.benchmarks import child, machine, report
from tests.benchmarks.alternatives import alternatives
from tests.benchmarks.bench import Bench, Sizes
from tests.benchmarks.branches import moving
from tests.benchmarks.busy import busy_cell
from tests.benchmarks.contexts import long_context
from tests.benchmarks.decode import decoding
from tests.benchmarks.harness import Row, stopwatch
from tests.benchmarks.large import large
from tests.benchmarks.loading import loading
from tests.benchmarks.recorded import full_row, statistics
from tests.benchmarks.scoring import scoring
from tests.benchmarks.sentences import scored_sentences
from tests.benchmarks.stopping import stopping

Benchmark = Callable[[Bench], list[Row]]

BENCHMARKS: Mapping[str, Benchmark] = {
    "decode": decoding,
    "statistics": statistics,
    "branches": moving,
    "row": full_row,
    "alternatives": alternatives,
    "busy": busy_cell,
    "context": long_context,
    "scoring": scoring,
    "score": scored_sentences,
    "stop": stopping,
    "load": loading,
    "large": large,
}
"""In the order of the table."""

_ON_DEMAND = {"large"}
_ROUNDS, _QUICK_ROUNDS = 7, 2


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options; unknown names of benchmarks end the command with a sentence."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=_positive, help=f"rounds of each comparison; default {_ROUNDS}")
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK_ROUNDS} rounds: to see that it runs")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--large", action="store_true", help="also a model of 1B: takes 16 GB of memory")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round to a file too")
    return parser.parse_args(arguments)


def chosen(options: argparse.Namespace) -> list[str]:
    """Names of the benchmarks that the options ask for, in the order of the table."""
    if options.only:
        return [name for name in BENCHMARKS if name in options.only]
    return [name for name in BENCHMARKS if name not in _ON_DEMAND or options.large]


def rounds_of(options: argparse.Namespace) -> int:
    """How many rounds the options ask for."""
    return options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for and print one table."""
    options = parse(arguments)
    about = machine.description()
    bench = Bench("embedded", Sizes(), rounds_of(options), child.in_fresh_process)
    rows: list[Row] = []
    try:
        for name in chosen(options):
            rows += _told(name, bench)
    finally:
        bench.close()
    about["load average"] += f" before, {machine.load_average()} after"
    about["rounds"] = str(bench.rounds)
    sys.stdout.write(f"{report.heading(about)}\n{report.table(rows)}\n")
    if options.json:
        options.json.write_text(report.as_json(rows, about), encoding="utf-8")
    return 0


def _told(name: str, bench: Bench) -> list[Row]:
    sys.stderr.write(f"{name} ...")
    sys.stderr.flush()
    with stopwatch() as watch:
        rows = BENCHMARKS[name](bench)
    sys.stderr.write(f" {watch.seconds:.0f} s\n")
    return rows


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} was given, but at least 1 round is needed")
    return number
