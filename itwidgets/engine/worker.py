"""The one thread that owns a model, and the jobs that it runs."""

from __future__ import annotations

import atexit
import itertools
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from typing import Any, Generic, TypeVar

import torch

from itwidgets.engine.endings import Ending, without_frames
from itwidgets.engine.openmp import release_threads
from itwidgets.engine.switch_interval import switch_interval

T = TypeVar("T")
Steps = Generator[None, None, T]
"""The body of a job: it yields where it may be stopped or let others go first."""

_ids = itertools.count(1)
_POLL_S = 0.1
_REST_S = 0.1  # so long threads are kept for the next click: idle ones slow others, as a user's cell


class _Here(threading.local):
    """What the current thread is, and the job that it runs."""

    worker: Worker | None = None
    job: Job[Any] | None = None


_here = _Here()


class StoppedError(RuntimeError):
    """The job was stopped before it had a result."""


class _StoppedInside(BaseException):
    """Unwinds a step whose job was asked to stop; no handler of errors on the way is to catch it."""


def stop_point() -> None:
    """Leave the running job here if it was asked to stop: for code inside a step, which runs for long."""
    if _here.job is not None and _here.job.stop.is_set():
        raise _StoppedInside


def put_back() -> None:
    """Put back what the turn of the running job began with: for code inside a step that has changed it."""
    if _here.job is not None:
        _here.job.before_turn()


def _nothing() -> None:
    pass


