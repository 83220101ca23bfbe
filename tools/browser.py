"""Find a Chromium for the browser tests and print its path.

In this order: the one that the environment variable ITWIDGETS_CHROMIUM names, one that is
installed, the one that Playwright has downloaded, one that Playwright can download now, and, for
root on a Debian-like system, the distribution's own package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

VARIABLE = "ITWIDGETS_CHROMIUM"
INSTALLED = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
# The fonts draw what the tests look at: box characters, accents and emoji.
DEBIAN_PACKAGES = ("chromium", "fonts-dejavu", "fonts-noto-color-emoji")
# What the project starts it with: vitest.config.mjs has the same list.
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",  # needed as root, in containers
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

VERSION_SECONDS = 60
DOWNLOAD_SECONDS = 300
PACKAGES_SECONDS = 600


class BrowserNotFoundError(RuntimeError):
    """No Chromium was found, and none could be installed."""


class Machine(Protocol):
    """What the search needs to know of a machine and may do to it."""

    def variable(self, name: str) -> str | None:
        """Give the environment variable's value, if it is set."""

    def which(self, name: str) -> str | None:
        """Give the full path of a program, if it is there."""

    def starts(self, path: str) -> bool:
        """Tell whether the program at that path starts at all."""

    def playwright_path(self) -> str | None:
        """Give the path at which Playwright keeps, or would keep, its Chromium."""

    def playwright_download(self) -> bool:
        """Let Playwright download its Chromium; tell whether that worked."""

    def is_debian_root(self) -> bool:
        """Tell whether packages can be installed with apt-get."""

    def apt_install(self, packages: Sequence[str]) -> bool:
        """Install Debian packages; tell whether that worked."""


def find_browser(machine: Machine) -> str:
    """Give the path of a Chromium that starts.

    Parameters
    ----------
    machine : Machine
        The machine to search, and if need be to install on.

    Raises
    ------
    BrowserNotFoundError
        With one sentence that says what to do.
    """
    named = machine.variable(VARIABLE)
    if named:
        if machine.starts(named):
            return named
        # Another browser than the one asked for would be a surprise.
        raise BrowserNotFoundError(f"{VARIABLE} is set to {named!r}, which does not start.")
    found = _installed(machine) or _playwright(machine) or _debian(machine)
    if found is None:
        raise BrowserNotFoundError(
            "No Chromium was found or could be installed: install Chromium or Google Chrome, "
            f"or set {VARIABLE} to the path of one."
        )
    return found


def _installed(machine: Machine) -> str | None:
    # Ubuntu's chromium-browser without its snap is there but does not start, hence the trial.
    paths = (machine.which(name) for name in INSTALLED)
    return next((path for path in paths if path and machine.starts(path)), None)


def _playwright(machine: Machine) -> str | None:
    path = machine.playwright_path()
    if path is None:
        return None
    if machine.starts(path):
        return path
    # Its libraries may be missing even after a download, hence the second trial.
    return path if machine.playwright_download() and machine.starts(path) else None


def _debian(machine: Machine) -> str | None:
    if machine.is_debian_root() and machine.apt_install(DEBIAN_PACKAGES):
        return _installed(machine)
    return None


class ThisMachine:
    """The machine that the script runs on."""

    def variable(self, name: str) -> str | None:
        """See `Machine`."""
        return os.environ.get(name)

    def which(self, name: str) -> str | None:
        """See `Machine`."""
        return shutil.which(name)

    def starts(self, path: str) -> bool:
        """See `Machine`."""
        return Path(path).is_file() and _succeeds([path, "--version"], VERSION_SECONDS)

    def playwright_path(self) -> str | None:
        """See `Machine`."""
        # Imported here: an installed browser is found without Playwright too.
        try:
            from playwright.sync_api import sync_playwright
        except ImportError:
            return None
        with sync_playwright() as playwright:
            return playwright.chromium.executable_path

    def playwright_download(self) -> bool:
        """See `Machine`."""
        _say("downloading Playwright's Chromium ...")
        command = [sys.executable, "-m", "playwright", "install", "--no-shell", "chromium"]
        return _succeeds(command, DOWNLOAD_SECONDS)

    def is_debian_root(self) -> bool:
        """See `Machine`."""
        is_root = hasattr(os, "geteuid") and os.geteuid() == 0
        return is_root and shutil.which("apt-get") is not None

    def apt_install(self, packages: Sequence[str]) -> bool:
        """See `Machine`."""
        _say(f"installing {', '.join(packages)} with apt-get ...")
        quiet = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=60"]
        # An outdated list of packages is worth a try, so the first result does not matter.
        _succeeds([*quiet, "update"], PACKAGES_SECONDS)
        return _succeeds([*quiet, "install", "-y", *packages], PACKAGES_SECONDS)


def _succeeds(command: Sequence[str], seconds: float) -> bool:
    """Run a command without input; say what it said only if it failed."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        _say(f"{command[0]} was given up after {seconds:.0f} s")
        return False
    except OSError as error:
        _say(f"{command[0]}: {error.strerror}")
        return False
    if result.returncode != 0:
        _say("\n".join(result.stdout.strip().splitlines()[-5:]))
    return result.returncode == 0


def _say(text: str) -> None:
    """Report progress beside the path, which alone goes to standard output."""
    print(text, file=sys.stderr)


def main() -> int:
    """Print the path of a Chromium, or one sentence that says what to do."""
    try:
        print(find_browser(ThisMachine()))
    except BrowserNotFoundError as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
