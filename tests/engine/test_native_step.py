"""Steps in machine code: what they read and write, and when torch computes in their place."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from typing import Any, cast

import pytest
import torch
from transformers.cache_utils import DynamicCache

from itwidgets.engine.kv.layers import GrowingLayer, growing_cache
from itwidgets.engine.model import native_step
from itwidgets.engine.model.fused import FusedStep
from itwidgets.engine.model.native_step import NativeStep
from itwidgets.engine.model.runner import Runner
from itwidgets.engine.native.threads import can_run
from tests.models import VOCABULARY_SIZE, tiny_model

if not can_run(torch.float32):
    pytest.skip("no machine code is made here", allow_module_level=True)

from itwidgets.engine.native import compiling

TOKENS = [(7 * i * i + 3) % VOCABULARY_SIZE for i in range(40)]


@pytest.fixture
def held() -> tuple[Any, Runner, NativeStep]:
    model = tiny_model()
    runner = Runner(model)
    fused = runner._routes._fused if runner._routes is not None else None
    assert isinstance(fused, FusedStep)
    assert isinstance(fused._native, NativeStep)
    return model, runner, fused._native


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the steps in machine code."""
    made: list[int] = []
    whole = NativeStep.__call__

    def counted(self: NativeStep, *args: Any) -> torch.Tensor:
        made.append(1)
        return whole(self, *args)

    monkeypatch.setattr(NativeStep, "__call__", counted)
    return made


@torch.inference_mode()
def scores(runner: Runner, cache: Any = None) -> torch.Tensor:
    cache = growing_cache(runner.config) if cache is None else cache
    rows = [runner.forward(part, cache) for part in (TOKENS[:6], TOKENS[6:7], TOKENS[7:8])]
    return runner.all_logits(torch.cat(rows))


def test_single_tokens_pass_in_machine_code_and_others_do_not(
    held: tuple[Any, Runner, NativeStep], calls: list[int]
) -> None:
    _, runner, _ = held
    scores(runner)
    assert len(calls) == 2
    assert runner.route == "fused"
    assert runner.kernels["numba"] == metadata.version("numba")


@torch.inference_mode()
def test_a_first_token_passes_too_and_with_the_same_bits_each_time(
    held: tuple[Any, Runner, NativeStep], calls: list[int]
) -> None:
    model, runner, _ = held
    cache = growing_cache(runner.config)
    first = runner.forward(TOKENS[:1], cache)
    cache.crop(-1)
    again = runner.forward(TOKENS[:1], cache)
    cache.reset()
    assert torch.equal(first, again)
    assert torch.equal(first, runner.forward(TOKENS[:1], cache))
    assert len(calls) == 3
    expected = model(torch.tensor([TOKENS[:1]])).logits[0]
    torch.testing.assert_close(runner.all_logits(first), expected, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("default", [torch.bfloat16, torch.float64])
def test_torchs_default_dtype_does_not_matter(
    held: tuple[Any, Runner, NativeStep], default: torch.dtype
) -> None:
    _, runner, _ = held
    before, usual = scores(runner), torch.get_default_dtype()
    # As transformers does for a moment, for all threads, whenever it loads a model.
    torch.set_default_dtype(default)
    try:
        assert torch.equal(scores(runner), before)
    finally:
        torch.set_default_dtype(usual)


def test_a_cache_of_somebody_else_is_left_to_torch(
    held: tuple[Any, Runner, NativeStep], calls: list[int]
) -> None:
    _, runner, _ = held
    mine = scores(runner)
    calls.clear()
    torch.testing.assert_close(scores(runner, DynamicCache(config=runner.config)), mine, atol=2e-4, rtol=1e-4)
    assert calls == []


def test_weights_that_moved_are_read_where_they_are(
    held: tuple[Any, Runner, NativeStep], calls: list[int]
) -> None:
    model, runner, _ = held
    before = scores(runner)
    projection = model.model.layers[0].mlp.down_proj
    projection.weight.data = projection.weight.data * 2
    found = scores(runner)
    assert not torch.equal(found, before)
    assert len(calls) == 4
    torch.testing.assert_close(found, scores(Runner(model, fast=False)), atol=2e-4, rtol=1e-4)


def test_weights_that_were_written_to_in_place_are_read(held: tuple[Any, Runner, NativeStep]) -> None:
    model, runner, _ = held
    scores(runner)
    with torch.no_grad():
        model.model.layers[1].self_attn.q_proj.weight += 0.3
    torch.testing.assert_close(scores(runner), scores(Runner(model, fast=False)), atol=2e-4, rtol=1e-4)


def test_weights_that_lie_otherwise_are_left_to_torch(
    held: tuple[Any, Runner, NativeStep], calls: list[int]
) -> None:
    model, runner, _ = held
    before = scores(runner)
    calls.clear()
    projection = model.model.layers[0].self_attn.o_proj
    projection.weight.data = projection.weight.data.t().contiguous().t()
    torch.testing.assert_close(scores(runner), before, atol=2e-4, rtol=1e-4)
    assert calls == []


@pytest.mark.parametrize(
    "change",
    [
        lambda weight: weight.detach().t(),
        lambda weight: weight.detach()[:8],
        lambda weight: weight.detach().double(),
        lambda weight: weight.detach().to("meta"),
    ],
    ids=["turned", "cut", "wider", "away"],
)
def test_weights_of_another_kind_are_not_read(
    held: tuple[Any, Runner, NativeStep], change: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    model, _, native = held
    projection = model.model.layers[1].self_attn.o_proj
    known, projection.weight = projection.weight, torch.nn.Parameter(change(projection.weight))
    assert not native.reads_weights()
    projection.weight = known
    assert native.reads_weights()


def test_caches_of_another_kind_are_not_written_to(held: tuple[Any, Runner, NativeStep]) -> None:
    _, runner, native = held
    mine, empty = growing_cache(runner.config), DynamicCache()
    assert native.takes(mine)
    assert not native.takes(empty)
    for keys in (
        torch.zeros(1, 2, 3, 8, dtype=torch.bfloat16),
        torch.zeros(2, 2, 3, 8),
        torch.zeros(1, 1, 3, 8),
    ):
        other = growing_cache(runner.config)
        for index in range(len(other.layers)):
            other.update(keys, keys, index)
        assert not native.takes(other)


@torch.inference_mode()
def test_layers_that_hold_unlike_numbers_of_tokens_are_refused(held: tuple[Any, Runner, NativeStep]) -> None:
    _, runner, _ = held
    cache = growing_cache(runner.config)
    runner.forward(TOKENS[:3], cache)
    layer: Any = cache.layers[1]
    layer.length = 2
    with pytest.raises(RuntimeError, match=r"layers hold \[2, 3\] tokens"):
        runner.forward(TOKENS[3:4], cache)


def test_two_threads_run_two_models_at_once(held: tuple[Any, Runner, NativeStep]) -> None:
    model, runner, _ = held
    others = [runner, Runner(model)]
    expected = scores(runner)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda index: scores(others[index % 2]), range(40)))
    assert all(torch.equal(one, expected) for one in found)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_any_number_of_threads_gives_the_same(held: tuple[Any, Runner, NativeStep], threads: int) -> None:
    _, runner, _ = held
    before, number = scores(runner), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        torch.testing.assert_close(scores(runner), before, atol=1e-4, rtol=1e-4)
    finally:
        torch.set_num_threads(number)


