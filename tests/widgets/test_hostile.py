"""Texts that would be markup, code, control or nonsense elsewhere stay what they are.

`js/tests/hostile.test.ts` shows the same ones on the page.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from itwidgets import Engine
from itwidgets.tree import ModelIdentity, Origin, StoredVocabulary, TokenTree
from itwidgets.tree.files import SavedSession, read_session, save_session
from itwidgets.widgets.protocol import decode_tokens, encode_slice
from tests.widgets.page import FakePage

FIXTURE = Path(__file__).parents[1] / "fixtures" / "hostile.json"
HOSTILE: list[str | list[int]] = json.loads(FIXTURE.read_text(encoding="utf-8"))
TOKENS = {i: piece.encode() if isinstance(piece, str) else bytes(piece) for i, piece in enumerate(HOSTILE)}
TEXTS = [piece for piece in HOSTILE if isinstance(piece, str)]


def _tree() -> TokenTree:
    tree = TokenTree(StoredVocabulary(TOKENS))
    for token_id in TOKENS:
        tree.append(parent=token_id - 1, token_id=token_id, origin=Origin.SAMPLED, top_ids=token_id)
    return tree


def test_there_are_enough_and_each_is_another() -> None:
    assert len(set(TOKENS.values())) == len(TOKENS) > 200


def test_they_travel_to_the_page_as_bytes() -> None:
    tree = _tree()
    header, buffers = encode_slice(tree, tree.vocabulary, 0, len(tree), set())
    assert header["count"] == len(TOKENS)
    assert decode_tokens(buffers[-3:]) == TOKENS


def test_they_come_back_out_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "hostile.itw.json"
    identity = ModelIdentity("<script>\u202e{0}%s\n", "a" * 64, "b" * 64, "float32", len(TOKENS))
    tree = _tree()
    tree.record.note_maker(identity)
    save_session(path, SavedSession(tree, len(tree) - 1, identity))
    opened = read_session(path)
    assert [opened.tree.vocabulary.token_bytes(i) for i in TOKENS] == list(TOKENS.values())
    assert opened.tree.text(opened.head) == tree.text(len(tree) - 1)
    assert opened.identity.name == identity.name


def test_typed_they_are_the_text_of_the_tokens_that_they_become(
    shared_engine: Callable[[str], Engine],
) -> None:
    vocabulary = shared_engine("llama").vocabulary
    for text in filter(None, TEXTS):
        assert vocabulary.text(vocabulary.token_ids(text)) == text


@pytest.mark.parametrize(("kind", "field"), [("generate", "prompt"), ("force", "text")])
def test_half_a_character_is_refused_in_one_sentence(page: FakePage, kind: str, field: str) -> None:
    where = {"parent": 1} if kind == "force" else {}
    error = page.refused(kind, **{field: "a\ud83d"}, settings=page.viewer.settings, **where)
    assert error == {
        "type": "ValueError",
        "message": "the text holds half a character (U+D83D at 1): give whole characters",
    }
