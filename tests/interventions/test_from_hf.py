"""Processors of transformers in a program: what they make is what they make in `generate`, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from transformers.generation import logits_process
from transformers.generation.logits_process import LogitsProcessor

from itwidgets import Engine
from itwidgets.interventions import (
    GREEDY,
    FromHF,
    Program,
    Repetition,
    Step,
    Temperature,
    TopP,
    generation_settings,
    to_logits_processor,
)
from tests.interventions.processors import (
    CASE_IDS,
    CASES,
    END,
    GIVEN,
    LENGTH,
    NAMED,
    NOT_FOR_TEXT,
    PROMPT_IDS,
    TOKENS,
    made,
    prompt_for,
)
from tests.models import VOCABULARY_SIZE, tiny_model


def _generated(model: Any, prompt: Sequence[int], processors: Sequence[Any], seed: int | None) -> Any:
    settings = generation_settings(GREEDY if seed is None else Program())
    torch.manual_seed(seed or 0)
    with torch.inference_mode():
        return model.generate(
            torch.tensor([list(prompt)]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
            max_new_tokens=TOKENS,
            eos_token_id=END,
            pad_token_id=END,
            logits_processor=list(processors),
            return_dict_in_generate=True,
            output_scores=True,
            output_logits=True,
            **settings,
        )


def _assert_same_generation(
    engine: Engine, prompt: Sequence[int], ours: FromHF, make: Callable[[], Any]
) -> None:
    model, changed = tiny_model(), False
    for seed in (None, 0):
        output = _generated(model, prompt, [make()], seed)
        expected = output.sequences[0].tolist()
        program = Program((ours,)) if seed is not None else ours >> GREEDY
        session = engine.session(list(prompt))
        session.generate(max_new_tokens=TOKENS, program=program, seed=seed or 0, sampling="torch").wait()
        assert session.token_ids == expected
        for position, (logits, scores) in enumerate(zip(output.logits, output.scores, strict=True)):
            step = Step(position, expected[: len(prompt) + position], len(prompt))
            assert torch.equal(ours(step, logits[0]), scores[0])
            changed |= not torch.equal(logits, scores)
    # In a row of numbers there is nothing to remove.
    assert changed is (ours.name != "InfNanRemoveLogitsProcessor")


def test_every_class_of_transformers_is_in_one_list() -> None:
    known = {
        name
        for name, found in vars(logits_process).items()
        if isinstance(found, type) and issubclass(found, LogitsProcessor) and found is not LogitsProcessor
    }
    lists = [set(NAMED), set(GIVEN), set(NOT_FOR_TEXT)]
    assert set().union(*lists) == known
    assert sum(map(len, lists)) == len(known)


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=CASE_IDS)
def test_a_processor_makes_what_it_makes_in_generate(
    shared_engine: Callable[[str], Engine], name: str, arguments: dict[str, Any]
) -> None:
    _assert_same_generation(
        shared_engine("llama"), prompt_for(name), FromHF(name, arguments), lambda: made(name, arguments)
    )


def test_a_constraint_by_a_function_is_that_of_generate(engine: Engine) -> None:
    def allowed(batch: int, ids: torch.Tensor) -> list[int]:
        return [int(ids[-1] * 7 + i) % VOCABULARY_SIZE for i in range(20)]

    def make() -> Any:
        return logits_process.PrefixConstrainedLogitsProcessor(allowed, num_beams=1)

    _assert_same_generation(engine, PROMPT_IDS, FromHF(make()), make)


@pytest.mark.parametrize("use_cache", [False, True])
def test_guidance_is_that_of_generate(engine: Engine, use_cache: bool) -> None:
    model = tiny_model()
    other_prompt: Any = torch.tensor([[5, 9]])

    def make() -> Any:
        return logits_process.UnbatchedClassifierFreeGuidanceLogitsProcessor(
            1.5, model, other_prompt, use_cache=use_cache
        )

    with torch.inference_mode():
        _assert_same_generation(engine, PROMPT_IDS, FromHF(make, stateful=True), make)


def test_the_whole_chain_of_generate_is_a_program(engine: Engine) -> None:
    options: dict[str, Any] = {
        "repetition_penalty": 1.3,
        "no_repeat_ngram_size": 3,
        "sequence_bias": [[[187], 1.0]],
        "temperature": 0.9,
        "top_k": 60,
        "top_p": 0.95,
        "min_p": 0.001,
        "typical_p": 0.9,
        "epsilon_cutoff": 1e-4,
        "eta_cutoff": 1e-4,
        "renormalize_logits": True,
    }
    program = (
        FromHF("SequenceBiasLogitsProcessor", {"sequence_bias": options["sequence_bias"]})
        >> Repetition(1.3)
        >> FromHF("NoRepeatNGramLogitsProcessor", {"ngram_size": 3})
        >> Temperature(0.9)
        >> FromHF("TopKLogitsWarper", {"top_k": 60})
        >> TopP(0.95)
        >> FromHF("MinPLogitsWarper", {"min_p": 0.001})
        >> FromHF("TypicalLogitsWarper", {"mass": 0.9})
        >> FromHF("EpsilonLogitsWarper", {"epsilon": 1e-4})
        >> FromHF("EtaLogitsWarper", {"epsilon": 1e-4})
        >> FromHF("LogitNormalization")
    )
    for seed in range(3):
        expected = _generated_by_options(options, seed)
        session = engine.session(PROMPT_IDS)
        session.generate(max_new_tokens=TOKENS, program=program, seed=seed, sampling="torch").wait()
        assert session.token_ids == expected


def _generated_by_options(options: dict[str, Any], seed: int) -> list[int]:
    model: Any = tiny_model()
    torch.manual_seed(seed)
    with torch.inference_mode():
        output = model.generate(
            torch.tensor([PROMPT_IDS]),
            attention_mask=torch.ones(1, LENGTH, dtype=torch.int64),
            max_new_tokens=TOKENS,
            eos_token_id=END,
            pad_token_id=END,
            do_sample=True,
            **options,
        )
    result: list[int] = output[0].tolist()
    return result


def test_a_processor_in_a_program_in_generate_is_itself() -> None:
    arguments = {"top_k": 3}
    program = Program((FromHF("TopKLogitsWarper", arguments),))
    model = tiny_model()
    ours = _generated(model, PROMPT_IDS, [to_logits_processor(program)], seed=4)
    theirs = _generated(model, PROMPT_IDS, [made("TopKLogitsWarper", arguments)], seed=4)
    assert torch.equal(ours.sequences, theirs.sequences)
