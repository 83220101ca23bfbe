"""Branches side by side, as the page asks for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from itwidgets.interventions import Ban
from tests.models import gate_at
from tests.widgets.page import FakePage


@pytest.fixture
def tips(page: FakePage) -> list[int]:
    """Rows at which three branches end: the second has other tokens, the third one more and the same."""
    session = page.viewer.session
    program = Ban(sorted(session.engine.stop_ids))
    session.generate(8, program=program).wait()
    first = session.new_nodes
    session.force(2, " London")
    session.generate(4, program=program).wait()
    other = session.head
    session.force(first[4], [42, *(node.token_id for node in first[4:])])
    assert session.head
    assert other
    page.settle()
    return [first[-1].row, other.row, session.head.row]


def table(content: dict[str, Any], buffer: bytes, dtype: str, tips: list[int]) -> npt.NDArray[Any]:
    assert "error" not in content, content
    return np.frombuffer(buffer, dtype).reshape(-1, len(tips))


def test_the_lines_hold_every_token_after_the_shared_ones(page: FakePage, tips: list[int]) -> None:
    content, buffers = page.answer(page.tell("compare", tips=tips))
    lines = table(content, buffers[0], "<i4", tips)
    session = page.viewer.session
    assert content["shared"] == session.prompt_length + 2
    for branch, tip in enumerate(tips):
        own = session.tree.path(tip)[content["shared"] :]
        assert [row for row in lines[:, branch] if row >= 0] == own
    # The third branch has a token more, and after it the first one's again.
    meets = session.prompt_length + 4
    assert content["meets_at"][0] is None
    assert content["meets_at"][2] == meets
    first = session.tree.path(tips[0])
    line = lines[lines[:, 0].tolist().index(first[meets])]
    ids = session.tree.column("token_id")
    assert ids[line[0]] == ids[line[2]]
    assert lines[:, 2].tolist().count(-1) == 0


def test_divergences_come_for_the_same_lines(page: FakePage, tips: list[int]) -> None:
    content, buffers = page.answer(page.tell("compare", tips=tips))
    lines = table(content, buffers[0], "<i4", tips)
    values = table(*_only(page.answer(page.tell("divergences", tips=tips))), "<f4", tips)
    assert values.shape == lines.shape
    session = page.viewer.session
    frame = session.compare(*(session.tree[tip] for tip in tips)).to_frame().set_index(["tip", "row"])
    for line, kl in zip(lines, values, strict=True):
        for branch, row in enumerate(line):
            expected = frame["kl_bits"].get((branch, row), np.nan)
            np.testing.assert_allclose(kl[branch], expected, rtol=1e-5)
    assert np.nanmax(values[:, 1:]) > 0


def _only(answer: tuple[dict[str, Any], list[bytes]]) -> tuple[dict[str, Any], bytes]:
    content, (buffer,) = answer
    return content, buffer


def test_divergences_can_be_given_up(page: FakePage, tips: list[int]) -> None:
    page.ask("compare", tips=tips)
    with gate_at(page.viewer.session.engine.model, 1) as gate:
        page.ask("generate", settings=page.viewer.settings)
        gate.wait_until_reached()
        dropped = page.tell("divergences", tips=tips)
        page.send({"kind": "divergences-cancel", "id": dropped})
        gate.open()
        page.settle()
    page.ask("divergences", tips=tips)
    assert dropped not in page.replies


@pytest.mark.parametrize(("count", "words"), [(1, "must be two or more"), (7, "7, but must be at most 6")])
def test_too_few_and_too_many_are_refused(page: FakePage, tips: list[int], count: int, words: str) -> None:
    assert words in page.refused("compare", tips=[*tips * 3][:count])["message"]


def test_what_was_not_aligned_is_not_measured(page: FakePage, tips: list[int]) -> None:
    assert "compare the branches again" in page.refused("divergences", tips=tips[:2])["message"]
    assert "5000" in page.refused("compare", tips=[tips[0], 5000])["message"]
