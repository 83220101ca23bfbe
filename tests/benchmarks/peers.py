"""What the engine is compared with: transformers as it comes, and llama.cpp where it is installed."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers.generation.streamers import BaseStreamer

from itwidgets.engine.loading import embedded
from tests.benchmarks.bench import BFLOAT16, FLOAT32
from tests.benchmarks.harness import stopwatch

NO_LLAMA_CPP = "llama-cpp-python is not installed: pip install llama-cpp-python compiles it in some minutes."


class _Clock(BaseStreamer):
    """Notes when each token arrives; the first arrival is the prompt, before the prefill."""

    def __init__(self) -> None:
        self.arrivals: list[float] = []

    def put(self, value: torch.Tensor) -> None:
        """Note the time."""
        self.arrivals.append(time.perf_counter())

    def end(self) -> None:
        """Nothing is left to do."""


def generate_seconds(model: Any, token_ids: Sequence[int], new: int) -> float:
    """Seconds a token of transformers' own greedy ``generate``, prefill aside, with nothing recorded."""
    clock = _Clock()
    ids = torch.tensor([list(token_ids)])
    model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, do_sample=False, streamer=clock
    )
    _, first, *others = clock.arrivals
    return (clock.arrivals[-1] - first) / len(others)


def has_llama_cpp() -> bool:
    """Whether llama-cpp-python is there."""
    return importlib.util.find_spec("llama_cpp") is not None


class LlamaCpp:
    """The embedded model in llama.cpp, dequantised to the same dtype as ours.

    Parameters
    ----------
    folder
        Where the dequantised file is written.
    """

    def __init__(self, dtype: str, folder: Path, context_length: int) -> None:
        api: Any = importlib.import_module("llama_cpp")
        logging.getLogger("llama-cpp-python").setLevel(logging.ERROR)
        kinds = {FLOAT32: api.LLAMA_FTYPE_ALL_F32, BFLOAT16: api.LLAMA_FTYPE_MOSTLY_BF16}
        path = folder / f"{dtype}.gguf"
        options = api.llama_model_quantize_default_params()
        options.ftype, options.allow_requantize = kinds[dtype], True
        if api.llama_model_quantize(bytes(embedded.gguf_file()), bytes(path), options):
            raise RuntimeError(f"llama.cpp could not write the embedded model as {dtype}")
        threads = torch.get_num_threads()
        self._model = api.Llama(
            str(path), n_ctx=context_length, n_threads=threads, n_threads_batch=threads, verbose=False
        )

    def seconds(self, token_ids: Sequence[int], new: int) -> float:
        """Seconds a token of greedy decoding, prefill aside, with nothing recorded."""
        tokens = self._model.generate(list(token_ids), temp=0.0, top_k=1, repeat_penalty=1.0)
        next(tokens)
        with stopwatch() as watch:
            made = sum(1 for _ in itertools.islice(tokens, new - 1))
        return watch.seconds / made

    def close(self) -> None:
        """Give the memory back."""
        self._model.close()
