"""Memory that ends at any allocation of a job: if only once, it goes through; and nothing is ever torn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import itwidgets as itw
from itwidgets import Engine, Session
from itwidgets.engine.kv.layers import GrowingLayer
from itwidgets.engine.worker import Job
from itwidgets.interventions import Ban, Temperature, TopK
from tests.models import fresh_logits, tiny_engine

TOLERANCE = 3e-3
RUNS = 5
"""Places at which memory ends, of each job."""


class Allocations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what allocates, and lets it find no memory: at one of them, or from there on."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.expect(None)

    def expect(self, at: int | None, *, for_good: bool = False) -> None:
        self.at, self.for_good, self.count, self.ended = at, for_good, 0, False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not func.is_view and not func._schema.is_mutable:
            self.count += 1
            if self.count == self.at or (self.ended and self.for_good):
                self.ended = True
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return func(*args, **(kwargs or {}))


@pytest.fixture
def allocations(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], Allocations]:
    """Give what watches jobs of one kind alone, and none to begin with."""
    mode, watched, go_on = Allocations(), list[str | None]([None]), Job._go_on

    def watch(kind: str | None) -> Allocations:
        watched[0] = kind
        return mode

    def watching(self: Job[Any]) -> None:
        if self.kind != watched[0]:
            return go_on(self)
        with mode:
            return go_on(self)

    monkeypatch.setattr(Job, "_go_on", watching)
    return watch


def endless(session: Session) -> Ban:
    return Ban(sorted(session.engine.stop_ids))


def generate(session: Session) -> Sequence[object]:
    program = Temperature(1.5) >> TopK(50) >> endless(session)
    return [node.token_id for node in session.generate(3, program=program).wait()]


def go_back(session: Session) -> Sequence[object]:
    head = session.head
    session.force(1, [42, 43])
    assert head is not None
    session.switch(head)
    return generate(session)


def force(session: Session) -> Sequence[object]:
    session.force(2, [42, 43])
    return session.token_ids


def roll_out(session: Session) -> Sequence[object]:
    rollout = session.rollout(2, k=3, max_new_tokens=3, program=endless(session))
    session.adopt(rollout[1])
    return [one.token_ids for one in rollout]


def read(session: Session) -> Sequence[object]:
    session.forget()
    return [found.token_id for found in session.distribution(1, endless(session)).top(5)]


def score(session: Session) -> Sequence[object]:
    frame = itw.score(session.engine, [[5] * 9, [6] * 12, [8] * 40], batch_tokens=24)
    return frame["surprisal_bits"].round(2).fillna(-1).tolist()


def assert_whole(session: Session) -> None:
    """Everything in the tree stands in the distribution of a fresh pass, and it goes on rightly."""
    session.generate(2, program=endless(session)).wait()
    for branch in session.branches:
        row = branch.tip.row
        expected = fresh_logits(session.engine.model, session.tree.token_ids(row)).log_softmax(-1)
        for at, after in zip(session.tree.path(row)[-3:], expected[-3:], strict=True):
            found = session.distribution_after(at).log_probs
            np.testing.assert_allclose(found, after.numpy(), atol=TOLERANCE)


@pytest.fixture(scope="module", params=["llama", "qwen3_next"])
def engine(request: pytest.FixtureRequest) -> Engine:
    engine = tiny_engine(request.param, snapshot_interval=8)
    # What is tried of a model when it is first asked for allocates too.
    engine.session([5]).rollout(0, k=1, max_new_tokens=1)
    return engine


def grown(engine: Engine) -> Session:
    session = engine.session([5, 6, 7] * 4)
    session.generate(4, program=endless(session)).wait()
    return session


@pytest.mark.parametrize("for_good", [False, True])
@pytest.mark.parametrize(
    ("kind", "use"),
    [
        ("generate", generate),
        ("generate", go_back),
        ("force", force),
        ("rollout", roll_out),
        ("adopt", roll_out),
        ("distribution", read),
        ("score", score),
    ],
)
def test_wherever_memory_ends_the_job_goes_through_or_leaves_whole_tokens(
    engine: Engine,
    allocations: Callable[[str | None], Allocations],
    kind: str,
    use: Callable[[Session], Sequence[object]],
    for_good: bool,
) -> None:
    session = grown(engine)
    mode = allocations(kind)
    mode.expect(None)
    expected = use(session)
    # From the first to the last, with the same number between each.
    for at in sorted(set(np.linspace(1, mode.count, RUNS).round().astype(int).tolist())):
        allocations(None)
        session = grown(engine)
        allocations(kind).expect(at, for_good=for_good)
        with suppress(MemoryError) if for_good else nullcontext():
            assert use(session) == expected
        assert mode.ended
        allocations(None)
        assert_whole(session)


def test_a_branch_whose_keys_were_half_replaced_is_not_taken_for_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = tiny_engine()
    session = engine.session([5] * 200)
    first = session.head
    # Token by token, so that what is written over of the first is held in pieces.
    session.read_prompt([5] * 60).wait()
    session.generate(140, program=endless(session)).wait()
    second = session.head
    assert first is not None
    assert second is not None
    write = GrowingLayer.write

    def fail_at_the_second_piece(self: GrowingLayer, start: int, *states: torch.Tensor) -> None:
        if start > 60:
            raise OSError("injected")
        write(self, start, *states)

    session.switch(first)
    with monkeypatch.context() as patch:
        patch.setattr(GrowingLayer, "write", fail_at_the_second_piece)
        job = session.generate(1)
        with pytest.raises(OSError, match="injected"):
            job.wait()
    session.switch(second)
    assert_whole(session)
