"""The watermark and its test against those of transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, WatermarkDetector, WatermarkLogitsProcessor

from itwidgets import Engine
from itwidgets.interventions import GREEDY, Program, Step, Watermark
from tests.models import PROMPT, VOCABULARY_SIZE

SIZE = 200
SCHEMES = ("lefthash", "selfhash")
MARKS = [
    Watermark(),
    Watermark(0.5, 1.0, key=7, context_width=3),
    Watermark(scheme="selfhash"),
    Watermark(0.4, 3.0, key=123456789, scheme="selfhash", context_width=4),
]
IDS = [f"{mark.scheme}-{mark.context_width}" for mark in MARKS]


def _settings(mark: Watermark) -> dict[str, Any]:
    return {
        "greenlist_ratio": mark.green_fraction,
        "bias": mark.nats,
        "hashing_key": mark.key,
        "seeding_scheme": mark.scheme,
        "context_width": mark.context_width,
    }


@pytest.mark.parametrize("mark", MARKS, ids=IDS)
def test_a_marked_row_is_that_of_transformers(mark: Watermark) -> None:
    theirs = WatermarkLogitsProcessor(SIZE, "cpu", **_settings(mark))
    generator = torch.Generator().manual_seed(0)
    text = torch.randint(SIZE, (12,), generator=generator).tolist()
    for length in range(mark.context_width, 12):
        row = torch.randn(SIZE, generator=generator)
        row[::7] = -torch.inf
        before, step = row.clone(), Step(length - 1, text[:length], 1)
        expected = theirs(torch.tensor([text[:length]]), row[None].clone())[0]
        assert torch.equal(mark(step, row), expected)
        assert torch.equal(row, before)


@pytest.mark.parametrize("mark", MARKS, ids=IDS)
@pytest.mark.parametrize("once_each", [False, True])
def test_the_test_is_that_of_transformers(mark: Watermark, once_each: bool) -> None:
    config = LlamaConfig(vocab_size=SIZE, bos_token_id=SIZE - 1)
    detector: Any = WatermarkDetector(config, "cpu", _settings(mark), ignore_repeated_ngrams=once_each)
    # Few different tokens, so that contexts repeat.
    text = torch.randint(6, (60,), generator=torch.Generator().manual_seed(1)).tolist()
    theirs = detector(torch.tensor([text]), return_dict=True)
    ours = mark.detect(text, SIZE, once_each=once_each)
    assert (ours.scored, ours.green) == (theirs.num_tokens_scored[0], theirs.num_green_tokens[0])
    assert ours.green_fraction == theirs.green_fraction[0]
    np.testing.assert_allclose(
        [ours.z_score, ours.p_value], [theirs.z_score[0], theirs.p_value[0]], rtol=1e-12
    )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_marked_text_is_found_and_others_are_not(engine: Engine, scheme: str) -> None:
    mark, session, plain = Watermark(nats=4.0, scheme=scheme), engine.session(PROMPT), engine.session(PROMPT)
    marked = [node.token_id for node in session.generate(max_new_tokens=40, program=mark).wait()]
    unmarked = [node.token_id for node in plain.generate(max_new_tokens=40, program=Program()).wait()]
    assert mark.detect(marked, VOCABULARY_SIZE).p_value < 1e-6
    assert mark.detect(unmarked, VOCABULARY_SIZE).p_value > 1e-3
    other = Watermark(nats=4.0, scheme=scheme, key=99)
    assert other.detect(marked, VOCABULARY_SIZE).p_value > 1e-3


def test_a_mark_on_a_sure_row_costs_little(engine: Engine) -> None:
    session = engine.session(PROMPT)
    nodes = session.generate(max_new_tokens=10, program=Watermark(nats=1.0) >> GREEDY).wait()
    # Adding at most one nat to each token moves no more than that.
    assert all(0 <= node.expected_cost <= 1 / np.log(2) for node in nodes)


def test_a_text_shorter_than_the_context_is_not_marked() -> None:
    row = torch.zeros(SIZE)
    assert Watermark(context_width=3)(Step(1, [4, 5], 1), row) is row


@given(
    st.builds(
        Watermark,
        st.floats(0.01, 0.99),
        st.floats(-5, 5),
        st.integers(1, 2**63 - 1),
        st.sampled_from(SCHEMES),
        st.integers(1, 9),
    )
)
def test_a_watermark_can_be_written_and_read(mark: Watermark) -> None:
    program = Program((mark,))
    assert Program.from_json(program.to_json()) == program


@pytest.mark.parametrize("key", [1, 2**63 - 1])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_key_that_is_accepted_marks(key: int, scheme: str) -> None:
    row = torch.zeros(SIZE)
    assert (Watermark(key=key, scheme=scheme)(Step(0, [SIZE - 1], 1), row) != 0).any()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: Watermark(green_fraction=1),
            "green_fraction is 1, but must be between 0 and 1, and neither",
        ),
        (lambda: Watermark(nats=float("inf")), "nats is inf, but must be a finite number"),
        (lambda: Watermark(key=0), "key is 0, but must be a whole number from 1 to 2⁶³ - 1"),
        (lambda: Watermark(scheme="x"), "scheme is 'x', but must be one of 'lefthash', 'selfhash'"),
        (lambda: Watermark(context_width=0), "context_width is 0, but must be a whole number of at least 1"),
        (
            lambda: Watermark(context_width=2).detect([4, 5], SIZE),
            "the text has 2 tokens, but at least 3 are needed to test one after a context of 2",
        ),
    ],
)
def test_bad_input_is_one_sentence(make: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole sentence is compared
        make()
    assert str(caught.value) == sentence
