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
# Of a group of radio buttons the Tab key stops at the chosen one.
STOPS = """root => [...root.querySelectorAll("button, input, select, textarea, summary, [tabindex]")]
    .filter(element => element.tabIndex >= 0 && !element.disabled && element.checkVisibility())
    .filter(element => element.type !== "radio" || element.checked)"""
NAME = """element => element.getAttribute("aria-label")
    ?? element.labels?.[0]?.textContent ?? element.textContent"""


class Keyboard:
    """Goes from stop to stop with the Tab key."""

    def __init__(self, viewer: ViewerPage) -> None:
        self.viewer = viewer
        self.press = viewer.root.page.keyboard.press
        self.type = viewer.root.page.keyboard.type

    def go_to(self, target: Locator, *keys: str) -> None:
        """Tab to something: forwards to the end of the viewer, and then backwards, unless said otherwise."""
        expect(target).to_be_enabled()
        for key in keys or ("Tab", "Shift+Tab"):
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

    def step(self, key: str, times: int) -> None:
        """Press a key several times."""
        for _ in range(times):
            self.press(key)

    def stops(self) -> list[str]:
        """Walk from the prompt to the end; give the names of all stops, and leave the viewer."""
        self.go_to(self.viewer.prompt)
        names = []
        while self.viewer.root.evaluate(HAS_FOCUS):
            names.append(str(self.viewer.root.page.evaluate(f"({NAME})(document.activeElement)")))
            assert len(names) < MOST_STOPS, f"the Tab key never leaves the viewer: {names}"
            self.press("Tab")
        return names


def _begin(notebook: Notebook) -> tuple[ViewerPage, Keyboard]:
    """Show a viewer, and have it make four tokens after its prompt."""
    notebook.create([SETUP], SHARED_NOTEBOOK)
    notebook.run_all()
    viewer = ViewerPage(notebook.output(0))
    viewer.wait_read(PROMPT_TOKENS)
    keyboard = Keyboard(viewer)
    viewer.prompt.focus()
    keyboard.go_to(viewer.root.get_by_role("button", name=re.compile("^Sampling")))
    keyboard.press("Enter")
    keyboard.write(viewer.root.get_by_role("spinbutton", name="Tokens", exact=True), "4")
    keyboard.go_to(viewer.prompt)
    keyboard.press("Control+Enter")
    expect(viewer.token(10)).to_have_accessible_name(re.compile("surprisal"))
    viewer.wait_idle()
    return viewer, keyboard


def _walk_to(viewer: ViewerPage, keyboard: Keyboard, place: int) -> None:
    keyboard.go_to(viewer.tokens)
    keyboard.press("Home")
    keyboard.step("ArrowRight", place)
    expect(viewer.token(place)).to_have_attribute("aria-selected", "true")


def test_making_and_overruling_by_keyboard_alone(notebook: Notebook) -> None:
    viewer, keyboard = _begin(notebook)
    branches = viewer.branches.get_by_role("option")
    made = viewer.names()

    _walk_to(viewer, keyboard, 8)
    keyboard.press("Enter")
    expect(viewer.alternatives).to_be_focused()
    keyboard.step("ArrowDown", 2)
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


def test_reading_growing_and_saving_by_keyboard_alone(notebook: Notebook) -> None:
    viewer, keyboard = _begin(notebook)
    branches = viewer.branches.get_by_role("option")

    _walk_to(viewer, keyboard, 8)
    keyboard.step("Shift+ArrowRight", 2)
    totals = viewer.root.get_by_role("combobox", name="Totals of")
    expect(totals).to_have_value("chosen")
    keyboard.press("Escape")
    expect(totals).to_have_value("all")
    keyboard.go_to(viewer.root.get_by_role("combobox", name="Colour by"))
    keyboard.type("entropy")
    expect(viewer.root.get_by_role("img", name=re.compile("from pale at 0"))).to_be_visible()
    words = viewer.root.get_by_role("checkbox", name="Words")
    keyboard.go_to(words)
    keyboard.press("Space")
    expect(words).to_be_checked()
    keyboard.press("Space")

    keyboard.use("Order by s")
    expect(viewer.button("Order by s")).to_have_attribute("aria-pressed", "true")
    keyboard.use("Stages of the program")
    expect(viewer.root.get_by_role("button", name=re.compile("Temperature"))).to_be_visible()
    _walk_to(viewer, keyboard, 8)
    keyboard.press("w")
    continuations = viewer.root.get_by_role("table", name="Continuations")
    expect(continuations.get_by_role("button").first).to_be_focused()
    keyboard.press("ArrowDown")
    keyboard.press("Enter")
    expect(branches).to_have_count(2)
    viewer.wait_idle()
    keyboard.press("Escape")
    expect(continuations).to_have_count(0)
    _walk_to(viewer, keyboard, 8)
    keyboard.use("Continue from here")
    expect(branches).to_have_count(3)
    viewer.wait_idle()
    keyboard.write(viewer.root.get_by_role("spinbutton", name="Siblings"), "2")
    keyboard.use("Grow siblings")
    expect(branches).to_have_count(5)
    viewer.wait_idle()

    keyboard.go_to(viewer.branches)
    keyboard.press("Home")
    keyboard.press("F2")
    keyboard.type("the first one")
    keyboard.press("Enter")
    expect(branches.first).to_have_accessible_name(re.compile("^the first one"))
    # Who leaves the branches walks from the one that is shown again.
    keyboard.go_to(viewer.root.get_by_role("radio", name="no colour"), "Shift+Tab")
    keyboard.press("ArrowRight")
    expect(branches.first).to_have_accessible_name(re.compile("^the first one, branch 1, blue"))
    keyboard.use("Hide")
    expect(branches).to_have_count(4)
    keyboard.use("1 hidden branch: show")
    expect(branches).to_have_count(5)

    keyboard.use("Compare branches")
    aligned = viewer.root.get_by_role("table", name="Aligned tokens")
    keyboard.go_to(aligned.get_by_role("button").first)
    keyboard.step("ArrowRight", 1)
    keyboard.press("Enter")
    expect(viewer.branches.get_by_role("option", selected=True)).to_have_count(1)

    keyboard.go_to(viewer.root.locator("summary"))
    keyboard.press("Enter")
    for name, beginning in (("HTML page", "<!doctype html>"), ("SVG picture", "<svg")):
        with notebook.page.expect_download() as download:
            keyboard.use(name)
        assert download.value.path().read_text(encoding="utf-8").startswith(beginning)
