"""The viewer as a Jupyter widget, its wire, and figures beside it."""

from itwidgets.widgets.figures import comparison_figure, distribution_figure, text_figure
from itwidgets.widgets.stream import TokenStream

__all__ = ["TokenStream", "comparison_figure", "distribution_figure", "text_figure"]
