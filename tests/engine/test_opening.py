"""Saving and opening sessions: to go on with, or to read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import itwidgets
from itwidgets import Engine, Session
from itwidgets.engine import ReadOnlyError
from itwidgets.interventions import Temperature
from itwidgets.tree import COLUMNS
from tests.models import CUTTABLE, KINDS, PROMPT, counted_positions, fresh_log_probs, tiny_engine

Engines = Callable[[str], Engine]


def _grown(engine: Engine) -> Session:
    session = engine.session(PROMPT)
    session.generate(max_new_tokens=8, program=Temperature(1.2), seed=2).wait()
    session.force(3, " London 🦜")
    session.generate(max_new_tokens=2).wait()
    session.switch(session.branches[0])
    session.label(session.branches[1], name="the other one", hidden=True)
    return session


def _assert_same(opened: Session, session: Session) -> None:
    for column in COLUMNS:
        np.testing.assert_array_equal(
            opened.tree.column(column.name), session.tree.column(column.name), strict=True
        )
    assert opened.token_ids == session.token_ids
    assert opened.text == session.text
    assert opened.new_text == session.new_text
    assert [b.text for b in opened.branches] == [b.text for b in session.branches]
    assert [(b.name, b.hidden) for b in opened.branches] == [(b.name, b.hidden) for b in session.branches]
    assert opened.identity == session.identity
    assert opened.head is not None
    assert session.head is not None
    assert opened.head.row == session.head.row


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.itw.json"


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_goes_on_where_it_was_saved(shared_engine: Engines, kind: str, path: Path) -> None:
    engine = shared_engine(kind)
    session = _grown(engine)
    session.save(path)
    opened = itwidgets.open(path, engine)
    assert opened.read_only is None
    _assert_same(opened, session)
    for one in (session, opened):
        one.generate(max_new_tokens=4).wait()
    assert opened.token_ids == session.token_ids
    np.testing.assert_allclose(
        opened.distribution(-1).log_probs, fresh_log_probs(engine.model, opened.token_ids[:-1]), atol=2e-4
    )


@pytest.mark.parametrize("kind", CUTTABLE)
def test_an_opened_session_reads_each_branch_once(shared_engine: Engines, kind: str, path: Path) -> None:
    engine = shared_engine(kind)
    _grown(engine).save(path)
    opened = itwidgets.open(path, engine)
    with counted_positions(engine.model) as counts:
        opened.distribution(4)
        assert sum(counts) <= len(opened.token_ids)
        opened.force(5, 42)
        opened.force(6, 43)
        read = sum(counts)
        opened.force(5, 44)
        assert sum(counts) == read + 1


def test_without_a_model_it_can_be_read(shared_engine: Engines, path: Path) -> None:
    session = _grown(shared_engine("llama"))
    session.save(path)
    opened = itwidgets.open(path)
    _assert_same(opened, session)
    assert opened.to_frame().equals(session.to_frame())
    assert [node.text for node in opened.nodes] == [node.text for node in session.nodes]
    for act in (
        lambda: opened.generate(max_new_tokens=1),
        lambda: opened.force(0, 1),
        lambda: opened.distribution(0),
        lambda: opened.engine,
    ):
        with pytest.raises(ReadOnlyError, match="this session is read-only: it was opened without a model"):
            act()
    assert opened.switch(opened.branches[1]).text
    opened.undo()
    assert opened.token_ids == session.token_ids
    # A label needs no model.
    assert opened.label(opened.branches[1], name="seen").name == "seen"


def test_a_saved_copy_can_be_saved_again(shared_engine: Engines, path: Path, tmp_path: Path) -> None:
    _grown(shared_engine("llama")).save(path)
    itwidgets.open(path).save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (lambda: tiny_engine(seed=1), "made with tiny-llama, whose weights are not those of"),
        (lambda: tiny_engine(bos=True), "made with tiny-llama, whose tokenizer is not that of"),
    ],
    ids=["weights", "tokenizer"],
)
def test_another_model_is_warned_of_and_may_only_read(
    shared_engine: Engines, path: Path, other: Callable[[], Engine], sentence: str
) -> None:
    session = _grown(shared_engine("llama"))
    session.save(path)
    with pytest.warns(UserWarning, match=rf"is opened for reading only: it was {sentence}"):
        opened = itwidgets.open(path, other())
    _assert_same(opened, session)
    with pytest.raises(ReadOnlyError, match=sentence):
        opened.generate(max_new_tokens=1)


def test_the_same_weights_in_another_dtype_are_the_same_model(shared_engine: Engines, path: Path) -> None:
    import torch

    _grown(shared_engine("llama")).save(path)
    with pytest.warns(UserWarning, match="made in float32 and goes on in bfloat16"):
        opened = itwidgets.open(path, tiny_engine(dtype=torch.bfloat16))
    assert opened.read_only is None


def test_a_growing_session_is_saved_as_far_as_it_is(shared_engine: Engines, path: Path) -> None:
    session = shared_engine("llama").session(PROMPT)
    for made, _ in enumerate(session.generate(max_new_tokens=5), 1):
        session.save(path)
        assert len(itwidgets.open(path).new_nodes) >= made


@torch.no_grad()
def _in_place(engine: Engine) -> None:
    engine.model.get_input_embeddings().weight.mul_(1.3)


def _behind_torchs_back(engine: Engine) -> None:
    engine.model.get_input_embeddings().weight.data *= 1.3
    engine.runner.refresh()


@pytest.mark.parametrize("change", [_in_place, _behind_torchs_back])
def test_a_session_of_changed_weights_is_not_saved_as_one_of_those_before(
    engine: Engine, path: Path, change: Callable[[Engine], None]
) -> None:
    before = engine.session(PROMPT)
    change(engine)
    session = engine.session(PROMPT)
    assert session.identity.model_fingerprint != before.identity.model_fingerprint
    session.save(path)
    assert itwidgets.open(path, engine).read_only is None
    with pytest.warns(UserWarning, match="whose weights are not those of"):
        opened = itwidgets.open(path, tiny_engine())
    assert opened.read_only is not None
