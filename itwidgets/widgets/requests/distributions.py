"""Rows of the distribution after a token: by rank, or those that match a text."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from itwidgets.engine import Distribution
from itwidgets.widgets.page import Message
from itwidgets.widgets.protocol import Request, encode_alternatives

if TYPE_CHECKING:
    from itwidgets.widgets.requests.reply import Replies
    from itwidgets.widgets.stream import TokenStream

MOST_ALTERNATIVES = 1000
"""Rows of a distribution in one reply: the panel never holds more than it shows."""

_HELD_DISTRIBUTIONS = 4


class Distributions:
    """Reads distributions for the pages of a viewer and holds those that were read last."""

    def __init__(self, viewer: TokenStream, replies: Replies) -> None:
        self._viewer = viewer
        self._replies = replies
        self._held: OrderedDict[tuple[str, int], Distribution] = OrderedDict()

    def handle(self, request: Request) -> None:
        """Answer a request of the kind ``distribution``."""
        session = self._viewer.session
        key = (session.id, request["parent"])
        held = self._held.get(key)
        if held is not None:
            self._replies.answer(request, lambda: _alternatives(request, held))
            return

        def read(found: Distribution) -> Message:
            self._hold(key, found)
            return _alternatives(request, found)

        self._replies.answer_when_done(request, session.read_distribution(request["parent"]), read)

    def _hold(self, key: tuple[str, int], distribution: Distribution) -> None:
        self._held[key] = distribution
        while len(self._held) > _HELD_DISTRIBUTIONS:
            self._held.popitem(last=False)


def _alternatives(request: Request, distribution: Distribution) -> Message:
    offset, count = request["offset"], min(request["count"], MOST_ALTERNATIVES)
    ids = distribution.found(request["search"]) if "search" in request else distribution.order
    shown = ids[offset : offset + count]
    fields = {
        "parent": request["parent"],
        "offset": offset,
        "total": len(ids),
        "entropy": distribution.entropy,
    }
    log_probs = distribution.log_probs[shown]
    ranks = distribution.ranks(shown)
    return fields, encode_alternatives(ranks, shown, log_probs, distribution.vocabulary)
