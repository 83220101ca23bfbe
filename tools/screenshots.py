"""Take the README's pictures from the running thing: the first notebook, in light and in dark.

Run by `make screenshots`, which builds the front end first. Writes docs/viewer-light.png and
docs/viewer-dark.png, each with a palette of 256 colours: a third of the size, and no difference to see.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from PIL import Image  # noqa: E402 - after the path
from playwright.sync_api import expect, sync_playwright  # noqa: E402

from tests.browser.lab import Notebook  # noqa: E402
from tests.browser.server import LabServer  # noqa: E402
from tests.browser.viewer import ViewerPage  # noqa: E402
from tools.browser import CHROMIUM_ARGUMENTS, ThisMachine, find_browser  # noqa: E402

if TYPE_CHECKING:
    from tests.browser.lab import Theme

NOTEBOOK = "notebooks/01_first_look.ipynb"
TOKEN = 9  # the one that is overruled: the third after the prompt
RANK = 3
THEMES: tuple[Theme, ...] = ("light", "dark")


def take(notebook: Notebook, folder: Path) -> None:
    """Run the notebook, overrule a token, and take one picture a theme."""
    notebook.open(NOTEBOOK)
    notebook.run_all()
    tokens = notebook.page.get_by_role("listbox", name="Tokens")
    output = notebook.page.locator(".jp-OutputArea-output").filter(has=tokens).first
    viewer = ViewerPage(output)
    viewer.wait_idle()
    viewer.token(TOKEN).click()
    viewer.alternative(RANK).dblclick()
    expect(viewer.branches.get_by_role("option")).to_have_count(2)
    viewer.wait_idle()
    for theme in THEMES:
        notebook.set_theme(theme)
        picture = folder / f"viewer-{theme}.png"
        output.screenshot(path=picture)
        shrink(picture)


def shrink(picture: Path) -> None:
    """Give a picture a palette."""
    with Image.open(picture) as image:
        small = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(picture, optimize=True)


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
        page = browser.new_page(viewport={"width": 1400, "height": 1400}, device_scale_factor=1.5)
        take(Notebook(page, lab), folder)
        lab.shut_down_kernels()
        browser.close()


if __name__ == "__main__":
    main()
