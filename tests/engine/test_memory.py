"""The budget for keys and values: what goes first, what is said, and that nothing is lost by it."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import itwidgets as itw
from itwidgets import Engine
from itwidgets.engine import BudgetError
from itwidgets.engine.kv.layers import GrowingLayer
from itwidgets.engine.kv.pool import Budget
from itwidgets.engine.model.routes import room_for_copies
from itwidgets.interventions import Ban, Step
from tests.models import A_TOKEN, PROMPT, counted_positions, fresh_logits, tiny_engine

FIRST_BUFFER = 256 * A_TOKEN


def grown(engine: Engine, count: int, prompt: Any = PROMPT) -> Any:
    session = engine.session(prompt)
    session.generate(count, program=Ban(sorted(engine.stop_ids))).wait()
    return session


def assert_right(session: Any) -> None:
    expected = fresh_logits(session.engine.model, session.token_ids)[-1].log_softmax(-1)
    found = session.distribution(len(session.new_nodes)).log_probs
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)


def test_memory_says_what_is_held() -> None:
    session = grown(tiny_engine(kv_budget=10 * FIRST_BUFFER), 100)
    tip = session.head
    session.force(40, 42)
    memory = session.memory()
    assert memory.budget == 10 * FIRST_BUFFER
    assert memory.current_branch == FIRST_BUFFER
    # Only the block that the new branch grows into was copied out.
    assert 0 < memory.other_branches <= 64 * A_TOKEN
    assert memory.rows == len(session.tree) * 32 * 4, "a hidden state of 32 numbers each"
    assert memory.all_sessions == memory.current_branch + memory.other_branches
    assert "current_branch=0.1 MiB" in repr(memory)
    session.switch(tip)
    session.generate(1).wait()
    assert session.memory().other_branches <= 2 * 64 * A_TOKEN


def test_a_long_prompt_takes_what_its_tokens_take() -> None:
    session = tiny_engine().session([1 + i % 50 for i in range(810)])
    # Chunk by chunk a quarter more each time would have come to 960.
    assert session.memory().current_branch == (810 + 64) * A_TOKEN
    session.generate(60, program=Ban(sorted(session.engine.stop_ids))).wait()
    assert session.memory().current_branch == (810 + 64) * A_TOKEN, "there was room for what came"
    session.forget()
    session.distribution(0)
    assert session.memory().current_branch <= (810 + 64) * A_TOKEN


def test_a_prompt_may_fill_the_budget_and_not_more() -> None:
    # Without the room that is otherwise left behind a prompt.
    engine = tiny_engine(kv_budget=600 * A_TOKEN)
    prompt = [1 + i % 50 for i in range(600)]
    session = engine.session(prompt)
    assert session.memory().current_branch == 600 * A_TOKEN
    with pytest.raises(BudgetError, match="budget"):
        engine.session([*prompt, 1])
    assert_right(session)


def test_going_back_to_a_long_branch_copies_what_it_lost_alone() -> None:
    engine = tiny_engine()
    session = grown(engine, 200)
    tip = session.head
    session.force(20, 42)
    session.switch(tip)
    with counted_positions(engine.model) as counts:
        session.generate(2).wait()
        assert counts == [1, 1]
    assert_right(session)


def test_what_was_used_longest_ago_goes_first() -> None:
    engine = tiny_engine(kv_budget=3 * FIRST_BUFFER)
    oldest, older, old = (grown(engine, 20) for _ in range(3))
    older.generate(1).wait()
    new = grown(engine, 20)
    held = [session.memory().current_branch for session in (oldest, older, old, new)]
    assert held == [0, FIRST_BUFFER, FIRST_BUFFER, FIRST_BUFFER]
    with counted_positions(engine.model) as counts:
        oldest.generate(1).wait()
        # The prompt as it was read, then what was decoded, each in one prefill; then the new token.
        assert counts == [oldest.prompt_length, 20, 1]
    assert_right(oldest)
    assert len(oldest.new_nodes) == 21


def test_sessions_that_do_not_fit_together_still_grow_side_by_side() -> None:
    engine = tiny_engine(kv_budget=FIRST_BUFFER)
    sessions = [engine.session(PROMPT + " is" * n) for n in range(3)]
    jobs = [session.generate(12, program=Ban(sorted(engine.stop_ids))) for session in sessions]
    for job in jobs:
        assert len(job.wait(60)) == 12
    for session in sessions:
        assert_right(session)


def test_a_budget_too_small_for_one_branch_says_so_and_loses_nothing() -> None:
    engine = tiny_engine(kv_budget=FIRST_BUFFER + 20 * A_TOKEN)
    session = grown(engine, 200)
    with pytest.raises(BudgetError, match=r"needs 0.1 MiB .* the budget is 0.1 MiB: give a larger kv_budget"):
        session.generate(200, program=Ban(sorted(engine.stop_ids))).wait()
    # The buffer did not double but took what there was.
    assert len(session.token_ids) == 256 + 20
    assert_right(session)
    session.force(10, 42)
    session.generate(5).wait()
    assert_right(session)


def test_forgetting_keeps_every_figure() -> None:
    engine = tiny_engine()
    session = grown(engine, 30)
    before = session.to_frame()
    row = session.distribution(10).log_probs
    session.forget()
    assert session.memory().current_branch == 0
    with counted_positions(engine.model) as counts:
        np.testing.assert_array_equal(session.distribution(10).log_probs, row)
        assert counts == []
    session.generate(1).wait()
    assert session.to_frame()[: len(before)].equals(before)


@pytest.mark.parametrize("kind", ["llama", "qwen3_next"])
def test_what_leaves_the_device_goes_to_the_host_and_comes_back(kind: str) -> None:
    engine = tiny_engine(kind, snapshot_interval=8)
    # A host tier beside the device's, as with an accelerator.
    engine.pool.budget = Budget(engine.session(PROMPT).memory().current_branch + 1, host_bytes=2**20)
    one, other = grown(engine, 40), grown(engine, 40, [5] * 9)
    assert one.memory().current_branch == 0
    assert engine.pool.host_bytes > 0
    assert other.memory().on_host == engine.pool.host_bytes
    with counted_positions(engine.model) as counts:
        one.generate(2).wait()
        assert counts == [1, 1], "nothing was lost on the way"
    np.testing.assert_allclose(
        one.distribution(42).log_probs,
        fresh_logits(engine.model, one.token_ids)[-1].log_softmax(-1).numpy(),
        atol=3e-3,
    )


class Exhausted:
    """Lets forward calls find no memory, as often as told."""

    def __init__(self, model: Any, times: int) -> None:
        self.left = times
        layers = max((m for m in model.modules() if isinstance(m, torch.nn.ModuleList)), key=len)
        self.hook = layers[-1].register_forward_pre_hook(self.fail)

    def fail(self, *_: Any) -> None:
        if self.left:
            self.left -= 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize(
    ("texts", "what"),
    [(["one", "two"], "scoring"), (["a text of several chunks " * 20], "a step after 0 tokens")],
)
def test_scoring_on_a_device_without_memory_says_so(texts: list[str], what: str) -> None:
    engine = tiny_engine()
    exhausted = Exhausted(engine.model, times=10)
    with pytest.raises(MemoryError, match=f"^{what} found no memory even with"):
        itw.score(engine, texts, batch_tokens=100)
    exhausted.hook.remove()
    assert itw.score(engine, texts, batch_tokens=100)["surprisal_bits"].notna().any()


@pytest.mark.parametrize("kind", ["llama", "qwen3_next"])
def test_a_device_without_memory_gets_other_branches_dropped_and_one_more_try(kind: str) -> None:
    engine = tiny_engine(kind)
    other, session = grown(engine, 5), grown(engine, 5)
    exhausted = Exhausted(engine.model, times=1)
    session.generate(3, program=Ban(sorted(engine.stop_ids))).wait()
    exhausted.hook.remove()
    assert len(session.new_nodes) == 8
    assert other.memory().current_branch < session.memory().current_branch
    assert_right_within(session, 3e-3)


def assert_right_within(session: Any, tolerance: float) -> None:
    expected = fresh_logits(session.engine.model, session.token_ids)[-1].log_softmax(-1)
    found = session.distribution(len(session.new_nodes)).log_probs
    np.testing.assert_allclose(found, expected.numpy(), atol=tolerance)


def test_a_device_that_stays_without_memory_ends_the_job_with_what_would_fit() -> None:
    engine = tiny_engine()
    session = grown(engine, 5)
    exhausted = Exhausted(engine.model, times=2)
    with pytest.raises(
        MemoryError, match=r"a step after \d+ tokens found no memory .* about \d+ tokens would"
    ):
        session.generate(3).wait()
    exhausted.hook.remove()
    session.generate(3, program=Ban(sorted(engine.stop_ids))).wait()
    assert len(session.new_nodes) == 8
    assert_right(session)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kv_budget": 0}, "kv_budget is 0, but must be a whole number of at least 1"),
        ({"kv_budget": 1.5}, "kv_budget is 1.5, but must be a whole number of at least 1"),
        ({"snapshot_interval": 0}, "snapshot_interval is 0, but must be a whole number of at least 1"),
    ],
)
def test_bad_sizes_are_one_sentence(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        tiny_engine(**change)


def test_keys_and_copies_of_weights_are_never_promised_the_same_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free = 1_000_000
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=free))
    for fast in (True, False):
        engine = tiny_engine(fast=fast)
        copies = room_for_copies(engine.model) if fast else 0
        assert copies + engine.pool.budget.device_bytes <= free
        assert engine.pool.budget.device_bytes == (free - copies) // 2
    free = 10_000
    assert room_for_copies(engine.model) + tiny_engine().pool.budget.device_bytes <= free


def test_what_scores_a_long_text_counts_and_makes_others_go() -> None:
    engine = tiny_engine(kv_budget=600 * A_TOKEN)
    held = []
    session = grown(engine, 20)
    with counted_positions(engine.model) as counts:
        engine.model.get_input_embeddings().register_forward_hook(
            lambda *_: held.append(engine.pool.device_bytes)
        )
        frame = itw.score(engine, [[5] * 500], batch_tokens=100)
        assert counts == [100] * 4 + [99]
    assert len(frame) == 500
    assert held[-1] == 499 * A_TOKEN, "the text alone: the buffers of the session were dropped for it"
    assert session.memory().current_branch == 0
    assert_right(session)


def test_a_text_to_score_that_does_not_fit_is_one_sentence() -> None:
    engine = tiny_engine(kv_budget=300 * A_TOKEN)
    with pytest.raises(BudgetError, match=r"a text of 499 tokens needs 0.1 MiB for keys and values, but the"):
        itw.score(engine, [[5] * 500], batch_tokens=100)
    assert_right(grown(engine, 5))


def test_a_second_source_counts_and_goes_when_it_is_not_used() -> None:
    engine = tiny_engine(kv_budget=FIRST_BUFFER)
    source = engine.source([5] * 9)
    scores = source(Step(0, [5] * 9, 9))
    assert engine.pool.device_bytes == FIRST_BUFFER
    session = grown(engine, 3)
    assert engine.pool.device_bytes == session.memory().current_branch == FIRST_BUFFER
    torch.testing.assert_close(source(Step(1, [5] * 9 + [4], 9)), source(Step(1, [5] * 9 + [4], 9)))
    torch.testing.assert_close(source(Step(0, [5] * 9, 9)), scores)


def test_texts_that_do_not_fit_together_are_scored_one_half_after_the_other() -> None:
    engine = tiny_engine()
    texts = [[5, 6, 7], [8, 9], [10, 11, 12, 13]]
    expected = itw.score(engine, texts)
    exhausted = Exhausted(engine.model, times=3)
    with counted_positions(engine.model) as counts:
        found = itw.score(engine, texts)
        # Twice all, then once the longest alone without and once with memory.
        assert len(counts) == 2 + 2 + 1
    exhausted.hook.remove()
    np.testing.assert_allclose(found["surprisal_bits"], expected["surprisal_bits"], atol=1e-4)


def test_what_a_failed_pass_held_is_free_before_its_halves_pass() -> None:
    engine = tiny_engine()
    held: list[weakref.ref[Any]] = []
    alive: list[int] = []

    def fail(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        alive.append(sum(one() is not None for one in held))
        if len(kwargs["input_ids"]) > 1:
            activations = torch.zeros(3)
            held.append(weakref.ref(activations))
            raise torch.OutOfMemoryError("out of memory")

    engine.model.base_model.register_forward_pre_hook(fail, with_kwargs=True)
    gc.disable()
    try:
        itw.score(engine, [[5, 6, 7]] * 4)
    finally:
        gc.enable()
    assert len(held) == 2 + 2 + 2
    assert not any(alive)


def test_a_rollout_that_does_not_fit_says_so() -> None:
    engine = tiny_engine(kv_budget=FIRST_BUFFER)
    session = engine.session([5] * 256)
    with pytest.raises(
        BudgetError, match=r"this branch needs 0.1 MiB for keys and values, but the budget is"
    ):
        session.rollout(0, k=3, max_new_tokens=2)
    engine.pool.budget = Budget(10 * FIRST_BUFFER)
    assert len(session.rollout(0, k=3, max_new_tokens=2)) == 3


def test_an_adopted_continuation_is_held_once() -> None:
    session = grown(tiny_engine(), 3)
    rollout = session.rollout(0, k=2, max_new_tokens=3)
    for one in rollout:
        session.adopt(one)
    held = session.engine.pool.device_bytes
    del rollout, one
    assert session.engine.pool.device_bytes == held


def test_however_long_a_text_each_token_is_copied_a_few_times_at_most() -> None:
    layer, token, copied = GrowingLayer(), torch.zeros(1, 1, 1, 1), 0
    for length in range(8000):
        capacity = layer.capacity
        layer.update(token, token)
        copied += length if layer.capacity > capacity else 0
        assert layer.capacity <= max(256, 1.25 * layer.length)
    assert copied <= 5 * 8000
