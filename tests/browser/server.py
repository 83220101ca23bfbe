"""A real JupyterLab server for the tests, with nothing of the user's own Jupyter in it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any, Self
from urllib.error import URLError
from urllib.parse import quote

import nbformat

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

START_SECONDS = 60
STOP_SECONDS = 20
# Settings that keep toasts and questions out of the page.
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
}


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


class LabServer:
    """A JupyterLab server on a free port, whose every folder lies under one folder of the test's.

    Use it as a context manager. Notebooks lie in `root`; their paths are relative to it.

    Parameters
    ----------
    folder : Path
        An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.log = folder / "server.log"
        self.token = secrets.token_hex(16)
        self.url = ""
        self._config = folder / "config"
        self._runtime = folder / "runtime"
        self._environment = {
            **os.environ,
            "JUPYTER_CONFIG_DIR": str(self._config),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(self._runtime),
            "IPYTHONDIR": str(folder / "ipython"),
            "JUPYTER_PREFER_ENV_PATH": "1",  # the python3 kernel of this environment
            "HF_HUB_OFFLINE": "1",  # kernels take no model from the network
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.root.mkdir(parents=True)
        for name, settings in SETTINGS.items():
            path = self._config / "lab" / "user-settings" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(settings), encoding="utf-8")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self.root,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_until("JupyterLab to start", self._is_up, START_SECONDS)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def copy_in(self, folder: Path) -> None:
        """Copy a folder of notebooks into the root, under its own name."""
        shutil.copytree(folder, self.root / folder.name, ignore=shutil.ignore_patterns(".*"))

    def write_notebook(self, path: str, cells: Sequence[str]) -> str:
        """Write a notebook of code cells; give back its path."""
        notebook = nbformat.v4.new_notebook(  # type: ignore[no-untyped-call]
            cells=[nbformat.v4.new_code_cell(source) for source in cells],  # type: ignore[no-untyped-call]
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        )
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, target)  # type: ignore[no-untyped-call]
        return path

    def sessions(self) -> list[dict[str, Any]]:
        """List the running sessions, as the server's REST API describes them."""
        sessions: list[dict[str, Any]] = self.request("GET", "api/sessions")
        return sessions

    def kernel(self, path: str) -> dict[str, Any] | None:
        """Describe the kernel of a notebook: `id`, `execution_state`, `connections`."""
        kernels = (one["kernel"] for one in self.sessions() if one["path"] == path)
        return next(kernels, None)

    def shut_down_kernels(self) -> None:
        """End every kernel, so that no model stays in memory."""
        for session in self.sessions():
            self.request("DELETE", f"api/sessions/{session['id']}")

    def request(self, method: str, path: str) -> Any:
        """Call the server's REST API and decode its answer."""
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self.url}/{quote(path)}",
            method=method,
            headers={"Authorization": f"token {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            body = response.read()
        return json.loads(body) if body else None

    def _command(self) -> list[str]:
        return [
            sys.executable,
            "-m",
            "jupyterlab",
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            # Taken ports are passed over; which one it became stands in the runtime folder.
            f"--port={20_000 + secrets.randbelow(20_000)}",
            f"--ServerApp.root_dir={self.root}",
            f"--IdentityProvider.token={self.token}",
            "--LabApp.extension_manager=readonly",  # asks no registry
            "--LabApp.expose_app_in_browser=True",  # lets the helper run Lab's own commands
        ]

    def _is_up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"JupyterLab did not start:\n{self.log.read_text()[-4000:]}")
        if not self.url:
            for path in self._runtime.glob("jpserver-*.json"):
                try:
                    port = json.loads(path.read_text(encoding="utf-8"))["port"]
                except (json.JSONDecodeError, KeyError):
                    return False  # half written
                self.url = f"http://127.0.0.1:{port}"
        if not self.url:
            return False
        try:
            self.request("GET", "api/status")
        except (URLError, OSError):
            return False
        return True

    def _stop(self) -> None:
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
