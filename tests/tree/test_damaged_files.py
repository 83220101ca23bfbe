"""Session files that are cut off, changed or made up: refused by one sentence, or what they say."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itwidgets.tree.files import SavedSession, SessionFileError, read_session, save_session
from tests.sessions import (
    IDENTITY,
    MEASURES,
    VALIDATOR,
    assert_fits_schema,
    assert_same_session,
    document_of,
    grown_tree,
    write_document,
)

FIXTURES = Path(__file__).parents[1] / "fixtures" / "sessions"


def _read_or_refused(path: Path) -> SavedSession | None:
    """What a file holds, or nothing if it is refused by a sentence. No other error passes."""
    try:
        return read_session(path)
    except SessionFileError as error:
        sentence = str(error)
    assert sentence.startswith(str(path))
    assert "\n" not in sentence
    return None


@given(data=st.data())
def test_a_file_cut_off_anywhere_is_refused(data: st.DataObject, scratch: Path) -> None:
    save_session(scratch, SavedSession(grown_tree(), 7, IDENTITY))
    whole = scratch.read_bytes()
    scratch.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1), label="bytes")])
    with pytest.raises(
        SessionFileError, match=r"is not a whole session file: it ends or breaks at character"
    ):
        read_session(scratch)


@given(data=st.data())
def test_a_changed_byte_never_gives_another_session(data: st.DataObject, scratch: Path) -> None:
    expected = SavedSession(grown_tree(), 7, IDENTITY)
    save_session(scratch, expected)
    content = bytearray(scratch.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1), label="place")] = data.draw(st.integers(0, 255))
    scratch.write_bytes(content)
    found = _read_or_refused(scratch)
    if found is not None:
        # A space between two members may have become a line's end.
        assert_same_session(found, expected)


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
        ({"version": 99}, "has version 99, but this release reads versions 1 to 4"),
        ({"version": None}, "has version None, but this release reads versions 1 to 4"),
        ({"version": True}, "has version True, but this release reads versions 1 to 4"),
        ({"version": 1}, "does not hold a session: column top_ids|does not hold a session: top_ids is"),
        ({"digest": None}, "was changed after it was saved"),
        ({"content": None}, "is not a whole session file: it has no content"),
    ],
)
def test_another_document_is_refused(path: Path, changes: dict[str, Any], sentence: str) -> None:
    path.write_text(json.dumps(document_of(path) | changes))
    with pytest.raises(SessionFileError, match=sentence):
        read_session(path)


@pytest.mark.parametrize(
    "content",
    [b"[]", b"null", b'"text"', b"12", b"\x80\x04\x95", b"\xff\xfe\x00", b"[" * 100_000, b"9" * 5000, b"NaN"],
)
def test_a_file_of_another_kind_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(SessionFileError, match=r"is not a (whole )?session file"):
        read_session(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json"):
        read_session(tmp_path / "nowhere.json")


# ---------------------------------------------------------------- files with a digest that fits


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value, but the numbers of a list for its ends."""
    found = [place] if place else []
    if isinstance(value, dict):
        children: Any = value.items()
    else:
        children = list(enumerate(value))[:: max(1, len(value) - 1)] if isinstance(value, list) else ()
    return found + [inner for key, child in children for inner in _places(child, (*place, key))]


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-3, 30)
    | st.floats(allow_nan=False)
    | st.text(max_size=3)
    | st.sampled_from(["inf", "nan", "-inf", "AAAA", "====", 1e300, 10**400]),
    lambda children: (
        st.lists(children, max_size=2) | st.dictionaries(st.text(max_size=3), children, max_size=2)
    ),
    max_leaves=3,
)


