"""Jobs: waiting, awaiting, stopping at any point, and errors that leave everything whole."""

from __future__ import annotations

import asyncio
import gc
import threading
import traceback
import weakref
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
import torch

from itwidgets import Engine, Session
from itwidgets.engine import BusyError
from itwidgets.engine.decoding.calls import PREFILL_CHUNK
from itwidgets.engine.worker import StoppedError
from itwidgets.interventions import Operator, Step
from itwidgets.tree import Node
from tests.models import KINDS, PROMPT, fresh_log_probs, gate_at, tiny_engine


@pytest.fixture(params=["llama", "qwen3_next"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    engine = tiny_engine(request.param)
    yield engine
    engine.close()


@pytest.fixture
def session(engine: Engine) -> Session:
    return engine.session(PROMPT)


def _assert_whole(session: Session) -> None:
    """Tree and cache agree: what comes next, and after one more token, is what a fresh pass says."""
    for _ in range(2):
        end = len(session.new_nodes)
        np.testing.assert_allclose(
            session.distribution(end).log_probs,
            fresh_log_probs(session.engine.model, session.token_ids),
            atol=2e-4,
        )
        session.force(end, 42)


class TestStopping:
    def test_a_stop_ends_the_job_inside_the_step_that_is_under_way(self, session: Session) -> None:
        with gate_at(session.engine.model, 5) as gate:
            job = session.generate(max_new_tokens=100)
            gate.wait_until_reached()
            assert len(job.nodes) == 4
            session.stop()
            assert job.cancelled
            assert not job.done
            gate.open()
            nodes = job.wait(60)
        assert len(nodes) == 4
        assert nodes == session.new_nodes
        assert job.error is None
        _assert_whole(session)

    def test_a_stop_before_the_first_token_changes_nothing(self, session: Session, engine: Engine) -> None:
        other = engine.session(PROMPT)
        rows = len(session.tree)
        with gate_at(engine.model, 1) as gate:
            other.generate(max_new_tokens=1)
            gate.wait_until_reached()
            job = session.generate(max_new_tokens=5)
            job.cancel()
            gate.open()
            assert job.wait(60) == []
        assert len(session.tree) == rows
        _assert_whole(session)

    def test_a_prompt_is_stopped_inside_a_chunk(self, engine: Engine) -> None:
        session = engine.session([5])
        with gate_at(engine.model, 2) as gate:
            job = session.read_prompt([5, *[7] * (4 * PREFILL_CHUNK - 10)])
            gate.wait_until_reached()
            job.cancel()
            gate.open()
            job.wait(60)
        # Whole chunks stay as rows; the head is where it was.
        assert len(session.tree) == 1 + PREFILL_CHUNK
        assert session.token_ids == [5]
        _assert_whole(session)

    def test_a_stop_after_the_end_does_nothing(self, session: Session) -> None:
        job = session.generate(max_new_tokens=2)
        nodes = job.wait()
        job.cancel()
        assert job.wait() == nodes

    def test_leaving_the_loop_stops_the_job(self, session: Session) -> None:
        with gate_at(session.engine.model, 3) as gate:
            job = session.generate(max_new_tokens=100)
            stream = cast("Generator[Node]", iter(job))
            first = next(stream)
            gate.wait_until_reached()
            closing = threading.Thread(target=stream.close)
            closing.start()
            assert job.stop.wait(60)
            gate.open()
            closing.join(60)
            assert len(job.wait(60)) == 2
        assert job.nodes[0] == first

    def test_an_interrupt_stops_the_job(self, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
        with gate_at(session.engine.model, 2) as gate:
            job = session.generate(max_new_tokens=100)
            gate.wait_until_reached()
            wait = job._ending.wait

            def interrupted(timeout: float) -> Any:
                raise KeyboardInterrupt

            monkeypatch.setattr(job._ending, "wait", interrupted)
            with pytest.raises(KeyboardInterrupt):
                job.wait()
            assert job.cancelled
            gate.open()
            monkeypatch.setattr(job._ending, "wait", wait)
            assert len(job.wait(60)) == 1

    def test_reading_may_be_stopped_before_it_has_a_result(self, session: Session, engine: Engine) -> None:
        row = session.nodes[-1].row
        with gate_at(engine.model, 1) as gate:
            session.generate(max_new_tokens=1)
            gate.wait_until_reached()
            job = session.read_distribution(row)
            job.cancel()
            gate.open()
            with pytest.raises(StoppedError, match="distribution was stopped before it had a result"):
                job.wait(60)


class TestWaiting:
    def test_tokens_stream_while_the_job_runs(self, session: Session) -> None:
        with gate_at(session.engine.model, 3) as gate:
            job = session.generate(max_new_tokens=4)
            stream = iter(job)
            early = [next(stream), next(stream)]
            gate.wait_until_reached()
            assert not job.done
            gate.open()
            assert early + list(stream) == job.wait() == session.new_nodes

    def test_a_job_can_be_awaited(self, session: Session) -> None:
        async def main() -> list[Any]:
            return await asyncio.wait_for(session.generate(max_new_tokens=3), 60)

        assert asyncio.run(main()) == session.new_nodes

    def test_a_cancelled_await_leaves_the_job_running(self, session: Session) -> None:
        async def main() -> None:
            task = asyncio.ensure_future(job)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        with gate_at(session.engine.model, 1) as gate:
            job = session.generate(max_new_tokens=3)
            gate.wait_until_reached()
            asyncio.run(main())
            gate.open()
            assert len(job.wait(60)) == 3

    def test_a_wait_may_run_out_of_time_while_the_job_goes_on(self, session: Session) -> None:
        with gate_at(session.engine.model, 1) as gate:
            job = session.generate(max_new_tokens=2)
            gate.wait_until_reached()
            with pytest.raises(TimeoutError, match=r"generate, running> has not ended after 0.01 s"):
                job.wait(0.01)
            gate.open()
            assert len(job.wait(60)) == 2
        assert "done" in repr(job)


class TestBusy:
    def test_what_would_grow_or_move_a_growing_session_is_refused(self, session: Session) -> None:
        with gate_at(session.engine.model, 3) as gate:
            job = session.generate(max_new_tokens=4)
            gate.wait_until_reached()
            assert session.running == job
            head = session.nodes[0]
            for act in (
                lambda: session.force(0, 42),
                lambda: session.generate(max_new_tokens=1),
                lambda: session.switch(head),
                lambda: session.read_prompt([5]),
                session.undo,
                session.redo,
            ):
                with pytest.raises(BusyError, match=r"while the session is growing \(2 of 4 tokens\)"):
                    act()
            gate.open()
            assert len(job.wait(60)) == 4
        assert session.force(0, 42).token_id == 42

    def test_what_is_held_can_be_read_between_two_tokens(self, session: Session) -> None:
        with gate_at(session.engine.model, 3) as gate:
            job = session.generate(max_new_tokens=1000)
            gate.wait_until_reached()
            made: list[int] = []
            reading = session.read_distribution(session.nodes[0].row)
            reading.on_done(lambda: made.append(len(job.nodes)))
            gate.open()
            assert len(reading.wait(60)) == 520
            job.cancel()
            job.wait(60)
        # It did not wait for the other tokens.
        assert made[0] <= 4


@dataclass(frozen=True)
class FailsAt(Operator):
    """Raises at one position."""

    position: int
    stage = "intervention"

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        scores[:] = 0  # An operator that writes into its input must not reach the record either.
        if step.position == self.position:
            raise ZeroDivisionError("the operator's own fault")
        return scores


class TestErrors:
    def test_an_operators_error_ends_the_job_and_keeps_the_tokens(self, session: Session) -> None:
        job = session.generate(max_new_tokens=10, program=FailsAt(3))
        with pytest.raises(ZeroDivisionError, match="the operator's own fault"):
            list(job)
        assert isinstance(job.error, ZeroDivisionError)
        assert len(session.new_nodes) == 3
        node = session.new_nodes[2]
        exact = fresh_log_probs(session.engine.model, session.token_ids[:-1])
        assert node.surprisal == pytest.approx(-exact[node.token_id] / np.log(2), abs=1e-3)
        _assert_whole(session)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("error", [MemoryError("no memory left"), KeyboardInterrupt()], ids=repr)
    def test_an_error_between_two_layers_leaves_tree_and_cache_whole(
        self, kind: str, error: BaseException
    ) -> None:
        engine = tiny_engine(kind)
        session = engine.session(PROMPT)
        session.generate(max_new_tokens=4).wait()
        rows = len(session.tree)
        with _torn(engine.model, error):
            job = session.generate(max_new_tokens=4)
            with pytest.raises(type(error)):
                job.wait(60)
            with pytest.raises(type(error)):
                session.force(2, 42)
            with pytest.raises(type(error)):
                session.read_prompt([5, 6, 7]).wait(60)
        assert len(session.tree) == rows
        assert session.running is None
        _assert_whole(session)
        session.read_prompt([5, 6, 7]).wait(60)
        _assert_whole(session)
        engine.close()

    def test_a_torn_branch_is_not_the_only_one_that_works(self, session: Session) -> None:
        session.generate(max_new_tokens=6).wait()
        first = session.branches[0]
        session.force(2, 42)
        with _torn(session.engine.model, MemoryError()), pytest.raises(MemoryError):
            session.generate(max_new_tokens=4).wait()
        _assert_whole(session)
        session.switch(first)
        _assert_whole(session)

    def test_an_error_holds_nothing_of_its_step_and_still_says_where_it_was(self, session: Session) -> None:
        made: list[weakref.ref[torch.Tensor]] = []

        def tear(*_: Any) -> None:
            activation = torch.zeros(1000)
            made.append(weakref.ref(activation))
            try:
                raise ZeroDivisionError
            except ZeroDivisionError as error:
                raise MemoryError("no memory left") from error

        layer = cast("Any", session.engine.model).base_model.layers[1]
        hook = layer.register_forward_pre_hook(tear)
        job = session.generate(max_new_tokens=1)
        with pytest.raises(MemoryError) as raised:
            job.wait(60)
        hook.remove()
        gc.collect()
        assert made
        assert not any(one() is not None for one in made)
        printed = "".join(traceback.format_exception(raised.value))
        assert "in tear" in printed
        assert "ZeroDivisionError" in printed
        assert 'raise MemoryError("no memory left") from error' in printed


def _torn(model: Any, error: BaseException) -> Any:
    """Raise between the first layer and the second."""
    layers = getattr(model.base_model, "layers", None) or model.base_model.h

    def tear(*_: Any) -> None:
        raise error

    class Torn:
        def __enter__(self) -> None:
            self.hook = layers[1].register_forward_pre_hook(tear)

        def __exit__(self, *_: object) -> None:
            self.hook.remove()

    return Torn()
