"""Figures of texts: columns along it, how often which value comes, and branches beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from itwidgets.interventions import check_whole
from itwidgets.widgets.figures.drawing import (
    COLOURS,
    ROOM,
    Numbers,
    check_count,
    figure,
    from_zero,
    left_axis,
    line,
    shown,
    whole_ticks,
)

if TYPE_CHECKING:
    import bqplot
    import pandas as pd

    from itwidgets.tree import Comparison

_UNITS = {"bits", "bits2", "nats"}
_LABEL = 16
"""Characters of a branch that its legend shows."""


def text_figure(
    frame: pd.DataFrame, columns: Sequence[str] = ("surprisal_bits", "entropy_bits")
) -> bqplot.Figure:
    """Draw columns of a frame along the tokens of a text, one line each.

    Parameters
    ----------
    frame
        One row a token, as ``session.to_frame()`` and ``itwidgets.score`` give it.
    columns
        Names of columns with numbers, four at most; missing values are left out.

    Raises
    ------
    ValueError
        When the frame has no such column or no number in them, or there are none or more than four.

    Examples
    --------
    >>> figure = text_figure(session.to_frame())
    >>> figure.marks[0].labels
    ['surprisal_bits']
    """
    if isinstance(columns, str):
        raise TypeError(f"columns is {columns!r}, but must be a list of names")
    check_count("columns", columns)
    import bqplot

    lines = _columns_of(frame, columns)
    x, y = bqplot.LinearScale(), from_zero(np.concatenate(list(lines.values())))
    marks = []
    for (name, values), colour in zip(lines.items(), COLOURS, strict=False):
        # bqplot cannot place a marker at a missing value.
        known = np.flatnonzero(np.isfinite(values))
        marks.append(line(name, known, values[known], {"x": x, "y": y}, colour, marker="circle"))
    unit = _common_unit(columns)
    axes = [
        _token_axis(x, 0, len(frame) - 1),
        left_axis(y, unit),
    ]
    return figure(marks, axes)


def histogram_figure(frame: pd.DataFrame, column: str = "surprisal_bits", bins: int = 20) -> bqplot.Figure:
    """Draw how many tokens of a text have which value of a column.

    Parameters
    ----------
    frame
        One row a token, as ``session.to_frame()`` and ``itwidgets.score`` give it.
    column
        Its name; missing values are left out.
    bins
        Intervals of equal width.

    Raises
    ------
    ValueError
        When the frame has no such column, or no number in it.

    Examples
    --------
    >>> figure = histogram_figure(session.to_frame(), bins=4)
    >>> int(figure.marks[0].y.sum())
    4
    """
    import bqplot

    counts, edges = histogram(frame, column, bins)
    scales = {
        "x": bqplot.LinearScale(min=float(edges[0]), max=float(edges[-1])),
        "y": bqplot.LinearScale(min=0.0, max=ROOM * float(counts.max())),
    }
    bars = bqplot.Bars(
        x=(edges[:-1] + edges[1:]) / 2, y=counts, scales=scales, colors=[COLOURS[0]], padding=0.1
    )
    axes = [
        bqplot.Axis(scale=scales["x"], label=column, grid_lines="none"),
        left_axis(scales["y"], "tokens", tick_format="d", tick_values=whole_ticks(0, counts.max())),
    ]
    return figure([bars], axes)


def histogram(frame: pd.DataFrame, column: str, bins: int) -> tuple[Numbers, Numbers]:
    """Return how many values of a column lie in each of some equal intervals, and the edges of those."""
    check_whole("bins", bins, least=1)
    (values,) = _columns_of(frame, [column]).values()
    counts, edges = np.histogram(values[np.isfinite(values)], bins)
    return counts, edges


def branches_figure(comparison: Comparison, column: str = "surprisal_bits") -> bqplot.Figure:
    """Draw a column along at most four branches, from the last token that they share.

    Parameters
    ----------
    comparison
        As ``session.compare`` gives it, which has the table beside it: ``comparison.to_frame()``.
    column
        Of that table.

    Raises
    ------
    ValueError
        When the table has no such column, or no number in it, or there are more than four branches.

    Examples
    --------
    >>> tips = session.force(0, " Paris"), session.force(0, " London")
    >>> figure = branches_figure(session.compare(*tips))
    >>> [line.labels[0] for line in figure.marks]
    ['Branch 1 ␣Paris', 'Branch 2 ␣London']
    """
    import bqplot

    check_count("branches", comparison.tips)
    frame = comparison.to_frame()
    frame = frame[frame["position"] >= comparison.parts_at - 1]
    values = _columns_of(frame, [column])[column]
    x, y = bqplot.LinearScale(), from_zero(values)
    marks = []
    totals = comparison.totals()
    for tip, colour in zip(totals.index, COLOURS, strict=False):
        own = (frame["tip"] == tip).to_numpy() & np.isfinite(values)
        places = frame["position"].to_numpy()[own]
        label = f"{totals['name'][tip]} {shown(totals['text'][tip])[:_LABEL]}"
        marks.append(line(label, places, values[own], {"x": x, "y": y}, colour, marker="circle"))
    axes = [
        _token_axis(x, frame["position"].min(), frame["position"].max()),
        left_axis(y, column),
    ]
    return figure(marks, axes)


def _token_axis(scale: bqplot.Scale, first: int, last: int) -> bqplot.Axis:
    import bqplot

    ticks = whole_ticks(first, last)
    return bqplot.Axis(scale=scale, label="token", grid_lines="none", tick_format="d", tick_values=ticks)


def _columns_of(frame: pd.DataFrame, names: Sequence[str]) -> dict[str, Numbers]:
    """Return columns with numbers; at least one of them has any."""
    import pandas as pd

    unknown = [name for name in names if name not in frame.columns]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no column of the frame: it has {', '.join(frame.columns)}")
    texts = [name for name in names if not pd.api.types.is_numeric_dtype(frame[name])]
    if texts:
        raise ValueError(f"{texts[0]!r} holds {frame[texts[0]].dtype}, but must hold numbers to be drawn")
    columns = {name: frame[name].to_numpy(dtype=float, na_value=np.nan) for name in names}
    if not any(np.isfinite(values).any() for values in columns.values()):
        raise ValueError(f"{', '.join(names)} have no numbers in the frame: there is nothing to draw")
    return columns


def _common_unit(columns: Sequence[str]) -> str:
    """Return the unit that the names of all columns end in, if it is the same for all."""
    units = {name.rpartition("_")[2] for name in columns}
    return units.pop() if len(units) == 1 and units <= _UNITS else ""
