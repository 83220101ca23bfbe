"""Checks of parameters that come from people and from files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, of Python or of numpy; truth values are not."""
    return not isinstance(value, bool) and isinstance(value, Integral)


def check_whole(name: str, value: Any, *, least: int) -> None:
    """Refuse what is not a whole number of at least ``least``."""
    if not is_whole(value) or value < least:
        raise ValueError(f"{name} is {value!r}, but must be a whole number of at least {least}")


def check_number(name: str, value: Any, holds: Callable[[Any], bool], accepted: str) -> None:
    """Refuse what is not a number for which ``holds`` is true; truth values are not numbers here."""
    if isinstance(value, bool) or not isinstance(value, Real) or not holds(value):
        raise ValueError(f"{name} is {value!r}, but must be {accepted}")


def check_choice(name: str, value: Any, accepted: Iterable[str]) -> None:
    """Refuse what is not one of some words."""
    words = list(accepted)
    if value not in words:
        raise ValueError(f"{name} is {value!r}, but must be one of {', '.join(map(repr, words))}")


def checked_ids(name: str, value: Any) -> tuple[int, ...]:
    """Return token ids as a tuple; refuse what is no list of whole numbers from 0 up."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise TypeError(f"{name} is {value!r}, but must be a list of token ids")
    ids = list(value)
    wrong = [one for one in ids if not is_whole(one) or one < 0]
    if wrong:
        raise ValueError(f"{name} has {wrong[0]!r}, but must have token ids: whole numbers from 0 up")
    return tuple(int(one) for one in ids)


def check_seed(seed: Any) -> None:
    """Refuse a seed that the generator cannot be keyed with."""
    check_whole("seed", seed, least=0)
    if seed >= 2**64:
        raise ValueError(f"seed is {seed}, but must be below 2**64")
