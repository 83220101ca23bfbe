"""Which thread of the kernel hears what a page says."""

from __future__ import annotations

from typing import Any


def hear_on_the_pages_subshell(comm: Any) -> None:
    """Have messages of a page handled by the subshell that the page names.

    ipykernel 7.4 hands them instead to the subshell under which the kernel last sent on the comm. A
    thread that streams goes on sending under an old one: after a reload of the page that subshell is
    gone, and every message of the new page is refused; and while a cell is busy, a click on Stop waits
    for the cell. The page's own choice has neither fault. Where the attribute does not exist, as in
    other versions and other hosts, there is nothing to do.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda data, default: default
