"""Branches of one tree side by side: where they part, where they meet again, and what each costs."""

from __future__ import annotations

import difflib
import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from itwidgets.information import perplexity
from itwidgets.tree.node import Branch, Node
from itwidgets.tree.table import TokenTree

if TYPE_CHECKING:
    import pandas as pd


_MOST_MATCHES = 4_000_000
"""Pairs of equal tokens in two texts that are searched for common stretches: some seconds."""


class Place(NamedTuple):
    """A place of an alignment: where it is in either branch, or None where one has no token there.

    Attributes
    ----------
    first, other
        Number of tokens before it, prompt included.
    """

    first: int | None
    other: int | None


def aligned(first: Sequence[int], other: Sequence[int]) -> list[Place]:
    """Align two texts of token ids: equal stretches beside each other, the longest first (``difflib``).

    What stands between two such stretches is aligned token by token from its beginning, as far as the
    shorter one goes. So are texts as a whole, from where they part, when they repeat themselves so much that
    the search would take minutes.

    Examples
    --------
    >>> aligned([1, 2, 3, 9], [1, 7, 8, 6, 9])[1:]
    [Place(first=1, other=1), Place(first=2, other=2), Place(first=None, other=3), Place(first=3, other=4)]
    """
    start = shared(first, other)
    places = [Place(i, i) for i in range(start)]
    for edges in _stretches(first[start:], other[start:]):
        i, i_end, j, j_end = (start + edge for edge in edges)
        for step in range(max(i_end - i, j_end - j)):
            here = Place(
                i + step if i + step < i_end else None,
                j + step if j + step < j_end else None,
            )
            places.append(here)
    return places


