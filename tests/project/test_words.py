"""What no file of the project may say, and how long a file may be."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Written in parts, so that this file passes its own test.
REGISTRY_HOSTS = tuple(
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("download", "pytorch", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("npmmirror", "com"),
        ("yarnpkg", "com"),
        ("hf-mirror", "com"),
        ("mirrors", "aliyun", "com"),
        ("tuna", "tsinghua", "edu", "cn"),
    ]
)
# A file is read in one sitting: about 300 lines, and never more than this.
MOST_LINES = 330


def tracked_files() -> list[Path]:
    """List the files that git tracks and that are there."""
    result = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607 - git, wherever it is
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if result.returncode != 0:
        pytest.skip("not in a git checkout")
    paths = [ROOT / name for name in result.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def text_of(path: Path) -> str:
    """Read a file as text; a picture has none."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def test_no_file_names_a_registry_host() -> None:
    offenders = {
        str(path.relative_to(ROOT)): host
        for path in tracked_files()
        for host in REGISTRY_HOSTS
        if host in text_of(path)
    }
    assert offenders == {}


def test_source_files_can_be_read_in_one_sitting() -> None:
    sources = [*(ROOT / "itwidgets").rglob("*.py")]
    sources += [path for path in (ROOT / "js" / "src").rglob("*") if path.is_file()]
    lengths = {str(path.relative_to(ROOT)): len(text_of(path).splitlines()) for path in sources}
    assert {path: count for path, count in lengths.items() if count > MOST_LINES} == {}
