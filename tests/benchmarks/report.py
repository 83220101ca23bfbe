"""The table that a person reads, and the JSON that a script reads."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence

from tests.benchmarks.harness import Row, Target

_HEADER = ("what", "measured", "middle half", "target", "reached")
_WIDTH = 110


def table(rows: Sequence[Row]) -> str:
    """Lay the rows out in columns; the notes follow, numbered."""
    notes = list(dict.fromkeys(row.note for row in rows if row.note))
    lines = [_HEADER, *(_cells(row, notes) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADER))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    shown.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*(line.rstrip() for line in shown), "", *_notes(notes)])


def heading(about: Mapping[str, str]) -> str:
    """Say on what, and how, the figures were taken."""
    return "\n".join(f"{name}: {value}" for name, value in about.items()) + "\n"


def as_json(rows: Sequence[Row], about: Mapping[str, str]) -> str:
    """Return everything that was measured, round by round."""
    measured = [
        {
            "what": row.what,
            "unit": row.unit,
            "rounds": row.measured.values if row.measured else [],
            "median": row.measured.median if row.measured else None,
            "target": _target(row.target),
            "reached": row.reached,
            "note": row.note,
        }
        for row in rows
    ]
    return json.dumps({"about": about, "rows": measured}, indent=2)


def _cells(row: Row, notes: Sequence[str]) -> tuple[str, ...]:
    mark = f" [{notes.index(row.note) + 1}]" if row.note else ""
    if row.measured is None:
        return (row.what + mark, "-", "", _target(row.target, row.unit), "")
    low, high = row.measured.middle_half
    return (
        row.what + mark,
        f"{_number(row.measured.median)} {row.unit}".strip(),
        f"{_number(low)} to {_number(high)}" if len(row.measured.values) > 1 else "",
        _target(row.target, row.unit),
        {True: "yes", False: "NO", None: ""}[row.reached],
    )


def _target(target: Target | None, unit: str = "") -> str:
    if target is None:
        return ""
    return f"{'at least' if target.at_least else 'at most'} {_number(target.limit)} {unit}".strip()


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _notes(notes: Sequence[str]) -> list[str]:
    return [
        textwrap.fill(f"[{number}] {note}", _WIDTH, subsequent_indent="    ")
        for number, note in enumerate(notes, 1)
    ]
