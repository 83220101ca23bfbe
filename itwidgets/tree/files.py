"""Sessions as files: one JSON document of plain data, never code."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from itwidgets.tree.columns import COLUMNS, Column, Origin
from itwidgets.tree.table import TokenTree
from itwidgets.tree.vocabulary import StoredVocabulary, TokenTexts

FORMAT = "itwidgets session"
VERSION = 1


@dataclass(frozen=True)
class ModelIdentity:
    """Which model made the tokens.

    Attributes
    ----------
    name
        As the user named it.
    model_fingerprint, tokenizer_fingerprint
        SHA-256 over what the weights and the vocabulary are.
    dtype
        Of the forward calls; figures of another dtype differ by its noise.
    vocabulary_size
        Number of tokens that a distribution is over.
    """

    name: str
    model_fingerprint: str
    tokenizer_fingerprint: str
    dtype: str
    vocabulary_size: int


@dataclass(frozen=True)
class SavedSession:
    """What a session file holds."""

    tree: TokenTree
    head: int
    identity: ModelIdentity


class SessionFileError(ValueError):
    """The file is not a whole session."""


def save_session(path: str | os.PathLike[str], session: SavedSession) -> None:
    """Write a session; a file of that name stays as it was until the new one is whole."""
    tree, target = session.tree, Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {os.fspath(target.parent)!r} to save {target.name!r} in")
    # The tree may grow meanwhile: all columns end at the same row.
    rows = len(tree)
    columns = {column.name: tree.column(column.name)[:rows] for column in COLUMNS}
    ids = {int(i) for name in ("token_id", "top_ids") for i in np.unique(columns[name]) if i >= 0}
    content = {
        "model": asdict(session.identity),
        "head": session.head,
        "strips_first_space": tree.vocabulary.strips_first_space,
        "tokens": {str(i): base64.b64encode(tree.vocabulary.token_bytes(i)).decode() for i in sorted(ids)},
        "columns": {name: _to_json(values) for name, values in columns.items()},
    }
    document = {
        "format": FORMAT,
        "version": VERSION,
        "digest": _digest(content),
        "content": content,
    }
    partial = target.with_name(target.name + ".partial")
    partial.write_text(json.dumps(document), encoding="utf-8")
    partial.replace(target)


def read_session(path: str | os.PathLike[str], vocabulary: TokenTexts | None = None) -> SavedSession:
    """Read a session file.

    Parameters
    ----------
    vocabulary
        Of the model that goes on with it; without one the tree knows the tokens in the file only.

    Raises
    ------
    SessionFileError
        When the file is cut off, was changed by hand, or is something else.
    """
    document = _document(Path(path))
    content = document["content"]
    if document.get("digest") != _digest(content):
        raise SessionFileError(f"{path} was changed after it was saved: its content does not fit its digest")
    tokens = {int(i): base64.b64decode(text) for i, text in content["tokens"].items()}
    stored = StoredVocabulary(tokens, content["strips_first_space"])
    tree = _tree(content["columns"], vocabulary or stored)
    return SavedSession(tree, content["head"], ModelIdentity(**content["model"]))


def _document(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SessionFileError(f"{path} is not a session file: it is no text") from None
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise SessionFileError(
            f"{path} is not a whole session file: it ends or breaks at character {error.pos} of {len(text)}"
        ) from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise SessionFileError(f"{path} is not a session file: its format is not {FORMAT!r}")
    if document.get("version") != VERSION:
        raise SessionFileError(
            f"{path} has version {document.get('version')!r}, but this release reads version {VERSION}"
        )
    if not isinstance(document.get("content"), dict):
        raise SessionFileError(f"{path} is not a whole session file: it has no content")
    return document


def _digest(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _tree(columns: dict[str, Any], vocabulary: TokenTexts) -> TokenTree:
    tree = TokenTree(vocabulary)
    arrays = {column.name: _from_json(columns[column.name], column) for column in COLUMNS}
    positions = arrays.pop("position")
    for row in range(len(positions)):
        values = {name: array[row] for name, array in arrays.items()}
        parent, token_id = int(values.pop("parent")), int(values.pop("token_id"))
        tree.append(parent=parent, token_id=token_id, origin=Origin(int(values.pop("origin"))), **values)
    return tree


def _to_json(values: npt.NDArray[Any]) -> list[Any]:
    """Nested lists; numbers that JSON lacks become null and texts, float32 in its shortest digits."""
    if values.ndim > 1:
        return [_to_json(row) for row in values]
    if not np.issubdtype(values.dtype, np.floating):
        return [int(value) for value in values]
    return [_number(float(str(value))) for value in values]


def _number(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)


def _from_json(values: list[Any], column: Column) -> npt.NDArray[Any]:
    shape = (len(values), column.width) if column.width > 1 else (len(values),)
    if not np.issubdtype(column.dtype, np.floating):
        return np.array(values, column.dtype).reshape(shape)
    return np.array(values, dtype=object).astype(np.float64).astype(column.dtype).reshape(shape)
