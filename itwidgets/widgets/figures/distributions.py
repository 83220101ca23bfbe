"""Figures of distributions of one place: bars of the best tokens, and probability against rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from itwidgets.interventions import check_whole
from itwidgets.widgets.figures.drawing import COLOURS, check_count, figure, left_axis, line, shown

if TYPE_CHECKING:
    import bqplot

    from itwidgets.engine import Distribution

_RANKS = 300
"""Drawn of a whole vocabulary: so many that the curve is smooth, and not a hundred thousand."""


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
    check_count("distributions", distributions)
    first, *_ = distributions.values()
    order = best_of_all(distributions, k)
    texts = [first.vocabulary.token_bytes(token_id).decode(errors="replace") for token_id in order]
    labels = [f"{place} {shown(text)}" for place, text in enumerate(texts, 1)]
    return _bars(
        labels,
        {
            name: [distribution.probability(token_id) for token_id in order]
            for name, distribution in distributions.items()
        },
    )


def best_of_all(distributions: Mapping[str, Distribution], k: int) -> list[int]:
    """Ids of the `k` most probable tokens of each distribution, in the order of the first."""
    first, *_ = distributions.values()
    ids = {one.token_id for distribution in distributions.values() for one in distribution.top(k)}
    return sorted(ids, key=lambda token_id: (-first.probability(token_id), token_id))


def rank_figure(distributions: Mapping[str, Distribution]) -> bqplot.Figure:
    """Draw probability against rank over the whole vocabulary, both on logarithmic axes.

    Parameters
    ----------
    distributions
        By their names, such as ``{"p": ..., "q": ...}``; four at most. What has no probability is left out.

    Raises
    ------
    ValueError
        When there are none, or more than four.

    Examples
    --------
    >>> figure = rank_figure({"p": session.distribution(0)})
    >>> figure.marks[0].x[:3].tolist()
    [1, 2, 3]
    """
    import bqplot

    check_count("distributions", distributions)
    x, y = bqplot.LogScale(), bqplot.LogScale()
    marks = []
    for (name, distribution), colour in zip(distributions.items(), COLOURS, strict=False):
        probabilities = np.exp(distribution.log_probs[distribution.order])
        ranks = np.unique(np.geomspace(1, np.count_nonzero(probabilities), _RANKS).round().astype(int))
        marks.append(line(name, ranks, probabilities[ranks - 1], {"x": x, "y": y}, colour))
    axes = [
        bqplot.Axis(scale=x, label="rank", grid_lines="none", tick_format="~s"),
        left_axis(y, "probability", tick_format=".0e"),
    ]
    return figure(marks, axes)


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
        left_axis(y, "probability"),
    ]
    return figure([bars], axes)
