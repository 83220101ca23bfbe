"""The engine's one thread: fairness, many callers, its end, and what it leaves as it was."""

from __future__ import annotations

import gc
import itertools
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from itwidgets import Engine, Session
from itwidgets.engine.worker import Job, Steps, StoppedError, Worker
from itwidgets.tree import Node
from tests.models import PROMPT, gate_at, tiny_engine


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = tiny_engine()
    yield engine
    engine.close()


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("itwidgets engine")}


def test_work_that_comes_when_a_wait_has_just_timed_out_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    made, come, done = (threading.Event() for _ in range(3))

    def body(job: Job[None]) -> Steps[None]:
        done.set()
        yield

    class Late(threading.Condition):
        def wait(self, timeout: float | None = None) -> bool:
            if timeout is None or come.is_set():
                return super().wait(timeout)
            come.set()
            made.wait()
            one.submit("lane", Job("late", body))
            return False

    monkeypatch.setattr(threading, "Condition", Late)
    one = Worker("one")
    made.set()
    assert done.wait(60)
    one.close()


def test_the_model_runs_on_one_thread_that_is_not_ours(engine: Engine) -> None:
    seen: set[int] = set()
    hook = engine.model.register_forward_hook(lambda *_: seen.add(threading.get_ident()))
    base = engine.model.base_model.register_forward_hook(lambda *_: seen.add(threading.get_ident()))
    session = engine.session(PROMPT)
    session.generate(max_new_tokens=2).wait()
    session.distribution(0)
    hook.remove()
    base.remove()
    assert len(seen) == 1
    assert threading.get_ident() not in seen


def test_two_sessions_take_turns(engine: Engine) -> None:
    made: list[Session] = []
    first, second = engine.session(PROMPT), engine.session("A model reads")
    for session in (first, second):
        session.subscribe(lambda session=session: made.append(session))  # type: ignore[misc]
    with gate_at(engine.model, 1) as gate:
        jobs = [first.generate(max_new_tokens=20)]
        gate.wait_until_reached()
        jobs.append(second.generate(max_new_tokens=20))
        gate.open()
        for job in jobs:
            job.wait(60)
    turns = [made.index(session, 4) for session in (first, second)]
    # Neither waits for the end of the other.
    assert max(turns) < 10
    for session in (first, second):
        alone = engine.session(session.prompt_text)
        alone.generate(max_new_tokens=20).wait()
        assert alone.token_ids == session.token_ids


def test_200_jobs_of_four_threads_lose_nothing(engine: Engine) -> None:
    sessions = [engine.session(f"{PROMPT} {i}") for i in range(4)]

    def work(session: Session) -> list[Node]:
        nodes: list[Node] = []
        for i in range(25):
            nodes += session.generate(max_new_tokens=2, seed=i).wait(60)
            assert len(session.distribution(session.nodes[-1])) == 520
        return nodes

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(work, sessions))
    for session, nodes in zip(sessions, results, strict=True):
        assert session.new_nodes == nodes
        assert len(nodes) == 50
        alone = engine.session(session.prompt_text)
        alone.generate(max_new_tokens=50).wait()
        assert alone.token_ids == session.token_ids


def test_only_one_of_many_may_grow_a_session(engine: Engine) -> None:
    session = engine.session(PROMPT)
    with gate_at(engine.model, 1) as gate:

        def start(_: int) -> bool:
            try:
                session.generate(max_new_tokens=1)
            except RuntimeError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            started = list(pool.map(start, range(32)))
        gate.open()
    assert started.count(True) == 1


def test_the_switch_interval_is_put_back(engine: Engine) -> None:
    before = sys.getswitchinterval()
    session = engine.session(PROMPT)
    with gate_at(engine.model, 1) as gate:
        job = session.generate(max_new_tokens=2)
        gate.wait_until_reached()
        assert sys.getswitchinterval() < before
        gate.open()
        job.wait(60)
    engine.close()
    assert sys.getswitchinterval() == pytest.approx(before)


def test_closing_stops_all_jobs_and_says_so_afterwards() -> None:
    before = _threads()
    engine = tiny_engine()
    session, other = engine.session(PROMPT), engine.session(PROMPT)
    with gate_at(engine.model, 2) as gate:
        jobs: list[Any] = [session.generate(max_new_tokens=100)]
        gate.wait_until_reached()
        jobs.append(other.generate(max_new_tokens=100))
        closing = threading.Thread(target=engine.close)
        closing.start()
        assert jobs[1].stop.wait(60)
        gate.open()
        closing.join(60)
    assert _threads() <= before
    assert len(jobs[0].wait(60)) == 1
    assert jobs[1].wait(60) == []
    assert session.text.startswith(PROMPT)
    for act in (lambda: session.generate(max_new_tokens=1), lambda: session.distribution(0)):
        with pytest.raises(RuntimeError, match="the engine is closed: load the model again to go on"):
            act()
    engine.close()


