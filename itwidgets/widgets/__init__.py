"""The viewer as a Jupyter widget, its wire, and figures beside it."""

from itwidgets.widgets.figures import (
    CurrentBranch,
    SelectedDistribution,
    branches_figure,
    comparison_figure,
    distribution_figure,
    histogram_figure,
    rank_figure,
    text_figure,
)
from itwidgets.widgets.stream import TokenStream

__all__ = [
    "CurrentBranch",
    "SelectedDistribution",
    "TokenStream",
    "branches_figure",
    "comparison_figure",
    "distribution_figure",
    "histogram_figure",
    "rank_figure",
    "text_figure",
]
