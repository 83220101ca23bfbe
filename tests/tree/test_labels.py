"""Labels of branches: what they accept, what stays, and who reads them."""

from __future__ import annotations

from typing import Any

import pytest

from itwidgets.tree import Branch, Origin, StoredVocabulary, TokenTree
from itwidgets.tree.labels import COLOURS, LONGEST_NAME, Label, Labels


@pytest.fixture
def tree() -> TokenTree:
    """Give a tree of two branches: AB and A, parting after the first token."""
    tree = TokenTree(StoredVocabulary({0: b"A", 1: b"B"}))
    first = tree.append(parent=-1, token_id=0, origin=Origin.PROMPT)
    for token_id in (1, 0):
        tree.append(parent=first, token_id=token_id, origin=Origin.SAMPLED)
    return tree


def test_a_branch_without_a_label_is_called_by_its_number(tree: TokenTree) -> None:
    assert [(branch.name, branch.colour, branch.hidden) for branch in tree.branches] == [
        ("Branch 1", None, False),
        ("Branch 2", None, False),
    ]
    assert repr(tree.branches[1]) == "Branch(2, start=2, text='A')"


def test_what_is_not_given_stays(tree: TokenTree) -> None:
    branch = tree.branches[1]
    tree.labels.change(branch.start, name="the rude one", colour="green")
    tree.labels.change(branch.start, hidden=True)
    # A branch holds no copy: one that was asked for before says it too.
    assert (branch.name, branch.colour, branch.hidden) == ("the rude one", "green", True)
    assert repr(branch) == "Branch(2, name='the rude one', start=2, text='A')"
    assert tree.branches[0].name == "Branch 1"
    tree.labels.change(branch.start, name=None, hidden=False)
    assert (branch.name, branch.colour, branch.hidden) == ("Branch 2", "green", False)
    tree.labels.change(branch.start, colour=None)
    assert tree.labels.all() == {}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("  a\tname ", "a\tname"),
        ("", None),
        (" \n ", None),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("שלום 🦜", "שלום 🦜"),
        ("x" * LONGEST_NAME, "x" * LONGEST_NAME),
    ],
)
def test_any_text_is_a_name_and_an_empty_one_is_none(given: str, name: str | None) -> None:
    labels = Labels()
    labels.change(0, name=given)
    assert labels.of(0).name == name


def test_two_branches_may_have_one_name() -> None:
    labels = Labels()
    labels.change(0, name="same")
    labels.change(7, name="same")
    assert labels.all() == {0: Label("same"), 7: Label("same")}


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"name": "x" * 61}, ValueError, "^name has 61 characters, but 1 to 60 are accepted$"),
        ({"name": 3}, TypeError, "^name is 3, but must be a text, or None$"),
        ({"name": "a\udc00"}, ValueError, "which has half of a surrogate pair: give whole characters$"),
        ({"colour": "teal"}, ValueError, "^colour is 'teal', but must be one of blue, orange, green, pink, "),
        ({"colour": ["blue"]}, ValueError, r"^colour is \['blue'\], but must be one of"),
        ({"hidden": 1}, TypeError, "^hidden is 1, but must be True or False$"),
        ({"color": "blue"}, TypeError, "^unknown label 'color': accepted are name, colour and hidden$"),
    ],
)
def test_what_is_refused_changes_nothing(changes: dict[str, Any], error: type, sentence: str) -> None:
    labels = Labels({4: Label("before", "pink")})
    with pytest.raises(error, match=sentence):
        labels.change(4, **({"hidden": True} | changes))
    assert labels.all() == {4: Label("before", "pink")}


def test_every_colour_is_accepted() -> None:
    assert [Label(colour=colour).colour for colour in COLOURS] == list(COLOURS)


def test_a_label_stays_with_its_branch_when_the_tree_grows(tree: TokenTree) -> None:
    labelled = tree.branches[1]
    tree.labels.change(labelled.start, name="mine")
    tree.append(parent=0, token_id=1, origin=Origin.FORCED)
    tree.append(parent=labelled.tip.row, token_id=1, origin=Origin.SAMPLED)
    names = [branch.name for branch in tree.branches]
    assert names == ["Branch 1", "mine", "Branch 3"]
    assert isinstance(tree.branch_of(4), Branch)
    assert tree.branch_of(4).name == "mine"
