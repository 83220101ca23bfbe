"""The text that a viewer shows, as a figure and a table that follow it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from itwidgets.interventions import check_whole
from itwidgets.interventions.parameters import check_choice
from itwidgets.tree import Node
from itwidgets.widgets.figures.drawing import check_count, shown
from itwidgets.widgets.figures.following import Following
from itwidgets.widgets.figures.texts import histogram, histogram_figure, text_figure

if TYPE_CHECKING:
    import bqplot
    import pandas as pd

    from itwidgets.widgets.stream import TokenStream

NO_TEXT = "There is no text yet: generate some."
_AS = ("lines", "histogram")
_AROUND = 12
"""Tokens before and after the selected one in the table: so much is read, and not ten thousand rows."""


class CurrentBranch(Following):
    """Columns along the branch that a viewer shows, or how often which value comes; with a table.

    The selected token is marked. A click on a point selects its token in the viewer. While a text grows
    the figure waits for its end.

    Parameters
    ----------
    viewer
        Whose text it follows.
    columns
        Of ``viewer.session.to_frame()``, four at most; the histogram takes the first.
    show_as
        ``"lines"`` along the text, or a ``"histogram"`` of the values.
    bins
        Intervals of the histogram.

    Examples
    --------
    >>> from itwidgets.widgets import TokenStream
    >>> viewer = TokenStream(session)
    >>> beside = CurrentBranch(viewer, columns=["surprisal_bits", "entropy_bits"])
    >>> beside.close(), viewer.close()
    (None, None)
    """

    def __init__(
        self,
        viewer: TokenStream,
        columns: Sequence[str] = ("surprisal_bits", "entropy_bits"),
        show_as: str = "lines",
        bins: int = 20,
    ) -> None:
        if isinstance(columns, str):
            raise TypeError(f"columns is {columns!r}, but must be a list of names")
        check_count("columns", columns)
        check_choice("show_as", show_as, _AS)
        check_whole("bins", bins, least=1)
        self._columns, self._show_as, self._bins = list(columns), show_as, bins
        self._rows: list[int] = []
        super().__init__(viewer)
        self._ends.append(viewer.on_select(lambda _: self._now(self._point_out)))
        self._ends.append(viewer.session.subscribe(lambda: self._later(self._follow)))
        self._later(self._follow)

    def _follow(self) -> None:
        session = self._viewer.session
        if session.running is not None:
            return
        rows = [node.row for node in session.nodes]
        if not rows:
            self._say(NO_TEXT)
        elif rows != self._rows:
            frame = session.to_frame()
            self._rows, self._frame = rows, frame
            lines = self._show_as == "lines"
            self._draw([self._lines() if lines else histogram_figure(frame, self._columns[0], self._bins)])
            self._point_out()

    def _lines(self) -> bqplot.Figure:
        import bqplot

        figure = text_figure(self._frame, self._columns)
        scales = figure.marks[0].scales
        # The points of the lines hear no clicks.
        points = [
            bqplot.Scatter(x=one.x, y=one.y, scales=scales, colors=one.colors, default_size=36)
            for one in figure.marks
        ]
        for one in points:
            one.on_element_click(partial(self._clicked, self._rows))
        here = bqplot.Lines(
            x=[], y=[], scales=scales, colors=["gray"], line_style="dashed", labels=["selected"]
        )
        figure.marks = [here, *figure.marks, *points]
        return figure

    def _clicked(self, rows: list[int], mark: bqplot.Scatter, content: dict[str, Any]) -> None:
        self._viewer.select_row(rows[int(mark.x[content["data"]["index"]])])

    def _point_out(self) -> None:
        """Mark the selected token, and show the part of the table around it."""
        if not self._figures.children:
            return
        node = self._viewer.selected
        # The viewer may be ahead of what is drawn.
        if node is not None and self._rows[node.position : node.position + 1] != [node.row]:
            node = None
        if self._show_as == "histogram":
            self._tell(self._heading_of(node), self._intervals())
            return
        here = self._figures.children[0].marks[0]
        heights = here.scales["y"]
        here.x, here.y = ([], []) if node is None else ([node.position] * 2, [heights.min, heights.max])
        last = len(self._rows) - 1
        start = max(0, min(last if node is None else node.position, last - _AROUND) - _AROUND)
        self._tell(self._heading_of(node), self._part(start, start + 2 * _AROUND + 1))

    def _heading_of(self, node: Node | None) -> str:
        tokens = f"{len(self._rows):,} tokens"
        if node is None:
            return f"{tokens}, none of them selected"
        return f"{tokens}, selected <b>{html.escape(shown(node.text))}</b> at {node.position:,}"

    def _part(self, start: int, stop: int) -> pd.DataFrame:
        import pandas as pd

        part = self._frame.iloc[start:stop]
        tokens = {"position": part["position"], "token": part["token"].map(shown)}
        return pd.DataFrame(tokens | {name: part[name] for name in self._columns})

    def _intervals(self) -> pd.DataFrame:
        import pandas as pd

        name = self._columns[0]
        counts, edges = histogram(self._frame, name, self._bins)
        return pd.DataFrame({f"{name}_from": edges[:-1], f"{name}_to": edges[1:], "tokens": counts})
