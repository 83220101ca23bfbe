"""The files that a session can be kept as."""

from __future__ import annotations

from os import PathLike

from itwidgets._formats import HTML, written
from itwidgets.engine.session.growing import GrowingTree
from itwidgets.tree.files import SavedSession, save_session, write_whole


class KeptTree(GrowingTree):
    """A growing token tree that can be written to files."""

    def save(self, path: str | PathLike[str]) -> None:
        """Write the whole tree to one JSON file, which :func:`itwidgets.open` reads."""
        save_session(path, SavedSession(self.tree, self._history.head, self.identity))

    def to_html(self, path: str | PathLike[str] | None = None) -> str | None:
        """Write one HTML file that shows the session in any browser, without a kernel and without a network.

        It holds the viewer and the whole tree: the tokens, the alternatives that were kept of each, and all
        branches can be read. What needs the model, such as to force a token, does not work there.

        Parameters
        ----------
        path
            Of the file; ``None`` returns its text.

        Returns
        -------
        str or None
            The text of the file, unless it was written.

        Raises
        ------
        FileNotFoundError
            When there is no such folder, or the front end is not built.

        Examples
        --------
        >>> print(session.to_html()[:15])
        <!doctype html>
        """
        text = written(HTML, self)
        if path is None:
            return text
        write_whole(path, text)
        return None
