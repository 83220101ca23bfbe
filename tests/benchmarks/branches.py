"""Moving in a tree: force a token in the middle of a long branch, and go back to where one was."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from itwidgets import Session
from itwidgets.engine.worker import Job, Steps
from itwidgets.tree.columns import WIRE_COLUMNS
from tests.benchmarks.bench import Bench, grow
from tests.benchmarks.harness import Row, at_most, repeat, stopwatch


def moving(bench: Bench) -> list[Row]:
    """Force in the middle, go on from there, and come back: round after round on one tree."""
    sizes = bench.sizes
    session = bench.engine().session(bench.prompt(sizes.branch))
    tip = session.nodes[-1]
    middle = session.nodes[sizes.branch // 2]
    forced = iter(a.token_id for a in session.distribution(middle).top(2 * bench.rounds + 2))

    def one_round() -> Mapping[str, float]:
        token_id = next(forced)
        with stopwatch() as force:
            node = session.force(middle, token_id)
            session.distribution_after(node.row)
        with stopwatch() as steps:
            made = grow(session, sizes.after_force)
        with stopwatch() as back:
            session.switch(tip)
            _read_figures(session)
        with stopwatch() as copy:
            _make_current(session)
        step = steps.seconds / made
        return {
            "force": force.seconds / step,
            "back": back.seconds / step,
            "copy": copy.seconds / step,
        }

    taken = repeat(one_round, bench.rounds)
    force = (
        f"session.force at token {sizes.branch // 2} of {sizes.branch} and session.distribution after it; a "
        f"step is one of {sizes.after_force} that go on from there, with all statistics, by the usual route"
    )
    back = (
        "session.switch and all columns of all rows of the branch, from a branch that parted from it in its "
        f"middle {sizes.after_force + 1} tokens ago"
    )
    copy = "what the next generate pays once: the keys and values that were written over are copied back"
    return [
        Row("force to the first new logits", taken["force"], "steps", at_most(1.2), force),
        Row("back to a held branch with its figures", taken["back"], "steps", at_most(0.05), back),
        Row("back to a held branch, copy before going on", taken["copy"], "steps", None, copy),
    ]


def _read_figures(session: Session) -> None:
    tree, head = session.tree, session.head
    assert head is not None
    path = np.array(tree.path(head.row))
    for column in WIRE_COLUMNS:
        tree.column(column.name)[path]


def _make_current(session: Session) -> None:
    """Do what the first step after a switch does before its forward call."""
    head = session.head
    assert head is not None

    def body(_: Job[None]) -> Steps[None]:
        yield from session._branching.writer.activate(head.row)

    session.engine.submit(session.id, Job("activate", body), None).wait()
