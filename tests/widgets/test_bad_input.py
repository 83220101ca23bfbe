"""Bad input from a page: one sentence each, and nothing that was there is changed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch

import itwidgets
from itwidgets import Engine, TokenStream
from itwidgets.interventions import Operator, Step
from tests.models import PROMPT, gate_at, tiny_engine
from tests.widgets.page import FakePage, assert_same_tree

Show = Callable[[TokenStream], FakePage]


def _settings(page: FakePage, **changes: Any) -> dict[str, Any]:
    return {**page.viewer.settings, **changes}


@contextmanager
def _nothing_changes(page: FakePage) -> Iterator[None]:
    session = page.viewer.session
    before = (len(session.tree), session.head, page.viewer.settings, page.viewer.selected, session.can_undo)
    yield
    page.settle()
    after = (len(session.tree), session.head, page.viewer.settings, page.viewer.selected, session.can_undo)
    assert after == before
    assert_same_tree(page, page.viewer)
    # And it goes on working.
    page.ask("generate", settings=_settings(page, max_new_tokens=2))
    page.settle()
    assert len(session.tree) == before[0] + 2
    assert page.state["notice"] is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0, but must be a whole number of at least 1"),
        ({"max_new_tokens": "6"}, "max_new_tokens is '6', but must be a whole number of at least 1"),
        ({"max_new_tokens": None}, "max_new_tokens is None, but must be a whole number of at least 1"),
        ({"temperature": -1}, "temperature is -1, but must be above 0"),
        ({"temperature": "hot"}, "temperature is 'hot', but must be above 0"),
        ({"temperature": None}, "temperature is None, but must be above 0"),
        ({"top_k": 0}, "k is 0, but must be a whole number of at least 1"),
        ({"top_p": 2}, "p is 2, but must be above 0 and at most 1"),
        ({"min_p": -1}, "p is -1, but must be between 0 and 1"),
        ({"seed": -1}, "seed is -1, but must be a whole number of at least 0"),
        ({"seed": 2**64}, f"seed is {2**64}, but must be below 2**64"),
        ({"beams": 4}, "unknown setting 'beams': accepted are max_new_tokens"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["settings", "generate", "force"])
def test_bad_settings(page: FakePage, kind: str, changes: dict[str, Any], sentence: str) -> None:
    # Also where another stage would make it idle: greedy decoding has no use for top_k.
    settings = _settings(page, temperature=1.0) | changes
    fields = {"parent": 1, "text": " London"} if kind == "force" else {}
    with _nothing_changes(page):
        assert sentence in page.refused(kind, settings=settings, **fields)["message"]


@pytest.mark.parametrize("row", [-1, 3, 200, 10_000])
@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("select", "row"),
        ("switch", "row"),
        ("distribution", "parent"),
        ("stages", "row"),
        ("tokenize", "parent"),
        ("force", "parent"),
        ("generate", "parent"),
        ("label", "row"),
    ],
)
def test_unknown_rows(page: FakePage, kind: str, field: str, row: int) -> None:
    extra: dict[str, dict[str, Any]] = {
        "distribution": {"offset": 0, "count": 5},
        "tokenize": {"text": " London"},
        "force": {"text": " London", "settings": _settings(page)},
        "generate": {"settings": _settings(page)},
        "label": {"label": {"name": "x"}},
    }
    row = len(page.viewer.session.tree) if row == 3 else row
    with _nothing_changes(page):
        page.refused(kind, **{field: row}, **extra.get(kind, {}))


@pytest.mark.parametrize(
    ("token", "sentence"),
    [
        ({"text": ""}, "'' has no tokens: give at least one token or character to force"),
        ({"token_id": 520}, "token id 520 is not in the vocabulary: 0 to 519 are accepted"),
        ({"token_id": -1}, "token id -1 is not in the vocabulary: 0 to 519 are accepted"),
    ],
    ids=str,
)
def test_unknown_tokens(page: FakePage, token: dict[str, Any], sentence: str) -> None:
    with _nothing_changes(page):
        assert page.refused("force", parent=1, settings=_settings(page), **token)["message"] == sentence


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        ({"name": "x" * 61}, "name has 61 characters, but 1 to 60 are accepted"),
        ({"name": "\ud800"}, "name is '\\ud800', which has half of a surrogate pair: give whole characters"),
        ({"colour": "teal", "name": "x"}, "colour is 'teal', but must be one of blue, orange, green, pink"),
        ({"hidden": None}, "hidden is None, but must be True or False"),
        ({"shape": "round"}, "unknown label 'shape': accepted are name, colour and hidden"),
    ],
    ids=str,
)
def test_bad_labels(page: FakePage, label: dict[str, Any], sentence: str) -> None:
    page.ask("label", row=0, label={"name": "before"})
    with _nothing_changes(page):
        assert sentence in page.refused("label", row=0, label=label)["message"]
    assert page.state["labels"] == [{"start": 0, "name": "before", "colour": None, "hidden": False}]


def test_an_empty_prompt_without_bos(page: FakePage) -> None:
    with _nothing_changes(page):
        error = page.refused("generate", prompt="", settings=_settings(page))
        assert "the prompt is empty" in error["message"]


def test_a_prompt_longer_than_the_context(page: FakePage) -> None:
    with _nothing_changes(page):
        error = page.refused("generate", prompt="a b " * 2000, settings=_settings(page))
        assert "the model's context holds 1024" in error["message"]


@pytest.mark.parametrize("kind", ["prompt", "Generate", "delta", "__init__", "distribution-response"])
def test_unknown_kinds(page: FakePage, kind: str) -> None:
    with _nothing_changes(page):
        assert page.refused(kind)["message"] == f"unknown request {kind!r}"


@pytest.mark.parametrize(
    "kind",
    [
        "force",
        "switch",
        "select",
        "settings",
        "distribution",
        "stages",
        "tokenize",
        "dismiss",
        "generate",
    ],
)
def test_missing_fields(page: FakePage, kind: str) -> None:
    with _nothing_changes(page):
        page.refused(kind)


@pytest.mark.parametrize(
    "content", [{}, {"kind": "undo"}, {"id": 1}, {"kind": 1, "id": 1}, {"kind": "undo", "id": "1"}]
)
def test_what_cannot_be_answered_is_logged(
    page: FakePage, content: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with _nothing_changes(page), caplog.at_level(logging.WARNING):
        page.send(content)
    assert "without kind and id" in caplog.text


def test_growing_or_moving_while_generating(page: FakePage) -> None:
    with gate_at(page.viewer.session.engine.model, 3) as gate:
        page.ask("generate", settings=_settings(page))
        gate.wait_until_reached()
        settings = _settings(page)
        requests: list[tuple[str, dict[str, Any]]] = [
            ("force", {"parent": 1, "text": " London", "settings": settings}),
            ("generate", {"settings": settings}),
            ("switch", {"row": 0}),
            ("undo", {}),
            ("redo", {}),
        ]
        for kind, fields in requests:
            error = page.refused(kind, **fields)
            assert error["type"] == "BusyError"
            assert "while the session is growing (2 of 6 tokens)" in error["message"]
        # Reading goes on.
        page.ask("select", row=0)
        gate.open()
        page.settle()
    assert len(page.viewer.session.new_nodes) == 6
    assert page.state["selected"] == 0


def test_generating_after_the_models_end(show: Show) -> None:
    probe = tiny_engine().session(PROMPT)
    end = probe.generate(max_new_tokens=3).wait()[-1].token_id
    engine = tiny_engine(eos_token_id=end)
    page = show(TokenStream(engine.session(PROMPT), temperature=0.0))
    page.viewer.generate(max_new_tokens=5).wait()
    page.settle()
    rows = page.rows
    error = page.refused("generate", settings=_settings(page))
    assert error["message"].startswith("the model ended this text")
    assert len(page.viewer.session.tree) == rows


@dataclass(frozen=True)
class Breaks(Operator):
    """Raises at once."""

    stage = "intervention"

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        raise ZeroDivisionError("the operator's own fault")


def test_a_jobs_error_becomes_a_notice(page: FakePage) -> None:
    job = page.viewer.generate(program=Breaks())
    page.wait_until(lambda: page.state["notice"])
    notice = page.state["notice"]
    assert (notice["type"], notice["message"]) == ("ZeroDivisionError", "the operator's own fault")
    assert isinstance(job.error, ZeroDivisionError)
    page.ask("dismiss", notice=notice["id"])
    with _nothing_changes(page):
        pass


def test_a_full_context_becomes_a_notice(engine: Engine, show: Show) -> None:
    page = show(TokenStream(engine.session([5] * 1022)))
    page.ask("generate", settings=_settings(page, max_new_tokens=10))
    page.settle()
    page.wait_until(lambda: page.state["notice"])
    assert "the model's context is full: it holds 1024 tokens" in page.state["notice"]["message"]
    assert_same_tree(page, page.viewer)


class TestConstruction:
    def test_what_is_no_engine(self) -> None:
        with pytest.raises(TypeError, match="source is 5, but must be an engine or a session"):
            TokenStream(5)  # type: ignore[arg-type]

    def test_a_prompt_with_a_session(self, engine: Engine) -> None:
        with pytest.raises(TypeError, match="prompt was given with a session, which has its own"):
            TokenStream(engine.session(PROMPT), prompt="another")

    def test_bad_settings(self, engine: Engine) -> None:
        with pytest.raises(ValueError, match="temperature is -1, but must be above 0"):
            TokenStream(engine, temperature=-1)
        with pytest.raises(TypeError, match="unknown setting 'beams'"):
            TokenStream(engine, beams=4)

    def test_a_prompt_longer_than_the_context(self, engine: Engine) -> None:
        with pytest.raises(ValueError, match="shorten the prompt"):
            TokenStream(engine, prompt="a b " * 2000)

    def test_no_prompt_yet(self, engine: Engine, show: Show) -> None:
        page = show(TokenStream(engine, temperature=0.0))
        page.ask("snapshot")
        error = page.refused("generate", settings=_settings(page, max_new_tokens=2))
        assert error["message"] == "the session has read no prompt yet: give it one first"
        page.ask("generate", prompt=PROMPT, settings=_settings(page, max_new_tokens=2))
        page.settle()
        assert page.viewer.session.prompt_text == PROMPT
        assert len(page.viewer.session.new_nodes) == 2

    def test_another_models_file(self, engine: Engine, show: Show, tmp_path: object) -> None:
        path = f"{tmp_path}/x.json"
        engine.session(PROMPT).save(path)
        with pytest.warns(UserWarning, match="opened for reading only"):
            session = itwidgets.open(path, tiny_engine(seed=1))
        page = show(TokenStream(session))
        page.ask("snapshot")
        page.settle()
        assert "whose weights are not those of" in page.state["read_only"]
