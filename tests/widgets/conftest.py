"""A viewer on a tiny model, and a page that follows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import comm
import pytest

from itwidgets import Engine, TokenStream
from tests.models import PROMPT
from tests.widgets.page import FakePage, RecordingComm


@pytest.fixture(autouse=True)
def recording_comms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comm, "create_comm", RecordingComm)


@pytest.fixture
def show() -> Iterator[Callable[[TokenStream], FakePage]]:
    """Open a page on a viewer; all viewers are closed in the end."""
    shown: list[TokenStream] = []

    def open_page(viewer: TokenStream) -> FakePage:
        shown.append(viewer)
        return FakePage(viewer)

    yield open_page
    for viewer in shown:
        viewer.close()


@pytest.fixture
def page(engine: Engine, show: Callable[[TokenStream], FakePage]) -> FakePage:
    """A page that has read the prompt."""
    page = show(TokenStream(engine.session(PROMPT)))
    page.viewer.update_settings(page.viewer.settings | {"max_new_tokens": 6, "temperature": 0})
    page.ask("snapshot")
    page.settle()
    return page
