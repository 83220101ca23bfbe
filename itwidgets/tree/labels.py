"""What people call the branches of a tree: a name, a colour, and whether lists leave it out."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import TypedDict, Unpack

COLOURS = ("blue", "orange", "green", "pink", "gold")
"""Told apart by every kind of colour vision, and in a page by a shape as well."""

LONGEST_NAME = 60
"""Characters."""


@dataclass(frozen=True)
class Label:
    """What was said of one branch.

    Parameters
    ----------
    name
        Any text of 1 to :data:`LONGEST_NAME` characters; ``None`` for "Branch" and its number.
    colour
        One of :data:`COLOURS`, or ``None``.
    hidden
        Whether lists of branches leave it out.

    Raises
    ------
    TypeError, ValueError
        When one of them is something else; the sentence names it.
    """

    name: str | None = None
    colour: str | None = None
    hidden: bool = False

    def __post_init__(self) -> None:
        if self.name is not None:
            _check_name(self.name)
        if self.colour is not None and self.colour not in COLOURS:
            raise ValueError(f"colour is {self.colour!r}, but must be one of {', '.join(COLOURS)}, or None")
        if not isinstance(self.hidden, bool):
            raise TypeError(f"hidden is {self.hidden!r}, but must be True or False")


class LabelChanges(TypedDict, total=False):
    """What to say of a branch; what is not given stays as it is."""

    name: str | None
    colour: str | None
    hidden: bool


_NONE = Label()


class Labels:
    """The labels of a tree's branches, by the row at which a branch starts.

    Any thread may read and change them.

    Examples
    --------
    >>> labels = Labels()
    >>> labels.change(7, name="the rude one", colour="green")
    >>> labels.change(7, colour=None)
    >>> labels.all()
    {7: Label(name='the rude one', colour=None, hidden=False)}
    """

    def __init__(self, labels: Mapping[int, Label] = MappingProxyType({})) -> None:
        self._labels = dict(labels)
        self._changing = threading.Lock()

    def of(self, start: int) -> Label:
        """Return the label of the branch that starts at a row."""
        return self._labels.get(start, _NONE)

    def all(self) -> dict[int, Label]:
        """Return those that say anything, by start."""
        return dict(sorted(self._labels.copy().items()))

    def change(self, start: int, **changes: Unpack[LabelChanges]) -> None:
        """Change what is given; an empty name is none. All of it, or, with an error, nothing."""
        unknown = changes.keys() - asdict(_NONE).keys()
        if unknown:
            raise TypeError(f"unknown label {min(unknown)!r}: accepted are name, colour and hidden")
        if isinstance(changes.get("name"), str):
            changes["name"] = (changes["name"] or "").strip() or None
        with self._changing:
            label = replace(self.of(start), **changes)
            if label == _NONE:
                self._labels.pop(start, None)
            else:
                self._labels[start] = label


def _check_name(name: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"name is {name!r}, but must be a text, or None")
    if not 1 <= len(name) <= LONGEST_NAME:
        raise ValueError(f"name has {len(name)} characters, but 1 to {LONGEST_NAME} are accepted")
    # One that cannot be written down would stop every message and file that it is part of.
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise ValueError(f"name is {name!r}, which has half of a surrogate pair: give whole characters")
