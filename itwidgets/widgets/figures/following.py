"""A figure with its text table, both of which follow a viewer."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets

from itwidgets.widgets.figures.drawing import close

if TYPE_CHECKING:
    import bqplot
    import pandas as pd

    from itwidgets.widgets.stream import TokenStream


class Following(ipywidgets.VBox):  # type: ignore[misc]
    """A heading, a figure, and a table of the same numbers for who cannot see the figure.

    All that it shows is written on the thread that writes to the viewer's page, so that nothing overtakes
    anything. A class below draws in what it gives to :meth:`_later` or :meth:`_now`. When the viewer is
    closed, what was drawn last stays.

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
        self._drawing, self._is_closed = threading.RLock(), False
        super().__init__([self._heading, self._figures, self._table])
        viewer.observe(self._left, "comm")
        self._ends.append(lambda: viewer.unobserve(self._left, "comm"))

    def close(self) -> None:
        """Stop following, and remove it from the page."""
        # ipywidgets also closes what was never made, because its arguments were refused.
        if hasattr(self, "_ends"):
            self._leave()
            with self._drawing:
                self._is_closed = True
            self._draw()
            boxes = self._heading, self._figures, self._table
            styles = self._heading.style, self._table.style
            for part in (*boxes, *styles, *(box.layout for box in boxes), self.layout):
                part.close()
        super().close()

    def _left(self, change: dict[str, Any]) -> None:
        if change["new"] is None:
            self._leave()

    def _leave(self) -> None:
        """Stop following."""
        ends, self._ends = self._ends, []
        for end in ends:
            end()

    def _later(self, draw: Callable[[], None]) -> None:
        """Draw when it is this widget's turn to be written."""
        self._viewer.link.reply(lambda: self._now(draw))

    def _now(self, draw: Callable[[], None]) -> None:
        """Draw, unless this is closed; what goes wrong is shown in its place."""
        with self._drawing:
            if self._is_closed:
                return
            try:
                draw()
            except Exception as error:  # noqa: BLE001 - it is shown where the figure would be
                self._say(str(error))

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
