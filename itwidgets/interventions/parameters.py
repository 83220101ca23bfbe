"""Checks of parameters that come from people and from files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from itwidgets.information.kernel import check_number, check_whole, is_whole

__all__ = ["check_choice", "check_number", "check_seed", "check_whole", "checked_ids", "is_whole"]


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
