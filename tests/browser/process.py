"""A server's process: started, awaited, ended."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

START_SECONDS = 60
STOP_SECONDS = 20


def wait_until(what: str, happened: Callable[[], bool], seconds: float) -> None:
    """Ask again and again until something has happened.

    Parameters
    ----------
    what : str
        What is awaited, for the message of the TimeoutError.
    happened : callable
        Tells whether it has.
    seconds : float
        How long to wait at most.
    """
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds:.0f} s still waiting for {what}")
        time.sleep(0.05)


class ServerProcess:
    """A server in a process of its own.

    Parameters
    ----------
    name : str
        What it is, for messages.
    log : Path
        The file that takes what it prints.
    """

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str], is_up: Callable[[], bool]
    ) -> None:
        """Start a command in a folder and wait until it is up."""
        with self.log.open("wb") as log:
            process = self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

        def lives_and_is_up() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"{self.name} did not start:\n{self.log.read_text()[-4000:]}")
            return is_up()

        try:
            wait_until(f"{self.name} to start", lives_and_is_up, START_SECONDS)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server, which ends its kernels first."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # The kernels notice that their parent is gone and end themselves.
            self._process.kill()
            self._process.wait()
