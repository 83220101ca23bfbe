"""Files that a session can be written to by parts of the package that the session must not know of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

HTML = "html"

_writers: dict[str, Callable[[Any], str]] = {}


def register_writer(name: str, writer: Callable[[Any], str]) -> None:
    """Have a session written in a format by a function that returns the file's text."""
    _writers[name] = writer


def written(name: str, session: Any) -> str:
    """Return a session as the text of a file."""
    return _writers[name](session)
