"""The prompt field: what it shows by itself is never taken for an edit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import itwidgets
from itwidgets import Engine, Session, TokenStream
from tests.models import PROMPT, tiny_engine
from tests.seq2seq import OTHER, SOURCE, closing_tokenizer, seq2seq_engine
from tests.widgets.page import FakePage

Show = Callable[[TokenStream], FakePage]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine whose tokenizer puts a BOS before each text, and which can chat."""
    engine = tiny_engine(bos=True)
    template = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}"
    monkeypatch.setattr(engine.tokenizer, "chat_template", template)
    yield engine
    engine.close()


def _from_text(engine: Engine, folder: Path) -> Session:
    return engine.session(PROMPT)


def _from_ids(engine: Engine, folder: Path) -> Session:
    return engine.session(engine.vocabulary.encode(PROMPT)[::-1])


def _from_messages(engine: Engine, folder: Path) -> Session:
    return engine.session([{"role": "user", "content": PROMPT}])


def _from_a_file(engine: Engine, folder: Path) -> Session:
    engine.session(PROMPT).save(folder / "x.itw.json")
    return itwidgets.open(folder / "x.itw.json", engine)


def _forced_inside_the_prompt(engine: Engine, folder: Path) -> Session:
    session = engine.session(PROMPT)
    session.force(session.nodes[2], " of")
    return session


@pytest.mark.parametrize(
    "source", [_from_text, _from_ids, _from_messages, _from_a_file, _forced_inside_the_prompt]
)
def test_generate_goes_on_from_the_prompt_that_is_shown(
    engine: Engine, show: Show, tmp_path: Path, source: Callable[[Engine, Path], Session]
) -> None:
    session = source(engine, tmp_path)
    before, branches = session.token_ids, len(session.branches)
    page = show(TokenStream(session, max_new_tokens=3))
    page.ask("snapshot")
    page.settle()
    page.ask("generate", prompt=page.state["prompt"], settings=page.viewer.settings)
    page.wait_until(lambda: page.rows > len(before) and page.state["job"] is None)
    assert session.token_ids[: len(before)] == before
    assert len(session.branches) == branches


def test_an_edit_is_one(engine: Engine, show: Show) -> None:
    session = engine.session(PROMPT)
    page = show(TokenStream(session, max_new_tokens=3))
    page.ask("snapshot")
    page.ask("generate", prompt=PROMPT + " is", settings=page.viewer.settings)
    page.wait_until(lambda: len(session.branches) == 1 and len(session.new_nodes) == 3)
    assert session.prompt_text.endswith(" is")


def test_the_edit_of_an_opened_prompt_has_one_bos(engine: Engine, show: Show, tmp_path: Path) -> None:
    session = _from_a_file(engine, tmp_path)
    page = show(TokenStream(session, max_new_tokens=1))
    page.ask("snapshot")
    page.settle()
    assert page.state["prompt"] == PROMPT
    page.ask("generate", prompt=PROMPT + " is", settings=page.viewer.settings)
    page.wait_until(lambda: len(session.new_nodes) == 1)
    assert session.token_ids[: session.prompt_length] == engine.session(PROMPT + " is").token_ids


def test_a_prompt_that_was_stopped_is_read_again(engine: Engine) -> None:
    viewer = TokenStream(engine, prompt=[1, 5, 6])
    job = viewer.session.reading
    if job is not None:
        job.cancel()
    assert len(viewer.generate(max_new_tokens=2).wait(60)) == 2
    assert viewer.session.token_ids[:3] == [1, 5, 6]
    viewer.close()


def test_force_waits_for_the_prompt_but_not_for_more(engine: Engine) -> None:
    viewer = TokenStream(engine, prompt=PROMPT)
    job = viewer.generate(max_new_tokens=300)
    with pytest.raises(itwidgets.engine.BusyError, match="stop that job or wait for it"):
        viewer.force(0, " of")
    job.cancel()
    job.wait(60)
    viewer.close()


def test_closing_a_viewer_stops_what_it_started_alone(engine: Engine) -> None:
    session = engine.session(PROMPT)
    one, other = TokenStream(session), TokenStream(session)
    job = one.generate(max_new_tokens=20)
    other.close()
    assert len(job.wait(60)) == 20 or session.has_ended
    assert not job.cancelled
    one.close()


def test_the_field_has_the_source_text_of_a_model_with_an_encoder(show: Show) -> None:
    engine = seq2seq_engine(tokenizer=closing_tokenizer())
    session = engine.session(SOURCE)
    page = show(TokenStream(session, max_new_tokens=3))
    page.ask("snapshot")
    page.settle()
    assert page.state["prompt"] == SOURCE
    page.ask("generate", prompt=SOURCE, settings=page.viewer.settings)
    page.wait_until(lambda: len(session.new_nodes) == 3 and page.state["job"] is None)
    assert session.tree.sources.keys() == {0}
    page.ask("generate", prompt=OTHER, settings=page.viewer.settings)
    page.wait_until(lambda: len(session.tree) == 8 and page.state["job"] is None)
    assert session.source_text == f"{OTHER}</s>"
    assert page.state["prompt"] == OTHER
    page.ask("undo")
    page.wait_until(lambda: page.state["prompt"] == SOURCE)
    engine.close()
