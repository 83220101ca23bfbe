"""What was found to be fastest on this machine, kept for the next time.

Which kernel is used decides the last bits, and a measurement on a busy machine may come out either way:
so it is made once, and what it found holds until torch or the processor changes.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path

import torch

from itwidgets.engine.cache import cache_root

_known: dict[str, str] = {}


def chosen(question: str, measure: Callable[[], str]) -> str:
    """Return the answer to a question about this machine; ``measure`` finds it if it is not known yet.

    The answer is a word. A file that cannot be read or written only means that it is measured again.
    """
    key = f"{question}, {_machine()}"
    if key not in _known:
        _known.update(_read())
    if key not in _known:
        _known[key] = measure()
        _write(_known)
    return _known[key]


def _machine() -> str:
    processor = _processor_name() or platform.processor() or platform.machine()
    return f"{torch.get_num_threads()} threads, torch {metadata.version('torch')}, {processor}"


@cache
def _processor_name() -> str:
    # Only Linux says more than the architecture.
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    names = ("model name", "cpu family", "model", "stepping")
    wanted = [line.partition(":")[2].strip() for line in lines if line.partition("\t")[0] in names]
    return " ".join(dict.fromkeys([*wanted, torch.backends.cpu.get_cpu_capability()]))


def _path() -> Path:
    return cache_root() / "choices.json"


def _read() -> dict[str, str]:
    try:
        found = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    is_right = isinstance(found, dict) and all(isinstance(word, str) for word in found.values())
    return found if is_right else {}


def _write(choices: dict[str, str]) -> None:
    path = _path()
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(choices, indent=2), encoding="utf-8")
        partial.replace(path)
    except OSError:
        return
