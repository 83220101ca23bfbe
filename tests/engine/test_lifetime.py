"""Memory of sessions and jobs that nobody refers to is free at once, without a collector."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from itwidgets import Engine, Session
from itwidgets.interventions import Ban
from tests.models import PROMPT, failure_at, tiny_engine


@pytest.fixture(scope="module")
def engine() -> Engine:
    return tiny_engine()


@pytest.fixture(autouse=True)
def collector_is_off() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def endless(session: Session) -> Ban:
    return Ban(sorted(session.engine.stop_ids))


def take_another_turn(engine: Engine) -> None:
    """Pass through the engine's thread: it lets go of a job only when it takes up the next."""
    engine.capabilities  # noqa: B018 - for what it waits


def fail(session: Session) -> None:
    with failure_at(session.engine.model, 1, 0), suppress(OSError):
        session.generate(3).wait()


def fail_to_force(session: Session) -> None:
    with failure_at(session.engine.model, 1, 0), suppress(OSError):
        session.force(0, 41)


def stop(session: Session) -> None:
    job = session.generate(500, program=endless(session))
    job.cancel()
    job.wait()


async def stream(session: Session) -> None:
    await session.generate(2)
    await session.start_rollout(0, k=2, max_new_tokens=2)


@pytest.mark.parametrize(
    "use",
    [
        lambda session: list(session.generate(2, program=endless(session))),
        lambda session: session.force(0, 42),
        lambda session: session.adopt(session.rollout(0, k=2, max_new_tokens=2)[1]),
        lambda session: session.distribution(0, endless(session)).stages,
        lambda session: session.score("Paris"),
        lambda session: asyncio.run(stream(session)),
        fail,
        fail_to_force,
        stop,
    ],
    ids=["stream", "force", "adopt", "stages", "score", "await", "fail", "fail to force", "stop"],
)
def test_a_session_that_is_gone_holds_nothing(engine: Engine, use: Callable[[Session], object]) -> None:
    session = engine.session(PROMPT)
    session.generate(3, program=endless(session)).wait()
    use(session)
    gone = weakref.ref(session)
    assert engine.pool.device_bytes > 0
    del session
    take_another_turn(engine)
    assert gone() is None
    assert engine.pool.device_bytes == 0


def test_a_rollout_that_is_gone_holds_nothing(engine: Engine) -> None:
    session = engine.session(PROMPT)
    before = engine.pool.device_bytes
    rollout = session.rollout(0, k=3, max_new_tokens=4)
    assert engine.pool.device_bytes - before == rollout.nbytes > 0
    del rollout
    take_another_turn(engine)
    assert engine.pool.device_bytes == before
