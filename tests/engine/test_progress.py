"""How far a load is, in words; and the bars of other libraries, which are off meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
import transformers.utils.logging as transformers_logging

from itwidgets.engine.loading import progress
from itwidgets.engine.loading.progress import told_steps


def test_a_terminal_shows_the_step_and_clears_it(capsys: pytest.CaptureFixture[str]) -> None:
    with told_steps("Loading x") as tell:
        assert not transformers_logging.is_progress_bar_enabled()
        tell("reading the weights")
        assert "Loading x: reading the weights" in capsys.readouterr().err
    assert transformers_logging.is_progress_bar_enabled()
    captured = capsys.readouterr()
    assert captured.err.endswith("\r")
    assert captured.out == ""


def test_bars_come_back_after_an_error() -> None:
    with pytest.raises(OSError, match="no space"), told_steps("Loading x"):
        raise OSError("no space")
    assert transformers_logging.is_progress_bar_enabled()


def test_bars_that_the_user_switched_off_stay_off() -> None:
    transformers_logging.disable_progress_bar()
    try:
        with told_steps("Loading x") as tell:
            tell("a step")
        assert not transformers_logging.is_progress_bar_enabled()
    finally:
        transformers_logging.enable_progress_bar()


def test_a_notebook_has_one_line_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Handle:
        def update(self, line: Any) -> None:
            shown.append(repr(line))

    def display(line: Any, display_id: bool) -> Handle:
        assert display_id
        shown.append(repr(line))
        return Handle()

    monkeypatch.setattr(progress, "_in_notebook", lambda: True)
    monkeypatch.setattr(progress, "display", display)
    with told_steps("Loading x") as tell:
        tell("a step")
    assert shown == ["Loading x …", "Loading x: a step …", "Loading x: done."]
