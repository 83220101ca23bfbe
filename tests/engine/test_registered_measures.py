"""Measures of one's own: a column of the table by every way in which a row is made, on the wire, in files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch

import itwidgets
from itwidgets import Engine, Session
from itwidgets.information import registered_measures, regret, surprisal
from itwidgets.interventions import Ban, Compare, Program, Temperature, TopK, When, to_logits_processor
from itwidgets.tree import WIRE_COLUMNS
from itwidgets.widgets.protocol import decode_slice, encode_slice
from tests.models import KINDS, PROMPT, tiny_engine


@pytest.fixture(autouse=True)
def measures() -> Iterator[None]:
    itwidgets.register_measure("my_surprisal", surprisal)
    itwidgets.register_measure("my_regret", regret, label="Regret", limit=8)
    yield
    for name in set(registered_measures()) & {"my_surprisal", "my_regret", "broken"}:
        itwidgets.unregister_measure(name)


def _grown(engine: Engine) -> Session:
    """Rows by every way: prefilled, drawn, forced, rolled out and adopted, edited."""
    session = engine.session(PROMPT)
    session.generate(max_new_tokens=3, program=Temperature(1.5), seed=1).wait()
    session.force(1, [5, 6])
    rollout = session.rollout(2, k=2, max_new_tokens=3)
    session.adopt(rollout[1])
    return session


def _assert_right(session: Session) -> None:
    tree = session.tree
    mine, built_in = tree.column("my_surprisal"), tree.column("surprisal")
    assert np.isnan(mine[0])
    assert np.isfinite(mine[1:]).all()
    np.testing.assert_allclose(mine[1:], built_in[1:], atol=2e-4)
    best = -tree.column("top_log_probs")[1:, 0] / np.log(2)
    np.testing.assert_allclose(tree.column("my_regret")[1:], built_in[1:] - best, atol=2e-4)


@pytest.mark.parametrize("kind", [*KINDS])
def test_every_row_has_them(kind: str) -> None:
    engine = tiny_engine(kind)
    _assert_right(_grown(engine))
    engine.close()


def test_frames_name_their_units(engine: Engine) -> None:
    frame = _grown(engine).to_frame()
    assert {"my_surprisal_bits", "my_regret_bits"} <= set(frame.columns)


def test_sessions_that_began_before_do_not_change(engine: Engine) -> None:
    session = _grown(engine)
    itwidgets.unregister_measure("my_regret")
    later = engine.session(PROMPT)
    assert [column.name for column in later.tree.measures] == ["my_surprisal"]
    # It is not known here any more, so what is made from now on goes without.
    session.generate(max_new_tokens=1).wait()
    reopened = engine.session(PROMPT)
    assert np.isfinite(reopened.tree.column("my_surprisal")[1:]).all()


def test_a_file_brings_them_back(engine: Engine, tmp_path: Path) -> None:
    session = _grown(engine)
    path = tmp_path / "measured.itw.json"
    session.save(path)
    schema = json.loads((Path(itwidgets.__file__).parent / "tree" / "session.schema.json").read_text())
    jsonschema.validate(json.loads(path.read_text()), schema)
    for again in (itwidgets.open(path), itwidgets.open(path, engine)):
        assert again.tree.measures == session.tree.measures
        assert again.to_frame().equals(session.to_frame())
    again.generate(max_new_tokens=2).wait()
    _assert_right(again)
    assert again.replay().first_difference is None


def test_they_travel_to_the_page(engine: Engine) -> None:
    tree = _grown(engine).tree
    header, buffers = encode_slice(tree, tree.vocabulary, 1, len(tree), set())
    assert [(one["title"], one["unit"], one["limit"]) for one in header["measures"]] == [
        ("my surprisal", "bits", 12.0),
        ("Regret", "bits", 8.0),
    ]
    assert len(buffers) == len(WIRE_COLUMNS) + 2 + 3
    found = decode_slice(header, buffers)["my_regret"]
    np.testing.assert_array_equal(found, tree.column("my_regret")[1:])


def test_programs_ask_them_of_earlier_tokens(engine: Engine, tmp_path: Path) -> None:
    surprising = Compare("my_surprisal", ">", 6.0, of="previous")
    plain = Compare("surprisal", ">", 6.0, of="previous")
    program, same = (Temperature(1.5) >> When(asked, Program((TopK(3),))) for asked in (surprising, plain))
    session = engine.session(PROMPT)
    made = session.generate(max_new_tokens=8, program=program, seed=1).wait()
    fired = session.tree.column("fired")[[node.row for node in made]] & 2
    assert 0 < np.count_nonzero(fired) < 8
    other = engine.session(PROMPT)
    expected = other.generate(max_new_tokens=8, program=same, seed=1).wait()
    assert [node.token_id for node in made] == [node.token_id for node in expected]
    rollouts = [
        one.rollout(0, k=2, max_new_tokens=6, program=chosen, seed=1)
        for one, chosen in ((session, program), (other, same))
    ]
    assert [one.token_ids for one in rollouts[0]] == [one.token_ids for one in rollouts[1]]
    session.adopt(rollouts[0][1])
    path = tmp_path / "asked.itw.json"
    session.save(path)
    assert itwidgets.open(path, engine).replay().first_difference is None


def test_a_program_in_transformers_asks_them_too() -> None:
    rows = torch.zeros(1, 4), torch.tensor([[9.0, 0.0, 0.0, 0.0]])
    processor = to_logits_processor(When(Compare("my_regret", ">", 5.0, of="previous"), Program((Ban([0]),))))
    assert processor(torch.tensor([[1]]), rows[1])[0].isfinite().all()
    assert processor(torch.tensor([[1, 0]]), rows[0])[0].isfinite().all()
    assert not processor(torch.tensor([[1, 2]]), rows[0])[0, 0].isfinite()


def test_a_measure_of_the_wrong_shape_ends_the_job_alone(engine: Engine) -> None:
    fails = False

    def broken(log_p: torch.Tensor, token_ids: torch.Tensor) -> Any:
        return log_p if fails else token_ids

    itwidgets.register_measure("broken", broken, unit="")
    session = engine.session(PROMPT)
    rows = len(session.tree)
    fails = True
    with pytest.raises(ValueError, match=r"'broken' gave numbers of shape \(1, 520\) for 1 tokens"):
        session.generate(max_new_tokens=2).wait()
    assert len(session.tree) == rows
    fails = False
    session.generate(max_new_tokens=2).wait()
    _assert_right(session)


def test_a_measure_that_writes_into_its_row_spoils_no_other(engine: Engine) -> None:
    itwidgets.unregister_measure("my_surprisal")
    itwidgets.register_measure("broken", lambda log_p, token_ids: log_p.zero_()[..., 0], unit="")
    itwidgets.register_measure("my_surprisal", surprisal)
    _assert_right(_grown(engine))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"limit": 0}, "limit of the measure 'my_surprisal' is 0, but must be above 0"),
        ({"name": "entropy"}, "'entropy' has the name of a column"),
        ({"name": "my_regret"}, "measures names one twice"),
        ({"extra": 1}, "a measure has 'extra'"),
    ],
)
def test_files_with_damaged_measures_are_refused(
    engine: Engine, tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    from itwidgets.tree.files import _canonical, _digest

    path = tmp_path / "measured.itw.json"
    _grown(engine).save(path)
    document = json.loads(path.read_text())
    document["content"]["measures"][0] |= change
    document["digest"] = _digest(_canonical(document["content"]))
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=sentence):
        itwidgets.open(path)
