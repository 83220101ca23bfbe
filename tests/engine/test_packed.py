"""Products with copies of weights: right, up to date, and gone from the model when the call is over."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import psutil
import pytest
import torch
from torch import nn

from itwidgets.engine.kv.layers import growing_cache
from itwidgets.engine.model import packed
from itwidgets.engine.model.packed import can_be_packed
from itwidgets.engine.model.products import Layers, OneDNN, Plain
from itwidgets.engine.model.runner import Runner
from tests.engine_marks import needs_onednn
from tests.models import gate_at, tiny_model

TOKENS = [5, 9, 200, 17, 3, 3, 400, 8]


@pytest.fixture
def packing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let packing pay, whatever this machine finds."""
    monkeypatch.setattr(packed, "best_product", lambda layers: OneDNN)


@pytest.fixture
def unfused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no model have a fused step."""
    monkeypatch.setattr("itwidgets.engine.model.routes.can_be_fused", lambda base: False)


@torch.inference_mode()
def logits(runner: Runner, tokens: list[int] = TOKENS) -> torch.Tensor:
    """Scores of a prompt and one more token."""
    cache = growing_cache(runner.config)
    kept = [runner.forward(tokens[:-1], cache), runner.forward(tokens[-1:], cache)]
    return runner.all_logits(torch.cat(kept))


@torch.inference_mode()
def own_logits(model: Any, tokens: list[int] = TOKENS) -> torch.Tensor:
    found: torch.Tensor = model(torch.tensor([tokens])).logits[0]
    return found


def assert_right(runner: Runner, model: Any) -> None:
    torch.testing.assert_close(logits(runner), own_logits(model), atol=2e-4, rtol=1e-4)


def assert_untouched(model: nn.Module) -> None:
    assert not any("forward" in module.__dict__ for module in model.modules())


class Special(nn.Linear):
    """A layer as of a quantised model."""


def test_only_plain_linear_layers_on_the_cpu_are_packed() -> None:
    assert can_be_packed(nn.Linear(4, 4))
    assert not can_be_packed(Special(4, 4))
    assert not can_be_packed(nn.Linear(4, 4, device="meta"))
    assert not can_be_packed(nn.Embedding(4, 4))
    other = nn.Linear(4, 4)
    other.weight = type("Packed4Bit", (nn.Parameter,), {})(torch.zeros(4, 4))
    assert not can_be_packed(other)


# -------------------------------------------------------------------- the model's own code with packs

packs = pytest.mark.usefixtures("packing", "unfused")


@needs_onednn
@packs
@pytest.mark.parametrize("kind", ["llama", "gemma3", "lfm2", "qwen3_next"])
def test_packed_layers_give_what_the_model_gives(kind: str) -> None:
    model = tiny_model(kind)
    runner = Runner(model)
    torch.testing.assert_close(logits(runner), own_logits(model), atol=2e-3, rtol=1e-3)
    assert runner.route == "packed"
    assert_untouched(model)


@needs_onednn
@packs
def test_the_same_step_and_the_same_row_give_the_same_bits() -> None:
    runner = Runner(tiny_model())
    assert torch.equal(logits(runner), logits(runner))
    with torch.inference_mode():
        kept = runner.forward(TOKENS, growing_cache(runner.config))
        assert torch.equal(runner.logits(kept[3]), runner.logits(kept[3].clone()))


def test_nothing_is_packed_where_it_does_not_pay(monkeypatch: pytest.MonkeyPatch, unfused: None) -> None:
    monkeypatch.setattr(packed, "best_product", lambda layers: Plain)
    model = tiny_model()
    runner = Runner(model)
    reference = Runner(model, fast=False)
    assert torch.equal(logits(runner), logits(reference))
    assert runner.route == "plain"


@needs_onednn
@packs
@pytest.mark.parametrize("fused", [True, False])
def test_nothing_is_packed_where_there_is_no_room(monkeypatch: pytest.MonkeyPatch, fused: bool) -> None:
    if fused:
        monkeypatch.undo()
    full = psutil.virtual_memory()._replace(available=0)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: full)
    model = tiny_model()
    runner = Runner(model)
    assert_right(runner, model)
    assert runner.route == ("fused" if fused else "plain")


@needs_onednn
@packs
def test_a_hook_on_a_packed_layer_acts_and_may_come_and_go() -> None:
    model = tiny_model()
    runner = Runner(model)
    before = logits(runner)
    layer = cast("Any", model).model.layers[0].mlp.down_proj
    hook = layer.register_forward_hook(lambda _, __, output: output * 3)
    assert_right(runner, model)
    hook.remove()
    assert torch.equal(logits(runner), before)


@needs_onednn
@packs
def test_a_forward_that_somebody_gave_a_layer_is_used_and_left_there() -> None:
    model = tiny_model()
    runner = Runner(model)
    logits(runner)
    layer = cast("Any", model).model.layers[0].mlp.down_proj
    own = layer.forward
    layer.forward = given = lambda x: own(x) * 3
    assert_right(runner, model)
    assert layer.__dict__["forward"] is given


@needs_onednn
@packs
def test_a_forward_that_somebody_gave_to_all_layers_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    runner = Runner(model)
    logits(runner)
    own = nn.Linear.forward
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: own(self, x) * 1.5)
    assert_right(runner, model)


def _edit_in_place(part: nn.Linear) -> None:
    part.weight[0] += 1


def _replace_parameter(part: nn.Linear) -> None:
    part.weight = nn.Parameter(part.weight * 2)


def _replace_data(part: nn.Linear) -> None:
    part.weight.data = part.weight.data * 2


def _add_bias(part: nn.Linear) -> None:
    part.bias = nn.Parameter(torch.ones(part.out_features))


def _another_part(model: Any, name: str) -> nn.Linear:
    found: nn.Linear = model.get_submodule(name)
    return found


@needs_onednn
@pytest.mark.usefixtures("packing")
@pytest.mark.parametrize(
    "name", ["lm_head", "model.layers.1.self_attn.k_proj", "model.layers.0.mlp.down_proj"]
)
@pytest.mark.parametrize("change", [_edit_in_place, _replace_parameter, _replace_data, _add_bias])
@pytest.mark.parametrize("route", ["fused", "packed"])
def test_changed_weights_are_noticed(
    monkeypatch: pytest.MonkeyPatch, route: str, change: Callable[[nn.Linear], None], name: str
) -> None:
    if route == "packed":
        monkeypatch.setattr("itwidgets.engine.model.routes.can_be_fused", lambda base: False)
    model = tiny_model()
    runner = Runner(model)
    before = logits(runner)
    with torch.no_grad():
        change(_another_part(model, name))
    assert_right(runner, model)
    assert runner.route == route
    assert not torch.allclose(logits(runner), before, atol=1e-2)


@needs_onednn
@pytest.mark.usefixtures("packing")
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_where_there_was_no_memory_for_a_copy_the_next_step_makes_it(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    model = tiny_model(kind)
    runner = Runner(model)
    logits(runner)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear):
                module.weight.mul_(1.5)

    class Fails(OneDNN):
        def __init__(self, layers: Layers) -> None:
            raise torch.OutOfMemoryError("no memory for a copy")

    with monkeypatch.context() as patch:
        patch.setattr(packed, "best_product", lambda dtype: Fails)
        with pytest.raises(torch.OutOfMemoryError):
            logits(runner)
    assert_right(runner, model)


@needs_onednn
@packs
def test_a_copy_that_was_not_made_takes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [nn.Linear(64, 64) for _ in range(2)]
    copies = packed.Packs(room=layers[0].weight.nbytes)
    first, second = (copies.get(layer) for layer in layers)
    failing = layers[0]

    class FailsForOne(OneDNN):
        def __init__(self, layers: Layers) -> None:
            if layers[0] is failing:
                raise torch.OutOfMemoryError("no memory for a copy")
            super().__init__(layers)

    with monkeypatch.context() as patch:
        patch.setattr(packed, "best_product", lambda dtype: FailsForOne)
        with pytest.raises(torch.OutOfMemoryError):
            first.pack()
        second.pack()
    assert (first.is_plain, second.is_plain) == (True, False)


@needs_onednn
@pytest.mark.usefixtures("packing")
def test_a_norm_that_was_edited_is_used() -> None:
    model = tiny_model()
    runner = Runner(model)
    logits(runner)
    with torch.no_grad():
        cast("Any", model).model.layers[0].input_layernorm.weight.mul_(2)
        cast("Any", model).model.embed_tokens.weight.mul_(0.7)
    assert_right(runner, model)
    assert runner.route == "fused"


@needs_onednn
@pytest.mark.usefixtures("packing")
def test_what_was_written_behind_torchs_back_is_seen_after_a_refresh() -> None:
    model = tiny_model()
    runner = Runner(model)
    logits(runner)
    cast("Any", model).model.layers[0].mlp.down_proj.weight.data += 1
    runner.refresh()
    assert_right(runner, model)


@needs_onednn
@pytest.mark.usefixtures("packing")
def test_a_model_that_was_made_in_inference_mode_has_no_versions_and_runs() -> None:
    with torch.inference_mode():
        model = tiny_model()
    assert_right(Runner(model), model)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_model_that_was_given_another_dtype_is_run_in_that(dtype: torch.dtype) -> None:
    model: Any = tiny_model()
    runner = Runner(model)
    logits(runner)
    model.to(dtype)
    found, expected = logits(runner).double(), own_logits(model).double()
    # The norms of transformers compute in float32, also in a model of float64.
    assert (found - expected).norm() <= (0.1 if dtype == torch.bfloat16 else 1e-6) * expected.norm()


class _StopError(Exception):
    """Ends a call in its midst."""


@needs_onednn
@packs
def test_the_model_is_as_it_was_after_an_error() -> None:
    model = tiny_model()
    keys = list(model.state_dict())
    versions = [p._version for p in model.parameters()]
    runner = Runner(model)
    seen = []

    def stop(*_: Any) -> None:
        seen.append(any("forward" in module.__dict__ for module in model.modules()))
        raise _StopError

    hook = cast("Any", model).model.layers[1].register_forward_pre_hook(stop)
    with pytest.raises(_StopError):
        logits(runner)
    hook.remove()
    assert seen == [True]
    assert_untouched(model)
    assert list(model.state_dict()) == keys
    assert [p._version for p in model.parameters()] == versions
    assert_right(runner, model)


@pytest.fixture
def held() -> Iterator[tuple[Any, Runner, Any]]:
    """Give a model in the midst of a packed call on another thread."""
    model = tiny_model()
    runner = Runner(model)
    logits(runner)
    with ThreadPoolExecutor(1) as pool, gate_at(model, 1) as gate:
        call = pool.submit(logits, runner, [1, 2, 3])
        gate.wait_until_reached()
        assert any("forward" in module.__dict__ for module in model.modules())
        yield model, runner, call
        gate.open()
        torch.testing.assert_close(call.result(60), own_logits(model, [1, 2, 3]), atol=2e-4, rtol=1e-4)
    assert_untouched(model)


@needs_onednn
@packs
def test_another_thread_trains_the_model_in_the_midst_of_a_call(held: tuple[Any, Runner, Any]) -> None:
    model, _, _ = held
    alone = copy.deepcopy(model)
    for each in (model, alone):
        each(torch.tensor([TOKENS]), labels=torch.tensor([TOKENS])).loss.backward()
    for mine, theirs in zip(model.parameters(), alone.parameters(), strict=True):
        assert mine.grad is not None
        assert torch.equal(mine.grad, theirs.grad)


@needs_onednn
@packs
def test_a_copy_that_was_made_in_the_midst_of_a_call_is_a_model_of_its_own(
    held: tuple[Any, Runner, Any],
) -> None:
    model, _, _ = held
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.model.layers[0].mlp.down_proj.weight.zero_()
    reference = copy.deepcopy(model).eval()
    reference.model.layers[0].mlp.down_proj.weight = other.model.layers[0].mlp.down_proj.weight
    for module in reference.modules():
        module.__dict__.pop("forward", None)
    assert torch.equal(own_logits(other), own_logits(reference))


def test_threads_see_their_own_packs() -> None:
    packed._here.packs = {}
    try:
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(packed._here.packs))
        thread.start()
        thread.join()
        assert found == [None]
    finally:
        packed._here.packs = None
