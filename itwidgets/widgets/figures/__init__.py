"""Figures in bqplot: distributions, and measures along a text and along branches.

bqplot's charts say nothing to a screen reader, so each function draws what a table has too: show
``distribution.to_frame()`` or the frame itself beside it.
"""

from itwidgets.widgets.figures.branch import CurrentBranch
from itwidgets.widgets.figures.distributions import comparison_figure, distribution_figure, rank_figure
from itwidgets.widgets.figures.selected import SelectedDistribution
from itwidgets.widgets.figures.texts import branches_figure, histogram_figure, text_figure

__all__ = [
    "CurrentBranch",
    "SelectedDistribution",
    "branches_figure",
    "comparison_figure",
    "distribution_figure",
    "histogram_figure",
    "rank_figure",
    "text_figure",
]
