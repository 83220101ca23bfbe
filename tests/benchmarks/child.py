"""Measurements that need a process of their own: ``python -m tests.benchmarks.child NAME JSON``."""

from __future__ import annotations

import importlib
import json
import mmap
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_CLEAR_REFS = Path("/proc/self/clear_refs")


def in_fresh_process(name: str, arguments: Mapping[str, Any]) -> dict[str, float]:
    """Run a function of this module in a new interpreter."""
    command = [sys.executable, "-m", "tests.benchmarks.child", name, json.dumps(arguments)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def seconds_to_load(model: str, *, after_libraries: bool = False) -> dict[str, float]:
    """Time the import of the package and the load of a model, maybe with its libraries imported before."""
    if after_libraries:
        for name in (
            "transformers.models.llama.modeling_llama",
            "transformers.models.auto.tokenization_auto",
        ):
            importlib.import_module(name)
    start = time.perf_counter()
    import itwidgets

    imported = time.perf_counter()
    if model == "embedded":
        # Nothing else may be imported before: it would count as done.
        itwidgets.load()
    else:
        from tests.benchmarks.bench import FLOAT32, load

        load(model, FLOAT32)
    return {"import": imported - start, "load": time.perf_counter() - imported}


def peak_memory(how: str, model: str, tokens: int) -> dict[str, float]:
    """Bytes that a prompt of so many tokens takes at most, above those of the loaded model."""
    from tests.benchmarks import scoring
    from tests.benchmarks.bench import TINY, Bench

    bench = Bench(model, TINY, 1, in_fresh_process)
    engine = bench.engine()
    ways: dict[str, Callable[[list[int]], object]] = {
        "bare": lambda token_ids: scoring.prefill(engine.model, token_ids),
        "full logits": lambda token_ids: scoring.full_logits(engine.model, token_ids),
        "scored": engine.session,
    }
    work = ways[how]
    work(bench.prompt(16))  # what is made once, at the first call, is not the prompt's
    token_ids = bench.prompt(tokens)
    before = _start_of_peak()
    work(token_ids)
    return {"bytes": max(_status("VmHWM") - before, mmap.PAGESIZE)}


def can_tell_peaks() -> bool:
    """Whether the system lets a process measure a peak of its own."""
    return _CLEAR_REFS.exists()


def _start_of_peak() -> float:
    """Forget the peak so far; return what is resident now."""
    _CLEAR_REFS.write_text("5")
    return _status("VmRSS")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    kibibytes = next(line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return float(kibibytes) * 1024


FUNCTIONS = {function.__name__: function for function in (seconds_to_load, peak_memory)}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(FUNCTIONS[sys.argv[1]](**json.loads(sys.argv[2]))))
