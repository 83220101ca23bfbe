"""The wheel holds all that a user needs, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Build the wheel and list the files in it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    result = subprocess.run([*command, str(ROOT)], capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (wheel,) = folder.glob("itwidgets-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_it_holds_the_bundle_and_the_type_marker(wheel_names: set[str]) -> None:
    static = {f"itwidgets/static/{name}" for name in ("widget.js", "widget.css", "picture.js")}
    expected = static | {"itwidgets/py.typed", "itwidgets/widgets/page.html"}
    assert expected <= wheel_names


def test_it_holds_the_schema_of_session_files(wheel_names: set[str]) -> None:
    assert "itwidgets/tree/session.schema.json" in wheel_names


def test_it_holds_the_license(wheel_names: set[str]) -> None:
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel_names)


def test_it_holds_every_module(wheel_names: set[str]) -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "itwidgets").rglob("*.py")}
    assert modules <= wheel_names


def test_it_holds_nothing_else(wheel_names: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel_names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"itwidgets"}
    assert not [name for name in wheel_names if "test" in name.lower()]
