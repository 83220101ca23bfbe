"""Sessions as files: one JSON document of plain data, never code.

``session.schema.json`` beside this file describes it. The schema is for others, and for tests: reading
checks more than a schema can say, and whole columns at once instead of number by number.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from itwidgets.interventions import NO_CODE, Allowed
from itwidgets.tree.columns import COLUMNS
from itwidgets.tree.identity import ModelIdentity
from itwidgets.tree.json_columns import (
    columns_from_json,
    columns_to_json,
    measures_from_json,
    measures_to_json,
    tokens_from_json,
)
from itwidgets.tree.json_labels import labels_from_json, labels_to_json
from itwidgets.tree.json_record import (
    maker_to_json,
    record_from_json,
    record_to_json,
    sources_from_json,
    sources_to_json,
)
from itwidgets.tree.json_values import Json, member, only, shown
from itwidgets.tree.record import Maker
from itwidgets.tree.table import TokenTree
from itwidgets.tree.versions import of_today
from itwidgets.tree.vocabulary import StoredVocabulary, TokenTexts

__all__ = ["ModelIdentity", "SavedSession", "SessionFileError", "read_session", "save_session"]

FORMAT = "itwidgets session"
VERSION = 4


@dataclass(frozen=True)
class SavedSession:
    """What a session file holds.

    Attributes
    ----------
    tree
        All tokens, and the record of how they were made.
    head
        Row that the session stood at, -1 before it has read a prompt.
    identity
        The model that made the last tokens.
    """

    tree: TokenTree
    head: int
    identity: ModelIdentity


class SessionFileError(ValueError):
    """The file is not a whole session."""


def save_session(path: str | os.PathLike[str], session: SavedSession) -> None:
    """Write a session; a file of that name stays as it was until the new one is whole."""
    write_whole(path, session_text(session))


def session_text(session: SavedSession) -> str:
    """Return a session as the text of its file."""
    content = _canonical(_content(session))
    head = f'{{"format": "{FORMAT}", "version": {VERSION}, "digest": "{_digest(content)}", "content": '
    return f"{head}{content}}}"


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write a file; one of that name stays as it was until the new one is whole."""
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {os.fspath(target.parent)!r} to save {target.name!r} in")
    partial = target.with_name(target.name + ".partial")
    # As it is, newlines too: the policy of a page names the digest of its script.
    partial.write_text(text, encoding="utf-8", newline="")
    partial.replace(target)


def _content(session: SavedSession) -> Json:
    tree = session.tree
    # The tree may grow meanwhile: all columns end at the same row.
    rows = len(tree)
    columns = {column.name: tree.column(column.name)[:rows] for column in tree.columns}
    vocabulary = tree.vocabulary
    record = record_to_json(tree.record, rows)
    calls = [int(columns["forward"].max(initial=-1)), *(call["forward"] for call in record["recomputed"])]
    return {
        "models": [maker_to_json(maker) for maker in _makers(session, 1 + max(calls))],
        "head": session.head,
        "strips_first_space": vocabulary.strips_first_space,
        "tokens": {
            str(i): base64.b64encode(vocabulary.token_bytes(i)).decode()
            for i in _mentioned(columns, tree.sources)
        },
        "columns": columns_to_json(columns, tree.columns),
        **measures_to_json(tree.measures),
        **record,
        **sources_to_json(tree.sources, rows),
        **labels_to_json(tree.labels, rows),
    }


def _makers(session: SavedSession, calls: int) -> Iterable[Maker]:
    """Return the models that made the forward calls up to a number."""
    makers = session.tree.record.makers or (Maker(0, session.identity),)
    # Who opened the session and made nothing leaves no trace, nor who makes the next row now.
    return [maker for maker in makers if maker.forward in range(max(1, calls))]


def _mentioned(columns: dict[str, npt.NDArray[Any]], sources: Mapping[int, Sequence[int]]) -> list[int]:
    """Ids of all tokens that the tree names, each once."""
    ids = {int(i) for name in ("token_id", "top_ids") for i in np.unique(columns[name])}
    return sorted(ids.union(*sources.values()) - {-1})


def read_session(
    path: str | os.PathLike[str], vocabulary: TokenTexts | None = None, allow: Allowed = NO_CODE
) -> SavedSession:
    """Read a session file.

    Parameters
    ----------
    path
        The JSON file, of this version of the format or an earlier one.
    vocabulary
        Of the model that goes on with it; without one the tree knows the tokens in the file only.
    allow
        Code that programs in the file may name. Of a program that names other code only its JSON is known.

    Raises
    ------
    SessionFileError
        When the file is cut off, was changed by hand, or is something else.
    """
    document = _document(Path(path))
    content = document["content"]
    if document.get("digest") != _digest(_canonical(content)):
        raise SessionFileError(f"{path} was changed after it was saved: its content does not fit its digest")
    try:
        return _session(of_today(content, document["version"]), vocabulary, allow)
    except ValueError as error:
        raise SessionFileError(f"{path} does not hold a session: {error}") from None


def _session(content: Json, vocabulary: TokenTexts | None, allow: Allowed) -> SavedSession:
    required = {"models", "head", "strips_first_space", "tokens", "columns", "recipes", "recomputed"}
    only("the content", content, required | {"sources", "measures", "labels"})
    tokens = tokens_from_json(member(content, "tokens", dict))
    stored = StoredVocabulary(tokens, member(content, "strips_first_space", bool))
    measures = measures_from_json(content)
    columns = columns_from_json(member(content, "columns", dict), (*COLUMNS, *measures))
    record = record_from_json(content, allow)
    if not record.makers:
        raise ValueError("models is empty, but must name the model that made the tokens")
    identity = record.makers[-1].identity
    size = identity.vocabulary_size
    tree = TokenTree.from_columns(
        vocabulary or stored,
        columns,
        record,
        sources_from_json(content),
        measures,
        labels_from_json(content),
    )
    for token_id in _mentioned(columns, tree.sources):
        if token_id not in tokens:
            raise ValueError(f"tokens has no bytes for token {token_id}")
        if token_id >= size:
            raise ValueError(f"token {token_id} is not in the vocabulary, which has {size}")
    head = member(content, "head", int)
    if not -1 <= head < len(tree):
        raise ValueError(f"head is row {head}, but rows -1 to {len(tree) - 1} are accepted")
    return SavedSession(tree, head, identity)


def _document(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SessionFileError(f"{path} is not a session file: it is no text") from None
    try:
        document = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise SessionFileError(
            f"{path} is not a whole session file: it ends or breaks at character {error.pos} of {len(text)}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise SessionFileError(f"{path} is not a session file: {error}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise SessionFileError(f"{path} is not a session file: its format is not {FORMAT!r}")
    version = document.get("version")
    if version not in range(1, VERSION + 1) or type(version) is not int:
        raise SessionFileError(
            f"{path} has version {shown(version)}, but this release reads versions 1 to {VERSION}"
        )
    if not isinstance(document.get("content"), dict):
        raise SessionFileError(f"{path} is not a whole session file: it has no content")
    return document


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _canonical(content: Json) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
