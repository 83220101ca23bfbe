"""Which tokens pass through a model together."""

from __future__ import annotations

from collections.abc import Sequence

from itwidgets.engine.model.runner import Runner

PREFILL_CHUNK = 256
"""Tokens in one forward call of a prefill: between two of them other jobs have their turn."""


def tokens_at_once(runner: Runner, count: int, *, begins: bool) -> int:
    """How many of ``count`` tokens pass through the model in one call, where a text begins or later."""
    if runner.continues_in_chunks:
        return min(count, PREFILL_CHUNK)
    return count if begins else 1


def decoded_joined(calls: Sequence[list[int]]) -> list[list[int]]:
    """Make one call of all calls of a single row that stand side by side."""
    joined: list[list[int]] = []
    is_open = False
    for call in calls:
        if len(call) == 1 and is_open:
            joined[-1] += call
        else:
            joined.append(call)
        is_open = len(call) == 1
    return joined
