"""Whether columns and a record make a tree."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from itwidgets.tree.columns import Column, Origin, Route
from itwidgets.tree.record import Record

Columns = Mapping[str, npt.NDArray[Any]]

_LEAST = {"token_id": 0, "forward": -1, "rank": 0, "recipe": -1, "top_ids": -1}


def check_columns(columns: Columns, record: Record, kinds: Sequence[Column]) -> None:
    """Raise a ValueError of one sentence when columns, of these kinds, and a record make no tree."""
    _check_form(columns, kinds)
    rows = np.arange(len(columns["parent"]))
    parent = columns["parent"]
    _require("parent", columns, (parent >= -1) & (parent < rows), "must be -1 or an earlier row")
    expected = np.where(parent < 0, 0, columns["position"][parent] + 1) if len(rows) else parent
    _require("position", columns, columns["position"] == expected, "must be the number of rows before it")
    for name, least in _LEAST.items():
        _require(name, columns, columns[name] >= least, f"must be at least {least}")
    for name, words in (("origin", Origin), ("route", Route)):
        accepted = f"must be one of {', '.join(f'{word.value} ({word.word})' for word in words)}"
        _require(name, columns, np.isin(columns[name], list(words)), accepted)
    known = len(record.recipes)
    _require("recipe", columns, columns["recipe"] < known, f"must be below {known}, the number of recipes")
    _check_record(columns, record)


def _check_form(columns: Columns, kinds: Sequence[Column]) -> None:
    length = len(columns["parent"])
    for column in kinds:
        values = columns[column.name]
        shape = (length, column.width) if column.width > 1 else (length,)
        if values.shape != shape or values.dtype != column.dtype:
            raise ValueError(
                f"column {column.name} has {values.dtype} of shape {values.shape}, "
                f"but must have {column.dtype} of shape {shape}"
            )


def _require(name: str, columns: Columns, holds: npt.NDArray[np.bool_], accepted: str) -> None:
    wrong = np.argwhere(~holds)
    if len(wrong):
        place = tuple(int(i) for i in wrong[0])
        raise ValueError(f"{name} of row {place[0]} is {columns[name][place]}, but {accepted}")


def _check_record(columns: Columns, record: Record) -> None:
    parent = columns["parent"]
    calls = {int(forward) for forward in np.unique(columns["forward"])}
    last = -1
    for forward, rows, renewed in record.recomputed:
        if forward <= last or forward in calls:
            raise ValueError(f"forward call {forward} stands twice, or out of order, in the record")
        last = forward
        if not rows or not all(0 <= row < len(parent) for row in rows):
            raise ValueError(f"forward call {forward} computes rows again that are not in the table")
        if not all(parent[row] == before for before, row in itertools.pairwise(rows)):
            raise ValueError(f"forward call {forward} computes rows again that are not one after another")
        if not set(renewed) <= set(rows):
            raise ValueError(f"forward call {forward} renews rows that it does not compute")
    starts = [maker.forward for maker in record.makers]
    if starts and (starts[0] != 0 or starts != sorted(set(starts))):
        raise ValueError(f"the models start at forward calls {starts}, but must do so at 0 and then in order")
    made = 1 + max([last, *calls])
    if len(starts) > 1 and starts[-1] >= made:
        raise ValueError(f"a model starts at forward call {starts[-1]}, but there are {made}")


def check_labels(starts: Collection[int], labels: Iterable[int]) -> None:
    """Raise a ValueError of one sentence when a row has a label at which no branch starts."""
    for row in labels:
        if row not in starts:
            raise ValueError(f"row {row} has a label, but no branch starts there")


def check_sources(columns: Columns, sources: Mapping[int, Sequence[int]]) -> None:
    """Raise a ValueError of one sentence when a row has a source that can have none."""
    parent = columns["parent"]
    for row in sources:
        if not 0 <= row < len(parent) or parent[row] != -1:
            raise ValueError(f"row {row} has a source, but is not the first of a text")
