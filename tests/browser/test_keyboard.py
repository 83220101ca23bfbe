"""Every action once by keyboard alone, from one end of the viewer to the other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.lab import SHARED_NOTEBOOK
from tests.browser.viewer import ViewerPage

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from tests.browser.lab import Notebook

SETUP = """
import itwidgets as itw
from tests.browser.loaded import engine
viewer = itw.TokenStream(engine(), prompt="The most surprising thing about language is")
viewer
"""
PROMPT_TOKENS = 7
MOST_STOPS = 60
IS_FOCUSED = "element => element === document.activeElement"
HAS_FOCUS = "root => root.contains(document.activeElement)"
STOPS = """root => [...root.querySelectorAll("button, input, select, textarea, [tabindex]")]
    .filter(element => element.tabIndex >= 0 && !element.disabled && element.checkVisibility())"""
NAME = """element => element.getAttribute("aria-label")
    ?? element.labels?.[0]?.textContent ?? element.textContent"""


class Keyboard:
    """Goes from stop to stop with the Tab key."""

    def __init__(self, viewer: ViewerPage) -> None:
        self.viewer = viewer
        self.press = viewer.root.page.keyboard.press
        self.type = viewer.root.page.keyboard.type

    def go_to(self, target: Locator) -> None:
        """Tab to something: forwards to the end of the viewer, and then backwards."""
        expect(target).to_be_enabled()
        for key in ("Tab", "Shift+Tab"):
            for _ in range(MOST_STOPS):
                if target.evaluate(IS_FOCUSED):
                    return
                self.press(key)
                if not self.viewer.root.evaluate(HAS_FOCUS):
                    break
        raise AssertionError(f"{target} cannot be reached with the Tab key")

    def use(self, name: str) -> None:
        """Go to a button and press it."""
        self.go_to(self.viewer.button(name))
        self.press("Enter")

    def write(self, field: Locator, text: str) -> None:
        """Go to a field and put a text in the place of what it holds."""
        self.go_to(field)
        self.press("ControlOrMeta+a")
        self.type(text)

    def stops(self) -> list[str]:
        """Walk from the prompt to the end; give the names of all stops, and leave the viewer."""
        self.go_to(self.viewer.prompt)
        names = []
        while self.viewer.root.evaluate(HAS_FOCUS):
            names.append(str(self.viewer.root.page.evaluate(f"({NAME})(document.activeElement)")))
            assert len(names) < MOST_STOPS, f"the Tab key never leaves the viewer: {names}"
            self.press("Tab")
        return names


def test_every_action_by_keyboard_alone(notebook: Notebook) -> None:
    notebook.create([SETUP], SHARED_NOTEBOOK)
    notebook.run_all()
    viewer = ViewerPage(notebook.output(0))
    viewer.wait_read(PROMPT_TOKENS)
    branches = viewer.branches.get_by_role("option")
    keyboard = Keyboard(viewer)
    viewer.prompt.focus()

    keyboard.go_to(viewer.root.get_by_role("button", name=re.compile("^Sampling")))
    keyboard.press("Enter")
    keyboard.write(viewer.root.get_by_role("spinbutton", name="Tokens", exact=True), "4")
    keyboard.go_to(viewer.prompt)
    keyboard.press("Control+Enter")
    expect(viewer.token(10)).to_have_accessible_name(re.compile("surprisal"))
    viewer.wait_idle()
    made = viewer.names()

    keyboard.go_to(viewer.tokens)
    keyboard.press("Home")
    for _ in range(8):
        keyboard.press("ArrowRight")
    expect(viewer.token(8)).to_have_attribute("aria-selected", "true")
    keyboard.press("Enter")
    expect(viewer.alternatives).to_be_focused()
    keyboard.press("ArrowDown")
    keyboard.press("ArrowDown")
    keyboard.press("Enter")
    expect(branches).to_have_count(2)
    viewer.wait_idle()

    keyboard.use("Undo")
    expect(viewer.token(8)).to_have_accessible_name(made[8])
    keyboard.use("Redo")
    expect(viewer.token(8)).to_have_accessible_name(re.compile("forced"))
    keyboard.go_to(viewer.branches)
    keyboard.press("Home")
    keyboard.press("Enter")
    expect(viewer.token(8)).to_have_accessible_name(made[8])

    keyboard.write(viewer.search, "zeb")
    expect(viewer.alternative(1)).to_have_accessible_name(re.compile("zeb", re.IGNORECASE))
    keyboard.write(viewer.force_text, " zebras")
    keyboard.press("Enter")
    expect(branches).to_have_count(3)
    viewer.wait_idle()
    keyboard.use("Regenerate from here")
    expect(branches).to_have_count(4)
    viewer.wait_idle()

    keyboard.write(viewer.root.get_by_role("spinbutton", name="Tokens", exact=True), "4000")
    keyboard.use("Generate")
    keyboard.use("Stop")
    viewer.wait_idle()

    expected = viewer.root.evaluate(f"root => ({STOPS})(root).map({NAME})")
    assert keyboard.stops() == expected
