"""Session files: exact, whole or refused, and data only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itwidgets.interventions import GREEDY, Ban, Bias, Program, Temperature, TopK, TopP
from itwidgets.tree import (
    COLUMNS,
    TOP_K,
    Column,
    Maker,
    Origin,
    Recipe,
    Route,
    TokenTree,
)
from itwidgets.tree.files import SavedSession, SessionFileError, read_session, save_session
from itwidgets.tree.json_record import record_to_json
from itwidgets.tree.labels import COLOURS
from tests.sessions import (
    IDENTITY,
    OTHER,
    VOCABULARY,
    assert_fits_schema,
    assert_same_session,
    document_of,
    write_document,
)

FIXTURES = Path(__file__).parents[1] / "fixtures" / "sessions"
PROGRAMS: list[Program | str] = [
    GREEDY,
    Program(),
    Temperature(0.8) >> TopP(0.9),
    Bias({3: 1.5}) >> Ban([1, 2]),
    "Mine(x=1)",
]


def _numbers(column: Column) -> st.SearchStrategy[Any]:
    """All values that a column may have."""
    if column.dtype.kind == "f":
        return st.floats(width=32)
    if column.name in ("token_id", "top_ids"):
        return st.integers(-1 if column.width > 1 else 0, 19)
    limits = np.iinfo(column.dtype)
    return st.integers(0 if column.name == "rank" else max(-1, limits.min), int(limits.max))


@pytest.fixture
def tree_of_one() -> TokenTree:
    """Give three rows that one model made."""
    tree = TokenTree(VOCABULARY)
    tree.record.note_maker(IDENTITY)
    for row in range(3):
        tree.append(parent=row - 1, token_id=row, origin=Origin.PROMPT, forward=0)
    return tree


@st.composite
def trees(draw: st.DrawFn) -> TokenTree:
    recipes = [
        Recipe(program, draw(st.integers(0, 2**64 - 1)), draw(st.sampled_from(["gumbel", "torch"])), 3)
        for program in draw(st.lists(st.sampled_from(PROGRAMS), max_size=3))
    ]
    tree = TokenTree(VOCABULARY)
    several_makers = draw(st.booleans())
    if several_makers:
        tree.record.note_maker(OTHER)
    for recipe in recipes:
        tree.record.intern(recipe)
    given = [c for c in COLUMNS if c.name not in ("parent", "position", "origin", "route", "recipe")]
    for row in range(draw(st.integers(0, 6))):
        values: dict[str, Any] = {
            column.name: draw(_numbers(column)) for column in given if column.width == 1
        }
        values |= {column.name: draw(_wide(column)) for column in given if column.width > 1}
        tree.append(
            parent=draw(st.integers(-1, row - 1)),
            origin=draw(st.sampled_from(Origin)),
            route=draw(st.sampled_from(Route)),
            recipe=draw(st.integers(-1, len(tree.record.recipes) - 1)),
            **values,
        )
    if not len(tree):
        return tree
    if several_makers:
        tree.record.note_maker(IDENTITY)
    path = tree.path(draw(st.integers(0, len(tree) - 1)))
    again = path[draw(st.integers(0, len(path) - 1)) :]
    tree.record.note_recomputed(again, renewed=again[draw(st.integers(0, len(again))) :])
    tree.sources[tree.children(-1)[0]] = draw(st.lists(st.integers(0, 19), max_size=3))
    for branch in tree.branches:
        tree.labels.change(
            branch.start,
            name=draw(st.none() | st.text(max_size=60)),
            colour=draw(st.none() | st.sampled_from(COLOURS)),
            hidden=draw(st.booleans()),
        )
    return tree


def _wide(column: Column) -> st.SearchStrategy[Any]:
    few = st.lists(_numbers(column), min_size=1, max_size=3)
    return few.map(lambda values: np.resize(np.array(values, column.dtype), TOP_K))


@given(tree=trees(), data=st.data())
def test_everything_comes_back_to_the_bit(tree: TokenTree, data: st.DataObject, scratch: Path) -> None:
    expected = SavedSession(tree, data.draw(st.integers(-1, len(tree) - 1), label="head"), IDENTITY)
    save_session(scratch, expected)
    assert_fits_schema(scratch)
    found = read_session(scratch)
    assert_same_session(found, expected)
    assert found.tree.record.makers == (tree.record.makers or (Maker(0, IDENTITY),))
    assert found.identity == found.tree.record.makers[-1].identity
    before = scratch.read_bytes()
    save_session(scratch, found)
    assert scratch.read_bytes() == before


@given(tree=trees())
def test_a_tree_that_was_read_grows_on(tree: TokenTree, scratch: Path) -> None:
    save_session(scratch, SavedSession(tree, -1, IDENTITY))
    found = read_session(scratch).tree
    assert (
        found.record.next_forward
        == max([int(i) for i in tree.column("forward")] + [n.forward for n in tree.record.recomputed] + [-1])
        + 1
    )
    for one in (tree, found):
        for _ in range(300):
            one.append(parent=len(one) - 1, token_id=3, origin=Origin.SAMPLED, entropy=1.5)
    for column in COLUMNS:
        np.testing.assert_array_equal(found.column(column.name), tree.column(column.name), strict=True)
    assert found.path(len(found) - 1) == tree.path(len(tree) - 1)


def test_who_opened_a_session_and_made_nothing_leaves_no_trace(path: Path) -> None:
    before = path.read_bytes()
    saved = read_session(path)
    saved.tree.record.note_maker(OTHER)
    save_session(path, SavedSession(saved.tree, saved.head, OTHER))
    assert path.read_bytes() == before


def test_a_tree_that_grows_by_another_model_while_it_is_saved_can_be_read(
    tree_of_one: TokenTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, rows = tree_of_one, len(tree_of_one)

    def growing(*arguments: Any) -> Any:
        # The columns are taken, and the rest of the file is not.
        tree.record.note_maker(OTHER)
        tree.append(parent=rows - 1, token_id=3, origin=Origin.SAMPLED, forward=tree.record.next_forward)
        return record_to_json(*arguments)

    monkeypatch.setattr("itwidgets.tree.files.record_to_json", growing)
    save_session(tmp_path / "growing", SavedSession(tree, rows - 1, IDENTITY))
    found = read_session(tmp_path / "growing")
    assert len(found.tree) == rows
    assert [maker.identity for maker in found.tree.record.makers] == [IDENTITY]


def test_a_big_tree_is_saved_and_read_whole(scratch: Path) -> None:
    rows = 20_000
    rng = np.random.default_rng(0)
    columns = {c.name: np.full((rows, c.width) if c.width > 1 else rows, c.missing, c.dtype) for c in COLUMNS}
    columns["parent"][:] = np.arange(rows) - 1
    columns["position"][:] = np.arange(rows)
    columns["token_id"][:] = rng.integers(0, 20, rows)
    columns["top_log_probs"][:] = rng.random((rows, TOP_K))
    expected = SavedSession(TokenTree.from_columns(VOCABULARY, columns), rows - 1, IDENTITY)
    save_session(scratch, expected)
    assert_same_session(read_session(scratch), expected)


def test_a_file_of_the_first_version_opens(tmp_path: Path) -> None:
    saved = read_session(FIXTURES / "version_1.itw.json")
    tree = saved.tree
    assert (len(tree), saved.head) == (17, 7)
    assert tree.token_ids(7) == [270, 300, 266, 420, 193, 499, 56, 152]
    assert tree.text(7).startswith("The capital of France")
    assert (saved.identity.name, saved.identity.dtype) == ("tiny-llama", "float32")
    assert (saved.identity.attention, saved.identity.environment) == (None, {})
    assert tree[4].origin is Origin.SAMPLED
    assert tree[4].surprisal == pytest.approx(13.748836)
    assert tree.column("top_ids")[4][0] >= 0
    # The numbers of forward calls were the engine's; the prompt of four was one call.
    assert tree.column("forward").tolist() == [0] * 4 + list(range(1, 14))
    assert tree.column("route").tolist() == [Route.PREFILL] * 4 + [Route.DECODE] * 13
    assert set(tree.column("recipe").tolist()) == {-1}
    save_session(tmp_path / "again.json", saved)
    assert_fits_schema(tmp_path / "again.json")
    assert_same_session(read_session(tmp_path / "again.json"), saved)


def test_a_file_of_the_second_version_opens(tmp_path: Path) -> None:
    saved = read_session(FIXTURES / "version_2.itw.json")
    tree = saved.tree
    assert (len(tree), saved.head) == (13, 12)
    assert tree.token_ids(12) == [270, 300, 266, 420, 239, 149, 42, 43, 328, 190]
    assert tree.column("recipe").tolist() == [-1] * 4 + [0] * 5 + [-1] * 2 + [1] * 2
    assert tree[4].program == Ban([0]) >> Bias({42: 1.5}) >> Temperature(1.3) >> TopK(60)
    assert len(tree.record.recomputed) == 2
    # It did not say which operators changed a row.
    assert set(tree.column("fired").tolist()) == {0}
    save_session(tmp_path / "again.json", saved)
    assert_fits_schema(tmp_path / "again.json")
    assert_same_session(read_session(tmp_path / "again.json"), saved)


def test_a_file_of_the_third_version_opens(tmp_path: Path) -> None:
    saved = read_session(FIXTURES / "version_3.itw.json")
    tree = saved.tree
    assert (len(tree), saved.head) == (12, 11)
    assert tree.token_ids(11) == [270, 300, 266, 420, 239, 149, 40, 41, 8, 92]
    assert tree.column("fired").tolist() == [0] * 4 + [15] * 4 + [0] * 2 + [1] * 2
    # It had no labels.
    assert [branch.name for branch in tree.branches] == ["Branch 1", "Branch 2"]
    save_session(tmp_path / "again.json", saved)
    assert_fits_schema(tmp_path / "again.json")
    assert_same_session(read_session(tmp_path / "again.json"), saved)


def test_a_file_of_the_third_version_with_labels_is_refused(tmp_path: Path) -> None:
    document = document_of(FIXTURES / "version_3.itw.json")
    document["content"]["labels"] = {"0": {"name": "too early"}}
    write_document(tmp_path / "early.json", document)
    with pytest.raises(SessionFileError, match="the content has 'labels', which version 3 does not know"):
        read_session(tmp_path / "early.json")


def test_an_interrupted_save_leaves_the_old_file_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    write = Path.write_text

    def torn(self: Path, text: str, **kwargs: Any) -> int:
        write(self, text[: len(text) // 2], **kwargs)
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_text", torn)
    with pytest.raises(OSError, match="no space left"):
        save_session(path, SavedSession(TokenTree(VOCABULARY), -1, IDENTITY))
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
