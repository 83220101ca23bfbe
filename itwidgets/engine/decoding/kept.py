"""What is kept of each row to give its distribution again without the model's layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch


class KeptRows:
    """The last hidden state of each row, or its logits where the head is no plain function of that.

    Logits are as large as the vocabulary: they count in the pool and may be dropped. Hidden states are
    part of what a session remembers and stay.
    """

    used = 0
    on_host = False
    is_lent = False

    def __init__(self) -> None:
        self._rows: dict[int, torch.Tensor] = {}

    def __contains__(self, row: int) -> bool:
        return row in self._rows

    def __getitem__(self, row: int) -> torch.Tensor:
        return self._rows[row]

    def get(self, row: int) -> torch.Tensor | None:
        """Return what is kept of a row, if anything is."""
        return self._rows.get(row)

    def add(self, rows: Sequence[int], kept: torch.Tensor) -> None:
        """Keep what a forward call left of rows; of a row that is kept already, the first stays."""
        for row, value in zip(rows, kept, strict=True):
            self._rows.setdefault(row, value)

    def discard(self, rows: Sequence[int]) -> None:
        """Give up what is kept of some rows."""
        for row in rows:
            self._rows.pop(row, None)

    @property
    def nbytes(self) -> int:
        """Bytes of all rows."""
        return sum(value.nbytes for value in list(self._rows.values()))

    def move_to_host(self) -> None:
        """Give it up as well: rows of logits are as large there, and would have to come back."""
        self.drop()

    def drop(self) -> None:
        """Give the content up."""
        self._rows = {}