def test_a_prompt_that_closing_stops_makes_no_session() -> None:
    engine = tiny_engine()
    late = engine.empty_session()

    def ask_until_refused() -> None:
        while True:
            late.read_prompt([5])

    with ThreadPoolExecutor(2) as pool, gate_at(engine.model, 1) as gate:
        opening = pool.submit(engine.session, PROMPT)
        gate.wait_until_reached()
        closing = pool.submit(engine.close)
        with pytest.raises(RuntimeError, match="the engine is closed"):
            ask_until_refused()
        gate.open()
        closing.result(60)
        with pytest.raises(StoppedError, match="the engine was closed while the prompt was read"):
            opening.result(60)


@pytest.mark.parametrize("count", [1, 3])
def test_a_stopped_force_or_adoption_says_so(engine: Engine, count: int) -> None:
    session = engine.session(PROMPT)
    other = engine.session(PROMPT)
    continuation = session.rollout(0, k=1, max_new_tokens=count)[0]
    acts: list[Any] = [lambda: session.force(0, [42] * count), lambda: session.adopt(continuation)]
    for kind, act in zip(("force", "adopt"), acts, strict=True):
        rows = len(session.tree)
        with ThreadPoolExecutor(1) as pool, gate_at(engine.model, 1) as gate:
            other.generate(max_new_tokens=1)
            gate.wait_until_reached()
            acting = pool.submit(act)
            while session.running is None:
                assert not acting.done()
            session.stop()
            gate.open()
            with pytest.raises(StoppedError, match=f"{kind} was stopped after 0 of {count} tokens"):
                acting.result(60)
        assert len(session.tree) == rows


_START = """
import signal, sys, threading
from itwidgets.interventions import Ban
from tests.models import PROMPT, tiny_engine
engine = tiny_engine(max_position_embeddings=100_000)
session = engine.session(PROMPT)
endless = Ban(sorted(engine.stop_ids))
"""


def _run(script: str) -> str:
    """Run a script in an interpreter of its own, and return what it prints if it ends well."""
    command = [sys.executable, "-c", _START + script]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def test_an_interpreter_ends_well_while_a_job_runs() -> None:
    script = """
job = session.generate(90_000, program=endless)
next(stream := iter(job))
print(job)
"""
    assert "generate, running" in _run(script)


def test_a_real_interrupt_of_who_waits_stops_the_job() -> None:
    script = """
# Who runs the tests in the background may have had interrupts ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

def interrupt():
    frame, names = sys._current_frames()[threading.main_thread().ident], []
    while frame is not None:
        names.append(frame.f_code.co_qualname)
        frame = frame.f_back
    if "Job._wait" in names and not sent:
        sent.append(1)
        signal.raise_signal(signal.SIGINT)

sent = []
session.subscribe(interrupt)
job = session.generate(90_000, program=endless)
try:
    job.wait()
except KeyboardInterrupt:
    print("interrupted", job.cancelled, len(job.wait(60)) < 90_000)
"""
    assert _run(script) == "interrupted True True\n"


def test_an_interrupt_between_two_waits_stops_the_job_too(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, asked = engine.session(PROMPT), itertools.count()

    def interrupted(job: Job[Any]) -> bool:
        if next(asked) == 2:
            raise KeyboardInterrupt
        return False

    with gate_at(engine.model, 1) as gate:
        job = session.generate(max_new_tokens=5)
        gate.wait_until_reached()
        with monkeypatch.context() as patched:
            patched.setattr(Job, "done", property(interrupted))
            with pytest.raises(KeyboardInterrupt):
                job.wait()
    assert job.cancelled


def test_a_refused_job_does_not_leave_the_session_busy(engine: Engine) -> None:
    session = engine.session(PROMPT)
    engine.close()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the engine is closed"):
            session.generate(max_new_tokens=1)
    assert session.running is None


def test_a_forgotten_engine_takes_its_thread_and_its_model_along() -> None:
    before = _threads()
    engine = tiny_engine()
    session = engine.session(PROMPT)
    session.generate(max_new_tokens=3).wait()
    session.distribution(1)
    (thread,) = _threads() - before
    model, watched = weakref.ref(engine.model), weakref.ref(engine)
    del engine, session
    gc.collect()
    thread.join(60)
    gc.collect()
    assert watched() is None
    assert model() is None
    assert not thread.is_alive()


def test_an_engine_says_what_it_is(engine: Engine) -> None:
    assert repr(engine) == "<Engine tiny-llama: 520 tokens, float32 on cpu>"
    assert engine.context_length == 1024
    assert (engine.capabilities.branches, engine.capabilities.rows) == ("held", "hidden state")


def test_the_model_is_left_as_it_was(engine: Engine) -> None:
    before = {name: value.clone() for name, value in engine.model.state_dict().items()}
    kinds = {name: type(module) for name, module in engine.model.named_modules()}
    session = engine.session(PROMPT)
    session.generate(max_new_tokens=3).wait()
    session.force(1, " London")
    assert {name: type(module) for name, module in engine.model.named_modules()} == kinds
    assert all(value.equal(before[name]) for name, value in engine.model.state_dict().items())
