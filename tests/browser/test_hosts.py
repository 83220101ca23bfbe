"""The same walk through a viewer in every host but JupyterLab, where the other tests are."""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.hosts import HOSTS, Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.browser.evidence import Evidence
    from tests.browser.server import LabServer

SETUP = """
import itwidgets as itw
viewer = itw.TokenStream(itw.load(), prompt="The most surprising thing about language is", max_new_tokens=8)
viewer
"""
PROMPT_TOKENS = 7


@pytest.fixture
def ends() -> Iterator[ExitStack]:
    with ExitStack() as ends:
        yield ends


@pytest.fixture(params=list(HOSTS))
def host(
    lab: LabServer, tmp_path: Path, ends: ExitStack, evidence: Evidence, request: pytest.FixtureRequest
) -> Host:
    host = HOSTS[request.param](evidence.page, lab, tmp_path, ends)
    evidence.allowed = host.allowed_errors
    return host


def test_generate_click_force_and_stop(host: Host) -> None:
    viewer = host.show(SETUP)
    viewer.wait_read(PROMPT_TOKENS)
    viewer.generate(8)
    before = viewer.names()
    assert len(before) == PROMPT_TOKENS + 8

    viewer.token(9).click()
    # Answered by the kernel, and not out of what the page had already.
    viewer.search.fill("zeb")
    expect(viewer.alternative(1)).to_have_accessible_name(re.compile("zeb", re.IGNORECASE))
    viewer.search.fill("")
    expect(viewer.alternative(2)).to_have_accessible_name(re.compile("rank 2,"))
    viewer.alternative(2).dblclick()
    expect(viewer.token(9)).to_have_accessible_name(re.compile("rank 2, forced"))
    expect(viewer.branches.get_by_role("option")).to_have_count(2)
    viewer.wait_idle()
    assert viewer.names()[:9] == before[:9]

    viewer.set_sampling(Tokens="4000")
    viewer.button("Generate").click()
    expect(viewer.token(25)).to_have_accessible_name(re.compile("surprisal"), timeout=20_000)
    viewer.button("Stop").click()
    expect(viewer.button("Generate")).to_be_enabled(timeout=1000)
