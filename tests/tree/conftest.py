"""Session files to write over, or to take apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from itwidgets.tree.files import SavedSession, save_session
from tests.sessions import IDENTITY, grown_tree


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.itw.json"
    save_session(path, SavedSession(grown_tree(), 7, IDENTITY))
    return path


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a file that the examples of a property write over one another."""
    return tmp_path_factory.mktemp("scratch") / "a.itw.json"
