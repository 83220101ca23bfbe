"""One forward call: where tokens stand, what they see, and how many digits their scores have."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import DynamicCache

from itwidgets.engine.kv.layers import growing_cache
from itwidgets.engine.model.masks import tree_mask
from itwidgets.engine.model.runner import Runner
from tests.models import CUTTABLE, KINDS, VOCABULARY_SIZE, fresh_logits, tiny_model

PREFIX = tuple(range(20, 32))
ALTERNATIVES = ((40, 41, 42), (50, 51, 52), (60, 61, 62))


@pytest.fixture(autouse=True)
def _inference() -> Any:
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", CUTTABLE)
def test_alternatives_side_by_side_are_what_they_are_alone(kind: str, attention: str, fast: bool) -> None:
    if (kind, attention) == ("gpt_oss", "sdpa"):
        pytest.skip("gpt-oss has no sdpa")
    model = tiny_model(kind, attn_implementation=attention)
    runner = Runner(model, fast=fast)
    cache = growing_cache(runner.config)
    runner.forward(PREFIX, cache)
    owners, positions = torch.tensor([], dtype=torch.int64), torch.tensor([], dtype=torch.int64)
    # Longer together than the windows of the tiny models, so that a window of slots would be seen.
    for step, tokens in enumerate(zip(*ALTERNATIVES, strict=True)):
        owners = torch.cat([owners, torch.arange(3)])
        positions = torch.cat([positions, torch.full([3], len(PREFIX) + step)])
        mask = tree_mask(runner.config, len(PREFIX), owners, positions, 3, model.dtype)
        kept = runner.forward(torch.tensor(tokens), cache, position_ids=positions[None, -3:], mask=mask)
        for row, tokens_alone in zip(runner.all_logits(kept), ALTERNATIVES, strict=True):
            expected = fresh_logits(model, [*PREFIX, *tokens_alone[: step + 1]])[-1]
            torch.testing.assert_close(row.double(), expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_a_runner_finds_out_who_takes_tree_masks(kind: str, dtype: torch.dtype) -> None:
    runner = Runner(tiny_model(kind, dtype=dtype))
    assert runner.takes_tree_masks is (kind in CUTTABLE)


def test_a_model_that_does_not_heed_the_mask_takes_none() -> None:
    model = tiny_model()
    inner = model.base_model.forward

    def heedless(*args: Any, attention_mask: Any = None, **options: Any) -> Any:
        return inner(*args, **options)

    model.base_model.forward = heedless
    assert not Runner(model).takes_tree_masks


def test_a_model_that_refuses_a_mask_takes_none() -> None:
    model = tiny_model()
    inner = model.base_model.forward

    def refusing(*args: Any, **options: Any) -> Any:
        assert options.get("attention_mask") is None
        return inner(*args, **options)

    model.base_model.forward = refusing
    assert not Runner(model).takes_tree_masks


@pytest.mark.parametrize(
    ("dtype", "expected"), [(torch.float64, torch.float64), (torch.bfloat16, torch.float32)]
)
def test_scores_have_all_digits_that_the_model_gives(dtype: torch.dtype, expected: torch.dtype) -> None:
    model = tiny_model(dtype=dtype)
    runner = Runner(model)
    kept = runner.forward(PREFIX, DynamicCache(config=model.config))
    assert runner.logits(kept[-1]).dtype == runner.all_logits(kept).dtype == expected
    if dtype == torch.float64:
        torch.testing.assert_close(runner.all_logits(kept), fresh_logits(model, PREFIX), atol=1e-12, rtol=0)


def test_a_tensor_of_tokens_is_as_good_as_a_list() -> None:
    model = tiny_model()
    runner = Runner(model)
    tokens = [i % VOCABULARY_SIZE for i in PREFIX]
    listed = runner.forward(tokens, DynamicCache(config=model.config))
    assert torch.equal(runner.forward(torch.tensor(tokens), DynamicCache(config=model.config)), listed)


def _doubled_scores(model: Any) -> Any:
    inner = model.forward

    def doubled(*args: Any, **options: Any) -> Any:
        output = inner(*args, **options)
        output.logits = 2 * output.logits
        return output

    return doubled


def test_what_is_kept_of_tokens_stays_of_one_kind() -> None:
    model: Any = tiny_model()
    own, doubled = model.forward, _doubled_scores(model)
    runner = Runner(model)
    model.forward = doubled
    with pytest.raises(RuntimeError, match="make a new engine of it"):
        runner.refresh()
    assert runner.keeps_hidden
    other = Runner(model)
    assert not other.keeps_hidden
    model.forward = own
    for one in (runner, other):
        one.refresh()
        scores = one.all_logits(one.forward(PREFIX, DynamicCache(config=model.config)))
        torch.testing.assert_close(scores.double(), fresh_logits(model, PREFIX), atol=1e-4, rtol=1e-4)
    assert (runner.keeps_hidden, other.keeps_hidden) == (True, False)
