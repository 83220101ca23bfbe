"""What the page may ask for, and what is done about it."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from itwidgets.engine import Distribution, Job
from itwidgets.widgets.page import Message
from itwidgets.widgets.protocol import ErrorBody, Request, encode_alternatives
from itwidgets.widgets.settings import checked

if TYPE_CHECKING:
    from itwidgets.widgets.stream import TokenStream

MOST_ALTERNATIVES = 1000
"""Rows of a distribution in one reply: the panel never holds more than it shows."""

_HELD_DISTRIBUTIONS = 4
_log = logging.getLogger(__name__)

Answer = Callable[[], Message]


class Requests:
    """Answers the requests of one viewer's pages. Called from any thread; never blocks."""

    def __init__(self, viewer: TokenStream) -> None:
        self._viewer = viewer
        self._reading: dict[int, Job[Distribution]] = {}
        self._distributions: OrderedDict[tuple[str, int], Distribution] = OrderedDict()
        self._handlers: dict[str, Callable[[Request], object]] = {
            "generate": self._generate,
            "force": self._force,
            "stop": lambda _: self._viewer.stop(),
            "switch": lambda request: self._switch(request["row"]),
            "undo": lambda _: self._viewer.session.undo(),
            "redo": lambda _: self._viewer.session.redo(),
            "select": lambda request: self._viewer.select_row(request["row"]),
            "settings": lambda request: self._viewer.update_settings(request["settings"]),
            "dismiss": lambda request: self._viewer.dismiss(request["notice"]),
        }

    def handle(self, content: dict[str, Any]) -> None:
        """Do what a message asks for and have it answered, with an error if it cannot be done."""
        request = cast("Request", content)
        kind, number = content.get("kind"), content.get("id")
        if not isinstance(kind, str) or not isinstance(number, int):
            _log.warning("a message without kind and id was ignored: %r", content)
            return
        try:
            if kind == "distribution-cancel":
                self._cancel(number)
            elif kind == "distribution":
                self._distribution(request)
            elif kind == "snapshot":
                self._answer(request, self._viewer.snapshot)
            elif kind in self._handlers:
                self._handlers[kind](request)
                self._answer(request, lambda: ({}, []))
            else:
                raise ValueError(f"unknown request {kind!r}")
        except Exception as error:  # noqa: BLE001 - every failure belongs to the one who asked
            self._refuse(request, error)

    def _answer(self, request: Request, answer: Answer) -> None:
        def send() -> None:
            try:
                fields, buffers = answer()
            except Exception as error:  # noqa: BLE001 - as in `handle`
                fields, buffers = {"error": described(error)}, []
            reply = {"kind": f"{request['kind']}-response", "id": request["id"]}
            self._viewer.send(reply | fields, buffers)

        self._viewer.link.reply(send)

    def _refuse(self, request: Request, error: BaseException) -> None:
        self._answer(request, lambda: ({"error": described(error)}, []))

    def _switch(self, row: int | None) -> None:
        session = self._viewer.session
        session.switch(session.tree[-1 if row is None else row])

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

    def _distribution(self, request: Request) -> None:
        session = self._viewer.session
        key = (session.id, request["parent"])
        held = self._distributions.get(key)
        if held is not None:
            self._answer(request, lambda: self._alternatives(request, held))
            return
        job = session.read_distribution(request["parent"])
        self._reading[request["id"]] = job
        job.on_done(lambda: self._read(request, key, job))

    def _cancel(self, number: int) -> None:
        """Drop a request for a distribution that nobody waits for any more."""
        job = self._reading.get(number)
        if job is not None:
            job.cancel()

    def _read(self, request: Request, key: tuple[str, int], job: Job[Distribution]) -> None:
        self._reading.pop(request["id"], None)
        if job.error is not None:
            if not job.cancelled:
                self._refuse(request, job.error)
            return
        found = job.wait()
        self._distributions[key] = found
        while len(self._distributions) > _HELD_DISTRIBUTIONS:
            self._distributions.popitem(last=False)
        self._answer(request, lambda: self._alternatives(request, found))

    def _alternatives(self, request: Request, distribution: Distribution) -> Message:
        offset, count = request["offset"], min(request["count"], MOST_ALTERNATIVES)
        ids = distribution.found(request["search"]) if "search" in request else distribution.order
        shown = ids[offset : offset + count]
        fields = {
            "parent": request["parent"],
            "offset": offset,
            "total": len(ids),
            "entropy": distribution.entropy,
        }
        log_probs = distribution.log_probs[shown]
        ranks = distribution.ranks(shown)
        return fields, encode_alternatives(ranks, shown, log_probs, distribution.vocabulary)


def described(error: BaseException) -> ErrorBody:
    """Return an error as the wire carries it."""
    return {"type": type(error).__name__, "message": str(error) or type(error).__name__}
