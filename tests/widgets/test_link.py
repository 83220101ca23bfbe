"""The one thread that writes: in order, whatever comes while it writes."""

from __future__ import annotations

import threading

from itwidgets.widgets.link import Link


def test_what_changed_before_a_reply_goes_before_it() -> None:
    sent: list[str] = []
    done = threading.Event()
    link = Link(lambda: sent.append("changes"))

    def reply() -> None:
        sent.append("reply")
        done.set()

    def answer() -> None:
        # While one reply is on its way, something changes and is replied to.
        link.changed()
        link.reply(reply)

    link.reply(answer)
    assert done.wait(60)
    link.close()
    assert sent == ["changes", "reply"]
