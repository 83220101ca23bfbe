"""Programs inside `generate` of transformers make the tokens that they make on a session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from transformers import LogitsProcessorList

from itwidgets import Engine
from itwidgets.information.names import FIGURES
from itwidgets.interventions import (
    DRY,
    GREEDY,
    XTC,
    At,
    Ban,
    Bias,
    Compare,
    Eta,
    Every,
    Fn,
    ForceText,
    Frequency,
    FromHF,
    Greedy,
    LastToken,
    MinP,
    NoRepeatNGram,
    Operator,
    PositionIn,
    Program,
    Repetition,
    Schedule,
    Step,
    Temperature,
    TextMatches,
    TopH,
    TopK,
    TopP,
    Typical,
    Until,
    Watermark,
    When,
    generation_settings,
    to_logits_processor,
)
from tests.models import PROMPT, byte_level_tokenizer, tiny_model

TOKENS = 14
PROMPT_IDS: list[int] = byte_level_tokenizer()(PROMPT).input_ids
END = byte_level_tokenizer().eos_token_id
NONE = Program()

PROGRAMS: dict[str, Program] = {
    "greedy": GREEDY,
    "sampled": NONE,
    "stages": Temperature(0.8) >> TopK(40) >> TopP(0.9) >> MinP(0.01),
    "more stages": Typical(0.9) >> Eta(0.001) >> TopH(0.8) >> XTC(0.05, 0.5, seed=3),
    "penalties": Repetition(1.5) >> Frequency(0.4) >> NoRepeatNGram(2) >> DRY(allowed_length=1),
    "greedy penalties": Repetition(1.5) >> Ban([187]) >> Greedy(),
    "watermark": Watermark(nats=3.0) >> Temperature(0.9),
    "forced": ForceText([5, 9, 17], start=3) >> Bias({41: 2.0}),
    "positions": At([0, 4], Ban([187, 239]) >> NONE) >> Every(3, NONE >> Temperature(0.3), start=1),
    "moving": NONE >> Schedule(Temperature(1.0), "temperature", [(0, 1.5), (10, 0.3)]),
    "entropy": NONE >> When(Compare("entropy", ">", 2.0), NONE >> Temperature(0.4)),
    "previous": NONE
    >> When(Compare("surprisal", ">", 3.0, of="previous"), NONE >> Greedy(), NONE >> Temperature(1.3))
    >> When(Compare("cost", ">", 0.1, of="previous"), NONE >> Temperature(0.5)),
    "stage of the previous": NONE
    >> Temperature(1.2)
    >> When(Compare("surprisal_s", "<", 2.0, of="previous"), NONE >> TopK(3)),
    "until": NONE >> Until(Compare("entropy", "<", 1.5), NONE >> Temperature(0.6)),
    "text": NONE >> When(TextMatches("[aeiou]"), NONE >> Ban(range(100, 300))),
    "last token": NONE >> When(~LastToken([187]) & PositionIn(2), NONE >> Bias({187: 4.0})),
    "processors": FromHF("TypicalLogitsWarper", {"mass": 0.8})
    >> FromHF(
        "SynthIDTextWatermarkLogitsProcessor",
        {
            "ngram_len": 3,
            "keys": [654, 400],
            "sampling_table_size": 1024,
            "sampling_table_seed": 0,
            "context_history_size": 16,
        },
    ),
}


def _generated(
    prompts: Sequence[Sequence[int]], processor: Any, settings: dict[str, Any], seed: int = 0
) -> list[list[int]]:
    """Run the tiny model by transformers alone; shorter prompts are padded on the left."""
    model: Any = tiny_model()
    longest = max(map(len, prompts))
    padding = [longest - len(prompt) for prompt in prompts]
    torch.manual_seed(seed)
    with torch.inference_mode():
        output = model.generate(
            torch.tensor([[END] * n + list(prompt) for n, prompt in zip(padding, prompts, strict=True)]),
            attention_mask=torch.tensor([[0] * n + [1] * (longest - n) for n in padding]),
            max_new_tokens=TOKENS,
            eos_token_id=END,
            pad_token_id=END,
            logits_processor=[] if processor is None else [processor],
            **settings,
        )
    return [row[longest:] for row in output.tolist()]


def _made(engine: Engine, program: Program, prompt: Sequence[int] = PROMPT_IDS, seed: int = 0) -> list[int]:
    session = engine.session(list(prompt))
    nodes = session.generate(max_new_tokens=TOKENS, program=program, seed=seed, sampling="torch").wait()
    return [node.token_id for node in nodes]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_in_generate_makes_the_tokens_of_a_session(
    shared_engine: Callable[[str], Engine], name: str
) -> None:
    engine, program = shared_engine("llama"), PROGRAMS[name]
    vocabulary = engine.session(PROMPT).tree.vocabulary
    for seed in (0, 1):
        processor = to_logits_processor(program, vocabulary=vocabulary)  # type: ignore[arg-type]
        theirs = _generated([PROMPT_IDS], processor, generation_settings(program), seed)
        assert theirs == [_made(engine, program, seed=seed)]


def test_the_figures_of_earlier_tokens_are_those_of_the_token_table(engine: Engine) -> None:
    seen: list[Step] = []

    class Seeing(Operator):
        def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
            seen.append(step)
            return scores

    for program in (
        Bias({187: 1.0, 41: 2.0}) >> Temperature(0.7) >> TopK(30),
        Ban([187]) >> NONE,
        Temperature(0.7) >> NONE,
        Repetition(1.5) >> GREEDY,
    ):
        seen.clear()
        processor = to_logits_processor(Seeing() >> program)
        theirs = _generated([PROMPT_IDS], processor, generation_settings(program))
        session = engine.session(PROMPT_IDS)
        nodes = session.generate(max_new_tokens=TOKENS, program=program, sampling="torch").wait()
        assert [node.token_id for node in nodes] == theirs[0]
        assert [step.position for step in seen] == list(range(len(nodes)))
        last = seen[-1]
        for name in FIGURES:
            table = [float(getattr(node, name)) for node in nodes[:-1]]
            assert list(last.figures(name)) == pytest.approx(table, rel=1e-5, abs=1e-5), name
        assert all(step.scores is not None for step in seen)


def test_rows_of_a_batch_are_made_as_if_alone(engine: Engine) -> None:
    program = PROGRAMS["previous"] >> Repetition(1.3) >> GREEDY
    prompts = [PROMPT_IDS, PROMPT_IDS[:2], byte_level_tokenizer()("The model reads a text").input_ids]
    processor = to_logits_processor(program, pad_token_id=END, eos_token_id=END)
    theirs = _generated(prompts, processor, generation_settings(program))
    for row, prompt in zip(theirs, prompts, strict=True):
        assert row == _made(engine, program, prompt)


def test_rows_that_have_ended_are_left_alone() -> None:
    forced = ForceText([END], start=1)
    asked: list[int] = []

    class Asking(Operator):
        def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
            asked.append(len(step.token_ids))
            assert END not in step.new_ids
            return scores

    processor = to_logits_processor(When(LastToken([7]), NONE >> forced) >> Asking(), eos_token_id=[END, 3])
    row = torch.randn(2, 520, generator=torch.Generator().manual_seed(0))
    assert torch.equal(processor(torch.tensor([[1, 5], [2, 5]]), row), row)
    first = processor(torch.tensor([[1, 5, 7], [2, 5, 6]]), row)
    assert first[0].isfinite().sum() == 1
    assert torch.equal(first[1], row[1])
    for tail in ([END], [END, 9], [END, 9, 9]):
        done, going = [1, 5, 7, *tail], [2, 5, 6, 8, *[4] * (len(tail) - 1)]
        assert torch.equal(processor(torch.tensor([done, going]), row), row)
    assert asked == [2, 2, 3, 3, 4, 5, 6]


def test_a_call_that_comes_twice_replaces_the_first() -> None:
    program = NONE >> When(Compare("surprisal", ">", 3.0, of="previous"), NONE >> Ban([0]))
    processor = to_logits_processor(program)
    sure, flat = torch.full((1, 16), -20.0), torch.zeros(1, 16)
    sure[0, 3] = 20.0
    processor(torch.tensor([[1]]), sure)
    assert processor(torch.tensor([[1, 3]]), flat)[0, 0] == 0
    # A step that was undone, and another text of the same length in its place.
    processor(torch.tensor([[1]]), flat)
    assert processor(torch.tensor([[1, 3]]), flat)[0, 0] == -torch.inf
    assert processor(torch.tensor([[1, 5]]), flat)[0, 0] == -torch.inf
    assert processor(torch.tensor([[1, 5]]), flat)[0, 0] == -torch.inf


def test_what_is_recorded_as_p_does_not_change_with_the_row() -> None:
    program = NONE >> When(Compare("surprisal", ">", 3.0, of="previous"), NONE >> Ban([0]))
    processor = to_logits_processor(program)
    flat = torch.zeros(1, 16)
    processor(torch.tensor([[1]]), flat).fill_(-torch.inf)
    flat[0, 3] = 100.0
    assert processor(torch.tensor([[1, 3]]), torch.zeros(1, 16))[0, 0] == -torch.inf


def test_a_second_generation_begins_anew(engine: Engine) -> None:
    program = PROGRAMS["positions"]
    processor = to_logits_processor(program)
    other = byte_level_tokenizer()("A model reads").input_ids
    for prompt in (PROMPT_IDS, other, PROMPT_IDS):
        assert _generated([prompt], processor, generation_settings(program)) == [
            _made(engine, program, prompt)
        ]


def test_a_prompt_length_that_is_given_counts() -> None:
    program = At([2], NONE >> Ban([0])) >> NONE
    row = torch.zeros(1, 4)
    assert to_logits_processor(program, prompt_length=1)(torch.tensor([[1, 2, 3]]), row)[0, 0] == -torch.inf
    assert to_logits_processor(program)(torch.tensor([[1, 2, 3]]), row)[0, 0] == 0
    past = NONE >> When(Compare("surprisal", ">", 1.0, of="previous"), NONE >> Ban([0]))
    with pytest.raises(ValueError, match="surprisal is not known of the 2 tokens before position 2"):
        to_logits_processor(past, prompt_length=1)(torch.tensor([[1, 2, 3]]), row)


def test_beams_are_those_of_transformers() -> None:
    biases = {187: -3.0, 41: 1.5}
    beams = generation_settings(GREEDY) | {"num_beams": 3}
    theirs = _generated([PROMPT_IDS], None, beams | {"sequence_bias": [[[i], x] for i, x in biases.items()]})
    plain = _generated([PROMPT_IDS], None, beams)
    assert _generated([PROMPT_IDS], to_logits_processor(NONE >> Bias(biases)), beams) == theirs != plain


def test_beams_keep_the_figures_of_their_own_text() -> None:
    steps: list[Step] = []

    class Seeing(Operator):
        def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
            steps.append(step)
            return scores

    _generated([PROMPT_IDS], to_logits_processor(Seeing()), generation_settings(GREEDY) | {"num_beams": 3})
    model: Any = tiny_model()
    for step in steps[-3:]:
        with torch.inference_mode():
            log_p = model(torch.tensor([list(step.token_ids)])).logits[0].double().log_softmax(-1)
        tokens = torch.tensor(step.new_ids)
        found = -log_p[step.prompt_length - 1 : -1].gather(1, tokens[:, None])[:, 0] / torch.tensor(2.0).log()
        assert list(step.figures("surprisal")) == pytest.approx(found.tolist(), abs=1e-4)


@pytest.mark.parametrize(
    "program",
    [
        Repetition(1.2),
        At([1], NONE >> Repetition(1.2)),
        FromHF("RepetitionPenaltyLogitsProcessor", {"penalty": 1.2}),
        Fn(lambda logits, position, context: logits.abs(), "size"),
    ],
    ids=["bare", "within", "processor", "function"],
)
def test_beams_are_refused_what_may_depend_on_the_scale(program: Operator) -> None:
    settings = generation_settings(GREEDY) | {"num_beams": 2}
    with pytest.raises(ValueError, match=r"^\w+\(.* may depend on the scale .*: use num_beams=1$"):
        _generated([PROMPT_IDS], to_logits_processor(program), settings)


def test_the_settings_switch_off_what_the_model_came_with(engine: Engine) -> None:
    model: Any = tiny_model()
    model.generation_config.update(
        do_sample=True,
        temperature=0.3,
        top_k=2,
        top_p=0.5,
        min_p=0.3,
        repetition_penalty=1.9,
        no_repeat_ngram_size=1,
        suppress_tokens=[187, 239],
        min_new_tokens=5,
    )
    for program in (NONE, GREEDY):
        torch.manual_seed(0)
        with torch.inference_mode():
            output = model.generate(
                torch.tensor([PROMPT_IDS]),
                attention_mask=torch.ones(1, len(PROMPT_IDS), dtype=torch.int64),
                max_new_tokens=TOKENS,
                eos_token_id=END,
                pad_token_id=END,
                logits_processor=[to_logits_processor(program)],
                **generation_settings(program),
            )
        assert output[0, len(PROMPT_IDS) :].tolist() == _made(engine, program)


def test_it_is_a_processor_like_others() -> None:
    processor = to_logits_processor(Temperature(0.5))
    both: Any = LogitsProcessorList([processor, to_logits_processor(Temperature(2.0))])
    row = torch.randn(1, 8)
    before = row.clone()
    assert torch.equal(both(torch.tensor([[1]]), row), row)
    assert torch.equal(row, before)
    assert processor.supports_continuous_batching is False


def test_a_program_that_leaves_nothing_says_so_in_generate() -> None:
    with pytest.raises(ValueError, match=r"^Ban\(.*leaves no token to draw at position 0"):
        _generated([PROMPT_IDS], to_logits_processor(Ban(range(520))), generation_settings())


def test_a_prompt_length_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^prompt_length is -1, but must be a whole number of at least 0$"):
        to_logits_processor(prompt_length=-1)
