"""Views of the token tree: a row as a node, and a branch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from itwidgets.tree.columns import Origin

if TYPE_CHECKING:
    from itwidgets.interventions import Operator, Program
    from itwidgets.tree.table import TokenTree


@dataclass(frozen=True, eq=False)
class Node:
    """One token where it stands. Reads the table; holds no figure of its own.

    Measures are in bits and ``nan`` where there is none: a first token without context has no surprisal.
    """

    tree: TokenTree
    row: int

    def _value(self, name: str) -> float:
        return float(self.tree.column(name)[self.row])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and self.tree is other.tree and self.row == other.row

    def __hash__(self) -> int:
        return hash((id(self.tree), self.row))

    def __repr__(self) -> str:
        figures = f"origin={self.origin.word}, surprisal={self.surprisal:.3f} bits"
        return f"Node(row={self.row}, text={self.text!r}, {figures})"

    @property
    def token_id(self) -> int:
        """Id in the tokenizer's vocabulary."""
        return int(self._value("token_id"))

    @property
    def bytes(self) -> bytes:
        """Exact bytes of the token; they need not be whole characters."""
        return self.tree.vocabulary.token_bytes(self.token_id)

    @property
    def text(self) -> str:
        """The bytes as text, with U+FFFD for bytes that are no whole character."""
        return self.bytes.decode(errors="replace")

    @property
    def parent(self) -> Node | None:
        """The token before it."""
        row = int(self._value("parent"))
        return self.tree[row] if row >= 0 else None

    @property
    def position(self) -> int:
        """Number of tokens before it on its branch, prompt included."""
        return int(self._value("position"))

    @property
    def origin(self) -> Origin:
        """Why it stands there."""
        return Origin(int(self._value("origin")))

    @property
    def rank(self) -> int:
        """1 is the most probable token of `p`; 0 where there was no context."""
        return int(self._value("rank"))

    @property
    def surprisal(self) -> float:
        """``-log2 p(x)``."""
        return self._value("surprisal")

    @property
    def probability(self) -> float:
        """``p(x)``."""
        return math.exp2(-self.surprisal)

    @property
    def entropy(self) -> float:
        """Entropy of the `p` that it was drawn from, bits."""
        return self._value("entropy")

    @property
    def varentropy(self) -> float:
        """Varentropy of that `p`, bits²."""
        return self._value("varentropy")

    @property
    def surprisal_q(self) -> float:
        """``-log2 q(x)``, after the interventions."""
        return self._value("surprisal_q")

    @property
    def surprisal_s(self) -> float:
        """``-log2 s(x)``, after the sampler stages."""
        return self._value("surprisal_s")

    @property
    def cost(self) -> float:
        """Realised cost ``log2 q(x) - log2 p(x)``; the surprisal of a forced token."""
        return self._value("cost")

    @property
    def expected_cost(self) -> float:
        """Expected cost ``KL(q || p)`` in bits."""
        return self._value("expected_cost")

    @property
    def program(self) -> Program | None:
        """What it was drawn by; None for a token that was given, and where a file only shows it."""
        index = int(self._value("recipe"))
        program = self.tree.record.recipes[index].program if index >= 0 else None
        return None if isinstance(program, str) else program

    @property
    def fired(self) -> tuple[Operator, ...]:
        """Operators of its program that changed the row that it was drawn from."""
        flags, program = int(self._value("fired")), self.program
        operators = () if program is None else program.operators
        return tuple(operator for i, operator in enumerate(operators) if flags >> i & 1)


@dataclass(frozen=True)
class Branch:
    """A continuation: it starts at a row that parts from an older one and ends at its tip.

    Attributes
    ----------
    number
        The oldest is 1. It stays, since rows are appended alone.
    start
        Its first row.
    """

    tree: TokenTree
    number: int
    start: int

    @property
    def name(self) -> str:
        """What it was named, or "Branch" and its number."""
        return self.tree.labels.of(self.start).name or f"Branch {self.number}"

    @property
    def colour(self) -> str | None:
        """One of :data:`itwidgets.tree.COLOURS`, if it was given one."""
        return self.tree.labels.of(self.start).colour

    @property
    def hidden(self) -> bool:
        """Whether lists of branches leave it out."""
        return self.tree.labels.of(self.start).hidden

    @property
    def tip(self) -> Node:
        """Its last token."""
        row = self.start
        while children := self.tree.children(row):
            row = children[0]
        return self.tree[row]

    @property
    def nodes(self) -> list[Node]:
        """Its own tokens, from where it parts to its tip."""
        rows = self.tree.path(self.tip.row)
        return [self.tree[row] for row in rows[rows.index(self.start) :]]

    @property
    def text(self) -> str:
        """Text of its own tokens."""
        return self.tree.vocabulary.text([node.token_id for node in self.nodes])

    def __repr__(self) -> str:
        name = self.tree.labels.of(self.start).name
        named = "" if name is None else f", name={name!r}"
        return f"Branch({self.number}{named}, start={self.start}, text={self.text[:40]!r})"
