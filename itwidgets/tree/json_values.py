"""Plain JSON values of the type that was expected, or a ValueError of one sentence."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")
Json = dict[str, Any]

_WORDS = {
    int: "a whole number",
    str: "a text",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def member(parent: Json, name: str, kind: type[T]) -> T:
    """Return a member of an object, which must be of this very type."""
    if name not in parent:
        raise ValueError(f"{name} is missing")
    return checked(name, parent[name], kind)


def checked(name: str, value: Any, kind: type[T]) -> T:
    """Return a value if it is of this very type: truth values are no numbers."""
    if type(value) is not kind:
        raise ValueError(f"{name} is {shown(value)}, but must be {_WORDS[kind]}")
    return value


def only(name: str, parent: Json, known: set[str]) -> None:
    """Refuse members that nobody would read."""
    for extra in parent.keys() - known:
        raise ValueError(f"{name} has {shown(extra)}, which is unknown")


def shown(value: Any) -> str:
    """Write a value for a sentence, cut short."""
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "…"
