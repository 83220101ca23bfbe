"""Take the README's pictures from the running thing: the first notebook, in light and in dark.

Run by `make screenshots`, which builds the front end first. Writes docs/viewer-light.png and
docs/viewer-dark.png.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import expect, sync_playwright  # noqa: E402 - after the path

from tests.browser.lab import Notebook  # noqa: E402
from tests.browser.server import LabServer  # noqa: E402
from tools.browser import CHROMIUM_ARGUMENTS, ThisMachine, find_browser  # noqa: E402

if TYPE_CHECKING:
    from tests.browser.lab import Theme

NOTEBOOK = "notebooks/01_first_look.ipynb"
TOKEN = 12  # a new one; selected, so that the picture shows its alternatives
THEMES: tuple[Theme, ...] = ("light", "dark")


def take(notebook: Notebook, folder: Path) -> None:
    """Run the notebook, select a token and take one picture a theme."""
    notebook.open(NOTEBOOK)
    notebook.run_all()
    tokens = notebook.page.get_by_role("listbox", name="Tokens")
    viewer = notebook.page.locator(".jp-OutputArea-output").filter(has=tokens).first
    viewer.get_by_role("listbox", name="Tokens").get_by_role("option").nth(TOKEN).click()
    alternatives = viewer.get_by_role("listbox", name="Alternatives").get_by_role("option")
    expect(alternatives).not_to_have_count(0)
    for theme in THEMES:
        notebook.set_theme(theme)
        viewer.screenshot(path=folder / f"viewer-{theme}.png")


def main() -> None:
    """Start JupyterLab and a browser, and take the pictures."""
    folder = ROOT / "docs"
    folder.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as temporary,
        LabServer(Path(temporary)) as lab,
        sync_playwright() as playwright,
    ):
        lab.copy_in(ROOT / "notebooks")
        browser = playwright.chromium.launch(
            executable_path=find_browser(ThisMachine()), args=CHROMIUM_ARGUMENTS
        )
        page = browser.new_page(viewport={"width": 1400, "height": 1400}, device_scale_factor=2)
        take(Notebook(page, lab), folder)
        lab.shut_down_kernels()
        browser.close()


if __name__ == "__main__":
    main()
