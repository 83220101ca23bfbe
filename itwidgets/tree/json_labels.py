"""Labels of branches as JSON values, and back: exact, or refused by a ValueError."""

from __future__ import annotations

from typing import Any

from itwidgets.tree.json_record import row_from_json
from itwidgets.tree.json_values import Json, checked, member, only, shown
from itwidgets.tree.labels import Label, Labels

_KINDS: dict[str, type[Any]] = {"name": str, "colour": str, "hidden": bool}


def labels_to_json(labels: Labels, rows: int) -> Json:
    """Write the labels of branches that start in the first ``rows`` rows; nothing where there are none."""
    content = {str(start): _label_to_json(label) for start, label in labels.all().items() if start < rows}
    return {"labels": content} if content else {}


def _label_to_json(label: Label) -> Json:
    said = {"name": label.name, "colour": label.colour, "hidden": label.hidden or None}
    return {key: value for key, value in said.items() if value is not None}


def labels_from_json(content: Json) -> dict[int, Label]:
    """Read what :func:`labels_to_json` wrote."""
    labels = member(content, "labels", dict) if "labels" in content else {}
    return {row_from_json("labels", key): _label_from_json(said) for key, said in labels.items()}


def _label_from_json(content: Any) -> Label:
    checked("a label", content, dict)
    only("a label", content, set(_KINDS))
    label = Label(**{key: member(content, key, kind) for key, kind in _KINDS.items() if key in content})
    if _label_to_json(label) != content or not content:
        raise ValueError(f"a label is {shown(content)}, but must say a name, a colour, or that it is hidden")
    return label
