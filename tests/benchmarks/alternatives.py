"""Alternatives of one place run together against one by one."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from itwidgets import Engine
from tests.benchmarks.bench import Bench, grow
from tests.benchmarks.harness import Measured, Row, at_least, repeat, stopwatch


def alternatives(bench: Bench) -> list[Row]:
    """``rollout`` against ``force`` and ``generate`` for each alternative."""
    engine, sizes = bench.engine(), bench.sizes
    token_ids, count, length = bench.prompt(sizes.prompt), sizes.alternatives, sizes.alternative

    def one_round() -> Mapping[str, float]:
        session = engine.session(token_ids)
        with stopwatch() as together:
            session.rollout(0, k=count, max_new_tokens=length)
        session = engine.session(token_ids)
        with stopwatch() as singly:
            for alternative in session.distribution(0).top(count):
                session.force(0, alternative.token_id)
                grow(session, length - 1)
        return {"together": together.seconds, "singly": singly.seconds}

    taken = repeat(one_round, bench.rounds)
    copies = count * (len(token_ids) + length) * _bytes_of_a_token(engine)
    ours = _most_bytes(engine, token_ids, count, length)
    memory = (
        f"{count} copies of {len(token_ids)} + {length} tokens are {copies / 2**20:.0f} MiB; buffers with "
        f"their room to grow, and what is kept to be adopted, are {ours / 2**20:.0f} MiB when they are most"
    )
    what = f"{count} alternatives x {length} tokens"
    return [
        Row(f"{what}, faster than one by one", taken["singly"] / taken["together"], "times", at_least(5)),
        Row(
            f"{what}, less KV memory than copies", Measured.once(copies / ours), "times", at_least(7), memory
        ),
    ]


def _most_bytes(engine: Engine, token_ids: Sequence[int], count: int, length: int) -> int:
    """Bytes that the engine holds of a session during a rollout and after it, at most."""
    gc.collect()
    before = engine.pool.device_bytes
    session = engine.session(token_ids)
    held: list[int] = []
    hook = engine.model.get_input_embeddings().register_forward_hook(
        lambda *_: held.append(engine.pool.device_bytes - before)
    )
    rollout = session.rollout(0, k=count, max_new_tokens=length)
    hook.remove()
    held.append(engine.pool.device_bytes - before)
    assert len(rollout) == count
    return max(held)


@torch.inference_mode()
def _bytes_of_a_token(engine: Engine) -> float:
    cache: Any = DynamicCache(config=engine.runner.config)
    ids = torch.zeros(1, 8, dtype=torch.int64)
    engine.model(ids, past_key_values=cache, logits_to_keep=1)
    held: int = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    return held / ids.shape[-1]
