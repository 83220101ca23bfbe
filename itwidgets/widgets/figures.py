"""Figures in bqplot: a distribution, two of them side by side, and measures along a text.

bqplot's charts say nothing to a screen reader, so each function draws what a table has too: show
``distribution.to_frame()`` or the frame itself beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from itwidgets.interventions import check_whole

if TYPE_CHECKING:
    import bqplot
    import pandas as pd

    from itwidgets.engine import Distribution

# Of Okabe and Ito (2008): told apart by colour-blind readers, in print, and on light and dark grounds.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")

_HEIGHT = "320px"
_MARGIN = {"top": 20, "bottom": 80, "left": 60, "right": 20}
_UNITS = {"bits", "bits2", "nats"}

_ROOM = 1.25
"""Of the highest line: how far the scale goes, so that the legend stands above all of them."""


def distribution_figure(distribution: Distribution, k: int = 15) -> bqplot.Figure:
    """Draw the `k` most probable tokens as bars, best first.

    Parameters
    ----------
    distribution
        Of a place in a text.
    k
        How many tokens.

    Examples
    --------
    >>> figure = distribution_figure(session.distribution(0), k=3)
    >>> figure.marks[0].x.tolist()
    ['1 ␣Paris', '2 ␣the', '3 ␣London']
    """
    check_whole("k", k, least=1)
    best = distribution.top(k)
    labels = [f"{place} {shown(one.text)}" for place, one in enumerate(best, 1)]
    return _bars(labels, {"p": [one.probability for one in best]})


def comparison_figure(distributions: Mapping[str, Distribution], k: int = 10) -> bqplot.Figure:
    """Draw distributions of one place side by side, over the union of their `k` most probable tokens.

    Parameters
    ----------
    distributions
        By their names, such as ``{"p": ..., "q": ...}``; four at most. The first gives the order.
    k
        How many tokens of each.

    Raises
    ------
    ValueError
        When there are none, or more than four.
    """
    check_whole("k", k, least=1)
    if not 1 <= len(distributions) <= len(COLOURS):
        raise ValueError(f"{len(distributions)} distributions were given, but 1 to {len(COLOURS)} are drawn")
    first, *_ = distributions.values()
    ids = {one.token_id for distribution in distributions.values() for one in distribution.top(k)}
    order = sorted(ids, key=lambda token_id: (-first.probability(token_id), token_id))
    texts = [first.vocabulary.token_bytes(token_id).decode(errors="replace") for token_id in order]
    labels = [f"{place} {shown(text)}" for place, text in enumerate(texts, 1)]
    return _bars(
        labels,
        {
            name: [distribution.probability(token_id) for token_id in order]
            for name, distribution in distributions.items()
        },
    )


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
    if not 1 <= len(columns) <= len(COLOURS):
        raise ValueError(f"{len(columns)} columns were given, but 1 to {len(COLOURS)} are drawn")
    unknown = [name for name in columns if name not in frame.columns]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no column of the frame: it has {', '.join(frame.columns)}")
    import bqplot

    lines = {name: frame[name].to_numpy(dtype=float) for name in columns}
    known = np.concatenate([values[np.isfinite(values)] for values in lines.values()])
    if not len(known):
        raise ValueError(f"{', '.join(columns)} have no numbers in the frame: there is nothing to draw")
    y = bqplot.LinearScale(min=float(min(0, known.min())), max=float(_ROOM * max(known.max(), 1e-9)))
    x = bqplot.LinearScale()
    marks = [
        bqplot.Lines(
            # bqplot cannot place a marker at a missing value.
            x=np.flatnonzero(np.isfinite(values)),
            y=values[np.isfinite(values)],
            scales={"x": x, "y": y},
            colors=[colour],
            labels=[name],
            display_legend=True,
            marker="circle",
            marker_size=24,
        )
        for (name, values), colour in zip(lines.items(), COLOURS, strict=False)
    ]
    unit = _common_unit(columns)
    axes = [
        bqplot.Axis(scale=x, label="token", grid_lines="none", tick_format="d"),
        bqplot.Axis(scale=y, label=unit, side="left", grid_lines="dashed"),
    ]
    return _figure(marks, axes)


def shown(text: str) -> str:
    r"""Return a token's text with its spaces and line breaks visible, for a label.

    Examples
    --------
    >>> shown(" a\n")
    '␣a↵'
    """
    return text.replace(" ", "␣").replace("\n", "↵").replace("\t", "⇥")


def _bars(labels: Sequence[str], heights: Mapping[str, Sequence[float]]) -> bqplot.Figure:
    import bqplot

    rows = np.array(list(heights.values()))
    # Of grouped bars bqplot finds no scale by itself.
    x, y = bqplot.OrdinalScale(), bqplot.LinearScale(min=0.0, max=1.05 * float(rows.max()))
    bars = bqplot.Bars(
        x=list(labels),
        y=rows if len(rows) > 1 else rows[0],
        scales={"x": x, "y": y},
        colors=list(COLOURS[: len(heights)]),
        type="grouped",
        labels=list(heights),
        display_legend=len(heights) > 1,
    )
    axes = [
        bqplot.Axis(scale=x, tick_rotate=-40, tick_style={"text-anchor": "end"}),
        bqplot.Axis(scale=y, label="probability", side="left", grid_lines="dashed"),
    ]
    return _figure([bars], axes)


def _figure(marks: Sequence[Any], axes: Sequence[Any]) -> bqplot.Figure:
    import bqplot

    figure = bqplot.Figure(
        marks=list(marks), axes=list(axes), fig_margin=_MARGIN, legend_location="top-right"
    )
    figure.layout.width, figure.layout.height = "100%", _HEIGHT
    return figure


def _common_unit(columns: Sequence[str]) -> str:
    """Return the unit that the names of all columns end in, if it is the same for all."""
    units = {name.rpartition("_")[2] for name in columns}
    return units.pop() if len(units) == 1 and units <= _UNITS else ""
