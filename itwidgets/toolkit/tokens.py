"""From what people give as tokens to ids, with the argument's name in every error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from itwidgets.interventions import is_whole
from itwidgets.tree import Vocabulary

Token = int | str
"""An id, or the exact text of one token, its space included."""


def known_id(name: str, token: Any, vocabulary: Vocabulary) -> int:
    """Return the id of one token.

    Raises
    ------
    TypeError
        When it is neither an id nor a text.
    ValueError
        When the vocabulary has no such id, or the text is not exactly one token of it.
    """
    try:
        token_id = vocabulary.token_id(token)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None
    _require_known(name, token, [token_id], vocabulary)
    return token_id


def known_ids(name: str, tokens: Any, vocabulary: Vocabulary) -> list[int]:
    """Return the ids of a list of tokens, each once and in its order.

    Raises
    ------
    TypeError
        When it is no list.
    ValueError
        When it is empty, or has what :func:`known_id` refuses.
    """
    if isinstance(tokens, str | bytes | Mapping) or not isinstance(tokens, Sequence):
        raise TypeError(f"{name} is {tokens!r}, but must be a list of token texts or ids")
    if not tokens:
        raise ValueError(f"{name} is empty, but must name at least one token")
    return list(dict.fromkeys(known_id(name, token, vocabulary) for token in tokens))


def ids_by_position(name: str, forced: Any, vocabulary: Vocabulary, count: int) -> dict[int, int]:
    """Return which token is forced at which position, where texts may take several positions.

    Parameters
    ----------
    forced
        Mapping from the position of its first token to a token id or a text; ``None`` is an empty one.
    count
        How many positions there are.

    Raises
    ------
    TypeError
        When it is no mapping.
    ValueError
        When a position is out of range or would have two tokens, or a text has none that is known.
    """
    if forced is None:
        return {}
    if not isinstance(forced, Mapping):
        raise TypeError(f"{name} is {forced!r}, but must map positions to token texts or ids")
    placed: dict[int, int] = {}
    for position, token in forced.items():
        if not is_whole(position) or not 0 <= position < count:
            raise ValueError(
                f"{name} has the position {position!r}, but must have whole numbers from 0 to {count - 1}"
            )
        for place, token_id in enumerate(_ids_of(name, token, vocabulary), int(position)):
            if place >= count:
                raise ValueError(
                    f"{name} has {token!r} at position {position}, which goes on to position {place}, "
                    f"but the last one is {count - 1}"
                )
            if place in placed:
                raise ValueError(f"{name} has two tokens for position {place}, but it must have one")
            placed[place] = token_id
    return placed


def _ids_of(name: str, token: Any, vocabulary: Vocabulary) -> list[int]:
    if not isinstance(token, str):
        return [known_id(name, token, vocabulary)]
    try:
        ids = vocabulary.token_ids(token)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    _require_known(name, token, ids, vocabulary)
    return ids


def _require_known(name: str, token: Any, token_ids: Sequence[int], vocabulary: Vocabulary) -> None:
    """Refuse a text in which the tokenizer reads its token for what it does not know."""
    tokenizer = vocabulary.tokenizer
    asked_for = not isinstance(token, str) or str(tokenizer.unk_token) in token
    if tokenizer.unk_token_id in token_ids and not asked_for:
        raise ValueError(
            f"{name}: {token!r} has characters that the tokenizer does not know: "
            "give texts of tokens in its vocabulary, or ids"
        )
