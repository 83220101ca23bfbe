"""Single tokens by a compiled graph: what the plain model gives, everything else as without it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from itwidgets.interventions import Ban
from tests.models import PROMPT, failure_at, fresh_logits, tiny_engine


@pytest.fixture(autouse=True)
def fresh_compiler() -> None:
    torch._dynamo.reset()


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_a_compiled_engine_gives_the_tokens_and_figures_of_a_plain_one(kind: str) -> None:
    compiled, plain = tiny_engine(kind, compile="eager"), tiny_engine(kind, fast=False)
    sessions = [engine.session([5] * 245) for engine in (compiled, plain)]
    for session in sessions:
        program = Ban(sorted(session.engine.stop_ids))
        # Past the end of the first buffers.
        session.generate(20, program=program).wait()
        session.force(8, 42)
        session.generate(4, program=program).wait()
        session.adopt(session.rollout(2, k=2, max_new_tokens=3)[1])
        session.generate(4, program=program).wait()
    assert sessions[0].token_ids == sessions[1].token_ids
    assert compiled.capabilities.route == "compiled"
    assert [maker.identity.route for maker in sessions[0].tree.record.makers][-1] == "compiled"
    found, expected = (session.tree.column("surprisal") for session in sessions)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    compiled.close()
    plain.close()


def test_a_hook_is_heard_and_its_failure_leaves_whole_tokens() -> None:
    engine = tiny_engine(compile="eager")
    session = engine.session(PROMPT)
    program = Ban(sorted(engine.stop_ids))
    session.generate(3, program=program).wait()
    with failure_at(engine.model, 2, 0), pytest.raises(OSError, match="injected"):
        session.generate(3, program=program).wait()
    session.generate(3, program=program).wait()
    expected = fresh_logits(engine.model, session.token_ids)[-1].log_softmax(-1)
    found = session.distribution(len(session.new_nodes)).log_probs
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)
    engine.close()


@pytest.mark.parametrize(
    ("kind", "backend", "sentence"),
    [
        ("llama", "fast", "compile is 'fast', but must be True, False or one of "),
        ("qwen3_next", "eager", "compile is 'eager', but the layers of Qwen3NextForCausalLM have states"),
    ],
)
def test_what_cannot_be_compiled_is_one_sentence(kind: str, backend: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        tiny_engine(kind, compile=backend)
