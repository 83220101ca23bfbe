"""Files of a session for the page to save, and the part of the front end that draws pictures."""

from __future__ import annotations

import csv
from collections.abc import Callable

from itwidgets.engine import Session
from itwidgets.tree.files import SavedSession, session_text
from itwidgets.widgets.bundle import bundle_text
from itwidgets.widgets.html import page_of
from itwidgets.widgets.page import Message
from itwidgets.widgets.protocol import State


def exported(name: str, session: Session, state: State) -> Message:
    """Write a file of a session, in the state of a viewer: it is the buffer of the answer."""
    if name not in _FORMATS:
        raise ValueError(f"format is {name!r}, but must be one of {', '.join(_FORMATS)}")
    return {}, [_FORMATS[name](session, state).encode()]


def _session(session: Session, state: State) -> str:
    head = session.head.row if session.head else -1
    return session_text(SavedSession(session.tree, head, session.identity))


def _csv(session: Session, state: State) -> str:
    # Every text is quoted: a token may be a lone carriage return.
    return session.tree.to_frame().to_csv(quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")


_FORMATS: dict[str, Callable[[Session, State], str]] = {
    "html": page_of,
    "session": _session,
    "csv": _csv,
    "pictures": lambda *_: bundle_text("picture.js"),
}
