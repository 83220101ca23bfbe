"""A real Jupyter server for the tests, with nothing of the user's own Jupyter in it.

JupyterLab is what it is started for. Notebook 7 and Voila are extensions of the same server, and have
addresses of their own on it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.error import URLError
from urllib.parse import quote

import nbformat

from tests.browser.process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

ROOT = Path(__file__).parents[2]

# Settings that keep toasts and questions out of the page.
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
}


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
        self._data = folder / "data"
        self._runtime = folder / "runtime"
        self._environment = {
            **os.environ,
            "JUPYTER_CONFIG_DIR": str(self._config),
            "JUPYTER_DATA_DIR": str(self._data),
            "JUPYTER_RUNTIME_DIR": str(self._runtime),
            "IPYTHONDIR": str(folder / "ipython"),
            "JUPYTER_PREFER_ENV_PATH": "1",  # the python3 kernel of this environment
            "HF_HUB_OFFLINE": "1",  # kernels take no model from the network
            "PYTHONPATH": str(ROOT),  # kernels import this copy of the project, and parts of its tests
        }
        self._process = ServerProcess("JupyterLab", self.log)

    def __enter__(self) -> Self:
        self.root.mkdir(parents=True)
        for name, settings in SETTINGS.items():
            path = self._config / "lab" / "user-settings" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(settings), encoding="utf-8")
        self._process.start(self._command(), self.root, self._environment, self._is_up)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.stop()

    def copy_in(self, folder: Path) -> None:
        """Copy a folder of notebooks into the root, under its own name."""
        shutil.copytree(folder, self.root / folder.name, ignore=shutil.ignore_patterns(".*"))

    def add_kernel(self, name: str, path: Path) -> None:
        """Have a kernel of this environment that finds the modules in a folder first."""
        folder = self._data / "kernels" / name
        folder.mkdir(parents=True, exist_ok=True)
        specification = {
            "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": name,
            "language": "python",
            "env": {"PYTHONPATH": os.pathsep.join([str(path), self._environment["PYTHONPATH"]])},
        }
        (folder / "kernel.json").write_text(json.dumps(specification), encoding="utf-8")

    def write_notebook(self, path: str, cells: Sequence[str], kernel: str = "python3") -> str:
        """Write a notebook of code cells; give back its path."""
        notebook = nbformat.v4.new_notebook(  # type: ignore[no-untyped-call]
            cells=[nbformat.v4.new_code_cell(source) for source in cells],  # type: ignore[no-untyped-call]
            metadata={"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}},
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

    def shut_down_kernels(self, *, but: str | None = None) -> None:
        """End every kernel but that of one notebook, so that no model stays in memory."""
        kept = self.kernel(but) if but is not None else None
        for kernel in self.request("GET", "api/kernels"):
            if kept is None or kernel["id"] != kept["id"]:
                self.request("DELETE", f"api/kernels/{kernel['id']}")

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
            # Let the helper run their own commands.
            "--LabApp.expose_app_in_browser=True",
            "--JupyterNotebookApp.expose_app_in_browser=True",
        ]

    def _is_up(self) -> bool:
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
