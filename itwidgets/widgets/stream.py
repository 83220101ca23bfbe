"""The viewer: a token stream that a person reads and overrules."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from itwidgets.engine import Engine, Generation, Session
from itwidgets.engine.session.listeners import Listeners
from itwidgets.engine.session.prompts import Prompt
from itwidgets.interventions import Operator, Program
from itwidgets.tree import Node
from itwidgets.widgets.bundle import bundle_path, bundle_text
from itwidgets.widgets.link import Link
from itwidgets.widgets.page import Message, Page
from itwidgets.widgets.prompt_field import PromptField
from itwidgets.widgets.protocol import Notice, Settings, State
from itwidgets.widgets.requests import Requests, described
from itwidgets.widgets.routing import hear_on_the_pages_subshell
from itwidgets.widgets.selection import Selection
from itwidgets.widgets.settings import checked, plan_of
from itwidgets.widgets.state import state_of


def _bundle(name: str) -> str | Path:
    """Give a file of the front end as text, and as a file to watch while the front end is worked on.

    anywidget keeps all viewers of a file, for good: with them it would keep their models.
    """
    return bundle_path(name) if os.environ.get("ANYWIDGET_HMR") == "1" else bundle_text(name)


class TokenStream(anywidget.AnyWidget):
    """Watch a session's tokens as they are made, inspect any of them, and overrule it.

    The last line of a cell shows it; several views of one viewer stay in step.

    Parameters
    ----------
    source
        An engine, or a session to show.
    prompt
        What to start from, as in :meth:`Engine.session <itwidgets.engine.Engine.session>`; only with an
        engine. It is read in the background.
    **settings
        Sampling settings at the start: ``temperature`` (0 is greedy), ``top_k``, ``top_p``, ``min_p``,
        ``seed``, ``max_new_tokens``.

    Examples
    --------
    >>> viewer = TokenStream(engine, prompt="The capital of France is")
    >>> job = viewer.generate(max_new_tokens=3)
    >>> len(job.wait())
    3
    >>> viewer.close()
    """

    _esm = _bundle("widget.js")
    _css = _bundle("widget.css")

    state = traitlets.Dict().tag(sync=True)
    """The small state for pages that come later. Written by the link, and shown by the cell."""

    table = traitlets.Dict().tag(sync=True)
    """All rows for pages that come later. Written by the link, and shown by the cell."""

    def __init__(self, source: Engine | Session, prompt: Prompt = "", **settings: Any) -> None:
        if not isinstance(source, (Engine, Session)):
            raise TypeError(f"source is {source!r}, but must be an engine or a session")
        if isinstance(source, Session) and prompt:
            raise TypeError(
                "prompt was given with a session, which has its own: give an engine, or no prompt"
            )
        self._settings = checked(settings)
        self._session = source if isinstance(source, Session) else source.empty_session()
        self._prompt = PromptField(self._session, prompt)
        self._selection = Selection(self._session)
        self._announced: int | None = None
        self._select_listeners = Listeners()
        self._notice: Notice | None = None
        self._notices = itertools.count(1)
        self._jobs: list[Generation] = []
        self._page = Page()
        super().__init__()
        hear_on_the_pages_subshell(self.comm)
        self.link = Link(self._send_changes)
        self._unsubscribe = self.session.subscribe(self.link.changed)
        self._requests = Requests(self)
        self.on_msg(lambda _, content, buffers: self._requests.handle(content))
        if self._prompt.first:
            self._watched(self.session.read_prompt(self._prompt.first))
        self.link.changed()

    def __repr__(self) -> str:
        return f"TokenStream({self.session!r})"

    def _repr_mimebundle_(self, **keys: Any) -> Any:
        # A notebook that is run without a browser keeps what its cells send, and the link is in no cell.
        self.link.changed()
        self.link.settle()
        self.send_state(["state", "table"])
        return super()._repr_mimebundle_(**keys)

    # ---------------------------------------------------------------- what a person can do

    def generate(
        self,
        max_new_tokens: int | None = None,
        *,
        program: Program | Operator | None = None,
        seed: int | None = None,
    ) -> Generation:
        """Continue from the head; returns at once.

        Parameters
        ----------
        max_new_tokens, seed
            By default those of the viewer's settings.
        program
            Interventions and sampler stages; by default the viewer's settings.

        Returns
        -------
        Generation
            ``await job``, ``job.wait()`` or ``job.cancel()``.
        """
        given = {"max_new_tokens": max_new_tokens, "seed": seed}
        changes = {name: value for name, value in given.items() if value is not None}
        return self.start(settings=checked(changes, self._settings), program=program)

    def force(self, position: int | Node, tokens: int | str | Sequence[int]) -> Generation:
        """Put other tokens at a place and go on from there as the settings say; returns at once.

        Parameters
        ----------
        position
            Of a new token on the current branch, or its end, or a node to be replaced.
        tokens
            A token id, several, or any text of one or more tokens.
        """
        token_ids = self.session.engine.vocabulary.token_ids(tokens)
        self._await_prompt()
        return self.start(parent=self.session.parent_of(position), forced=token_ids)

    def siblings(self, position: int | Node, n: int = 4) -> Generation:
        """Grow several continuations of a place as the settings say, each by the next seed; returns at once.

        Parameters
        ----------
        position
            As in :meth:`force`; what stands there stays.
        n
            How many.
        """
        self._await_prompt()
        return self.start_siblings(self.session.parent_of(position), n, self._settings)

    def stop(self) -> None:
        """Stop what is running at the next token; what was made stays."""
        self.session.stop()
        self.link.changed()

    def select(self, position: int | Node | None) -> None:
        """Select the place of a token: a position among the new tokens, a node, or ``None`` for no place.

        It stays selected when another branch is shown, and is then the place of another token.
        """
        self._await_prompt()
        self.select_row(None if position is None else self.session.node_at(position).row)

    def on_select(self, listener: Callable[[Node | None], object]) -> Callable[[], None]:
        """Call ``listener`` with the selected token whenever it is another, chosen here or in the page.

        It is called on the thread that writes to the page, which waits for it: what takes long belongs
        elsewhere.

        Returns
        -------
        Callable
            Ends it.

        Examples
        --------
        >>> viewer = TokenStream(session)
        >>> end = viewer.on_select(print)
        >>> end()
        >>> viewer.close()
        """
        return self._select_listeners.add(lambda: listener(self._node(self._announced)))

    @property
    def session(self) -> Session:
        """The token tree that is shown."""
        return self._session

    @property
    def selected(self) -> Node | None:
        """The selected token: what stands at the selected position of the current branch."""
        return self._node(self._selection.row())

    @property
    def settings(self) -> Settings:
        """The sampling settings at hand."""
        return self._settings.copy()

    def close(self) -> None:
        """Stop what this viewer started and remove it from the page; the session stays."""
        # ipywidgets also closes a viewer that was never made, because its arguments were refused.
        if hasattr(self, "_unsubscribe"):
            self._requests.close()
            for job in self._jobs:
                job.cancel()
            self._unsubscribe()
            self.link.close()
        super().close()

    # ---------------------------------------------------------------- for the requests of the page

    def start(
        self,
        *,
        prompt: str | None = None,
        parent: int | None = None,
        forced: Sequence[int] = (),
        settings: Settings | None = None,
        program: Program | Operator | None = None,
    ) -> Generation:
        """Grow the session from a row, from its head, or from a prompt that was edited."""
        settings = settings or self._settings
        session = self.session
        plan = plan_of(settings, program)
        edited = None if parent is not None else self._prompt.edited(prompt)
        if parent is None and edited is None and session.has_ended:
            raise ValueError(
                "the model ended this text: select a token and force another, or edit the prompt"
            )
        if parent is None or (not forced and parent == self._selection.row()):
            # What goes on from the selected token leaves it selected.
            return self._watched(session.grow(parent, forced, plan, prompt=edited))
        return self.follow(lambda: session.grow(parent, forced, plan))

    def start_siblings(self, parent: int, n: int, settings: Settings) -> Generation:
        """Grow several continuations after a row, each by the next seed."""
        plan = plan_of(settings)
        return self.follow(lambda: self.session.grow_siblings(parent, n, plan))

    def follow(self, start: Callable[[], Generation]) -> Generation:
        """Start a job that grows a branch; its first token takes the place of the one that is selected."""
        point = self.session.point
        job = start()
        self._selection.follow(job, point)
        return self._watched(job)

    def select_row(self, row: int | None) -> None:
        """Select a row of the tree."""
        self._selection.move(row)
        self.link.changed()

    def update_settings(self, changes: Settings) -> None:
        """Take new settings."""
        self._settings = checked(changes, self._settings)
        self.link.changed()

    def notify(self, error: BaseException) -> None:
        """Show what went wrong until it is dismissed."""
        body = described(error)
        self._notice = {"id": next(self._notices), "type": body["type"], "message": body["message"]}
        self.link.changed()

    def dismiss(self, notice: int) -> None:
        """Remove a notice."""
        if self._notice is not None and self._notice["id"] == notice:
            self._notice = None
            self.link.changed()

    def snapshot(self) -> Message:
        """Everything, for a page that lost something. Called by the link."""
        return self._page.snapshot(self.current_state())

    def current_state(self) -> State:
        """Everything but the rows, as it is now."""
        selected = self._selection.row()
        return state_of(
            self.session, self._prompt.text, self._settings, selected=selected, notice=self._notice
        )

    # ---------------------------------------------------------------- parts

    def _await_prompt(self) -> None:
        job = self.session.reading
        if job is not None:
            job.wait()

    def _watched(self, job: Generation) -> Generation:
        self._jobs = [other for other in self._jobs if not other.done] + [job]

        def ended() -> None:
            if job.error is not None:
                self.notify(job.error)

        job.on_done(ended)
        self.link.changed()
        return job

    def _node(self, row: int | None) -> Node | None:
        return None if row is None else self.session.tree[row]

    def _send_changes(self) -> None:
        state = self.current_state()
        self.send(*self._page.delta(self.session, state))
        if state["selected"] != self._announced:
            self._announced = state["selected"]
            self._select_listeners.notify()
        if state["job"] is None:
            # Written between jobs only: the traits are for pages that come later.
            if len(self.session.tree) != self.state.get("rows") or state["session"] != self.state.get(
                "session"
            ):
                self.table = self._page.table()
            self.state = self._page.state(state)
