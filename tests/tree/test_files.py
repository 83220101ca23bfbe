"""Session files: exact, whole or refused, and data only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itwidgets.tree import COLUMNS, TOP_K, Origin, StoredVocabulary, TokenTree
from itwidgets.tree.files import ModelIdentity, SavedSession, SessionFileError, read_session, save_session

IDENTITY = ModelIdentity("a model", "a" * 64, "b" * 64, "float32", 20)
VOCABULARY = StoredVocabulary({i: bytes([0xF0 + i // 2, 65 + i]) for i in range(20)})
MEASURES = [c for c in COLUMNS if np.issubdtype(c.dtype, np.floating) and c.width == 1]
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "token_id": st.integers(0, 19),
            "origin": st.sampled_from(Origin),
            "forward": st.integers(-1, 2**31 - 1),
            "rank": st.integers(0, 2**31 - 1),
            **{column.name: st.floats(width=32) for column in MEASURES},
            "top_log_probs": st.floats(width=32).map(lambda x: np.full(TOP_K, x)),
            "top_ids": st.integers(-1, 19).map(lambda i: np.full(TOP_K, i)),
        }
    ),
    min_size=1,
    max_size=6,
)


def _tree(rows: list[dict[str, Any]]) -> TokenTree:
    tree = TokenTree(VOCABULARY)
    for index, values in enumerate(rows):
        tree.append(parent=index // 2 - 1, **values)
    return tree


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tree = _tree([{"token_id": i, "origin": Origin.SAMPLED, "surprisal": 1.5 + i} for i in range(8)])
    path = tmp_path / "a.itw.json"
    save_session(path, SavedSession(tree, 7, IDENTITY))
    return path


@given(rows=ROWS)
def test_every_column_comes_back_to_the_bit(rows: list[dict[str, Any]], tmp_path_factory: Any) -> None:
    tree = _tree(rows)
    path = tmp_path_factory.getbasetemp() / "round_trip.json"
    save_session(path, SavedSession(tree, len(tree) - 1, IDENTITY))
    saved = read_session(path)
    assert (saved.head, saved.identity) == (len(tree) - 1, IDENTITY)
    for column in COLUMNS:
        mine, theirs = tree.column(column.name), saved.tree.column(column.name)
        assert theirs.dtype == mine.dtype
        np.testing.assert_array_equal(theirs, mine, strict=True)
        if column in MEASURES:
            np.testing.assert_array_equal(np.signbit(theirs[mine == 0]), np.signbit(mine[mine == 0]))
    assert [n.start for n in saved.tree.branches] == [n.start for n in tree.branches]
    assert saved.tree.text(len(tree) - 1) == tree.text(len(tree) - 1)


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.999])
def test_a_file_cut_off_is_refused(path: Path, part: float) -> None:
    text = path.read_text()
    path.write_text(text[: int(len(text) * part)])
    with pytest.raises(
        SessionFileError, match=r"is not a whole session file: it ends or breaks at character"
    ):
        read_session(path)


def test_an_edited_figure_is_refused(path: Path) -> None:
    text = path.read_text()
    assert "1.5" in text
    path.write_text(text.replace("1.5", "1.6", 1))
    with pytest.raises(SessionFileError, match="was changed after it was saved"):
        read_session(path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": "another"}, "is not a session file: its format is not"),
        ({"version": 99}, "has version 99, but this release reads version 1"),
        ({"version": None}, "has version None, but this release reads version 1"),
        ({"digest": None}, "was changed after it was saved"),
        ({"content": None}, "is not a whole session file: it has no content"),
    ],
)
def test_another_document_is_refused(path: Path, changes: dict[str, Any], sentence: str) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(SessionFileError, match=sentence):
        read_session(path)


def test_a_document_without_content_is_refused(path: Path) -> None:
    document = json.loads(path.read_text())
    del document["content"]
    path.write_text(json.dumps(document))
    with pytest.raises(SessionFileError, match="it has no content"):
        read_session(path)


@pytest.mark.parametrize("content", [b"[]", b"null", b'"text"', b"12", b"\x80\x04\x95", b"\xff\xfe\x00"])
def test_a_file_of_another_kind_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(SessionFileError, match="is not a session file"):
        read_session(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json"):
        read_session(tmp_path / "nowhere.json")


def test_an_interrupted_save_leaves_the_old_file_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    write = Path.write_text

    def torn(self: Path, text: str, **kwargs: Any) -> int:
        write(self, text[: len(text) // 2], **kwargs)
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_text", torn)
    other = _tree([{"token_id": 0, "origin": Origin.PROMPT}])
    with pytest.raises(OSError, match="no space left"):
        save_session(path, SavedSession(other, 0, IDENTITY))
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert len(read_session(path).tree) == 8


def test_a_file_is_plain_data(path: Path) -> None:
    document = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert set(document) == {"format", "version", "digest", "content"}
    pending: list[Any] = [document]
    while pending:
        value = pending.pop()
        assert type(value) in (dict, list, str, int, float, bool, type(None))
        pending += value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
