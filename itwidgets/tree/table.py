"""The token tree: a table of tokens that only grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from itwidgets.tree.columns import COLUMNS, Column, MeasureColumn, Origin, Route
from itwidgets.tree.consistency import check_columns, check_labels, check_sources
from itwidgets.tree.labels import Label, Labels
from itwidgets.tree.node import Branch, Node
from itwidgets.tree.record import Record

if TYPE_CHECKING:
    import pandas as pd

    from itwidgets.tree.vocabulary import TokenTexts

_FIRST_CAPACITY = 256


class TokenTree:
    """One row a token, with the row of the token before it; rows are appended and never changed.

    Two rows with the same parent are where two branches part. One thread appends; any thread may read
    at any time, and sees whole rows only.

    Parameters
    ----------
    vocabulary
        Knows the bytes of each token.
    measures
        Columns that it has besides those that every tree has.

    Attributes
    ----------
    measures : tuple of MeasureColumn
        Columns that it has besides those that every tree has.
    columns : tuple of Column
        All columns.
    record : Record
        How the rows were made, as far as the columns do not say it.
    sources : dict
        Of a model with an encoder: for the first row of each text, the token ids of the source text that
        the encoder read. Empty for other models.
    labels : Labels
        What people call its branches. Not of its rows: it can change.

    Examples
    --------
    >>> from itwidgets.tree.vocabulary import StoredVocabulary
    >>> tree = TokenTree(StoredVocabulary({5: b"so", 6: b" it"}))
    >>> first = tree.append(parent=-1, token_id=5, origin=Origin.PROMPT)
    >>> second = tree.append(parent=first, token_id=6, origin=Origin.SAMPLED, surprisal=2.0)
    >>> tree.path(second), tree.text(second)
    ([0, 1], 'so it')
    """

    def __init__(self, vocabulary: TokenTexts, measures: Sequence[MeasureColumn] = ()) -> None:
        self.vocabulary = vocabulary
        self.measures = tuple(measures)
        self.columns: tuple[Column, ...] = (*COLUMNS, *self.measures)
        self.record = Record()
        self.sources: dict[int, list[int]] = {}
        self.labels = Labels()
        self._length = 0
        self._roots: list[int] = []
        self._runs: list[int] = []
        self._starts: list[int] = []
        self._numbers: list[int] = []
        self._columns = _allocate(_FIRST_CAPACITY, self.columns)
        self._children: dict[int, list[int]] = {-1: []}

    @classmethod
    def from_columns(
        cls,
        vocabulary: TokenTexts,
        columns: Mapping[str, npt.NDArray[Any]],
        record: Record | None = None,
        sources: Mapping[int, Sequence[int]] | None = None,
        measures: Sequence[MeasureColumn] = (),
        labels: Mapping[int, Label] | None = None,
    ) -> TokenTree:
        """Return the tree of whole columns at once, as of a file.

        Parameters
        ----------
        columns
            All of :data:`~itwidgets.tree.columns.COLUMNS` and of ``measures`` by name, copied.
        record, sources, measures, labels
            What belongs to them; empty by default.

        Raises
        ------
        ValueError
            When they make no tree: one sentence names the column and the row.
        """
        tree = cls(vocabulary, measures)
        tree.record = record or Record()
        tree.sources = {row: list(token_ids) for row, token_ids in (sources or {}).items()}
        check_columns(columns, tree.record, tree.columns)
        check_sources(columns, tree.sources)
        tree._columns = {column.name: np.array(columns[column.name]) for column in tree.columns}
        tree._length = len(columns["parent"])
        tree._children |= {row: [] for row in range(tree._length)}
        for row, parent in enumerate(columns["parent"].tolist()):
            tree._note_place(row, parent)
            tree._children[parent].append(row)
        check_labels(set(tree._starts), labels or {})
        tree.labels = Labels(labels or {})
        tree.record.note_forward(int(columns["forward"].max(initial=-1)))
        return tree

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, row: int) -> Node:
        """Return one row as a :class:`Node`."""
        if not 0 <= row < self._length:
            raise IndexError(f"row {row} is not in the table: it has rows 0 to {self._length - 1}")
        return Node(self, row)

    def __repr__(self) -> str:
        return f"TokenTree(rows={len(self)}, branches={len(self.branches)})"

    def column(self, name: str) -> npt.NDArray[Any]:
        """All rows of one column, as a read-only view of shape ``[rows]`` or ``[rows, width]``."""
        length = self._length
        view = self._columns[name][:length]
        view.flags.writeable = False
        return view

    def append(
        self,
        *,
        parent: int,
        token_id: int,
        origin: Origin,
        source: Sequence[int] | None = None,
        **values: Any,
    ) -> int:
        """Append one token and return its row.

        Parameters
        ----------
        parent
            Row of the token before it, -1 for the first of a text.
        source
            For the first token of a text, what the encoder read.
        **values
            Further columns of the tree; those not given are missing.
        """
        if not -1 <= parent < self._length:
            raise ValueError(
                f"parent {parent} is not in the table: rows -1 to {self._length - 1} are accepted"
            )
        unknown = values.keys() - self._columns.keys()
        if unknown or "position" in values:
            raise TypeError(f"no such column to give: {', '.join(sorted(unknown)) or 'position'}")
        if source is not None and parent != -1:
            raise ValueError(f"parent is {parent}, but only the first token of a text (-1) has a source")
        row = self._length
        if row == len(self._columns["parent"]):
            self._grow()
        position = self._columns["position"][parent] + 1 if parent >= 0 else 0
        known = {
            "parent": parent,
            "token_id": token_id,
            "position": position,
            "origin": int(origin),
        }
        try:
            for name, value in (known | values).items():
                self._columns[name][row] = value
        except BaseException:
            # The next row stands in this place, and takes what it is not given as missing.
            for column in self.columns:
                self._columns[column.name][row] = column.missing
            raise
        if source is not None:
            self.sources[row] = list(source)
        # In this order, so that a reader never meets a row that is not whole, nor a child that is not a row.
        self._note_place(row, parent)
        self.record.note_forward(int(self._columns["forward"][row]))
        self._children[row] = []
        self._length = row + 1
        self._children[parent].append(row)
        return row

    def _note_place(self, row: int, parent: int) -> None:
        """Note the text and the branch of a row, before it is among the children of its parent."""
        starts_branch = parent < 0 or bool(self._children[parent])
        if starts_branch:
            self._starts.append(row)
        self._numbers.append(len(self._starts) if starts_branch else self._numbers[parent])
        self._roots.append(row if parent < 0 else self._roots[parent])
        # Most rows follow their parent at once, so a path is found by runs of rows, not row by row.
        self._runs.append(self._runs[parent] if 0 <= parent == row - 1 else row)

    def _grow(self) -> None:
        larger = _allocate(max(_FIRST_CAPACITY, 2 * self._length), self.columns)
        for name, values in self._columns.items():
            larger[name][: self._length] = values
        self._columns = larger

    def path(self, row: int) -> list[int]:
        """Rows from the first token of the text to ``row``, both included; empty for -1."""
        parents, runs = self._columns["parent"], []
        while row >= 0:
            start = self._runs[row]
            runs.append(range(start, row + 1))
            row = int(parents[start])
        return list(chain.from_iterable(reversed(runs)))

    def children(self, row: int) -> tuple[int, ...]:
        """Rows whose parent is ``row``, oldest first; -1 gives the first tokens."""
        return tuple(self._children[row])

    def source(self, row: int) -> list[int] | None:
        """Token ids that the encoder read for the text of a row; ``None`` if there is no encoder."""
        return self.sources.get(self._roots[row]) if row >= 0 else None

    def common_prefix(
        self, token_ids: Sequence[int], origins: set[Origin], source: Sequence[int] | None = None
    ) -> list[int]:
        """Longest path from the start that spells a prefix of ``token_ids`` with rows of these origins.

        Of a model with an encoder, texts of the same ``source`` alone count.
        """
        path: list[int] = []
        wanted = None if source is None else list(source)
        for token_id in token_ids:
            fits = (
                child
                for child in self._children[path[-1] if path else -1]
                if self._columns["token_id"][child] == token_id
                and self.source(child) == wanted
                and Origin(self._columns["origin"][child]) in origins
            )
            child = next(fits, None)
            if child is None:
                break
            path.append(child)
        return path

    @property
    def branches(self) -> list[Branch]:
        """All branches, oldest first.

        A row that is not the first child of its parent starts one; it runs on through first children.
        """
        length = self._length
        starts = (start for start in self._starts.copy() if start < length)
        return [Branch(self, number, start) for number, start in enumerate(starts, 1)]

    def branch_of(self, row: int) -> Branch:
        """Return the branch that a row belongs to: of all that share it, the oldest."""
        number = self._numbers[self[row].row]
        return Branch(self, number, self._starts[number - 1])

    def token_ids(self, row: int) -> list[int]:
        """Token ids of the branch that ends at ``row``."""
        return [int(i) for i in self._columns["token_id"][self.path(row)]] if row >= 0 else []

    def text(self, row: int) -> str:
        """Text of the branch that ends at ``row``, special tokens included as they are written."""
        return self.vocabulary.text(self.token_ids(row))

    def to_frame(self, rows: Sequence[int] | None = None) -> pd.DataFrame:
        """Rows as a table with units in the column names; all rows unless some are named.

        The index is the row, ``token`` is the token's text, ``branch`` is the number of the branch that it
        belongs to, ``origin`` and ``route`` are words, and ``fired`` names the operators that changed it.
        """
        import pandas as pd

        chosen = np.arange(len(self)) if rows is None else np.asarray(rows, dtype=np.int64)
        columns: dict[str, Any] = {
            "token": [self[int(row)].text for row in chosen],
            "branch": np.array([self._numbers[row] for row in chosen], np.int64),
        }
        for column in self.columns:
            if column.width == 1:
                columns[column.label] = self._columns[column.name][chosen]
        columns["origin"] = [Origin(value).word for value in columns["origin"]]
        columns["route"] = [Route(value).word for value in columns["route"]]
        columns["fired"] = [
            ", ".join(type(operator).__name__ for operator in self[int(row)].fired) for row in chosen
        ]
        return pd.DataFrame(columns, index=pd.Index(chosen, name="row"))


def _allocate(capacity: int, columns: Sequence[Column]) -> dict[str, npt.NDArray[Any]]:
    return {
        column.name: np.full(
            (capacity, column.width) if column.width > 1 else capacity, column.missing, column.dtype
        )
        for column in columns
    }
