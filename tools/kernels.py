"""Install other versions of ipykernel beside the environment's own, for the tests of stopping.

Run by `make` when it sets the environment up. ipykernel is pure Python and 1 MB: a kernel that finds
one of these folders first on its path is a kernel of that version.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# The last version without subshells, with the one package that only it needs; and the last that lets
# the page choose the subshell by itself.
VERSIONS = {"6.31.0": ("nest-asyncio==1.6.0",), "7.3.0": ()}


def folder_of(version: str) -> Path:
    """Give the folder of a version, in the environment that runs this."""
    return Path(sys.prefix) / "ipykernels" / version


def main() -> None:
    """Install those that are not there."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    for version, others in VERSIONS.items():
        if not folder_of(version).exists():
            subprocess.run(
                [*pip, "--target", folder_of(version), f"ipykernel=={version}", *others], check=True
            )


if __name__ == "__main__":
    main()
