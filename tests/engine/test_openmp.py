"""The threads for parallel work: given back when a thread rests, and there again when it does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from itwidgets.engine import openmp
from itwidgets.engine.native.threads import can_run
from itwidgets.engine.openmp import release_threads

needs_gnu_openmp = pytest.mark.skipif(
    openmp._pause() is None or torch.get_num_threads() < 2, reason="no GNU OpenMP with several threads here"
)

# Threads are counted, so these run where no other engine has any.
_BEGINNING = """
import threading, psutil, torch
from itwidgets.engine import openmp, worker
from itwidgets.engine.worker import Job, Worker

extra = torch.get_num_threads() - 1
threads = psutil.Process().num_threads

def compute():
    return float(torch.ones(2**22).sum())

def body(job):
    yield
    compute()
    return threads()

def work_on(one):
    return one.submit("lane", Job("work", body)).wait(60)
"""


def _run(code: str) -> None:
    subprocess.run([sys.executable, "-c", _BEGINNING + code], check=True)


@needs_gnu_openmp
def test_threads_end_when_they_are_released_and_come_back() -> None:
    _run("""
alone = threads()
compute()
assert threads() == alone + extra, threads()
openmp.release_threads()
assert threads() == alone, threads()
assert compute() == 2**22
""")


@needs_gnu_openmp
def test_a_worker_gives_its_threads_back_when_it_has_nothing_to_do() -> None:
    _run("""
rested, release = threading.Semaphore(0), worker.release_threads
worker.release_threads = lambda: (release(), rested.release())
one = Worker("one")
assert rested.acquire(timeout=60)
alone = threads()
for _ in range(2):
    assert work_on(one) == alone + extra
    assert rested.acquire(timeout=60)
    assert threads() == alone, threads()
one.close()
""")


@pytest.fixture
def on_a_mac(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What comes with torch there is LLVM's OpenMP."""
    known = openmp.gnu_openmp, openmp._pause
    monkeypatch.setattr(sys, "platform", "darwin")
    for function in known:
        function.cache_clear()
    yield
    for function in known:
        function.cache_clear()


@pytest.mark.usefixtures("on_a_mac")
def test_without_gnu_openmp_nothing_happens() -> None:
    release_threads()
    assert openmp._pause() is None


@pytest.mark.usefixtures("on_a_mac")
def test_without_gnu_openmp_there_is_no_machine_code() -> None:
    assert not can_run(torch.float32)
