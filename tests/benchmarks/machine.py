"""The machine: what it is, and how fast it reads its memory now."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

import psutil
import torch

from tests.benchmarks.harness import stopwatch

_BUFFER_BYTES = 256 * 2**20
_READS = 8


def description() -> dict[str, str]:
    """Say what the figures were taken on."""
    versions = {name: metadata.version(name) for name in ("torch", "transformers", "itwidgets")}
    return {
        "processor": _processor(),
        "cores": f"{os.cpu_count()}, torch uses {torch.get_num_threads()} threads",
        "instructions": torch.backends.cpu.get_cpu_capability() + _bfloat16(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **versions,
        "load average": load_average(),
    }


def load_average() -> str:
    """Say how busy the machine is with other things too."""
    return ", ".join(f"{load:.1f}" for load in psutil.getloadavg())


class Reader:
    """Reads a buffer that no cache of a processor holds."""

    def __init__(self) -> None:
        self._buffer = torch.ones(_BUFFER_BYTES // torch.float32.itemsize)

    def seconds_per_byte(self) -> float:
        """Read the buffer several times; the best counts, since a bound is wanted."""
        return min(self._read() for _ in range(_READS)) / self._buffer.nbytes

    def _read(self) -> float:
        with stopwatch() as watch:
            self._buffer.sum()
        return watch.seconds


def _processor() -> str:
    lines = _cpuinfo().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def multiplies_bfloat16() -> bool:
    """Whether oneDNN multiplies bfloat16 on this processor; elsewhere it is many times slower."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _bfloat16() -> str:
    return ", with bfloat16" if multiplies_bfloat16() else ", none for bfloat16"


def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8") if path.is_file() else ""