def test_what_is_no_number_comes_out_as_none(held: tuple[Any, Runner, NativeStep]) -> None:
    model, runner, _ = held
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight[0, 0] = torch.nan
    with torch.inference_mode():
        cache = growing_cache(runner.config)
        runner.forward(TOKENS[:3], cache)
        assert runner.forward(TOKENS[3:4], cache).isnan().all()


class Stop(Exception):  # noqa: N818 - the name of what a job is stopped by
    pass


def test_a_step_can_be_stopped_in_its_midst(
    held: tuple[Any, Runner, NativeStep], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, runner, _ = held
    with torch.inference_mode():
        cache = growing_cache(runner.config)
        runner.forward(TOKENS[:6], cache)
        runs: list[int] = []
        monkeypatch.setattr(native_step, "run", lambda code, data, threads: runs.append(data))

        def stop() -> None:
            if runs:
                raise Stop

        monkeypatch.setattr(native_step, "stop_point", stop)
        with pytest.raises(Stop):
            runner.forward(TOKENS[6:7], cache)
    assert len(runs) == 1


@torch.inference_mode()
def test_long_texts_are_attended_to_as_by_torch(held: tuple[Any, Runner, NativeStep]) -> None:
    model, runner, _ = held
    text = (TOKENS * 30)[:1001]
    cache = growing_cache(runner.config)
    runner.forward(text[:-1], cache)
    found = runner.all_logits(runner.forward(text[-1:], cache))[0]
    torch.testing.assert_close(found, model(torch.tensor([text])).logits[0, -1], atol=5e-4, rtol=1e-4)


@torch.inference_mode()
def test_a_buffer_that_is_full_grows_under_a_single_token(held: tuple[Any, Runner, NativeStep]) -> None:
    model, runner, _ = held
    text = (TOKENS * 30)[:257]
    cache = growing_cache(runner.config)
    runner.forward(text[:-1], cache)
    layer: Any = cache.layers[0]
    assert isinstance(layer, GrowingLayer)
    assert layer.capacity == 256
    found = runner.all_logits(runner.forward(text[-1:], cache))[0]
    assert layer.capacity > 256
    torch.testing.assert_close(found, model(torch.tensor([text])).logits[0, -1], atol=5e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_machine_code_that_disagrees_is_not_taken(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch, calls: list[int]
) -> None:
    counted = NativeStep.__call__
    monkeypatch.setattr(NativeStep, "__call__", lambda self, *args: counted(self, *args).flip(-1))
    runner = Runner(cast("Any", tiny_model()).to(dtype))
    assert calls, "it is tried"
    calls.clear()
    scores(runner)
    assert runner.route == "fused"
    assert calls == []


def test_without_numba_all_goes_on_in_torch(monkeypatch: pytest.MonkeyPatch, calls: list[int]) -> None:
    monkeypatch.setattr(native_step, "can_run", lambda dtype: False)
    runner = Runner(tiny_model())
    scores(runner)
    assert runner.route == "fused"
    assert calls == []


def test_where_numba_cannot_compile_torch_goes_on_and_says_so(
    monkeypatch: pytest.MonkeyPatch, calls: list[int]
) -> None:
    def fail(dtype: torch.dtype) -> None:
        raise NotImplementedError("an unknown processor")

    monkeypatch.setattr(compiling, "layers_code", fail)
    with pytest.warns(UserWarning, match="torch computes it: an unknown processor"):
        runner = Runner(tiny_model())
    scores(runner)
    assert calls == []