def _stretches(first: Sequence[int], other: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """Begin and end of stretches in both texts that stand beside each other."""
    times = Counter(other)
    if sum(times[token_id] for token_id in first) > _MOST_MATCHES:
        return [(0, len(first), 0, len(other))]
    matcher = difflib.SequenceMatcher(None, first, other, autojunk=False)
    return [(i, i_end, j, j_end) for _, i, i_end, j, j_end in matcher.get_opcodes()]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two or more branches of a tree, each aligned with the first of them.

    Attributes
    ----------
    tips
        The last tokens of the branches.
    divergences
        ``KL(p of the first || p of the other)`` in bits by the rows after which the two stand; empty where
        they were not asked for.
    """

    tree: TokenTree
    tips: tuple[Node, ...]
    divergences: dict[tuple[int, int], float] = field(default_factory=dict, repr=False)

    @cached_property
    def paths(self) -> list[list[int]]:
        """Rows of each branch, from the first token of its prompt to its tip."""
        return [self.tree.path(tip.row) for tip in self.tips]

    @property
    def branches(self) -> list[Branch]:
        """The branches that the tips belong to."""
        return [self.tree.branch_of(tip.row) for tip in self.tips]

    @cached_property
    def token_ids(self) -> list[list[int]]:
        """Token ids of each branch, prompt included."""
        return [self.tree.token_ids(tip.row) for tip in self.tips]

    @cached_property
    def alignments(self) -> list[list[Place]]:
        """How each branch stands beside the first one; the first of them beside itself."""
        return [aligned(self.token_ids[0], ids) for ids in self.token_ids]

    @cached_property
    def lines(self) -> list[tuple[int | None, ...]]:
        """All branches side by side: for each line, where each of them is in its tokens, or None.

        Every token of the first branch begins a line; what others have between two of them comes between.
        """
        length = len(self.paths[0])
        beside: list[list[int | None]] = [[None] * len(self.paths) for _ in range(length)]
        between: list[list[list[int]]] = [[[] for _ in self.paths] for _ in range(length + 1)]
        for branch, places in enumerate(self.alignments):
            following = 0
            for first, other in places:
                if first is None and other is not None:
                    between[following][branch].append(other)
                elif first is not None:
                    beside[first][branch], following = other, first + 1
        lines: list[tuple[int | None, ...]] = []
        for i in range(length + 1):
            lines += itertools.zip_longest(*between[i])
            lines += [tuple(beside[i])] if i < length else []
        return lines

    def divergence(self, branch: int, line: tuple[int | None, ...]) -> float:
        """``KL(p of the first || p of another branch)`` in bits in a line; NaN where it is not known."""
        return self._divergence(branch, Place(line[0], line[branch]))

    @property
    def parts_at(self) -> int:
        """Number of rows that all branches begin with, prompt included: the same tokens made once."""
        return min(shared(self.paths[0], path) for path in self.paths)

    def meets_at(self, tip: int) -> int | None:
        """Where, in tokens of the first branch, another one has its tokens again; None if nowhere.

        Parameters
        ----------
        tip
            Which of the tips: 1 for the second.
        """
        parted = False
        for place in self.alignments[tip]:
            if not self._is_same(tip, place):
                parted = True
            elif parted:
                return place.first
        return None

    def pairs(self) -> list[tuple[int, int]]:
        """Rows after which aligned tokens of the first branch and another stand, where they differ."""
        found = (self._parents(tip, place) for tip, places in enumerate(self.alignments) for place in places)
        return list(dict.fromkeys(pair for pair in found if pair is not None and pair[0] != pair[1]))

    def to_frame(self) -> pd.DataFrame:
        """One row a token of each branch, beside the one of the first branch that it is aligned with.

        ``tip`` counts the tips from 0, ``branch`` is the number of the branch that the tip belongs to, and
        ``position`` the number of tokens before this one. ``first_position`` is where the token of the first
        branch stands, missing where there is none; ``is_same`` says whether it is the same token.
        ``surprisal_difference_bits`` is the surprisal here less the one there, and ``kl_bits`` the
        divergence of the first branch's `p` from the one here, 0 where both are one row.
        """
        import pandas as pd

        numbers = [branch.number for branch in self.branches]
        rows = [
            {"tip": tip, "branch": numbers[tip], **self._row(tip, place)}
            for tip, places in enumerate(self.alignments)
            for place in places
            if place.other is not None
        ]
        frame = pd.DataFrame(rows)
        return frame.astype({"first_position": "Int64", "is_same": "boolean"})

    def totals(self) -> pd.DataFrame:
        """Tokens, bits, steering cost, mean entropy and perplexity of each branch from where they part.

        One row a tip, in their order; ``branch`` is the number of the branch that it belongs to, ``name``
        what that is called, and ``text`` what it says there.
        """
        import pandas as pd

        start = self.parts_at
        return pd.DataFrame(
            [
                {"branch": branch.number, "name": branch.name, **self._total(path[start:])}
                for branch, path in zip(self.branches, self.paths, strict=True)
            ]
        ).rename_axis("tip")

    def _total(self, rows: Sequence[int]) -> dict[str, Any]:
        import pandas as pd

        surprisals, costs, entropies = (
            self.tree.column(name)[list(rows)] for name in ("surprisal", "cost", "entropy")
        )
        return {
            "text": b"".join(self.tree[row].bytes for row in rows).decode(errors="replace"),
            "tokens": len(rows),
            "surprisal_bits": float(np.nansum(surprisals)),
            "cost_bits": float(np.nansum(costs)),
            "mean_entropy_bits": float(pd.Series(entropies).mean()),
            "perplexity": float(perplexity(surprisals)),
        }

    def _row(self, tip: int, place: Place) -> dict[str, Any]:
        node = self.tree[self.paths[tip][place.other or 0]]
        beside = None if place.first is None else self.tree[self.paths[0][place.first]]
        return {
            "position": place.other,
            "row": node.row,
            "token": node.text,
            "surprisal_bits": node.surprisal,
            "entropy_bits": node.entropy,
            "cost_bits": node.cost,
            "first_position": place.first,
            "is_same": None if beside is None else self._is_same(tip, place),
            "surprisal_difference_bits": math.nan if beside is None else node.surprisal - beside.surprisal,
            "kl_bits": self._divergence(tip, place),
        }

    def _divergence(self, tip: int, place: Place) -> float:
        pair = self._parents(tip, place)
        if pair is None:
            return math.nan
        return 0.0 if pair[0] == pair[1] else self.divergences.get(pair, math.nan)

    def _parents(self, tip: int, place: Place) -> tuple[int, int] | None:
        """Rows before an aligned pair; None where there is no pair, or no context."""
        if not place.first or not place.other:
            return None
        return self.paths[0][place.first - 1], self.paths[tip][place.other - 1]

    def _is_same(self, tip: int, place: Place) -> bool:
        if place.first is None or place.other is None:
            return False
        return self.token_ids[0][place.first] == self.token_ids[tip][place.other]


def shared(first: Sequence[int], other: Sequence[int]) -> int:
    """Length of the beginning that two sequences have in common."""
    return next(
        (i for i, (a, b) in enumerate(zip(first, other, strict=False)) if a != b), min(len(first), len(other))
    )
