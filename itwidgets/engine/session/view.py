"""What can be read of a tree from a head: the current branch, its text and its positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from itwidgets.engine.decoding.generation import prompt_length
from itwidgets.engine.session.history import History
from itwidgets.interventions import Program, is_whole
from itwidgets.tree import Branch, Comparison, Node, TokenTree

if TYPE_CHECKING:
    import pandas as pd


NO_PROMPT = "the session has read no prompt yet: give it one first"


class TreeView:
    """A token tree with a head.

    Positions count the *new* tokens of the current branch: 0 is the first after the prompt, -1 the
    last one made, and the number of new tokens is the place of the next one. Prompt tokens are reached
    through nodes.
    """

    def __init__(self, tree: TokenTree, head: int) -> None:
        self.tree = tree
        self._history = History(head)

    @property
    def head(self) -> Node | None:
        """The token that the current branch is extended from."""
        row = self._history.head
        return self.tree[row] if row >= 0 else None

    @property
    def nodes(self) -> list[Node]:
        """All tokens of the current branch, prompt included."""
        return [self.tree[row] for row in self._path]

    @property
    def new_nodes(self) -> list[Node]:
        """The tokens of the current branch after its prompt."""
        return self.nodes[self.prompt_length :]

    @property
    def prompt_length(self) -> int:
        """Number of prompt tokens on the current branch."""
        return prompt_length(self.tree, self._path)

    @property
    def token_ids(self) -> list[int]:
        """Token ids of the current branch, prompt included."""
        return self.tree.token_ids(self._history.head)

    @property
    def text(self) -> str:
        """Text of the current branch, prompt and special tokens included."""
        return self.tree.vocabulary.text(self.token_ids)

    @property
    def new_text(self) -> str:
        """Text of the current branch after its prompt."""
        return b"".join(node.bytes for node in self.new_nodes).decode(errors="replace")

    @property
    def prompt_ids(self) -> list[int]:
        """Token ids of the current branch's prompt."""
        path = self._path
        length = prompt_length(self.tree, path)
        return self.tree.token_ids(path[length - 1]) if length else []

    @property
    def prompt_text(self) -> str:
        """Text of the prompt tokens of the current branch; with an encoder, what starts the decoder."""
        return self.tree.vocabulary.text(self.prompt_ids)

    @property
    def source_ids(self) -> list[int] | None:
        """Token ids that the encoder read for the current branch; ``None`` if there is no encoder."""
        return self.tree.source(self._history.head)

    @property
    def source_text(self) -> str | None:
        """Text that the encoder read, special tokens included; ``None`` if there is no encoder."""
        ids = self.source_ids
        return None if ids is None else self.tree.vocabulary.text(ids)

    @property
    def branches(self) -> list[Branch]:
        """All branches, oldest first."""
        return self.tree.branches

    @property
    def can_undo(self) -> bool:
        """Whether there is a move to take back."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is an undo to take back."""
        return self._history.can_redo

    @property
    def point(self) -> int:
        """Number of the place in the history: undo and redo come back to it, each new move to another."""
        return self._history.number

    @property
    def _path(self) -> list[int]:
        return self.tree.path(self._history.head)

    def __repr__(self) -> str:
        text = self.text
        shown = text if len(text) <= 60 else "…" + text[-59:]
        return f"<Session: {len(self.tree)} tokens, {len(self.branches)} branches, at {shown!r}>"

    def to_frame(self) -> pd.DataFrame:
        """Tokens of the current branch as a table; ``session.tree.to_frame()`` has all of them."""
        return self.tree.to_frame(self._path)

    def parent_of(self, position: int | Node) -> int:
        """Row after which the token at a place stands; -1 for the first of a text."""
        if isinstance(position, Node):
            self._require_own(position)
            return position.parent.row if position.parent else -1
        path = self._path
        if not path:
            raise ValueError(NO_PROMPT)
        return path[self._index(position, path) - 1]

    def node_at(self, position: int | Node) -> Node:
        """Return the token at a place that has one."""
        if isinstance(position, Node):
            self._require_own(position)
            return position
        path = self._path
        index = self._index(position, path)
        if index == len(path):
            raise ValueError(f"position {position} has no token yet: it is the place of the next one")
        return self.tree[path[index]]

    def program_at(self, position: int | Node) -> Program | None:
        """Return what drew the token at a place; None where it was given, or where there is none yet."""
        is_end = not isinstance(position, Node) and self.parent_of(position) == self._history.head
        return None if is_end else self.node_at(position).program

    def _beside(self, branches: Sequence[Node | Branch]) -> Comparison:
        tips = tuple(self._tip(branch, "compare") for branch in branches)
        if len(tips) < 2:
            raise ValueError(f"branches to compare: {len(tips)}, but must be two or more")
        return Comparison(self.tree, tips)

    def _tip(self, branch: Node | Branch, action: str) -> Node:
        node = branch.tip if isinstance(branch, Branch) else branch
        if not isinstance(node, Node):
            raise TypeError(f"cannot {action} {branch!r}: give a node or a branch")
        self._require_own(node)
        return node

    def _require_own(self, node: Node) -> None:
        if node.tree is not self.tree:
            raise ValueError(f"{node!r} belongs to another session: give a node of this one")

    def _index(self, position: int, path: Sequence[int]) -> int:
        if not is_whole(position):
            raise TypeError(f"position is {position!r}, but must be a whole number or a node")
        prompt = prompt_length(self.tree, path)
        new = len(path) - prompt
        if not -new <= position <= new:
            raise ValueError(
                f"position {position} is out of range: the branch has {new} new tokens, "
                f"so {-new} to {new} are accepted"
            )
        return prompt + position if position >= 0 else len(path) + position
