"""What each operator of a program did in the place of a token that it drew."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from itwidgets.engine.session.stages import Stage
from itwidgets.tree import Node
from itwidgets.widgets.page import Message
from itwidgets.widgets.protocol import Request, encode_tokens

if TYPE_CHECKING:
    from itwidgets.widgets.requests.distributions import Distributions, Place
    from itwidgets.widgets.stream import TokenStream


class StagesOfPlaces:
    """Tells the pages of a viewer of the stages of a program."""

    def __init__(self, viewer: TokenStream, distributions: Distributions) -> None:
        self._viewer = viewer
        self._distributions = distributions

    def handle(self, request: Request) -> None:
        """Answer a request of the kind ``stages``, which names the row of a token."""
        session = self._viewer.session
        node = session.tree[_whole(request["row"])]
        self._distributions.read(request, session.parent_of(node), node, lambda place: _message(node, place))


def _whole(row: int | None) -> int:
    if row is None:
        raise TypeError("row is None, but must be the row of a token")
    return row


def _message(node: Node, place: Place) -> Message:
    stages = place.p.stages
    fields = {"row": node.row, "stages": [_stage(stage) for stage in stages]}
    ids = sorted({one.token_id for stage in stages for one in stage.moved})
    return fields, encode_tokens(ids, place.p.vocabulary)


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "operator": str(stage.operator),
        "makes": "q" if stage.operator.stage == "intervention" else "s",
        # An operator may bring back a token that was banned: JSON knows no infinity.
        "kl_bits": stage.kl_bits if math.isfinite(stage.kl_bits) else None,
        "entropy_change_bits": stage.entropy_change_bits,
        "mass_moved": stage.mass_moved,
        "support_size": stage.support_size,
        "moved": [[one.token_id, one.before, one.after] for one in stage.moved],
    }
