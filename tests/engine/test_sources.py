"""Sources of scores by models: against passes without any cache, and transformers' own guidance."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import itwidgets
from itwidgets import Engine
from itwidgets.engine import ContextFullError, Job
from itwidgets.interventions import GREEDY, Ban, Contrast, Experts, Guidance, Program, Step, Temperature
from tests.adapters import adapted, lora, save_adapter
from tests.models import (
    KINDS,
    PROMPT,
    counted_positions,
    fresh_log_probs,
    gate_at,
    tiny_engine,
)

Engines = Callable[[str], Engine]
NEGATIVE = "The model reads"


def log_probs(scores: torch.Tensor) -> Any:
    return scores.double().log_softmax(-1).numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_the_model_in_any_order_of_texts(shared_engine: Engines, kind: str) -> None:
    engine = shared_engine(kind)
    source = engine.source(NEGATIVE)
    start = engine.vocabulary.encode(NEGATIVE)
    texts = [[], [5], [5, 6], [5, 6, 7, 8], [5, 6, 9], [4], [5, 6, 7, 8, 9, 10], [5, 6], []]
    for new in texts * 2:
        found = source(Step(len(new), [1, 2, 3, *new], 3))
        np.testing.assert_allclose(log_probs(found), fresh_log_probs(engine.model, [*start, *new]), atol=2e-4)


def test_a_token_more_costs_one_position() -> None:
    engine = tiny_engine()
    source = engine.source(NEGATIVE)
    start = engine.vocabulary.encode(NEGATIVE)
    with counted_positions(engine.model) as counts:
        for new in ([], [5], [5, 6], [5, 6], [5, 7], []):
            source(Step(len(new), [1, *new], 1))
        assert counts == [len(start), 1, 1, 1]


def test_without_a_prompt_it_reads_the_text_of_the_step(shared_engine: Engines) -> None:
    engine = shared_engine("llama")
    found = engine.source()(Step(2, [5, 6, 7, 8], 2))
    np.testing.assert_allclose(log_probs(found), fresh_log_probs(engine.model, [5, 6, 7, 8]), atol=2e-4)


@pytest.mark.parametrize("kind", ["llama", "lfm2"])
@pytest.mark.parametrize("scale", [0.3, 1.7, 3.0])
def test_guidance_is_that_of_transformers(shared_engine: Engines, kind: str, scale: float) -> None:
    engine = shared_engine(kind)
    prompt, negative = (torch.tensor([engine.vocabulary.encode(text)]) for text in (PROMPT, NEGATIVE))
    expected = engine.model.generate(
        prompt,
        guidance_scale=scale,
        negative_prompt_ids=negative,
        do_sample=False,
        max_new_tokens=12,
        pad_token_id=0,
        eos_token_id=None,
    )
    session = engine.session(PROMPT)
    guided = Guidance(engine.source(NEGATIVE), scale)
    session.generate(12, program=guided >> GREEDY).wait()
    count = len(session.token_ids)
    assert session.token_ids == expected[0].tolist()[:count]
    assert len(session.new_nodes) == 12 or session.has_ended


def test_sources_are_priced_staged_forced_rolled_out_and_replayed(
    shared_engine: Engines, tmp_path: Path
) -> None:
    engine = shared_engine("llama")
    source = engine.source(NEGATIVE, name="negative")
    program = Ban(sorted(engine.stop_ids)) >> Contrast(source, 0.5, 0.05) >> Temperature(1.3)
    session = engine.session(PROMPT)
    session.generate(6, program=program, seed=2).wait()
    session.force(3, 42)
    session.generate(4, program=program, seed=2).wait()
    session.rollout(1, k=3, max_new_tokens=4, program=program, seed=5)
    for node in session.new_nodes:
        if node.origin.word == "sampled":
            found = session.distribution(node)
            assert found.q.surprisal(node.token_id) == pytest.approx(node.surprisal_q, abs=1e-4)
            assert node.fired[1:] == program.operators[1:]
    assert session.replay().first_difference is None
    session.save(tmp_path / "one.itw.json")
    again = itwidgets.open(tmp_path / "one.itw.json", engine, allow={"negative": engine.source(NEGATIVE)})
    assert again.replay().not_drawn == 0
    assert again.replay().first_difference is None


def test_another_model_of_the_same_tokenizer() -> None:
    engine, other = tiny_engine(), tiny_engine("gpt2", seed=3, vocab_size=505)
    session = engine.session(PROMPT)
    session.generate(5, program=Experts([other.source()], [1.0]) >> GREEDY).wait()
    for node in session.new_nodes:
        ids = session.tree.token_ids(node.row)[:-1]
        # Its head is narrower: what it does not know is out.
        mixed = fresh_log_probs(engine.model, ids)[:505] + fresh_log_probs(other.model, ids)
        assert node.token_id == int(mixed.argmax())
        assert (session.distribution(node).q.log_probs[505:] == -np.inf).all()
    engine.close()
    other.close()


def test_an_adapter_against_the_model_alone(tmp_path: Path) -> None:
    engine = tiny_engine()
    folder = save_adapter(tmp_path, lora("q_proj", "v_proj"))
    engine.load_adapter(folder, "style")
    alone, styled = engine.source(), engine.source(adapter="style")
    session, plain = engine.session(PROMPT, adapter="style"), engine.session(PROMPT)
    session.generate(6, program=Contrast(alone, 0.5) >> GREEDY).wait()
    plain.generate(6, program=Contrast(styled, 0.5) >> GREEDY).wait()
    base, model = tiny_engine().model, adapted(lora("q_proj", "v_proj"), seed=1)
    for one, expert, amateur in ((session, model, base), (plain, base, model)):
        for node in one.new_nodes:
            ids = one.tree.token_ids(node.row)[:-1]
            p, other = fresh_log_probs(expert, ids), fresh_log_probs(amateur, ids)
            np.testing.assert_allclose(one.distribution(node).log_probs, p, atol=2e-4)
            assert node.token_id == int((p - 0.5 * other).argmax())
    with pytest.raises(ValueError, match="there is no adapter 'none'"):
        engine.source(adapter="none")
    engine.close()


def test_a_source_can_be_asked_while_its_engine_works() -> None:
    engine = tiny_engine()
    session, source = engine.session(PROMPT), engine.source(NEGATIVE)
    expected = source(Step(0, [], 0))
    with gate_at(engine.model, 2) as gate:
        job = session.generate(4)
        gate.wait_until_reached()
        found: list[torch.Tensor] = []
        asking = threading.Thread(target=lambda: found.append(source(Step(0, [], 0))))
        asking.start()
        gate.open()
        asking.join(60)
        job.wait(60)
    assert torch.equal(found[0], expected)
    engine.close()


def test_engines_that_would_wait_for_each_other_are_told() -> None:
    one, other = tiny_engine(), tiny_engine(seed=1)
    inner = other.source(NEGATIVE)

    def circle(step: Step) -> torch.Tensor:
        # On the thread of the other engine it asks for the first one, whose step waits for this.
        def body(_: Any) -> Any:
            yield
            return one.source(NEGATIVE)(step)

        found: torch.Tensor = other.submit("circle", Job("circle", body), None).wait()
        return found

    assert inner(Step(0, [], 0)).shape == (520,)
    job = one.session(PROMPT).generate(2, program=Contrast(circle, 1.0))
    with pytest.raises(RuntimeError, match="operators and callbacks must not wait"):
        job.wait(60)
    one.close()
    other.close()


def test_stopping_a_session_stops_what_it_asks_of_another_engine() -> None:
    engine, other = tiny_engine(), tiny_engine(seed=1)
    session, source = engine.session(PROMPT), other.source()
    with gate_at(other.model, 1) as gate:
        job = session.generate(5, program=Program((Contrast(source, 0.5),)))
        gate.wait_until_reached()
        session.stop()
        job.wait(60)
        assert session.new_nodes == []
        gate.open()
    # Nothing was torn.
    ids = session.token_ids
    np.testing.assert_allclose(
        log_probs(source(Step(0, ids, 0))), fresh_log_probs(other.model, ids), atol=2e-4
    )
    engine.close()
    other.close()


def test_little_memory_costs_time_and_no_token() -> None:
    def tokens(budget: int | None) -> list[int]:
        engine = tiny_engine(kv_budget=budget)
        session = engine.session(PROMPT * 20)
        program = Ban(sorted(engine.stop_ids)) >> Contrast(engine.source(NEGATIVE * 20), 0.5) >> GREEDY
        session.generate(6, program=program).wait()
        assert session.replay().first_difference is None
        ids = session.token_ids
        engine.close()
        return ids

    engine = tiny_engine()
    session = engine.session(PROMPT * 20)
    session.generate(6).wait()
    alone = session.memory().current_branch
    engine.close()
    # Room for one of the two texts.
    assert tokens(int(1.2 * alone)) == tokens(None)


def test_a_full_context_and_another_tokenizer_are_told(shared_engine: Engines) -> None:
    engine, spelled = shared_engine("llama"), tiny_engine(bos=True)
    with pytest.raises(ContextFullError, match=r"the context of tiny-llama after .* is full: it holds 1024"):
        engine.source(NEGATIVE)(Step(1030, [5] * 1030, 0))
    session = engine.session(PROMPT)
    job = session.generate(1, program=Contrast(spelled.source(), 1.0))
    with pytest.raises(ValueError, match="has another tokenizer than the session"):
        job.wait()
    spelled.close()


def test_an_encoder_reads_the_prompt(shared_seq2seq: Engines) -> None:
    engine = shared_seq2seq("bart")
    session = engine.session(PROMPT)
    session.generate(3, program=Guidance(engine.source(NEGATIVE), 0.0) >> GREEDY).wait()
    plain = engine.session(NEGATIVE)
    plain.generate(3).wait()
    assert session.token_ids == plain.token_ids
    with pytest.raises(ValueError, match="prompt is left out, but the encoder needs a text"):
        engine.source()


def test_names_and_words(shared_engine: Engines) -> None:
    engine = shared_engine("llama")
    source = engine.source(NEGATIVE)
    assert source.name == f"tiny-llama after {NEGATIVE!r}"
    assert engine.source().name == "tiny-llama after the same text"
    assert repr(Contrast(source, 1.0)) == (
        f"Contrast(source=<scores of tiny-llama after {NEGATIVE!r}>, weight=1.0, plausibility=0.0)"
    )
    program = Program((Contrast(source, 1.0),))
    assert Program.from_json(program.to_json(), allow=program.code) == program
