"""How requests are answered: now, or when a job that works for the answer is done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from itwidgets.engine import Job
from itwidgets.widgets.page import Message
from itwidgets.widgets.protocol import ErrorBody, Request

if TYPE_CHECKING:
    from itwidgets.widgets.stream import TokenStream

Answer = Callable[[], Message]
"""Makes the fields and the buffers of a reply; called by the link's thread."""

Result = TypeVar("Result")


class Replies:
    """Sends the answers of one viewer through its link. Called from any thread; never blocks."""

    def __init__(self, viewer: TokenStream) -> None:
        self._viewer = viewer
        # What ends the work for each request that is worked for.
        self._waited: dict[int, Callable[[], None]] = {}
        # One at a time: they share the interpreter with the thread that makes tokens.
        self._computing = threading.Lock()

    def answer(self, request: Request, answer: Answer) -> None:
        """Answer a request; what goes wrong in making the answer is the answer."""

        def send() -> None:
            try:
                fields, buffers = answer()
            except Exception as error:  # noqa: BLE001 - every failure belongs to the one who asked
                fields, buffers = {"error": described(error)}, []
            reply = {"kind": f"{request['kind']}-response", "id": request["id"]}
            self._viewer.send(reply | fields, buffers)

        self._viewer.link.reply(send)

    def refuse(self, request: Request, error: BaseException) -> None:
        """Answer a request with what went wrong."""
        self.answer(request, lambda: ({"error": described(error)}, []))

    def answer_when_done(
        self, request: Request, job: Job[Result], answer: Callable[[Result], Message]
    ) -> None:
        """Answer a request with what a job makes, unless nobody waits for it any more by then."""
        self._waited[request["id"]] = job.cancel

        def done() -> None:
            if self._waited.pop(request["id"], None) is None:
                return
            if job.error is not None:
                self.refuse(request, job.error)
                return
            result = job.wait()
            self.answer(request, lambda: answer(result))

        job.on_done(done)

    def answer_from_a_thread(
        self, request: Request, compute: Callable[[], Result], answer: Callable[[Result], Message]
    ) -> None:
        """Answer a request with what takes long and needs no model, unless nobody waits for it any more."""
        self._waited[request["id"]] = lambda: None

        def run() -> None:
            with self._computing:
                if request["id"] not in self._waited:
                    return
                made = _made(compute, answer)
            if self._waited.pop(request["id"], None) is not None:
                self.answer(request, made)

        threading.Thread(target=run, name=f"itwidgets {request['kind']}", daemon=True).start()

    def cancel(self, number: int) -> None:
        """Drop a request that nobody waits for any more."""
        stop = self._waited.pop(number, None)
        if stop is not None:
            stop()

    def close(self) -> None:
        """End all work for answers that nobody will get."""
        for number in list(self._waited):
            self.cancel(number)


def _made(compute: Callable[[], Result], answer: Callable[[Result], Message]) -> Answer:
    try:
        result = compute()
    except Exception as error:  # noqa: BLE001 - as in answer
        body = described(error)
        return lambda: ({"error": body}, [])
    return lambda: answer(result)


def described(error: BaseException) -> ErrorBody:
    """Return an error as the wire carries it."""
    return {"type": type(error).__name__, "message": str(error) or type(error).__name__}