@given(data=st.data())
def test_any_change_is_refused_or_means_what_it_says(data: st.DataObject, scratch: Path) -> None:
    save_session(scratch, SavedSession(grown_tree(), 7, IDENTITY))
    document = document_of(scratch)
    place = data.draw(st.sampled_from(_places(document["content"])), label="place")
    *outer, last = place
    parent = document["content"]
    for key in outer:
        parent = parent[key]
    change = data.draw(st.sampled_from(["set", "set", "delete", "add"]), label="change")
    if change == "set":
        parent[last] = data.draw(ANYTHING, label="value")
    elif change == "delete":
        del parent[last]
    elif isinstance(parent, dict):
        parent[data.draw(st.text(max_size=5))] = data.draw(ANYTHING)
    else:
        parent.append(data.draw(ANYTHING))
    write_document(scratch, document)
    found = _read_or_refused(scratch)
    if found is not None:
        assert VALIDATOR.is_valid(document)
        save_session(scratch, found)
        again, changed = _rounded(document_of(scratch)["content"]), _rounded(document["content"])
        # Of tokens that nothing names no one asks.
        assert again.pop("tokens").items() <= changed.pop("tokens").items()
        assert again == changed


def _rounded(content: dict[str, Any]) -> dict[str, Any]:
    """Figures as float32; programs that no release reads as the text they are kept as."""
    content = {"sources": {}, "labels": {}, **copy.deepcopy(content)}
    for column in MEASURES:
        values = content["columns"][column.name]
        content["columns"][column.name] = [
            float(np.float32(v)) if isinstance(v, float | int) else v for v in values
        ]
    for recipe in content["recipes"]:
        if not isinstance(recipe["program"], str):
            recipe["program"] = json.dumps(recipe["program"], sort_keys=True, separators=(",", ":"))
    return content


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (("columns", "parent", 3), 5, "parent of row 3 is 5, but must be -1 or an earlier row"),
        (("columns", "parent", 3), -2, "parent of row 3 is -2, but must be -1 or an earlier row"),
        (("columns", "parent", 3), 1.0, "parent of row 3 is 1.0, but must be a whole number"),
        (("columns", "parent", 3), 2**31, "column parent has a number beyond int32"),
        (("columns", "position", 3), 7, "position of row 3 is 7, but must be the number of rows before it"),
        (("columns", "token_id", 3), -1, "token_id of row 3 is -1, but must be at least 0"),
        (("columns", "token_id", 3), 20, "tokens has no bytes for token 20"),
        (
            ("columns", "origin", 3),
            4,
            r"origin of row 3 is 4, but must be one of 0 \(prompt\), 1 \(sampled\)",
        ),
        (("columns", "route", 3), 3, "route of row 3 is 3, but must be one of 0 .* 2 .rollout."),
        (("columns", "recipe", 3), 2, "recipe of row 3 is 2, but must be below 2, the number of recipes"),
        (("columns", "surprisal", 3), "nan", "column surprisal has a text, which must be 'inf' or '-inf'"),
        (("columns", "surprisal", 3), True, "surprisal of row 3 is True, but must be a number or null"),
        (("columns", "surprisal", 3), 1e39, "column surprisal has a number beyond float32"),
        (("columns", "surprisal", 3), 10**400, "column surprisal has a number beyond float32"),
        (("columns", "surprisal"), [1.0], "column surprisal has 1 rows, but column parent has 8"),
        (("columns", "top_ids"), "AAAA", "column top_ids has 3 bytes, but 8 rows take 1600"),
        (("columns", "top_ids"), "AA\n", "column top_ids is no base64"),
        (("columns", "more"), [], "columns has 'more', which is unknown"),
        (("tokens", "x"), "AAAA", "tokens has 'x', which is no token id"),
        (("tokens", "3"), 5, "token 3 is 5, which is no base64"),
        (("head",), 8, "head is row 8, but rows -1 to 7 are accepted"),
        (("head",), -2, "head is row -2, but rows -1 to 7 are accepted"),
        (("head",), "7", "head is '7', but must be a whole number"),
        (("strips_first_space",), 1, "strips_first_space is 1, but must be true or false"),
        (("models",), [], "models is empty, but must name the model that made the tokens"),
        (("models", 0, "forward"), 1, r"the models start at forward calls \[1, 8\], but must do so at 0"),
        (("models", 1, "forward"), 9, "a model starts at forward call 9, but there are 9"),
        (("models", 1, "route"), "x", "route is 'x', but must be one of plain, packed, fused"),
        (("models", 1, "attention"), 1, "attention is 1, but must be a text"),
        (("models", 1, "vocabulary_size"), 4, "token 4 is not in the vocabulary, which has 4"),
        (("models", 1, "environment"), None, "environment is None, but must be an object"),
        (("recipes", 0, "seed"), -1, "seed is -1, but must be a whole number of at least 0"),
        (("recipes", 0, "sampling"), "dice", "sampling is 'dice', but must be one of gumbel, torch"),
        (("recipes", 0, "start"), None, "start is None, but must be a whole number"),
        (("recipes", 0, "program"), None, "program is None, but must be an object"),
        (("recipes", 0), 1, "a recipe is 1, but must be an object"),
        (("recomputed", 0, "forward"), 3, "forward call 3 stands twice, or out of order, in the record"),
        (("recomputed", 0, "rows"), [], "forward call 7 computes rows again that are not in the table"),
        (("recomputed", 0, "rows"), [0, 8], "forward call 7 computes rows again that are not in the table"),
        (
            ("recomputed", 0, "rows"),
            [0, 1],
            "forward call 7 computes rows again that are not one after another",
        ),
        (("recomputed", 0, "renewed"), [5], "forward call 7 renews rows that it does not compute"),
        (("sources",), {"2": [1]}, "row 2 has a source, but is not the first of a text"),
        (("sources",), {"x": [1]}, "sources has 'x', which is no row"),
        (("sources",), {"0": [-1]}, "source 0 has -1, but must have whole numbers of at least 0"),
        (("labels", "2"), {"name": "x"}, "row 2 has a label, but no branch starts there"),
        (("labels", "-1"), {"name": "x"}, "labels has '-1', which is no row"),
        (("labels", "3"), "x", "a label is 'x', but must be an object"),
        (("labels", "3"), {}, "a label is {}, but must say a name, a colour, or that it is hidden"),
        (("labels", "3"), {"hidden": False}, "a label is {'hidden': False}, but must say a name, a colour"),
        (("labels", "3", "name"), 5, "name is 5, but must be a text"),
        (("labels", "3", "name"), "", "name has 0 characters, but 1 to 60 are accepted"),
        (("labels", "3", "name"), "\ud800", r"name is '\\ud800', which has half of a surrogate pair"),
        (("labels", "3", "colour"), "teal", "colour is 'teal', but must be one of blue, orange, green, pink"),
        (("labels", "3", "colour"), ["blue"], r"colour is \['blue'\], but must be a text"),
        (("labels", "3", "size"), 1, "a label has 'size', which is unknown"),
        (("more",), 1, "the content has 'more', which is unknown"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    path: Path, place: tuple[Any, ...], value: Any, sentence: str
) -> None:
    document = document_of(path)
    parent = document["content"]
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    write_document(path, document)
    with pytest.raises(SessionFileError, match=f"does not hold a session: {sentence}"):
        read_session(path)


@pytest.mark.parametrize("name", ["version_1.itw.json", "version_2.itw.json", "version_3.itw.json"])
@given(data=st.data())
def test_a_changed_file_of_an_earlier_version_is_refused_or_read(
    name: str, data: st.DataObject, scratch: Path
) -> None:
    document = document_of(FIXTURES / name)
    place = data.draw(st.sampled_from(_places(document["content"])), label="place")
    parent = document["content"]
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = data.draw(ANYTHING, label="value")
    write_document(scratch, document)
    found = _read_or_refused(scratch)
    if found is not None:
        save_session(scratch, found)
        assert_fits_schema(scratch)


def test_a_program_that_cannot_be_read_here_is_kept_as_a_text(path: Path) -> None:
    document = document_of(path)
    program = {"version": 1, "operators": [{"operator": "Tomorrow", "x": 1}]}
    document["content"]["recipes"][0]["program"] = program
    write_document(path, document)
    recipe = read_session(path).tree.record.recipes[0]
    assert json.loads(str(recipe.program)) == program
    assert recipe.text is None
