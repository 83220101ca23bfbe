"""The ledger: each row says which operators changed the scores that its token was drawn from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import itwidgets
from itwidgets import Engine, Session
from itwidgets.engine import Difference
from itwidgets.interventions import (
    GREEDY,
    At,
    Ban,
    Bias,
    Compare,
    Every,
    MinP,
    Operator,
    Program,
    Step,
    Temperature,
    TopK,
    TopP,
    When,
)
from tests.models import PROMPT, tiny_engine

Engines = Callable[[str], Engine]


@dataclass(frozen=True)
class Calming(Operator):
    """Cools by how surprising the last tokens were under `s`: state that is a fold over the past."""

    rate: float

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        temperature = 1.5
        for bits in step.figures("surprisal_s"):
            temperature = min(3.0, max(0.2, temperature - self.rate * (bits - 2.0)))
        return scores / temperature


OPERATORS: st.SearchStrategy[Operator] = st.one_of(
    st.builds(Bias, st.dictionaries(st.integers(1, 499), st.floats(-5, 5), max_size=4)),
    st.builds(Temperature, st.floats(0.3, 3)),
    st.builds(TopK, st.integers(1, 600)),
    st.builds(TopP, st.floats(0.1, 1)),
    st.builds(MinP, st.floats(0, 0.5)),
    st.builds(Calming, st.floats(0.05, 0.5)),
    st.builds(
        lambda bits, k: When(Compare("surprisal", ">", bits, of="previous"), Program((TopK(k),))),
        st.floats(0, 9),
        st.integers(1, 50),
    ),
    st.builds(
        lambda bits, nats: When(Compare("entropy", ">", bits), Program((Bias({7: nats}),))),
        st.floats(0, 9),
        st.floats(-3, 3),
    ),
)


def expected_flags(session: Session, program: Program) -> list[int]:
    """By another road: each row made again by the operators, one after another, and compared."""
    flags = []
    for node in session.new_nodes:
        recorded = session.tree.column
        past = {
            name: recorded(name)[[n.row for n in session.new_nodes]].tolist() for name in ("surprisal_s",)
        }
        ids = session.tree.token_ids(node.row)[:-1]
        prompt = session.prompt_length
        before = torch.from_numpy(session.distribution(node).log_probs).float()
        step = Step(
            len(ids) - prompt, ids, prompt, before, past={k: v[: len(ids) - prompt] for k, v in past.items()}
        )
        changed = 0
        for i, operator in enumerate(program.operators):
            after = operator(step, before)
            changed |= int(not torch.equal(before, after)) << i
            before = after
        flags.append(changed)
    return flags


def test_bits_are_the_operators_that_changed_the_row(shared_engine: Engines) -> None:
    engine = shared_engine("llama")
    program = (
        At([1, 3], Program((Ban([5, 6]),)))
        >> Temperature(1.0)
        >> Every(2, Program((Temperature(0.7),)))
        >> Bias({})
        >> TopK(10_000)
        >> Calming(0.3)
        >> TopK(20)
    )
    session = engine.session(PROMPT)
    nodes = session.generate(6, program=program, seed=1).wait()
    assert [int(flags) for flags in session.tree.column("fired")[-6:]] == expected_flags(session, program)
    ban, _, warm, _, _, calming, best = program.operators
    assert [node.fired for node in nodes[:3]] == [
        (warm, calming, best),
        (ban, calming, best),
        (warm, calming, best),
    ]
    assert all(node.program == program for node in nodes)


def test_what_was_given_was_fired_by_nothing(shared_engine: Engines) -> None:
    session = shared_engine("llama").session(PROMPT)
    session.generate(2, program=Temperature(0.5) >> GREEDY).wait()
    session.force(1, 42)
    assert [node.fired for node in session.nodes if node.origin.word != "sampled"] == [()] * 5
    assert session.nodes[0].program is session.nodes[-1].program is None
    assert session.tree.column("fired").dtype == np.dtype("<u4")


def test_all_thirty_two_bits_are_kept(shared_engine: Engines, tmp_path: Path) -> None:
    engine = shared_engine("llama")
    session = engine.session(PROMPT)
    program = Program(tuple(Bias({i: 0.5}) for i in range(1, 33)))
    (node,) = session.generate(1, program=program).wait()
    assert session.tree.column("fired")[node.row] == 2**32 - 1
    assert node.fired == program.operators
    session.save(tmp_path / "one.itw.json")
    again = itwidgets.open(tmp_path / "one.itw.json", engine)
    assert again.tree[node.row].fired == program.operators


def test_frames_name_the_operators(shared_engine: Engines) -> None:
    session = shared_engine("llama").session(PROMPT)
    session.generate(1, program=Bias({4: 2.0}) >> Temperature(1.0) >> TopK(3)).wait()
    assert session.to_frame()["fired"].tolist() == [""] * 4 + ["Bias, TopK"]


def test_adopted_tokens_have_theirs(shared_engine: Engines) -> None:
    session = shared_engine("llama").session(PROMPT)
    rollout = session.rollout(0, k=2, max_new_tokens=3, program=Bias({4: 2.0}) >> Temperature(1.2), seed=1)
    session.adopt(rollout[1])
    assert session.tree.column("fired")[-3:].tolist() == [0, 3, 3]


@settings(max_examples=10)
@given(
    program=st.lists(OPERATORS, max_size=5).map(lambda found: Program(tuple(found))), seed=st.integers(0, 99)
)
def test_a_program_replays_to_the_same_tokens_and_the_same_ledger(
    shared_engine: Engines, program: Program, seed: int
) -> None:
    session = shared_engine("llama").session(PROMPT)
    session.generate(5, program=program, seed=seed).wait()
    session.force(2, 42)
    session.generate(3, program=program, seed=seed).wait()
    replay = session.replay()
    assert replay.first_difference is None, repr(replay)
    assert (replay.exact, replay.not_drawn) == (len(session.tree), 0)


def changed(path: Path, change: Callable[[Any], None]) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    text = json.dumps(document["content"], sort_keys=True, separators=(",", ":"))
    document["digest"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(document), encoding="utf-8")


@pytest.fixture
def saved(shared_engine: Engines, tmp_path: Path) -> Path:
    session = shared_engine("llama").session(PROMPT)
    session.generate(4, program=Bias({4: 2.0}) >> Temperature(1.2), seed=1).wait()
    session.save(tmp_path / "one.itw.json")
    return tmp_path / "one.itw.json"


def test_a_replay_compares_the_ledger(shared_engine: Engines, saved: Path) -> None:
    row = 5
    changed(saved, lambda document: document["content"]["columns"]["fired"].__setitem__(row, 2))
    found = itwidgets.open(saved, shared_engine("llama")).replay()
    assert (found.different, found.first_difference) == (1, Difference(row, "fired", 2, 3))


def test_a_file_that_has_no_ledger_replays(shared_engine: Engines, saved: Path) -> None:
    def as_before(document: Any) -> None:
        document["version"] = 2
        del document["content"]["columns"]["fired"]

    changed(saved, as_before)
    session = itwidgets.open(saved, shared_engine("llama"))
    assert set(session.tree.column("fired").tolist()) == {0}
    replay = session.replay()
    assert (replay.exact, replay.first_difference) == (len(session.tree), None)


def test_a_ledger_in_a_version_that_had_none_is_refused(saved: Path) -> None:
    changed(saved, lambda document: document.update(version=2))
    with pytest.raises(ValueError, match="columns has 'fired', which version 2 does not know"):
        itwidgets.open(saved)


def test_a_program_that_leaves_no_token_stops_before_a_row_is_made() -> None:
    engine = tiny_engine()
    session = engine.session(PROMPT)
    session.generate(2).wait()
    everything = At([2], Program((Ban(range(520)),)))
    job = session.generate(3, program=Temperature(0.5) >> everything)
    with pytest.raises(ValueError, match=r"At\(positions=\(2,\).*leaves no token to draw at position 2"):
        job.wait()
    assert len(session.new_nodes) == 2
    engine.close()
