"""How a typed text would be forced: its tokens, and what they cost as far as that is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from itwidgets.tree import TokenTree, Vocabulary
from itwidgets.tree.comparison import shared
from itwidgets.tree.vocabulary import spell
from itwidgets.widgets.page import Message
from itwidgets.widgets.protocol import Request, encode_tokens

if TYPE_CHECKING:
    from itwidgets.engine import Distribution
    from itwidgets.widgets.requests.distributions import Distributions
    from itwidgets.widgets.requests.reply import Replies
    from itwidgets.widgets.stream import TokenStream

_CONTEXT_TOKENS = 64
"""So far back a tokenizer may look for what a text joins with."""


class Tokenizing:
    """Shows the pages of a viewer what a text is before it is forced. The layers of the model are not run."""

    def __init__(self, viewer: TokenStream, replies: Replies, distributions: Distributions) -> None:
        self._viewer = viewer
        self._replies = replies
        self._distributions = distributions

    def handle(self, request: Request) -> None:
        """Answer a request of the kind ``tokenize``."""
        session, parent = self._viewer.session, request["parent"]
        if parent < 0:
            raise ValueError("the first token of a text has none before it to go on from: edit the prompt")
        vocabulary = session.engine.vocabulary
        before = session.tree.token_ids(session.tree[parent].row)
        token_ids = vocabulary.encode(request["text"])
        known, last = _known(session.tree, parent, token_ids)

        def message(p: Distribution | None) -> Message:
            joined = _joined(vocabulary, before[-_CONTEXT_TOKENS:], request["text"], token_ids)
            fields = {
                "token_ids": token_ids,
                "surprisals": _priced(token_ids, known, p),
                "joined": joined,
            }
            return fields, encode_tokens(sorted({*token_ids, *joined}), vocabulary)

        held = self._distributions.held(last)
        is_all_known = len(known) == len(token_ids)
        if held is None and not is_all_known and session.holds_distribution(last):
            self._replies.answer_when_done(request, session.read_distribution(last), message)
        else:
            self._replies.answer(request, lambda: message(held))


def _priced(token_ids: Sequence[int], known: Sequence[float], p: Distribution | None) -> list[float | None]:
    """Bits of each token: those that are known, one more if `p` after them is, and None for the others."""
    bits = [*known]
    if p is not None and len(known) < len(token_ids):
        bits.append(p.surprisal(token_ids[len(known)]))
    # JSON knows no infinity, and what the model rules out has no price.
    prices = [one if math.isfinite(one) else None for one in bits]
    return prices + [None] * (len(token_ids) - len(prices))


def _known(tree: TokenTree, parent: int, token_ids: Sequence[int]) -> tuple[list[float], int]:
    """Surprisals of the tokens that stand after a row already, and the row of the last of them."""
    surprisals, row = list[float](), parent
    for token_id in token_ids:
        children = (tree[child] for child in tree.children(row))
        same = next((child for child in children if child.token_id == token_id), None)
        if same is None:
            break
        surprisals.append(same.surprisal)
        row = same.row
    return surprisals, row


def _joined(vocabulary: Vocabulary, before: Sequence[int], text: str, token_ids: Sequence[int]) -> list[int]:
    """Tokens that end what was before and begin the text, had both been written in one; [] if none do."""
    context = spell(map(vocabulary.token_bytes, before), strips_first_space=False)
    apart = [*vocabulary.encode(context), *token_ids]
    together = vocabulary.encode(context + text)
    first = shared(apart, together)
    behind = min(shared(apart[::-1], together[::-1]), len(together) - first)
    return together[first : len(together) - behind]
