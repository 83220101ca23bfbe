"""The README's Python runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import itwidgets
from itwidgets import Engine

ROOT = Path(__file__).parents[2]


def test_the_examples_run(smollm: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(itwidgets, "load", lambda: smollm, raising=False)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec("\n".join(blocks), names)  # noqa: S102 - the README is ours
    viewer = names["viewer"]
    assert isinstance(viewer, itwidgets.TokenStream)
    viewer.close()
    session = names["session"]
    assert isinstance(session, itwidgets.Session)
    assert [branch.start for branch in session.branches]
    assert (tmp_path / "france.html").is_file()
    assert (tmp_path / "france.itw.json").is_file()
    assert itwidgets.open(tmp_path / "france.itw.json").read_only


def test_the_pictures_are_there() -> None:
    pictures = re.findall(r"!\[[^]]+]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).is_file()
