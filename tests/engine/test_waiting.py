"""Iterating, waiting and listening: what may be done twice, and what may not be done where."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from itwidgets import Engine, Session
from itwidgets.interventions import Operator, Step
from tests.models import PROMPT


@pytest.fixture
def session(engine: Engine) -> Session:
    return engine.session(PROMPT)


def test_a_generation_can_be_iterated_again(session: Session) -> None:
    job = session.generate(max_new_tokens=4)
    first = list(job)
    assert list(job) == first == job.wait()
    assert not job.cancelled


def test_the_head_has_moved_when_a_token_is_handed_out(session: Session) -> None:
    for node in session.generate(max_new_tokens=4):
        assert node in session.nodes


@dataclass(frozen=True)
class Asks(Operator):
    """An operator that waits for another job of the engine."""

    session: Session
    stage = "intervention"

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        self.session.distribution(0)
        return scores


def test_waiting_on_the_engines_own_thread_is_an_error(session: Session) -> None:
    job = session.generate(max_new_tokens=2, program=Asks(session))
    with pytest.raises(RuntimeError, match="cannot be waited for on the engine's own thread"):
        job.wait(60)
    assert len(session.generate(max_new_tokens=2).wait(60)) == 2


def test_a_listener_that_fails_ends_no_job(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        raise ZeroDivisionError

    unsubscribe = session.subscribe(fails)
    assert len(session.generate(max_new_tokens=3).wait(60)) == 3
    unsubscribe()
    assert "a listener failed" in caplog.text


def test_scores_that_are_no_numbers_are_said_to_be(engine: Engine, session: Session) -> None:
    hook = engine.model.get_output_embeddings().register_forward_hook(lambda *a: a[-1] * float("nan"))
    with pytest.raises(FloatingPointError, match="try another dtype"):
        session.generate(max_new_tokens=1).wait(60)
    hook.remove()
    assert len(session.generate(max_new_tokens=1).wait(60)) == 1


@pytest.mark.parametrize("token", [1.7, True, None, [1, 2.5]])
def test_what_is_no_token_is_refused(session: Session, token: object) -> None:
    with pytest.raises(TypeError, match="must be a token id or the text of one token"):
        session.force(0, token)  # type: ignore[arg-type]


@pytest.mark.parametrize("program", ["x", [1]])
def test_what_is_no_program_is_refused(session: Session, program: object) -> None:
    with pytest.raises(TypeError, match="a program is made of operators"):
        session.generate(program=program)  # type: ignore[arg-type]


def test_what_is_no_position_is_refused(session: Session) -> None:
    with pytest.raises(TypeError, match="'a', but must be a whole number or a node"):
        session.distribution("a")  # type: ignore[arg-type]
