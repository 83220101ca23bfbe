"""The token table as a state machine: it only grows, and every view of it agrees."""

from __future__ import annotations

import math
import sys
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from itwidgets.information.names import COLUMN_NAMES
from itwidgets.tree import COLUMNS, Node, Origin, Route, StoredVocabulary, TokenTree

VOCABULARY = StoredVocabulary({i: bytes([65 + i]) for i in range(20)})
FIGURES = st.floats(width=32)


class GrowingTable(RuleBasedStateMachine):
    """Rows as plain dictionaries are the model."""

    def __init__(self) -> None:
        super().__init__()
        self.tree = TokenTree(VOCABULARY)
        self.rows: list[dict[str, Any]] = []

    @rule(data=st.data(), token_id=st.integers(0, 19), origin=st.sampled_from(Origin), surprisal=FIGURES)
    def append(self, data: st.DataObject, token_id: int, origin: Origin, surprisal: float) -> None:
        parent = data.draw(st.integers(-1, len(self.rows) - 1), label="parent")
        values: dict[str, Any] = {
            "parent": parent,
            "token_id": token_id,
            "origin": origin,
            "surprisal": surprisal,
        }
        row = self.tree.append(**values)
        assert row == len(self.rows)
        self.rows.append(values)

    @rule(data=st.data(), parent=st.integers(-9, 99))
    def refuse_unknown_parents(self, data: st.DataObject, parent: int) -> None:
        if not -1 <= parent < len(self.rows):
            with pytest.raises(ValueError, match=f"parent {parent} is not in the table"):
                self.tree.append(parent=parent, token_id=0, origin=Origin.SAMPLED)

    @invariant()
    def no_row_was_changed_or_lost(self) -> None:
        assert len(self.tree) == len(self.rows)
        for name in ("parent", "token_id", "origin"):
            assert self.tree.column(name).tolist() == [values[name] for values in self.rows]
        expected = np.array([values["surprisal"] for values in self.rows], np.float32)
        np.testing.assert_array_equal(self.tree.column("surprisal"), expected)

    @invariant()
    def parents_stand_before_and_positions_are_depths(self) -> None:
        for row, values in enumerate(self.rows):
            assert values["parent"] < row
            path = self.tree.path(row)
            assert len(path) - 1 == self.tree[row].position
            assert path[-1] == row
            assert [-1, *path[:-1]] == [self.rows[i]["parent"] for i in path]

    @invariant()
    def children_are_the_inverse_of_parent(self) -> None:
        for row in range(-1, len(self.rows)):
            expected = [i for i, values in enumerate(self.rows) if values["parent"] == row]
            assert list(self.tree.children(row)) == expected

    @precondition(lambda self: self.rows)
    @invariant()
    def branches_part_the_rows(self) -> None:
        branches = self.tree.branches
        covered = [node.row for branch in branches for node in branch.nodes]
        assert sorted(covered) == list(range(len(self.rows)))
        assert [branch.number for branch in branches] == list(range(1, len(branches) + 1))
        for branch in branches:
            assert self.tree.children(branch.tip.row) == ()
            parts_from = self.rows[branch.start]["parent"]
            assert parts_from == -1 or self.tree.children(parts_from)[0] != branch.start
            assert all(self.tree.branch_of(node.row) == branch for node in branch.nodes)
            assert self.tree.to_frame([branch.tip.row])["branch"].tolist() == [branch.number]


TestGrowingTable = GrowingTable.TestCase


def test_the_table_grows_beyond_its_capacity_and_old_views_stay() -> None:
    tree = TokenTree(VOCABULARY)
    row = tree.append(parent=-1, token_id=0, origin=Origin.PROMPT, surprisal=1.5)
    early = tree.column("surprisal")
    for i in range(1, 1100):
        row = tree.append(parent=row, token_id=i % 20, origin=Origin.SAMPLED, surprisal=i)
    assert early.tolist() == [1.5]
    assert len(tree) == 1100
    assert tree.column("surprisal").tolist() == [1.5, *range(1, 1100)]
    assert tree.path(row) == list(range(1100))
    assert len(tree.text(row)) == 1100


