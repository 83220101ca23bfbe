"""What if another token stood in a place: alternatives with what would follow, and any of them kept."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from itwidgets.engine import Rollout
from itwidgets.widgets.page import Message
from itwidgets.widgets.protocol import Request, encode_continuations
from itwidgets.widgets.requests.held import Held
from itwidgets.widgets.settings import check_most, checked, plan_of

if TYPE_CHECKING:
    from itwidgets.widgets.requests.reply import Replies
    from itwidgets.widgets.stream import TokenStream

MOST_CONTINUATIONS = 20
"""Alternatives in one rollout: they run as one batch, and are read side by side."""

MOST_TOKENS = 200
"""Of each of them."""

_HELD_ROLLOUTS = 4
"""Of several views, or of several places; each holds keys and values besides its tokens."""


class Rollouts:
    """Runs alternatives for the pages of a viewer and holds the last few, of which any can be kept."""

    def __init__(self, viewer: TokenStream, replies: Replies) -> None:
        self._viewer = viewer
        self._replies = replies
        self._numbers = itertools.count(1)
        self._held: Held[int, Rollout] = Held(_HELD_ROLLOUTS)

    def handle(self, request: Request) -> None:
        """Answer a request of the kind ``rollout``."""
        session = self._viewer.session
        plan = plan_of(checked(request["settings"]))
        check_most("k", request["k"], MOST_CONTINUATIONS)
        check_most("max_new_tokens", plan.max_new_tokens, MOST_TOKENS)
        if request["parent"] >= 0:
            session.tree[request["parent"]]  # an error that names the rows when there is no such one
        job = session.roll_out(request["parent"], request["k"], plan)
        self._replies.answer_when_done(request, job, self._hold)

    def adopt(self, request: Request) -> None:
        """Make a continuation of a rollout a branch."""
        viewer, rollout = self._viewer, self._held.get(request["rollout"])
        if rollout is None or rollout[0].tree is not viewer.session.tree:
            raise LookupError("these continuations are no longer held: ask for them again")
        if not 0 <= request["index"] < len(rollout):
            raise IndexError(
                f"there is no continuation {request['index']}: accepted are 0 to {len(rollout) - 1}"
            )
        continuation = rollout[request["index"]]
        viewer.follow(lambda: viewer.session.add_branch(continuation))

    def _hold(self, rollout: Rollout) -> Message:
        number = next(self._numbers)
        if len(rollout) > 0:
            self._held.put(number, rollout)
        fields = {
            "rollout": number,
            "lengths": [len(one.token_ids) for one in rollout],
            "ended": [one.has_ended for one in rollout],
        }
        figures = [figures for one in rollout for figures in one.figures]
        return fields, encode_continuations(
            [token_id for one in rollout for token_id in one.token_ids],
            [each["rank"] for each in figures],
            [each["surprisal"] for each in figures],
            self._viewer.session.tree.vocabulary,
        )
