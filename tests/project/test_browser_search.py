"""tools/browser.py chooses a browser as its documentation says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tools.browser import DEBIAN_PACKAGES, VARIABLE, BrowserNotFoundError, find_browser

if TYPE_CHECKING:
    from collections.abc import Sequence

PLAYWRIGHTS = "/cache/playwright/chrome"


@dataclass
class FakeMachine:
    """A machine on which nothing is installed and nothing can be."""

    variables: dict[str, str] = field(default_factory=dict)
    programs: dict[str, str] = field(default_factory=dict)
    working: set[str] = field(default_factory=set)
    has_playwright: bool = True
    can_download: bool = False
    has_apt: bool = False
    did: list[str] = field(default_factory=list)

    def variable(self, name: str) -> str | None:
        return self.variables.get(name)

    def which(self, name: str) -> str | None:
        return self.programs.get(name)

    def starts(self, path: str) -> bool:
        return path in self.working

    def playwright_path(self) -> str | None:
        return PLAYWRIGHTS if self.has_playwright else None

    def playwright_download(self) -> bool:
        self.did.append("download")
        if self.can_download:
            self.working.add(PLAYWRIGHTS)
        return self.can_download

    def is_debian_root(self) -> bool:
        return self.has_apt

    def apt_install(self, packages: Sequence[str]) -> bool:
        assert packages == DEBIAN_PACKAGES
        self.did.append("apt")
        self.programs["chromium"] = "/usr/bin/chromium"
        self.working.add("/usr/bin/chromium")
        return True


def with_installed(name: str, path: str) -> FakeMachine:
    return FakeMachine(programs={name: path}, working={path}, has_apt=True, can_download=True)


def test_the_one_that_is_named_comes_first() -> None:
    machine = with_installed("chromium", "/usr/bin/chromium")
    machine.variables[VARIABLE] = "/opt/mine"
    machine.working.add("/opt/mine")
    assert find_browser(machine) == "/opt/mine"


def test_a_named_one_that_does_not_start_is_an_error() -> None:
    machine = with_installed("chromium", "/usr/bin/chromium")
    machine.variables[VARIABLE] = "/opt/gone"
    with pytest.raises(BrowserNotFoundError, match="'/opt/gone', which does not start"):
        find_browser(machine)


def test_an_empty_variable_names_none() -> None:
    machine = with_installed("chromium", "/usr/bin/chromium")
    machine.variables[VARIABLE] = ""
    assert find_browser(machine) == "/usr/bin/chromium"


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome"])
def test_an_installed_one_needs_no_installing(name: str) -> None:
    machine = with_installed(name, f"/usr/bin/{name}")
    assert find_browser(machine) == f"/usr/bin/{name}"
    assert machine.did == []


def test_an_installed_one_that_does_not_start_is_passed_over() -> None:
    machine = with_installed("google-chrome", "/usr/bin/google-chrome")
    machine.programs["chromium-browser"] = "/usr/bin/chromium-browser"
    assert find_browser(machine) == "/usr/bin/google-chrome"


def test_what_playwright_has_is_not_downloaded_again() -> None:
    machine = FakeMachine(working={PLAYWRIGHTS}, can_download=True)
    assert find_browser(machine) == PLAYWRIGHTS
    assert machine.did == []


def test_a_download_comes_before_the_packages() -> None:
    machine = FakeMachine(can_download=True, has_apt=True)
    assert find_browser(machine) == PLAYWRIGHTS
    assert machine.did == ["download"]


def test_packages_come_last() -> None:
    machine = FakeMachine(has_apt=True)
    assert find_browser(machine) == "/usr/bin/chromium"
    assert machine.did == ["download", "apt"]


def test_without_playwright_packages_are_tried_at_once() -> None:
    machine = FakeMachine(has_playwright=False, has_apt=True)
    assert find_browser(machine) == "/usr/bin/chromium"
    assert machine.did == ["apt"]


def test_nothing_at_all_is_one_sentence_that_says_what_to_do() -> None:
    with pytest.raises(BrowserNotFoundError, match=f"install Chromium .* or set {VARIABLE}"):
        find_browser(FakeMachine())
