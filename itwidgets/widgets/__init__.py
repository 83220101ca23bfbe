"""The viewer as a Jupyter widget, and its wire."""

from itwidgets.widgets.stream import TokenStream

__all__ = ["TokenStream"]
