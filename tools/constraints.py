"""Write the versions that are installed now to constraints.txt.

Run by `make constraints` after the environment has been made anew without constraints.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import distributions
from pathlib import Path

# The project itself, and what every virtual environment has.
LEFT_OUT = {"itwidgets", "pip"}


def pins() -> list[str]:
    """List `name==version` of all installed distributions, in alphabetical order."""
    found = {}
    for distribution in distributions():
        name = re.sub(r"[-_.]+", "-", distribution.name).lower()
        if name not in LEFT_OUT:
            # Without the local part: `2.13.0+cpu` is one machine's build of `2.13.0`.
            found[name] = distribution.version.partition("+")[0]
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def main() -> None:
    """Write the file that the command line names."""
    Path(sys.argv[1]).write_text("\n".join(pins()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
