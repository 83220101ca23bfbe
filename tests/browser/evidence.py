"""What went wrong in a page, and what is left of it for whoever reads a failure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import Error as PlaywrightError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from playwright.sync_api import ConsoleMessage, Page


class Evidence:
    """Notes the errors that a page meets, and its console.

    Parameters
    ----------
    page : Page
        A page that has not been anywhere yet.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.console: list[str] = []
        self.allowed: Sequence[str] = ()
        """Patterns of errors that are known not to be ours."""
        page.on("pageerror", self._note_error)
        page.on("console", self._note_console)

    def unexplained_errors(self) -> list[str]:
        """List the page's uncaught and logged errors, but for those known not to be ours."""
        return [
            error for error in self.errors if not any(re.search(pattern, error) for pattern in self.allowed)
        ]

    def save(self, folder: Path) -> None:
        """Leave a picture, the page's text and its console."""
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self.page.screenshot(path=folder / "page.png")
            text = self.page.locator("body").inner_text()
        except PlaywrightError as error:
            text = f"the page could not be read: {error}"
        (folder / "page.txt").write_text(text, encoding="utf-8")
        report = [*self.errors, "--- console", *self.console]
        (folder / "console.txt").write_text("\n".join(report), encoding="utf-8")

    def _note_error(self, error: PlaywrightError) -> None:
        self.errors.append(f"{error.name}: {error.message}\n{error.stack or ''}")

    def _note_console(self, message: ConsoleMessage) -> None:
        self.console.append(f"{message.type}: {message.text}")
        # anywidget catches what a widget throws while it loads or draws, and logs it here.
        if message.type == "error":
            self.errors.append(message.text)
