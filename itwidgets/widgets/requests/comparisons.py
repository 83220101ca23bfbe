"""Branches side by side: how they are aligned, and how far their distributions are apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from itwidgets.tree import Comparison
from itwidgets.widgets.page import Message
from itwidgets.widgets.protocol import Request
from itwidgets.widgets.requests.held import Held

if TYPE_CHECKING:
    from itwidgets.widgets.requests.reply import Replies
    from itwidgets.widgets.stream import TokenStream

MOST_BRANCHES = 6
"""In one comparison: they are read side by side."""

_HELD_COMPARISONS = 4


class Comparisons:
    """Aligns branches for the pages of a viewer, and then measures them; holds the last few."""

    def __init__(self, viewer: TokenStream, replies: Replies) -> None:
        self._viewer = viewer
        self._replies = replies
        self._held: Held[tuple[int, ...], Comparison] = Held(_HELD_COMPARISONS)

    def align(self, request: Request) -> None:
        """Answer a request of the kind ``compare``: at once, without the model."""
        session, tips = self._viewer.session, request["tips"]
        if len(tips) > MOST_BRANCHES:
            raise ValueError(f"branches to compare: {len(tips)}, but must be at most {MOST_BRANCHES}")
        comparison = self._held.get(tuple(tips))
        if comparison is None:
            comparison = session.compare(*(session.tree[row] for row in tips), divergences=False)
            self._held.put(tuple(tips), comparison)
        aligned = comparison
        # Long texts take long to align.
        self._replies.answer_from_a_thread(request, lambda: _aligned(aligned), lambda answer: answer)

    def measure(self, request: Request) -> None:
        """Answer a request of the kind ``divergences``, for branches that were aligned before."""
        session = self._viewer.session
        comparison = self._held.get(tuple(request["tips"]))
        if comparison is None:
            raise LookupError("this comparison is no longer held: compare the branches again")
        self._replies.answer_when_done(request, session.start_divergences(comparison), _measured)


def _aligned(comparison: Comparison) -> Message:
    fields = {
        "shared": comparison.parts_at,
        "meets_at": [comparison.meets_at(branch) for branch in range(len(comparison.tips))],
    }
    rows = [
        [-1 if place is None else path[place] for path, place in zip(comparison.paths, line, strict=True)]
        for line in _parted(comparison)
    ]
    return fields, [np.array(rows, "<i4").tobytes()]


def _measured(comparison: Comparison) -> Message:
    branches = range(len(comparison.tips))
    values = [[comparison.divergence(branch, line) for branch in branches] for line in _parted(comparison)]
    return {}, [np.array(values, "<f4").tobytes()]


def _parted(comparison: Comparison) -> list[tuple[int | None, ...]]:
    """Return the lines from where the branches part."""
    return comparison.lines[comparison.parts_at :]
