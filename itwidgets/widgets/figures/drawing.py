"""What all figures share: colours, axes, lines, and labels that show their spaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import bqplot

Numbers = npt.NDArray[Any]

# Of Okabe and Ito (2008): told apart by colour-blind readers, in print, and on light and dark grounds.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")

_HEIGHT = "320px"
_MARGIN = {"top": 20, "bottom": 80, "left": 70, "right": 20}
_TICKS = 10

ROOM = 1.25
"""Of the highest line: how far the scale goes, so that the legend stands above all of them."""


def shown(text: str) -> str:
    r"""Return a token's text with its spaces and line breaks visible, for a label.

    Examples
    --------
    >>> shown(" a\n")
    '␣a↵'
    """
    return text.replace(" ", "␣").replace("\n", "↵").replace("\t", "⇥")


def close(figure: bqplot.Figure) -> None:
    """Close a figure and all that it is made of: ipywidgets keeps what is open, and what that refers to."""
    scales = {id(scale): scale for mark in figure.marks for scale in mark.scales.values()}
    parts = *figure.marks, *figure.axes, *scales.values(), figure.scale_x, figure.scale_y, figure.layout
    for part in (*parts, figure):
        part.close()


def whole_ticks(low: float, high: float) -> Numbers:
    """Return places of ticks on an axis of whole numbers, few enough to be read."""
    step = max(1, -(-int(high - low) // _TICKS))
    return np.arange(int(low), int(high) + 1, step)


def left_axis(scale: bqplot.Scale, label: str, **style: Any) -> bqplot.Axis:
    """Return the axis of heights; its label stands clear of its numbers."""
    import bqplot

    return bqplot.Axis(
        scale=scale, label=label, side="left", grid_lines="dashed", label_offset="3.6em", **style
    )


def check_count(what: str, things: Sized) -> None:
    """Refuse more things than there are colours, or none."""
    if not 1 <= len(things) <= len(COLOURS):
        raise ValueError(f"{len(things)} {what} were given, but 1 to {len(COLOURS)} are drawn")


def from_zero(values: Numbers) -> bqplot.LinearScale:
    """Return a scale for heights, some of which are finite, that holds 0 and room for a legend."""
    import bqplot

    known = values[np.isfinite(values)]
    return bqplot.LinearScale(min=float(min(0, known.min())), max=float(ROOM * max(known.max(), 1e-9)))


def line(
    name: str, x: Numbers, y: Numbers, scales: Mapping[str, Any], colour: str, **style: Any
) -> bqplot.Lines:
    """Return a line with its name in the legend."""
    import bqplot

    return bqplot.Lines(
        x=x, y=y, scales=scales, colors=[colour], labels=[name], display_legend=True, marker_size=24, **style
    )


def figure(marks: Sequence[Any], axes: Sequence[Any]) -> bqplot.Figure:
    """Return a figure as wide as its cell."""
    import bqplot

    made = bqplot.Figure(marks=list(marks), axes=list(axes), fig_margin=_MARGIN, legend_location="top-right")
    made.layout.width, made.layout.height = "100%", _HEIGHT
    return made