class Job(Generic[T]):
    """Work on the engine's thread: wait for it, await it, or cancel it.

    Cancelling stops it at the next token or prefill chunk; what was made until then stays, and
    ``partial`` is the result.

    Parameters
    ----------
    kind
        A word for messages.
    body
        Makes the steps of the job; it is given the job.

    Attributes
    ----------
    before_turn
        Called on the engine's thread whenever the job is to go on: puts back what other jobs have changed.
    worker
        What runs it, once it is submitted.
    """

    def __init__(self, kind: str, body: Callable[[Any], Steps[T]]) -> None:
        self.id = next(_ids)
        self.kind = kind
        self.stop = threading.Event()
        self._body = body
        self._steps: Steps[T] | None = None
        self.partial: T | None = None
        self._future: Future[T] = Future()
        self._ending = Ending()
        self.before_turn: Callable[[], None] = _nothing
        self.worker: Worker | None = None

    def __repr__(self) -> str:
        state = "done" if self.done else "stopping" if self.stop.is_set() else "running"
        return f"<Job {self.id} {self.kind}, {state}>"

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self._ending.has_come

    @property
    def cancelled(self) -> bool:
        """Whether it was asked to stop."""
        return self.stop.is_set()

    @property
    def error(self) -> BaseException | None:
        """What ended it, if it has ended by an error."""
        return self._future.exception() if self.done else None

    def cancel(self) -> None:
        """Ask it to stop at the next token; returns at once."""
        self.stop.set()

    def wait(self, timeout: float | None = None) -> T:
        """Block until it has ended and return its result; raise its error if it has one.

        An interrupt of the kernel stops the job. ``timeout`` is in seconds.

        Raises
        ------
        TimeoutError
            When it has not ended in time; it goes on.
        RuntimeError
            On the thread that has to run it, and on one that this thread waits for.
        """
        try:
            with nullcontext() if self.done else _awaited(self):
                self._wait(timeout)
            return self._future.result()
        finally:
            # An error that it raises holds this frame, and the job holds the error.
            del self

    def _wait(self, timeout: float | None) -> None:
        waited = 0.0
        try:
            while not self.done:
                # Who waits inside a step of another engine may be stopped too.
                stop_point()
                if timeout is not None and waited >= timeout:
                    raise TimeoutError(f"{self!r} has not ended after {timeout} s")
                step = _POLL_S if timeout is None else min(_POLL_S, timeout - waited)
                self._ending.wait(step)
                waited += step
        except (KeyboardInterrupt, _StoppedInside):
            self.cancel()
            raise

    def __await__(self) -> Generator[Any, None, T]:
        try:
            yield from self._ending.__await__()
            return self._future.result()
        finally:
            del self

    def on_done(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when it has ended: on the engine's thread, or at once if it has."""
        self._ending.then(callback)

    def advance(self) -> bool:
        """Run to the next point where it may stop; return whether there is more. For the worker."""
        _here.job = self
        try:
            self._go_on()
        except BaseException as end:  # noqa: BLE001 - whatever ended the job belongs to who waits for it
            self._end(end)
            return False
        finally:
            _here.job = None
            del self  # as in wait
        return True

    def _go_on(self) -> None:
        if self._steps is None:
            self._steps = self._body(self)
        if self.stop.is_set():
            raise _StoppedInside
        self.before_turn()
        next(self._steps)

    def _end(self, end: BaseException) -> None:
        try:
            # Between two steps they may have borrowed something, which they give back.
            if self._steps is not None:
                self._steps.close()
            if self.worker is not None:
                self.worker.after_job()
        except BaseException as error:  # noqa: BLE001 - as above
            end = error
        if isinstance(end, StopIteration):
            self._future.set_result(end.value)
        elif not isinstance(end, _StoppedInside):
            self._future.set_exception(without_frames(end))
        elif self.partial is None:
            self._future.set_exception(StoppedError(f"{self.kind} was stopped before it had a result"))
        else:
            self._future.set_result(self.partial)
        # They refer to the job, and what they hold would stay with it.
        self._steps, self.before_turn = None, _nothing
        del self._body
        self._ending.come()


class Worker:
    """Runs jobs on one thread: those of one lane in order, lanes in turn at token boundaries.

    Parameters
    ----------
    name
        Of the thread.
    after_job
        Called there when a job has ended, before those who wait for it go on.

    Attributes
    ----------
    awaits
        Another worker whose job a step here waits for.
    """

    def __init__(self, name: str, after_job: Callable[[], None] = _nothing) -> None:
        self.after_job = after_job
        self._lanes: OrderedDict[Hashable, deque[Job[Any]]] = OrderedDict()
        self._changed = threading.Condition()
        self._closed = False
        self.awaits: Worker | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        _workers.add(self)

    def submit(self, lane: Hashable, job: Job[T]) -> Job[T]:
        """Put a job at the end of a lane."""
        with self._changed:
            if self._closed:
                raise RuntimeError("the engine is closed: load the model again to go on")
            job.worker = self
            self._lanes.setdefault(lane, deque()).append(job)
            self._changed.notify()
        return job

    @property
    def is_here(self) -> bool:
        """Whether the current thread is its own."""
        return _here.worker is self

    def close(self) -> None:
        """Stop all jobs and end the thread."""
        with self._changed:
            self._closed = True
            for lane in self._lanes.values():
                for job in lane:
                    job.cancel()
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        _here.worker = self
        with torch.inference_mode():
            while (lane := self._next_lane()) is not None:
                with switch_interval.lowered():
                    while lane is not None:
                        self._advance(lane)
                        lane = self._next_lane(wait=False)

    def _next_lane(self, wait: bool = True) -> Hashable | None:
        with self._changed:
            rest: float | None = _REST_S
            while wait and not (self._lanes or self._closed):
                # Who comes when the time is over, before the lock is here, has woken nobody.
                if not (self._changed.wait(rest) or self._lanes or self._closed):
                    release_threads()
                    rest = None
            if not self._lanes:
                return None
            lane: Hashable = next(iter(self._lanes))
            self._lanes.move_to_end(lane)
            return lane

    def _advance(self, lane: Hashable) -> None:
        jobs = self._lanes[lane]
        if jobs[0].advance():
            return
        with self._changed:
            jobs.popleft()
            if not jobs:
                del self._lanes[lane]


_waiting = threading.Lock()


@contextmanager
def _awaited(job: Job[Any]) -> Iterator[None]:
    """Say that the current thread waits for a job; refuse it where both would wait forever."""
    here = _here.worker
    if here is None:
        yield
        return
    with _waiting:
        asked = job.worker
        while asked is not None and asked is not here:
            asked = asked.awaits
        if asked is here or job.worker is None:
            raise RuntimeError(
                f"{job!r} cannot be waited for on the engine's own thread, which has to run it: "
                "operators and callbacks must not wait"
            )
        here.awaits = job.worker
    try:
        yield
    finally:
        here.awaits = None


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    # A thread that still runs torch while the interpreter goes down can crash it.
    for worker in list(_workers):
        worker.close()
