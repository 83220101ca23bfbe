"""What a generation has made, as a dictionary of lists with one entry a token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from itwidgets.engine import Session
from itwidgets.interventions import Program
from itwidgets.tree import Node, Origin

ALTERNATIVES = 10
"""How many tokens ``track_alternatives`` lists at each position."""


def grow(session: Session, program: Program, forced: dict[int, int], max_new_tokens: int, seed: int) -> None:
    """Generate from the end of the prompt, with given tokens at some positions, each a decode step.

    What is drawn does not depend on how many pieces it is drawn in: noise belongs to a position.
    """
    position = 0
    while position < max_new_tokens and not session.has_ended:
        if position in forced:
            session.force(position, forced[position])
            position += 1
        else:
            until = min((place for place in forced if place > position), default=max_new_tokens)
            session.generate(until - position, program=program, seed=seed).wait()
            position = until


def generated(session: Session, prompt: Any) -> dict[str, Any]:
    """Return the new tokens of the current branch with their figures under `p` and `s`."""
    nodes = session.new_nodes
    return {
        "prompt": prompt,
        "generated_text": session.text,
        "new_text": session.new_text,
        "generated_tokens": [node.text for node in nodes],
        "token_ids": [node.token_id for node in nodes],
        "token_probabilities": [node.probability for node in nodes],
        "sampling_probabilities": [math.exp2(-node.surprisal_s) for node in nodes],
        "surprisals": [node.surprisal for node in nodes],
        "entropies": [node.entropy for node in nodes],
        "varentropies": [node.varentropy for node in nodes],
        "ranks": [node.rank for node in nodes],
        "nodes": nodes,
        "session": session,
    }


def intervened(session: Session, prompt: Any) -> dict[str, Any]:
    """Return what :func:`generated` does, with what the interventions did and cost."""
    result = generated(session, prompt)
    nodes: Sequence[Node] = result["nodes"]
    return result | {
        "intervened_probabilities": [math.exp2(-node.surprisal_q) for node in nodes],
        "forced": [node.origin is Origin.FORCED for node in nodes],
        "changed": [any(one.stage == "intervention" for one in node.fired) for node in nodes],
        "costs": [node.cost for node in nodes],
        "expected_costs": [node.expected_cost for node in nodes],
        "total_cost": math.fsum(node.cost for node in nodes),
    }


def alternatives(nodes: Sequence[Node]) -> list[list[tuple[str, float]]]:
    """Return the most probable tokens of `p` at each place, best first, with their probabilities."""
    return [_alternatives(node) for node in nodes]


def _alternatives(node: Node) -> list[tuple[str, float]]:
    ids, log_probs = (
        node.tree.column(name)[node.row, :ALTERNATIVES] for name in ("top_ids", "top_log_probs")
    )
    return [
        (node.tree.vocabulary.token_bytes(int(token_id)).decode(errors="replace"), math.exp(log_p))
        for token_id, log_p in zip(ids, log_probs, strict=True)
        if token_id >= 0
    ]
