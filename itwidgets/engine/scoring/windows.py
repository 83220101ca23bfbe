"""What of a text passes through a model together: the whole of it, or windows where it is too long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from itwidgets.interventions import check_whole

AFTER = 0
"""Stands for the token after the last, where the row is asked for that it is drawn from: any id would do."""


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


def windows_of(
    text: Text, row: int, context_length: int | None, stride: int, *, after: bool = False
) -> Iterator[Window]:
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
    after
        Whether the row after the last token is asked for too: it scores :data:`AFTER`, in the row of the
        table behind those of the text. Where the first window has no room for it, it has one of its own
        with all the context there is room for. The other tokens are scored as without it.

    Examples
    --------
    >>> text = Text(tokens=[0, 1, 2, 3, 4, 5, 6, 7], prefix=1, added=1)
    >>> for window in windows_of(text, row=0, context_length=4, stride=2):
    ...     print(window.token_ids, window.scored)
    [0, 1, 2, 3] [1, 2, 3, 4]
    [0, 3, 4, 5] [5, 6]
    [0, 4, 5, 6] [7]
    """
    tokens = [*text.tokens, AFTER] if after else text.tokens
    length = len(text.tokens)
    stop = len(tokens) if context_length is None else min(len(tokens), context_length + 1)

    def window(start: int, first: int, stop: int) -> Window:
        ids = tokens[: text.prefix] + tokens[start : stop - 1]
        return Window(ids, len(ids) - (stop - first), tokens[first:stop], row + first - text.added)

    # Of the very first token nothing is known.
    first = max(1, text.added)
    if first < stop:
        yield window(text.prefix, first, stop)
    while stop < len(tokens) and context_length is not None:
        first, stop = stop, (min(length, stop + stride) if stop < length else len(tokens))
        yield window(stop - (context_length + 1 - text.prefix), first, stop)


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
