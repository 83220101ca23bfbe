"""Rows of the distributions after a token: by probability, or those that match a search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from itwidgets.engine import Distribution
from itwidgets.tree import Node
from itwidgets.widgets.page import Message
from itwidgets.widgets.protocol import DistributionName, Request, encode_alternatives
from itwidgets.widgets.requests.held import Held

if TYPE_CHECKING:
    from itwidgets.widgets.requests.reply import Replies
    from itwidgets.widgets.stream import TokenStream

MOST_ALTERNATIVES = 1000
"""Rows of a distribution in one reply: the panel never holds more than it shows."""

_HELD_DISTRIBUTIONS = 4


class Ranked:
    """A distribution from its most to its least probable token."""

    def __init__(self, distribution: Distribution) -> None:
        self.log_probs = distribution.log_probs
        self.order = distribution.order

    @cached_property
    def places(self) -> npt.NDArray[np.int64]:
        """Where each token stands in the order, by id."""
        places = np.empty_like(self.order)
        places[self.order] = np.arange(len(self.order))
        return places

    @cached_property
    def masses(self) -> npt.NDArray[np.float64]:
        """Probability of the tokens up to and with each place."""
        return np.cumsum(np.exp(self.log_probs[self.order]))


@dataclass(frozen=True)
class Place:
    """`p` after a row and, where a program drew the token there, `q` and `s` as far as they are others."""

    p: Distribution

    @cached_property
    def ranked(self) -> dict[DistributionName, Ranked]:
        """The distributions by name."""
        found: dict[DistributionName, Ranked] = {"p": Ranked(self.p)}
        stages = [one.operator.stage for one in self.p.stages]
        if "intervention" in stages:
            found["q"] = Ranked(self.p.q)
        if stages and stages[-1] != "intervention":
            found["s"] = Ranked(self.p.s)
        return found


class Distributions:
    """Reads distributions for the pages of a viewer and holds those that were read last."""

    def __init__(self, viewer: TokenStream, replies: Replies) -> None:
        self._viewer = viewer
        self._replies = replies
        self._held: Held[tuple[int, int], Place] = Held(_HELD_DISTRIBUTIONS)

    def handle(self, request: Request) -> None:
        """Answer a request of the kind ``distribution``."""
        parent, row = request["parent"], request.get("row")
        session = self._viewer.session
        node = None if row is None else session.tree[row]
        if node is not None and session.parent_of(node) != parent:
            raise ValueError(f"row {row} stands after row {session.parent_of(node)}, not after row {parent}")
        self.read(request, parent, node, lambda place: _alternatives(request, place, node))

    def read(
        self, request: Request, parent: int, node: Node | None, answer: Callable[[Place], Message]
    ) -> None:
        """Answer with what is made of a place: at once where it is held, else when it was read.

        Parameters
        ----------
        node
            A token in the place, for what its program made of `p`.
        """
        session = self._viewer.session
        recipe = -1 if node is None else int(session.tree.column("recipe")[node.row])
        held = self._held.get((parent, recipe))
        if held is not None:
            self._replies.answer(request, lambda: answer(held))
            return

        def found(distribution: Distribution) -> Message:
            return answer(self._held.put((parent, recipe), Place(distribution)))

        job = session.read_distribution(parent, None if node is None else node.program)
        self._replies.answer_when_done(request, job, found)

    def held(self, parent: int) -> Distribution | None:
        """`p` after a row, if it was read not long ago."""
        return next((place.p for (row, _), place in self._held.items() if row == parent), None)


def _alternatives(request: Request, place: Place, node: Node | None) -> Message:
    by, offset = request.get("order", "p"), request["offset"]
    if by not in place.ranked:
        raise ValueError(f"order is {by!r}, but must be one of {', '.join(place.ranked)}")
    ranked = place.ranked[by]
    ids = _found(place.p, request["search"], ranked) if "search" in request else ranked.order
    shown = ids[offset : offset + min(request["count"], MOST_ALTERNATIVES)]
    fields = {
        "parent": request["parent"],
        "offset": offset,
        "total": len(ids),
        "distributions": list(place.ranked),
        "chosen": None if node is None else _index(ids, node.token_id),
        "entropy": place.p.entropy,
        "varentropy": place.p.varentropy,
    }
    log_probs = [one.log_probs[shown] for one in place.ranked.values()]
    masses = ranked.masses[ranked.places[shown]]
    return fields, encode_alternatives(place.p.ranks(shown), shown, masses, log_probs, place.p.vocabulary)


def _found(p: Distribution, search: str, ranked: Ranked) -> npt.NDArray[np.int64]:
    """Ids that a search finds, in the order of any of the distributions."""
    named = p.named(search)
    ids = p.found(search)
    ids = ids[np.argsort(ranked.places[ids], kind="stable")]
    return ids if named is None else np.concatenate([[named], ids[ids != named]])


def _index(ids: npt.NDArray[np.int64], token_id: int) -> int | None:
    (places,) = np.nonzero(ids == token_id)
    return int(places[0]) if len(places) else None
