"""What of a text passes through a model together: the whole of it, or windows where it is too long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from itwidgets.interventions import check_whole


@dataclass(frozen=True)
class Text:
    """One text to be scored.

    Attributes
    ----------
    tokens
        What begins a text, and behind that the text.
    prefix
        How many tokens begin a text: each of its windows begins with them.
    added
        How many of the tokens were put in front of what was given.
    """

    tokens: list[int]
    prefix: int
    added: int

    @property
    def given(self) -> list[int]:
        """The tokens that were given: those that have rows."""
        return self.tokens[self.added :]


@dataclass(frozen=True)
class Window:
    """A part of a text that passes through the model at once, behind what begins the text.

    Attributes
    ----------
    token_ids
        What passes. Each scores the token that follows it.
    skipped
        At how many of these, from the start, nothing is asked of what follows.
    scored
        Ids of the tokens that follow the others.
    row
        Row of the table for the first of the scored tokens.
    """

    token_ids: list[int]
    skipped: int
    scored: list[int]
    row: int


def windows_of(text: Text, row: int, context_length: int | None, stride: int) -> Iterator[Window]:
    """Cut a text into windows: each token is scored once, with as much before it as there is room for.

    The last token of a window is not passed, since nothing is asked of what follows it. So the first window
    scores one token more than the context holds, counting those that begin it.

    Parameters
    ----------
    row
        Row of the table for the first token that was given.
    context_length
        Tokens that the model reads at once; ``None`` is no limit.
    stride
        How many tokens each window after the first scores.

    Examples
    --------
    >>> text = Text(tokens=[0, 1, 2, 3, 4, 5, 6, 7], prefix=1, added=1)
    >>> for window in windows_of(text, row=0, context_length=4, stride=2):
    ...     print(window.token_ids, window.scored)
    [0, 1, 2, 3] [1, 2, 3, 4]
    [0, 3, 4, 5] [5, 6]
    [0, 4, 5, 6] [7]
    """
    length = len(text.tokens)
    stop = length if context_length is None else min(length, context_length + 1)
    # Of the very first token nothing is known.
    first = max(1, text.added)
    if first < stop:
        yield _window(text, row, text.prefix, first, stop)
    while stop < length and context_length is not None:
        first, stop = stop, min(length, stop + stride)
        yield _window(text, row, stop - (context_length + 1 - text.prefix), first, stop)


def _window(text: Text, row: int, start: int, first: int, stop: int) -> Window:
    ids = text.tokens[: text.prefix] + text.tokens[start : stop - 1]
    return Window(ids, len(ids) - (stop - first), text.tokens[first:stop], row + first - text.added)


def strided(context_length: int | None, prefix: int, stride: int | None, min_context: int | None) -> int:
    """Return how many tokens each window after the first scores.

    Parameters
    ----------
    context_length
        Tokens that the model reads at once; ``None`` is no limit, and then there are no windows.
    prefix
        How many tokens begin each window.
    stride
        As it was asked for; by default half the context, or less where ``min_context`` asks for less.
    min_context
        How many tokens are to stand before each scored one: a window leaves ``context + 1 - stride``.

    Raises
    ------
    ValueError
        When one of them is out of range, or both do not go together.
    """
    if context_length is None:
        for name, value in (("stride", stride), ("min_context", min_context)):
            if value is not None:
                raise ValueError(
                    f"{name} is {value!r}, but this model's context has no limit, so there are no windows: "
                    "leave it out"
                )
        return 0
    _check_range("stride", stride, context_length + 1 - max(prefix, 1), context_length)
    _check_range("min_context", min_context, context_length - 1, context_length)
    most = context_length + 1 - max(prefix, min_context or 1)
    if stride is None:
        return max(1, min(context_length // 2, most))
    if stride > most:
        raise ValueError(
            f"stride is {stride} and min_context {min_context}, but in a context of {context_length} tokens "
            f"a stride of at most {most} leaves so many before each token"
        )
    return stride


def _check_range(name: str, value: Any, most: int, context_length: int) -> None:
    if value is None:
        return
    check_whole(name, value, least=1)
    if value > most:
        raise ValueError(
            f"{name} is {value}, but 1 to {most} are accepted in a context of {context_length} tokens"
        )
