"""The files of the built front end."""

from __future__ import annotations

from pathlib import Path

_STATIC = Path(__file__).parent.parent / "static"


def bundle_path(name: str) -> Path:
    """Return where a file of the front end is, or raise what to do when it is not built."""
    path = _STATIC / name
    if not path.is_file():
        raise FileNotFoundError(f"the front end is not built ({path} is missing): run `make lab` once")
    return path


def bundle_text(name: str) -> str:
    """Return a file of the front end."""
    return bundle_path(name).read_text(encoding="utf-8")
