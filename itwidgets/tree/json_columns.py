"""Columns and tokens of a session as JSON values, and back: exact, or refused by a ValueError."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from itwidgets.tree.columns import Column, MeasureColumn, measure_column
from itwidgets.tree.json_values import Json, checked, member, only, shown

_NAMED = {"inf": math.inf, "-inf": -math.inf}


def columns_to_json(columns: Mapping[str, npt.NDArray[Any]], kinds: Sequence[Column]) -> Json:
    """Numbers as JSON has them; the wide columns as base64 of their little-endian bytes.

    A float32 is written in its shortest digits, a missing one as ``null``. The wide columns are nine
    tenths of a file: as digits they would take minutes and fill it.
    """
    return {column.name: _column_to_json(column, columns[column.name]) for column in kinds}


def _column_to_json(column: Column, values: npt.NDArray[Any]) -> Any:
    if column.width > 1:
        return packed(column, values)
    if column.dtype.kind != "f":
        return values.tolist()
    return [_number(float(text)) for text in values.astype(str).tolist()]


def packed(column: Column, values: npt.NDArray[Any]) -> str:
    """Return the numbers of a wide column as base64 of their little-endian bytes."""
    return base64.b64encode(np.ascontiguousarray(values, column.dtype).tobytes()).decode()


def _number(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)


def columns_from_json(content: Json, kinds: Sequence[Column]) -> dict[str, npt.NDArray[Any]]:
    """Read what :func:`columns_to_json` wrote."""
    only("columns", content, {column.name for column in kinds})
    rows = len(member(content, "parent", list))
    columns = {}
    for column in kinds:
        if column.width > 1:
            columns[column.name] = _from_base64(column, member(content, column.name, str), rows)
            continue
        values = member(content, column.name, list)
        if len(values) != rows:
            raise ValueError(f"column {column.name} has {len(values)} rows, but column parent has {rows}")
        columns[column.name] = numbers_from_json(column, values)
    return columns


def numbers_from_json(column: Column, values: list[Any]) -> npt.NDArray[Any]:
    """Return numbers as the column has them; what would lose anything is refused."""
    return _floats(column, values) if column.dtype.kind == "f" else _integers(column, values)


def _from_base64(column: Column, text: str, rows: int) -> npt.NDArray[Any]:
    wanted = rows * column.width * column.dtype.itemsize
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError(f"column {column.name} is no base64") from None
    if len(data) != wanted:
        raise ValueError(f"column {column.name} has {len(data)} bytes, but {rows} rows take {wanted}")
    return np.frombuffer(data, column.dtype).reshape(rows, column.width)


def _integers(column: Column, values: list[Any]) -> npt.NDArray[Any]:
    limits = np.iinfo(column.dtype)
    _require_types(column, values, {int})
    if values and not (limits.min <= min(values) and max(values) <= limits.max):
        raise ValueError(f"column {column.name} has a number beyond {column.dtype}")
    return np.array(values, column.dtype)


def _floats(column: Column, values: list[Any]) -> npt.NDArray[Any]:
    _require_types(column, values, {int, float, str, type(None)})
    if any(isinstance(value, str) and value not in _NAMED for value in values):
        raise ValueError(f"column {column.name} has a text, which must be 'inf' or '-inf'")
    numbers = [math.nan if value is None else _NAMED.get(value, value) for value in values]
    try:
        wide = np.array(numbers, np.float64)
        with np.errstate(over="raise"):
            return wide.astype(column.dtype)
    except (OverflowError, FloatingPointError):
        raise ValueError(f"column {column.name} has a number beyond {column.dtype}") from None


def _require_types(column: Column, values: list[Any], accepted: set[type]) -> None:
    # Types first, as a set: a look at each value by hand would take longer than all else.
    if set(map(type, values)) <= accepted:
        return
    row, value = next((row, value) for row, value in enumerate(values) if type(value) not in accepted)
    words = "a number or null" if column.dtype.kind == "f" else "a whole number"
    raise ValueError(f"{column.name} of row {row} is {shown(value)}, but must be {words}")


def measures_to_json(measures: Sequence[MeasureColumn]) -> Json:
    """Describe the columns that a tree has besides those of every tree; nothing if there are none."""
    described = [
        {"name": one.name, "unit": one.unit, "title": one.title, "limit": one.limit} for one in measures
    ]
    return {"measures": described} if described else {}


def measures_from_json(content: Json) -> list[MeasureColumn]:
    """Read what :func:`measures_to_json` wrote."""
    measures = []
    for entry in member(content, "measures", list) if "measures" in content else []:
        one = checked("a measure", entry, dict)
        only("a measure", one, {"name", "unit", "title", "limit"})
        name, unit, title = (member(one, key, str) for key in ("name", "unit", "title"))
        limit = one.get("limit")
        if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not limit > 0:
            raise ValueError(f"limit of the measure {name!r} is {shown(limit)}, but must be above 0")
        measures.append(measure_column(name, unit, title, float(limit)))
    names = [one.name for one in measures]
    if len(set(names)) < len(names):
        raise ValueError("measures names one twice")
    return measures


def tokens_from_json(content: Json) -> dict[int, bytes]:
    """Read the bytes of each token by its id."""
    tokens = {}
    for key, text in content.items():
        if not re.fullmatch("0|[1-9][0-9]{0,9}", key):
            raise ValueError(f"tokens has {shown(key)}, which is no token id")
        try:
            tokens[int(key)] = base64.b64decode(checked(f"token {key}", text, str), validate=True)
        except ValueError:
            raise ValueError(f"token {key} is {shown(text)}, which is no base64") from None
    return tokens
