"""The version is stated once, in pyproject.toml."""

from __future__ import annotations

import json
import tomllib
from importlib.metadata import version
from pathlib import Path

import itwidgets

ROOT = Path(__file__).parents[2]


def test_the_package_tells_the_version_of_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert itwidgets.__version__ == version("itwidgets") == project["version"]


def test_the_changelog_has_an_entry_for_it() -> None:
    assert f"## [{version('itwidgets')}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_front_end_states_none_of_its_own() -> None:
    package = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    assert package["private"] is True
    assert "version" not in package
    assert "version" not in lock
    assert "version" not in lock["packages"][""]
