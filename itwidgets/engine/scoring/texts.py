"""From what a user gives to be scored to token ids, and what is put in front of them."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from itwidgets.engine.scoring.windows import Text
from itwidgets.interventions import is_whole
from itwidgets.tree import Vocabulary
from itwidgets.tree.vocabulary import whole_characters

Texts = str | Iterable[str | Sequence[int]]

BOS_POLICIES = ("auto", "add", "none")


def beginning(vocabulary: Vocabulary, bos: str) -> list[int]:
    """Return the tokens that begin each text.

    Parameters
    ----------
    bos
        ``"auto"``: what the tokenizer itself puts in front of a text, which may be nothing. ``"add"``: its
        BOS. ``"none"``: nothing.

    Raises
    ------
    ValueError
        When there is no such policy, or no BOS to add.

    Examples
    --------
    >>> beginning(engine.vocabulary, "auto"), beginning(engine.vocabulary, "add")
    ([], [1])
    """
    if bos not in BOS_POLICIES:
        raise ValueError(f"bos is {bos!r}, but must be one of {', '.join(map(repr, BOS_POLICIES))}")
    if bos == "none":
        return []
    if bos == "auto":
        return list(vocabulary.frame[0])
    if vocabulary.tokenizer.bos_token_id is None:
        raise ValueError(
            "bos is 'add', but this model has no token that begins a text (BOS): "
            "'auto' and 'none' are accepted"
        )
    return [int(vocabulary.tokenizer.bos_token_id)]


def encode_texts(texts: Texts, vocabulary: Vocabulary, prefix: Sequence[int]) -> list[Text]:
    """Return texts as token ids behind what begins a text; one that begins so itself gets nothing added.

    Raises
    ------
    TypeError
        When what is given is no text, no list of texts, or one of the texts is neither a string nor a list
        of token ids.
    ValueError
        When there is no text, one of them has no tokens, or an id is not in the vocabulary.

    Examples
    --------
    >>> [text.tokens for text in encode_texts(["Paris", [1, 2]], engine.vocabulary, [1])]
    [[1, 38634], [1, 2]]
    """
    if not isinstance(texts, str) and not _has_order(texts):
        raise TypeError(f"texts is of type {type(texts).__name__}, but must be a text or a list of texts")
    texts = [texts] if isinstance(texts, str) else list(texts)
    if not texts:
        raise ValueError("texts is empty, but at least one text is needed")
    return [_framed(_token_ids(i, text, vocabulary), list(prefix)) for i, text in enumerate(texts)]


def _framed(token_ids: list[int], prefix: list[int]) -> Text:
    if token_ids[: len(prefix)] == prefix:
        return Text(token_ids, len(prefix), 0)
    return Text(prefix + token_ids, len(prefix), len(prefix))


def _token_ids(index: int, text: Any, vocabulary: Vocabulary) -> list[int]:
    if isinstance(text, str):
        text = whole_characters(text)
        encoding = vocabulary.tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)
        token_ids = list(encoding["input_ids"])
    else:
        token_ids = list(text) if _has_order(text) else [None]
    if not token_ids:
        raise ValueError(f"text {index} is {text!r}, which has no tokens, but a text needs at least one")
    if not all(map(is_whole, token_ids)):
        raise TypeError(f"text {index} is {reprlib.repr(text)}, but must be a string or a list of token ids")
    return [vocabulary.token_id(i) for i in token_ids]


def _has_order(value: Any) -> bool:
    """Whether a value gives others one after another: lists, arrays of one dimension, columns of a table."""
    if isinstance(value, bytes | Mapping | Set) or getattr(value, "ndim", 1) != 1:
        return False
    return isinstance(value, Iterable)
