"""A figure with its text table, both of which follow a viewer."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import ipywidgets

from itwidgets.widgets.figures.drawing import close

if TYPE_CHECKING:
    import bqplot
    import pandas as pd

    from itwidgets.widgets.stream import TokenStream


class Following(ipywidgets.VBox):  # type: ignore[misc]
    """A heading, a figure, and a table of the same numbers for who cannot see the figure.

    All that it shows is written on the thread that writes to the viewer's page, so that nothing overtakes
    anything. A class below draws in what it gives to :meth:`_later`.

    Parameters
    ----------
    viewer
        What it follows.
    """

    def __init__(self, viewer: TokenStream) -> None:
        self._viewer = viewer
        self._heading, self._table = ipywidgets.HTML(), ipywidgets.HTML()
        self._figures = ipywidgets.Box()
        self._ends: list[Callable[[], None]] = []
        super().__init__([self._heading, self._figures, self._table])

    def close(self) -> None:
        """Stop following, and remove it from the page."""
        # ipywidgets also closes what was never made, because its arguments were refused.
        if hasattr(self, "_ends"):
            for end in self._ends:
                end()
            self._draw()
            boxes = self._heading, self._figures, self._table
            styles = self._heading.style, self._table.style
            for part in (*boxes, *styles, *(box.layout for box in boxes), self.layout):
                part.close()
        super().close()

    def _later(self, draw: Callable[[], None]) -> None:
        """Draw when it is this widget's turn to be written; what goes wrong is shown in its place."""

        def guarded() -> None:
            try:
                draw()
            except Exception as error:  # noqa: BLE001 - it is shown where the figure would be
                self._say(str(error))

        self._viewer.link.reply(guarded)

    def _draw(self, figures: Sequence[bqplot.Figure] = ()) -> None:
        old, self._figures.children = self._figures.children, tuple(figures)
        for figure in old:
            close(figure)

    def _tell(self, heading: str, frame: pd.DataFrame) -> None:
        """Write the table and then the heading, which may hold HTML."""
        self._table.value = frame.to_html(index=False, float_format="{:.4f}".format)
        self._heading.value = heading

    def _say(self, sentence: str) -> None:
        """Show a sentence instead of figure and table."""
        self._draw()
        self._table.value = ""
        self._heading.value = html.escape(sentence)
