"""Session files as the tests look at them: made up, against the published schema, and taken apart."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np

import itwidgets.tree
from itwidgets.interventions import Temperature, TopP
from itwidgets.tree import COLUMNS, TOP_K, ModelIdentity, Origin, Recipe, Route, StoredVocabulary, TokenTree
from itwidgets.tree.files import SavedSession

IDENTITY = ModelIdentity("a model", "a" * 64, "b" * 64, "float32", 20, "sdpa", "packed", {"torch": "2"})
OTHER = ModelIdentity("a modél", "a" * 64, "b" * 64, "bfloat16", 20)
VOCABULARY = StoredVocabulary({i: bytes([0xF0 + i // 2, 65 + i]) for i in range(20)})
MEASURES = [c for c in COLUMNS if c.dtype.kind == "f" and c.width == 1]

_SCHEMA = Path(itwidgets.tree.__file__).with_name("session.schema.json")


def _validator() -> Any:
    schema = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


VALIDATOR = _validator()


def document_of(path: Path) -> dict[str, Any]:
    """Read a session file as plain JSON."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def assert_fits_schema(path: Path) -> None:
    """Assert that a file is what the published schema says."""
    VALIDATOR.validate(document_of(path))


def write_document(path: Path, document: dict[str, Any]) -> None:
    """Write a document with the digest that fits its content."""
    content = json.dumps(document["content"], sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(content.encode()).hexdigest()
    path.write_text(json.dumps(document | {"digest": digest}), encoding="utf-8")


def grown_tree() -> TokenTree:
    """A tree that has a bit of everything."""
    tree = TokenTree(VOCABULARY)
    tree.record.note_maker(OTHER)
    drawn = tree.record.intern(Recipe(Temperature(0.5) >> TopP(0.9), seed=2**64 - 1))
    tree.record.intern(Recipe("Mine(x=1)", seed=0, sampling="torch", start=2))
    for row in range(8):
        tree.append(
            parent=row // 2 - 1,
            token_id=row,
            origin=Origin.PROMPT if row < 2 else Origin.SAMPLED,
            forward=max(0, row - 1),
            route=Route.PREFILL if row < 2 else Route.DECODE,
            recipe=drawn if row > 1 else -1,
            rank=row,
            surprisal=1.5 + row,
            entropy=float("inf"),
            cost=-0.0,
            top_ids=np.resize([3, -1], TOP_K),
        )
    tree.record.note_recomputed([0, 2, 6], renewed=[6])
    tree.sources[0] = [18, 19]
    tree.record.note_maker(IDENTITY)
    tree.record.note_recomputed([1], renewed=[])
    tree.labels.change(3, name="<b>the rude one</b> 🦜", colour="green")
    tree.labels.change(1, hidden=True)
    return tree


def assert_same_session(found: SavedSession, expected: SavedSession) -> None:
    mine, theirs = expected.tree, found.tree
    assert found.head == expected.head
    for column in COLUMNS:
        a, b = mine.column(column.name), theirs.column(column.name)
        np.testing.assert_array_equal(b, a, strict=True)
        if column.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(b[a == 0]), np.signbit(a[a == 0]))
    assert [mine.children(row) for row in range(-1, len(mine))] == [
        theirs.children(row) for row in range(-1, len(theirs))
    ]
    assert theirs.record.recomputed == mine.record.recomputed
    assert theirs.sources == mine.sources
    assert theirs.labels.all() == mine.labels.all()
    assert len(theirs.record.recipes) == len(mine.record.recipes)
    assert all(a.is_same(b) for a, b in zip(mine.record.recipes, theirs.record.recipes, strict=True))
    assert theirs.token_ids(found.head) == mine.token_ids(found.head)
    assert theirs.text(found.head) == mine.text(found.head)
