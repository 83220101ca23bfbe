"""Take the pictures of the documentation from the running thing.

Run by `make screenshots`, which builds the front end first. Writes docs/viewer-light.png and
docs/viewer-dark.png, the first notebook with a real model, and docs/states/ with docs/states.md: what the
viewer can look like, with a made-up kernel, light and dark by turns. Few colours make them small.
"""

from __future__ import annotations

import os
import subprocess
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
FEW_COLOURS = 96
STATES = {
    "words": "Tokens read as words, with the surprisal of each word",
    "rank": "Coloured by rank, on a logarithmic scale",
    "origin": "Coloured by why each token stands there",
    "stretch": "A stretch of the text, and its totals",
    "word-tooltip": "All that is known of a word",
    "search": "The vocabulary of a place, searched",
    "stages": "What each stage of the program did",
    "typed": "A typed text, as the tokens that it would be forced as",
    "what-if": "What would follow each of the best alternatives",
    "compare": "Branches side by side",
    "branches": "The map of many branches",
    "labels": "Branches with names and colours",
    "sampling": "The sampling settings",
    "busy": "While the model is generating",
    "error": "Something went wrong, and nothing is lost",
    "read-only": "A session without its model",
    "strange": "Half characters, other directions, control characters, special tokens, markup",
}


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
        shrink(picture, picture, 256)


def take_states(browser: str, folder: Path) -> None:
    """Take one picture a state, and write the page that shows them."""
    (folder / "states").mkdir(exist_ok=True)
    lines = ["# What the viewer can look like", "", "Written by `make screenshots`."]
    with tempfile.TemporaryDirectory() as temporary:
        command = ["node", "js/dev/screenshots.mjs", temporary, *STATES]
        subprocess.run(command, cwd=ROOT, env=os.environ | {"ITWIDGETS_CHROMIUM": browser}, check=True)
        for number, (state, caption) in enumerate(STATES.items()):
            taken = Path(temporary) / f"{state}-{THEMES[number % 2]}-1080.png"
            shrink(taken, folder / "states" / f"{state}.png", FEW_COLOURS)
            lines += ["", f"## {caption}", "", f"![{caption}](states/{state}.png)"]
    (folder / "states.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def shrink(taken: Path, picture: Path, colours: int) -> None:
    """Write a picture with a palette."""
    with Image.open(taken) as image:
        # Which keeps colours that are rare, such as those of the branches.
        way = Image.Quantize.MAXCOVERAGE
        small = image.convert("RGB").quantize(colours, way, dither=Image.Dither.NONE)
    small.save(picture, optimize=True)


def main() -> None:
    """Start JupyterLab and a browser, and take the pictures."""
    folder = ROOT / "docs"
    folder.mkdir(exist_ok=True)
    executable = find_browser(ThisMachine())
    take_states(executable, folder)
    with (
        tempfile.TemporaryDirectory() as temporary,
        LabServer(Path(temporary)) as lab,
        sync_playwright() as playwright,
    ):
        lab.copy_in(ROOT / "notebooks")
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_ARGUMENTS)
        page = browser.new_page(viewport={"width": 1400, "height": 1400}, device_scale_factor=1.5)
        take(Notebook(page, lab), folder)
        lab.shut_down_kernels()
        browser.close()


if __name__ == "__main__":
    main()
