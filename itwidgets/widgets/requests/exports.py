"""Files of a session for the page to save, and the part of the front end that draws pictures."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import TYPE_CHECKING

from itwidgets.tree.files import SavedSession, session_text
from itwidgets.widgets.bundle import bundle_text
from itwidgets.widgets.html import page_of
from itwidgets.widgets.page import Message
from itwidgets.widgets.protocol import Request

if TYPE_CHECKING:
    from itwidgets.widgets.stream import TokenStream


def exported(viewer: TokenStream, request: Request) -> Message:
    """Write a file, which is the buffer of the answer. Called by the link."""
    name = request["format"]
    if name not in _FORMATS:
        raise ValueError(f"format is {name!r}, but must be one of {', '.join(_FORMATS)}")
    return {}, [_FORMATS[name](viewer).encode()]


def _html(viewer: TokenStream) -> str:
    snapshot, _ = viewer.snapshot()
    return page_of(viewer.session, snapshot["state"])


def _session(viewer: TokenStream) -> str:
    session = viewer.session
    head = session.head.row if session.head else -1
    return session_text(SavedSession(session.tree, head, session.identity))


def _csv(viewer: TokenStream) -> str:
    # Every text is quoted: a token may be a lone carriage return.
    return viewer.session.tree.to_frame().to_csv(quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")


_FORMATS: dict[str, Callable[[TokenStream], str]] = {
    "html": _html,
    "session": _session,
    "csv": _csv,
    "pictures": lambda _: bundle_text("picture.js"),
}
