"""The columns of the token table: the one list that the tree, the file and the wire all follow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

TOP_K = 50
"""How many alternatives a row keeps of the distribution that its token was drawn from."""


class Origin(IntEnum):
    """Why a token stands where it stands."""

    PROMPT = 0
    SAMPLED = 1
    FORCED = 2
    EDITED = 3

    @property
    def word(self) -> str:
        """The name in lower case, as it is shown and saved."""
        return self.name.lower()


class Route(IntEnum):
    """How a token passed through the model: in which kind of forward call."""

    PREFILL = 0
    DECODE = 1
    ROLLOUT = 2

    @property
    def word(self) -> str:
        """The name in lower case, as it is shown and saved."""
        return self.name.lower()


@dataclass(frozen=True)
class Column:
    """One column of the token table.

    Parameters
    ----------
    name
        The same word in Python, on the wire, in TypeScript and in files.
    dtype
        Element type; little-endian wherever bytes leave the process.
    missing
        What stands where there is no value.
    unit
        ``"bits"``, ``"bits²"``, ``"nats"`` or ``""``.
    width
        Numbers in one row.
    internal
        Part of the record of how a row was made: saved, but of no use to a page, so it stays off the wire.
    """

    name: str
    dtype: np.dtype[Any]
    missing: float
    unit: str = ""
    width: int = 1
    internal: bool = False

    @property
    def label(self) -> str:
        """Name with its unit, as data frames show it."""
        suffix = {"bits²": "bits2"}.get(self.unit, self.unit)
        return f"{self.name}_{suffix}" if suffix else self.name


@dataclass(frozen=True)
class MeasureColumn(Column):
    """A column that a tree has besides :data:`COLUMNS`: a measure that the user has registered.

    Parameters
    ----------
    title
        The name as people read it.
    limit
        Where the scale of its colours ends, in its unit.
    """

    title: str = ""
    limit: float = 12.0


def measure_column(name: str, unit: str, title: str, limit: float) -> MeasureColumn:
    """Return the column of a registered measure.

    Raises
    ------
    ValueError
        When another column has that name.
    """
    if name in BY_NAME:
        raise ValueError(
            f"the measure {name!r} has the name of a column that every tree has: choose another name"
        )
    return MeasureColumn(name, np.dtype("<f4"), math.nan, unit, title=title, limit=limit)


def _integer(
    name: str, missing: int = -1, dtype: str = "<i4", width: int = 1, *, internal: bool = False
) -> Column:
    return Column(name, np.dtype(dtype), missing, width=width, internal=internal)


def _measure(name: str, unit: str = "bits", width: int = 1) -> Column:
    return Column(name, np.dtype("<f4"), float("nan"), unit, width)


COLUMNS: tuple[Column, ...] = (
    _integer("parent"),
    _integer("token_id"),
    _integer("position"),
    _integer("origin", missing=Origin.PROMPT, dtype="|u1"),
    _integer("forward", internal=True),
    _integer("route", missing=Route.PREFILL, dtype="|u1", internal=True),
    _integer("recipe", internal=True),
    _integer("rank", missing=0),
    _measure("surprisal"),
    _measure("entropy"),
    _measure("varentropy", "bits²"),
    _measure("surprisal_q"),
    _measure("surprisal_s"),
    _measure("cost"),
    _measure("expected_cost"),
    _integer("fired", missing=0, dtype="<u4"),
    _integer("top_ids", width=TOP_K),
    _measure("top_log_probs", "nats", width=TOP_K),
)
"""Meaning of the columns.

``parent``
    Row of the token before it, -1 for the first token of a text.
``token_id``
    Identity of the token in the tokenizer's vocabulary.
``position``
    Number of tokens before it on its branch.
``origin``
    An :class:`Origin`.
``forward``
    Number of the forward call in which the token first passed through the model, counted from 0 for each
    tree. Rows that share a number passed through it together: bit-equality depends on it.
``route``
    A :class:`Route`: prefilled with its neighbours, decoded alone, or computed beside alternatives.
``recipe``
    Index into :attr:`TokenTree.recipes <itwidgets.tree.TokenTree.recipes>`: how a sampled token was
    chosen; -1 for one that was given.
``rank``
    1 + how many tokens were more probable under `p`; 0 when there was no context to draw from.
``surprisal``, ``entropy``, ``varentropy``
    ``-log2 p(x)``, and the entropy and varentropy of the `p` that the token stands in.
``surprisal_q``, ``surprisal_s``
    ``-log2`` of the token's probability after the interventions and after the sampler stages.
``cost``, ``expected_cost``
    ``log2 q(x) - log2 p(x)`` of the token, and ``KL(q || p)``. Both missing for prompt tokens.
``fired``
    Which operators of the recipe's program changed the row that the token was drawn from: bit `i`, counted
    from the lowest, is operator `i`. 0 where none did, and for tokens that were not drawn.
``top_ids``, ``top_log_probs``
    The most probable tokens of `p`, best first, with natural log-probabilities.
"""

BY_NAME: dict[str, Column] = {column.name: column for column in COLUMNS}

WIRE_COLUMNS: tuple[Column, ...] = tuple(column for column in COLUMNS if not column.internal)
"""The columns that a page needs, in the order in which they travel."""
