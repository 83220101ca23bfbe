"""The distribution of the selected token, as a figure and as a table that follow the viewer."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from itwidgets.engine import Distribution, Job
from itwidgets.interventions import check_whole
from itwidgets.interventions.parameters import check_choice
from itwidgets.tree import Node
from itwidgets.widgets.figures.distributions import best_of_all, comparison_figure, rank_figure
from itwidgets.widgets.figures.drawing import shown
from itwidgets.widgets.figures.following import Following

if TYPE_CHECKING:
    import pandas as pd

    from itwidgets.widgets.stream import TokenStream

NOTHING = "Select a token to see what it was drawn from."
NO_CONTEXT = "The first token of a text has no context, so there is no distribution to show."
_AS = ("bars", "ranks")


class SelectedDistribution(Following):
    """What the selected token of a viewer was drawn from: a figure, and a table of the same numbers.

    Show it beside the viewer, or in another cell. A token that a program drew has `p`, `q` and `s`.

    Parameters
    ----------
    viewer
        Whose selection it follows.
    k
        How many of the most probable tokens of each distribution are drawn, and stand in the table.
    show_as
        ``"bars"`` of the best tokens, or probability against ``"ranks"`` over the whole vocabulary.

    Examples
    --------
    >>> from itwidgets.widgets import TokenStream
    >>> viewer = TokenStream(session)
    >>> beside = SelectedDistribution(viewer, k=5)
    >>> beside.close(), viewer.close()
    (None, None)
    """

    def __init__(self, viewer: TokenStream, k: int = 15, show_as: str = "bars") -> None:
        check_whole("k", k, least=1)
        check_choice("show_as", show_as, _AS)
        self._k, self._show_as = k, show_as
        self._job: Job[Distribution] | None = None
        super().__init__(viewer)
        self._ends.append(viewer.on_select(lambda node: self._now(lambda: self._follow(node))))
        self._later(lambda: self._follow(viewer.selected))

    def close(self) -> None:
        """Stop following, and remove it from the page."""
        super().close()
        # Last: until it is closed it may follow once more.
        if hasattr(self, "_job"):
            self._forget()

    def _forget(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.cancel()

    def _follow(self, node: Node | None) -> None:
        self._forget()
        if node is None or node.parent is None:
            self._say(NOTHING if node is None else NO_CONTEXT)
            return
        try:
            job = self._viewer.session.read_distribution(node.parent.row, node.program)
        except RuntimeError as error:
            self._say(str(error))
            return
        self._job = job
        job.on_done(lambda: self._later(lambda: self._show(node, job)))

    def _show(self, node: Node, job: Job[Distribution]) -> None:
        if job is not self._job or job.cancelled:
            return
        p = job.wait()
        distributions = {"p": p} if node.program is None else {"p": p, "q": p.q, "s": p.s}
        bars = self._show_as == "bars"
        self._draw([comparison_figure(distributions, self._k) if bars else rank_figure(distributions)])
        token = f"<b>{html.escape(shown(node.text))}</b>"
        self._tell(f"{token}, rank {node.rank}, {node.surprisal:.2f} bits", self._rows(distributions))

    def _rows(self, distributions: Mapping[str, Distribution]) -> pd.DataFrame:
        import pandas as pd

        p, order = distributions["p"], best_of_all(distributions, self._k)
        columns = {
            "rank": p.ranks(np.array(order)),
            "token": [shown(p.vocabulary.token_bytes(i).decode(errors="replace")) for i in order],
            "surprisal_bits": [p.surprisal(i) for i in order],
        } | {name: [each.probability(i) for i in order] for name, each in distributions.items()}
        return pd.DataFrame(columns)
