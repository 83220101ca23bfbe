"""The viewer as a person finds it: by roles and accessible names."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

ROOT = ".itw-root"
GENERATED_SECONDS = 60


class ViewerPage:
    """One view of a viewer.

    Parameters
    ----------
    within : Locator
        Something that holds exactly one view, such as a cell's output.
    """

    def __init__(self, within: Locator) -> None:
        self.root = within.locator(ROOT)
        self.tokens = self.root.get_by_role("listbox", name="Tokens")
        self.alternatives = self.root.get_by_role("listbox", name="Alternatives")
        self.branches = self.root.get_by_role("listbox", name="Branches")
        self.prompt = self.root.get_by_role("textbox", name="Prompt")
        self.force_text = self.root.get_by_role("textbox", name="Force text")
        self.search = self.root.get_by_label("Search vocabulary")
        self.alert = self.root.get_by_role("alert")

    def button(self, name: str) -> Locator:
        """Give a button by its exact name."""
        return self.root.get_by_role("button", name=name, exact=True)

    def token(self, index: int) -> Locator:
        """Give a token by its place in the text, prompt included."""
        return self.tokens.get_by_role("option").nth(index)

    def alternative(self, rank: int) -> Locator:
        """Give one of the best alternatives by its rank."""
        return self.alternatives.get_by_role("option").nth(rank - 1)

    def names(self) -> list[str]:
        """List the accessible names of all tokens, the place of the next one left out."""
        options = self.tokens.get_by_role("option").all()
        names = [option.get_attribute("aria-label") or "" for option in options]
        return [name for name in names if not name.startswith("Next token")]

    def generate(self, tokens: int) -> None:
        """Have some tokens made, and wait for them."""
        before = len(self.names())
        self.set_sampling(Tokens=str(tokens))
        self.button("Generate").click()
        expect(self.token(before + tokens - 1)).to_have_accessible_name(
            re.compile("surprisal"), timeout=GENERATED_SECONDS * 1000
        )
        self.wait_idle()

    def wait_read(self, tokens: int) -> None:
        """Wait until the viewer is there and has read a prompt of so many tokens, and does nothing more."""
        expect(self.token(tokens - 1)).to_have_accessible_name(
            re.compile("surprisal"), timeout=GENERATED_SECONDS * 1000
        )
        self.wait_idle()

    def wait_idle(self) -> None:
        """Wait until nothing is being generated."""
        expect(self.button("Generate")).to_be_enabled(timeout=GENERATED_SECONDS * 1000)

    def set_sampling(self, **fields: str) -> None:
        """Type into fields of the sampling settings, such as ``Tokens="200"``."""
        toggle = self.root.get_by_role("button", name=re.compile("^Sampling"))
        if toggle.get_attribute("aria-expanded") != "true":
            toggle.click()
        for name, value in fields.items():
            field = self.root.get_by_role("spinbutton", name=name, exact=True)
            field.fill(value)
            field.press("Tab")
