"""What a token costs in a long context: appending its keys and values, and its whole step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicCache

from itwidgets.engine.kv.layers import growing_cache
from tests.benchmarks.bench import Bench
from tests.benchmarks.harness import Measured, Row, Turn, at_most, stopwatch, take_turns

_APPENDED = 32


def long_context(bench: Bench) -> list[Row]:
    """Appending at a long context against a short one, in our layers and in transformers' own."""
    short, long = bench.sizes.short_context, bench.sizes.long_context
    makers = {"ours": growing_cache, "DynamicCache": lambda config: DynamicCache(config=config)}
    config = bench.engine().runner.config
    appending: dict[str, Turn] = {}
    stepping: dict[str, Turn] = {}
    for name, make in makers.items():
        for length in (short, long):
            key = f"{name} {length}"
            appending[key] = lambda make=make, length=length: _append_seconds(config, make, length)  # type: ignore[misc]
            stepping[key] = lambda name=name, make=make, length=length: _step_seconds(  # type: ignore[misc]
                bench, name, make, length
            )
    appends, steps = take_turns(appending, bench.rounds), take_turns(stepping, bench.rounds)
    note = (
        "update() of all layers for one token, and of ours the share of a token in the copy that "
        "enlarges the buffers when they are full"
    )
    whole = "one token through the model, over random keys and values: attention reads all of them"

    def ratio(taken: dict[str, Measured], name: str) -> Measured:
        return taken[f"{name} {long}"] / taken[f"{name} {short}"]

    against = f"at {long} tokens against {short}"
    return [
        Row(f"append {against}", ratio(appends, "ours"), "times", at_most(1.5), note),
        Row(f"append {against}, DynamicCache", ratio(appends, "DynamicCache"), "times", None, note),
        Row(f"append at {long} tokens, ours", appends[f"ours {long}"] * 1e3, "ms"),
        Row(f"append at {long} tokens, DynamicCache", appends[f"DynamicCache {long}"] * 1e3, "ms"),
        Row(f"whole step {against}", ratio(steps, "ours"), "times", None, whole),
        Row(f"whole step {against}, transformers", ratio(steps, "DynamicCache"), "times", None, whole),
    ]


def _append_seconds(config: Any, make: Callable[[Any], Cache], length: int) -> float:
    cache = make(config)
    _fill(cache, config, length)
    token = _states(config, 1)
    with stopwatch() as first:
        _append(cache, token)
    with stopwatch() as others:
        for _ in range(_APPENDED):
            _append(cache, token)
    each = others.seconds / _APPENDED
    if isinstance(cache, DynamicCache):
        return each
    # Filled to the brim, ours enlarged its buffers at the first append: that serves those that fit now.
    layer: Any = cache.layers[0]
    served: int = layer.capacity - length
    return each + max(first.seconds - each, 0) / served


def _step_seconds(bench: Bench, name: str, make: Callable[[Any], Cache], length: int) -> float:
    runner = bench.engine().runner
    cache = make(runner.config)
    _fill(cache, runner.config, length)

    def step() -> None:
        if name == "ours":
            runner.logits(runner.forward([1], cache)[0])
        else:
            runner.model(torch.tensor([[1]]), past_key_values=cache, logits_to_keep=1)

    with torch.inference_mode():
        step()
        with stopwatch() as watch:
            step()
            step()
    return watch.seconds / 2


def _fill(cache: Cache, config: Any, length: int) -> None:
    _append(cache, _states(config, length))


def _append(cache: Cache, states: torch.Tensor) -> None:
    for index in range(len(cache.layers)):
        cache.update(states, states, index)


def _states(config: Any, length: int) -> torch.Tensor:
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return torch.randn(1, config.num_key_value_heads, length, dim)
