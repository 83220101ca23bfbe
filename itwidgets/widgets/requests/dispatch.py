"""From the kind of a request to what is done about it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from itwidgets.tree import Node
from itwidgets.widgets.protocol import Request
from itwidgets.widgets.requests.comparisons import Comparisons
from itwidgets.widgets.requests.distributions import Distributions
from itwidgets.widgets.requests.exports import exported
from itwidgets.widgets.requests.reply import Replies
from itwidgets.widgets.requests.rollouts import Rollouts
from itwidgets.widgets.requests.stages import StagesOfPlaces
from itwidgets.widgets.requests.tokenizing import Tokenizing
from itwidgets.widgets.settings import check_most, checked

if TYPE_CHECKING:
    from itwidgets.widgets.stream import TokenStream

_log = logging.getLogger(__name__)

MOST_SIBLINGS = 20
"""That a page may ask for at once."""

_CANCEL = "-cancel"


class Requests:
    """Answers the requests of one viewer's pages. Called from any thread; never blocks."""

    def __init__(self, viewer: TokenStream) -> None:
        self._viewer = viewer
        self._replies = Replies(viewer)
        rollouts = Rollouts(viewer, self._replies)
        comparisons = Comparisons(viewer, self._replies)
        # These are done at once, and their answer says no more than that.
        self._actions: dict[str, Callable[[Request], object]] = {
            "generate": self._generate,
            "force": self._force,
            "siblings": self._siblings,
            "adopt": rollouts.adopt,
            "stop": lambda _: viewer.stop(),
            "switch": self._switch,
            "undo": lambda _: viewer.session.undo(),
            "redo": lambda _: viewer.session.redo(),
            "select": lambda request: viewer.select_row(request["row"]),
            "settings": lambda request: viewer.update_settings(request["settings"]),
            "dismiss": lambda request: viewer.dismiss(request["notice"]),
            "label": self._label,
        }
        distributions = Distributions(viewer, self._replies)
        # These answer by themselves, with what was asked for.
        self._questions: dict[str, Callable[[Request], object]] = {
            "distribution": distributions.handle,
            "stages": StagesOfPlaces(viewer, distributions).handle,
            "tokenize": Tokenizing(viewer, self._replies, distributions).handle,
            "rollout": rollouts.handle,
            "compare": comparisons.align,
            "divergences": comparisons.measure,
            "snapshot": lambda request: self._replies.answer(request, viewer.snapshot),
            "export": self._export,
        }

    def handle(self, content: dict[str, Any]) -> None:
        """Do what a message asks for and have it answered, with an error if it cannot be done."""
        request = cast("Request", content)
        kind, number = content.get("kind"), content.get("id")
        if not isinstance(kind, str) or not isinstance(number, int):
            _log.warning("a message without kind and id was ignored: %r", content)
            return
        try:
            if kind in self._actions:
                self._actions[kind](request)
                self._replies.answer(request, lambda: ({}, []))
            elif kind in self._questions:
                self._questions[kind](request)
            elif kind.removesuffix(_CANCEL) in self._questions:
                self._replies.cancel(number)
            else:
                raise ValueError(f"unknown request {kind!r}")
        except Exception as error:  # noqa: BLE001 - every failure belongs to the one who asked
            self._replies.refuse(request, error)

    def close(self) -> None:
        """End all work for pages that are gone."""
        self._replies.close()

    def _export(self, request: Request) -> None:
        session, state = self._viewer.session, self._viewer.current_state()
        # A long text takes long to write.
        self._replies.answer_from_a_thread(
            request, lambda: exported(request["format"], session, state), lambda answer: answer
        )

    def _switch(self, request: Request) -> None:
        self._viewer.session.switch(self._node(request["row"]))

    def _label(self, request: Request) -> None:
        self._viewer.session.label(self._node(request["row"]), **request["label"])

    def _node(self, row: int | None) -> Node:
        return self._viewer.session.tree[-1 if row is None else row]

    def _generate(self, request: Request) -> None:
        settings = checked(request["settings"])
        self._viewer.update_settings(settings)
        self._viewer.start(prompt=request.get("prompt"), parent=request.get("parent"), settings=settings)

    def _force(self, request: Request) -> None:
        settings = checked(request["settings"])
        forced = request["token_id"] if "token_id" in request else request["text"]
        token_ids = self._viewer.session.engine.vocabulary.token_ids(forced)
        self._viewer.update_settings(settings)
        self._viewer.start(parent=request["parent"], forced=token_ids, settings=settings)

    def _siblings(self, request: Request) -> None:
        settings, n = checked(request["settings"]), request["n"]
        check_most("n", n, MOST_SIBLINGS)
        self._viewer.start_siblings(request["parent"], n, settings)
        # As after a single one, the settings show the seed that was used last.
        self._viewer.update_settings(settings | {"seed": settings["seed"] + n - 1})