def test_a_reader_between_any_two_lines_of_append_sees_whole_rows() -> None:
    tree = TokenTree(VOCABULARY)
    tree.append(parent=-1, token_id=0, origin=Origin.PROMPT, surprisal=0.0)
    looks = 0

    def look(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal looks
        if frame.f_code is not TokenTree.append.__code__ or event != "line":
            return look
        looks += 1
        length = len(tree)
        for column in COLUMNS:
            assert len(tree.column(column.name)) == length
        assert tree.column("surprisal").tolist() == list(range(length))
        for branch in tree.branches:
            assert branch.tip.row < length
            assert branch.text == "A" * len(branch.nodes)
        for row in range(length):
            assert all(tree[child].parent == tree[row] for child in tree.children(row))
        return look

    before = sys.gettrace()
    try:
        # The last one makes the table grow.
        for row in range(1, 257):
            if row % 20 == 0 or row == 256:
                sys.settrace(look)
            tree.append(parent=(row - 1) // 2, token_id=0, origin=Origin.SAMPLED, surprisal=row)
            sys.settrace(None)
    finally:
        sys.settrace(before)
    assert looks > 100


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_a_column_is_read_only_and_has_its_declared_form(column: Any) -> None:
    tree = TokenTree(VOCABULARY)
    tree.append(parent=-1, token_id=1, origin=Origin.PROMPT)
    view = tree.column(column.name)
    assert view.dtype == column.dtype
    assert view.shape == ((1, column.width) if column.width > 1 else (1,))
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 0
    if column.name not in ("parent", "token_id", "position", "origin"):
        np.testing.assert_array_equal(view, np.full(view.shape, column.missing, column.dtype))


def test_no_measure_can_have_the_name_of_a_column() -> None:
    assert {column.name for column in COLUMNS} == COLUMN_NAMES


def test_a_node_reads_its_row() -> None:
    tree = TokenTree(VOCABULARY)
    first = tree.append(parent=-1, token_id=1, origin=Origin.PROMPT)
    second = tree.append(
        parent=first, token_id=2, origin=Origin.FORCED, surprisal=3.0, rank=4, entropy=1.25, cost=3.0
    )
    node = tree[second]
    assert (node.token_id, node.text, node.bytes, node.position) == (2, "C", b"C", 1)
    assert (node.origin, node.rank, node.surprisal, node.probability) == (Origin.FORCED, 4, 3.0, 0.125)
    assert (node.entropy, node.cost) == (1.25, 3.0)
    assert node.parent == tree[first] == Node(tree, first)
    assert len({node, tree[second], tree[first]}) == 2
    assert tree[first].parent is None
    assert math.isnan(tree[first].surprisal)
    assert "3.000 bits" in repr(node)


@pytest.mark.parametrize("row", [-1, 1])
def test_a_row_outside_the_table_is_refused(row: int) -> None:
    tree = TokenTree(VOCABULARY)
    tree.append(parent=-1, token_id=1, origin=Origin.PROMPT)
    with pytest.raises(IndexError, match=rf"row {row} is not in the table: it has rows 0 to 0"):
        tree[row]


def test_columns_that_cannot_be_given_are_refused() -> None:
    tree = TokenTree(VOCABULARY)
    wrong: list[dict[str, Any]] = [{"position": 1}, {"probability": 1}]
    for values in wrong:
        with pytest.raises(TypeError, match=f"no such column to give: {next(iter(values))}"):
            tree.append(parent=-1, token_id=1, origin=Origin.PROMPT, **values)
    assert len(tree) == 0
    assert tree.children(-1) == ()


def test_a_row_that_fails_leaves_nothing_behind() -> None:
    tree = TokenTree(VOCABULARY)
    with pytest.raises(ValueError, match="could not broadcast"):
        tree.append(parent=-1, token_id=1, origin=Origin.FORCED, surprisal=3.0, top_ids=np.arange(3))
    assert len(tree) == 0
    row = tree.append(parent=-1, token_id=2, origin=Origin.PROMPT)
    assert math.isnan(tree[row].surprisal)
    assert (tree[row].origin, tree.children(-1)) == (Origin.PROMPT, (0,))


def test_whole_columns_make_the_tree_that_rows_made() -> None:
    tree = TokenTree(VOCABULARY)
    for row in range(40):
        tree.append(parent=row // 3 - 1, token_id=row % 20, origin=Origin.FORCED, forward=row, entropy=row)
    columns = {column.name: tree.column(column.name).copy() for column in COLUMNS}
    other = TokenTree.from_columns(VOCABULARY, columns)
    columns["parent"][:] = 99
    for one in (tree, other):
        one.append(parent=38, token_id=3, origin=Origin.SAMPLED, forward=one.record.next_forward)
    for column in COLUMNS:
        np.testing.assert_array_equal(other.column(column.name), tree.column(column.name), strict=True)
    assert [other.children(row) for row in range(-1, 41)] == [tree.children(row) for row in range(-1, 41)]
    assert [branch.start for branch in other.branches] == [branch.start for branch in tree.branches]
    assert other.to_frame()["branch"].tolist() == tree.to_frame()["branch"].tolist()


def test_columns_of_another_form_make_no_tree() -> None:
    tree = TokenTree(VOCABULARY)
    tree.append(parent=-1, token_id=1, origin=Origin.PROMPT)
    columns = {column.name: tree.column(column.name) for column in COLUMNS}
    with pytest.raises(ValueError, match=r"column rank has int64 of shape \(1,\), but must have int32"):
        TokenTree.from_columns(VOCABULARY, columns | {"rank": np.array([0])})
    with pytest.raises(ValueError, match=r"column top_ids has int32 of shape \(1,\), but must have int32 of"):
        TokenTree.from_columns(VOCABULARY, columns | {"top_ids": np.array([0], np.int32)})


def test_frames_carry_units_and_words() -> None:
    tree = TokenTree(VOCABULARY)
    first = tree.append(parent=-1, token_id=1, origin=Origin.PROMPT)
    tree.append(parent=first, token_id=2, origin=Origin.SAMPLED, route=Route.DECODE, surprisal=2.0)
    frame = tree.to_frame()
    assert frame.index.tolist() == [0, 1]
    assert frame["token"].tolist() == ["B", "C"]
    assert frame["branch"].tolist() == [1, 1]
    assert frame["origin"].tolist() == ["prompt", "sampled"]
    assert frame["route"].tolist() == ["prefill", "decode"]
    assert frame["surprisal_bits"].tolist()[1] == 2.0
    assert {"entropy_bits", "varentropy_bits2", "cost_bits", "rank", "position"} <= set(frame.columns)
    assert tree.to_frame([1])["token"].tolist() == ["C"]
    assert tree.to_frame([]).empty


def test_a_text_and_all_its_rows_have_the_source_of_its_first_row() -> None:
    tree = TokenTree(VOCABULARY)
    first = tree.append(parent=-1, token_id=0, origin=Origin.PROMPT, source=[7, 8])
    other = tree.append(parent=-1, token_id=0, origin=Origin.EDITED, source=[7])
    plain = tree.append(parent=-1, token_id=0, origin=Origin.PROMPT)
    end = tree.append(
        parent=tree.append(parent=other, token_id=1, origin=Origin.FORCED), token_id=2, origin=Origin.FORCED
    )
    assert tree.sources == {first: [7, 8], other: [7]}
    assert [tree.source(row) for row in (first, other, end, plain, -1)] == [[7, 8], [7], [7], None, None]
    prompts = {Origin.PROMPT, Origin.EDITED}
    assert tree.common_prefix([0, 1], prompts, [7, 8]) == [first]
    assert tree.common_prefix([0, 1], prompts, [7]) == [other]
    assert tree.common_prefix([0, 1], prompts) == [plain]
    assert tree.common_prefix([0, 1], prompts, [9]) == []


def test_a_source_belongs_to_the_first_token_alone() -> None:
    tree = TokenTree(VOCABULARY)
    row = tree.append(parent=-1, token_id=0, origin=Origin.PROMPT, source=[7])
    with pytest.raises(
        ValueError, match=r"parent is 0, but only the first token of a text \(-1\) has a source"
    ):
        tree.append(parent=row, token_id=1, origin=Origin.PROMPT, source=[7])
    assert len(tree) == 1
