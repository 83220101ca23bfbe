"""Files of earlier versions, brought to the form of today."""

from __future__ import annotations

import itertools
from typing import Any

from itwidgets.tree.columns import BY_NAME, Column, Origin, Route
from itwidgets.tree.json_columns import numbers_from_json, packed
from itwidgets.tree.json_values import Json, member


def of_today(content: Json, version: int) -> Json:
    """Bring the content of a file of some version to the form of today."""
    for step in (_from_version_1, _from_version_2, _from_version_3)[version - 1 :]:
        content = step(content)
    return content


def _from_version_3(content: Json) -> Json:
    """Version 3 had no labels of branches."""
    if "labels" in content:
        raise ValueError("the content has 'labels', which version 3 does not know")
    return content


def _from_version_2(content: Json) -> Json:
    """Version 2 did not say which operators changed a row."""
    columns = member(content, "columns", dict)
    if "fired" in columns:
        raise ValueError("columns has 'fired', which version 2 does not know")
    fired = [int(BY_NAME["fired"].missing)] * len(member(columns, "parent", list))
    return content | {"columns": columns | {"fired": fired}}


def _from_version_1(content: Json) -> Json:
    """Bring the content of version 1 to that of version 2.

    Version 1 counted forward calls for each engine, and said neither of which kind they were, nor what
    was computed again, nor how tokens were drawn. Its wide columns were lists of lists.
    """
    made: Json = {
        "forward": 0,
        "attention": None,
        "route": "plain",
        "environment": {},
        "adapter": None,
        "adapter_fingerprint": None,
    }
    columns = member(content, "columns", dict)
    origin, forward = member(columns, "origin", list), member(columns, "forward", list)
    calls = [len(list(rows)) for _, rows in itertools.groupby(forward)]
    added = {
        "forward": [call for call, count in enumerate(calls) for _ in range(count)],
        "route": _routes(origin, [count for count in calls for _ in range(count)]),
        "recipe": [-1] * len(forward),
    }
    wide = {
        name: _packed(BY_NAME[name], member(columns, name, list)) for name in ("top_ids", "top_log_probs")
    }
    rest = {name: value for name, value in content.items() if name != "model"}
    return rest | {
        "models": [member(content, "model", dict) | made],
        "columns": columns | added | wide,
        "recipes": [],
        "recomputed": [],
    }


def _routes(origins: list[Any], counts: list[int]) -> list[int]:
    """Given tokens were prefilled, and so were those that share a call; all others were decoded."""
    given = (Origin.PROMPT, Origin.EDITED)
    return [
        int(Route.PREFILL if count > 1 or origin in given else Route.DECODE)
        for origin, count in zip(origins, counts, strict=False)
    ]


def _packed(column: Column, rows: list[Any]) -> str:
    if any(type(row) is not list or len(row) != column.width for row in rows):
        raise ValueError(f"column {column.name} must have {column.width} numbers in each row")
    return packed(column, numbers_from_json(column, list(itertools.chain.from_iterable(rows))))
