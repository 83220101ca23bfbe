"""What a model's build allows, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass

from itwidgets.engine.kv.layers import can_be_cut, is_known
from itwidgets.engine.model.runner import Runner


@dataclass(frozen=True)
class Capabilities:
    """What a model's build allows, and what it costs.

    Attributes
    ----------
    branches
        ``"held"``: keys and values of all branches are kept. ``"snapshots"``: states of recurrent layers
        are kept every so many tokens and wherever branches parted.
    force
        What forcing a token anywhere on a branch costs, in words.
    rollouts
        How alternatives are run together: ``"flattened tree"``, which copies nothing, ``"batch of copies"``
        or ``"separate copies"``.
    rows
        What is kept of a row to give its distribution again: its last ``"hidden state"``, or its
        ``"logits"`` where the head is not a plain function of that.
    route
        How tokens pass through the model: ``"plain"``, by its own code; ``"packed"``, with copies of its
        linear layers' weights that suit the processor; ``"fused"``, by a step of few operations, single
        tokens in machine code where there is such for the model; ``"compiled"``, by a graph of its own
        code. The last bits depend on it.
    """

    branches: str
    force: str
    rollouts: str
    rows: str
    route: str


def capabilities(runner: Runner, snapshot_interval: int) -> Capabilities:
    """Find out what a model allows; tries some forward calls when first asked."""
    runner.prepare()
    is_held = can_be_cut(runner.config)
    copies = "batch of copies" if is_known(runner.config) else "separate copies"
    replayed = f"one decode step, and up to {snapshot_interval - 1} from the nearest snapshot before it"
    return Capabilities(
        branches="held" if is_held else "snapshots",
        force="one decode step" if is_held else replayed,
        rollouts="flattened tree" if runner.takes_tree_masks else copies,
        rows="hidden state" if runner.keeps_hidden else "logits",
        route=runner.route,
    )
