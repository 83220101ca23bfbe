"""The source texts of a tree, where the model has an encoder."""

from __future__ import annotations

from collections.abc import Sequence

from itwidgets.engine.kv.pool import Pool
from itwidgets.engine.kv.store import BranchStore
from itwidgets.engine.model.source import Source, give_source


class Sources:
    """Source texts of one tree; the encoder reads each once, as long as the pool has room for it."""

    def __init__(self, store: BranchStore, pool: Pool) -> None:
        self._store = store
        self._pool = pool
        self._held: dict[tuple[int, ...], Source] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of what the model made of them."""
        return sum(source.nbytes for source in self._held.values())

    def forget(self) -> None:
        """Give up what the model made of them."""
        for source in self._held.values():
            source.drop()

    def use(self, token_ids: Sequence[int] | None) -> None:
        """Say which source text the branch has that is current; ``None`` if there is no encoder.

        Raises
        ------
        BudgetError
            When it and the branch do not fit together.
        """
        if token_ids is None:
            return
        source = self._held.setdefault(tuple(token_ids), Source(token_ids))
        self._pool.require(source.nbytes + self._store.nbytes)
        self._pool.add(source)
        give_source(self._store.cache, source)
