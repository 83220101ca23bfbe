"""The fused step against the model's own code: every family, and whatever a user may do to a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from transformers import (
    AutoModelForCausalLM,
    GraniteConfig,
    LlamaConfig,
    Qwen2Config,
    Qwen3Config,
    SmolLM3Config,
)
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaModel

from itwidgets.engine.kv.layers import growing_cache
from itwidgets.engine.model import fused
from itwidgets.engine.model.masks import causal_masks
from itwidgets.engine.model.runner import Runner
from itwidgets.engine.native.threads import can_run
from tests.models import VOCABULARY_SIZE, tiny_model

TOKENS = [(7 * i * i + 3) % VOCABULARY_SIZE for i in range(40)]
CHUNKS = (12, 1, 1, 9, 1, 16)
"""More than the windows of the tiny models: first a prompt, then one token and many, after what there is."""

SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY_SIZE,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.4,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
    "tie_word_embeddings": False,
}
SLIDING: dict[str, Any] = {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 2}


def rope(kind: str, **more: Any) -> dict[str, Any]:
    return {
        "rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, "factor": 4.0} | more,
        "max_position_embeddings": 16,
    }


def made(config: Any, dtype: torch.dtype = torch.float32) -> Any:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=dtype).eval()
    # What starts as zero or one would hide that it is left out.
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or name.endswith("bias"):
                parameter.normal_(1.0, 0.3)
    return model


MODELS: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaConfig(**SIZES),
    "llama, tied": lambda: LlamaConfig(**SIZES | {"tie_word_embeddings": True}),
    "llama, biases": lambda: LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True),
    "llama, a key head for each query head": lambda: LlamaConfig(**SIZES | {"num_key_value_heads": 4}),
    "llama, wide heads": lambda: LlamaConfig(**SIZES, head_dim=24),
    "llama, another activation": lambda: LlamaConfig(**SIZES, hidden_act="gelu"),
    "llama, linear rope": lambda: LlamaConfig(**SIZES, **rope("linear")),
    "llama, dynamic rope": lambda: LlamaConfig(**SIZES, **rope("dynamic")),
    "llama, yarn": lambda: LlamaConfig(**SIZES, **rope("yarn", original_max_position_embeddings=4)),
    "llama, llama3 rope": lambda: LlamaConfig(
        **SIZES,
        **rope("llama3", original_max_position_embeddings=4, low_freq_factor=1.0, high_freq_factor=4.0),
    ),
    "mistral": lambda: tiny_model("mistral", sliding_window=None).config,
    "mistral, windows": lambda: tiny_model("mistral").config,
    "qwen2": lambda: Qwen2Config(**SIZES),
    "qwen2, windows in some layers": lambda: Qwen2Config(**SIZES, **SLIDING),
    "qwen3": lambda: Qwen3Config(**SIZES, head_dim=16),
    "qwen3, windows in some layers": lambda: Qwen3Config(**SIZES, **SLIDING, head_dim=16),
    "smollm3": lambda: SmolLM3Config(**SIZES, no_rope_layer_interval=2),
    "smollm3, windows": lambda: SmolLM3Config(**SIZES, use_sliding_window=True, sliding_window=8),
}


@torch.inference_mode()
def own_logits(model: Any, chunks: tuple[int, ...] = CHUNKS) -> torch.Tensor:
    """Scores by the model's own code, in float64."""
    cache, rows, start = growing_cache(model.config), [], 0
    for count in chunks:
        ids = torch.tensor([TOKENS[start : start + count]])
        rows.append(model(ids, past_key_values=cache).logits[0])
        start += count
    return torch.cat(rows).double()


@torch.inference_mode()
def our_logits(runner: Runner, chunks: tuple[int, ...] = CHUNKS) -> torch.Tensor:
    cache, rows, start = growing_cache(runner.config), [], 0
    for count in chunks:
        rows.append(runner.all_logits(runner.forward(TOKENS[start : start + count], cache)))
        start += count
    return torch.cat(rows).double()


def is_native(runner: Runner) -> bool:
    fused = runner._routes._fused if runner._routes is not None else None
    return fused is not None and fused.is_native


def assert_close(runner: Runner, model: Any, chunks: tuple[int, ...] = (9, 1, 4)) -> None:
    torch.testing.assert_close(our_logits(runner, chunks), own_logits(model, chunks), atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_each_family_is_computed_as_by_its_own_code(name: str) -> None:
    model = made(MODELS[name]())
    runner = Runner(model)
    torch.testing.assert_close(our_logits(runner), own_logits(model), atol=5e-4, rtol=1e-4)
    assert runner.route == "fused"
    assert is_native(runner) == (can_run(torch.float32) and "another activation" not in name)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "name", ["llama, biases", "mistral, windows", "qwen3, windows in some layers", "smollm3"]
)
def test_half_precision_is_as_near_to_the_truth_as_by_its_own_code(name: str, dtype: torch.dtype) -> None:
    model = made(MODELS[name](), dtype)
    runner = Runner(model)
    ours, own = our_logits(runner), own_logits(model)
    assert runner.route == "fused"
    assert is_native(runner) == can_run(dtype)
    truth = own_logits(model.double())
    assert (ours - truth).norm() <= 1.3 * (own - truth).norm()


@torch.inference_mode()
def test_a_mask_of_truth_values_is_as_good_as_one_that_is_added() -> None:
    runner = Runner(tiny_model())
    cache = growing_cache(runner.config)
    past = runner.forward(TOKENS[:5], cache)
    added = causal_masks(runner.config, 5, 3, past)["full_attention"]
    found = runner.forward(TOKENS[5:8], cache, mask=added == 0)
    again = growing_cache(runner.config)
    runner.forward(TOKENS[:5], again)
    assert torch.equal(found, runner.forward(TOKENS[5:8], again))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("outlier", [0.0, 2e4])
def test_one_row_is_normed_as_many_are(dtype: torch.dtype, outlier: float) -> None:
    noise = torch.Generator().manual_seed(0)
    rows = torch.randn(3, 64, generator=noise).to(dtype)
    rows[:, 5] += outlier
    norm = SimpleNamespace(
        weight=(4 + torch.randn(64, generator=noise)).to(dtype), variance_epsilon=1e-5, eps=1e-5
    )
    many = torch.nn.functional.rms_norm(rows.double(), (64,), norm.weight.double(), norm.eps)
    for row, expected in zip(rows, many, strict=True):
        found = fused._normed(row[None], norm)
        assert found.dtype == dtype
        torch.testing.assert_close(found[0].double(), expected, rtol=3 * torch.finfo(dtype).eps, atol=1e-6)


def test_the_same_step_gives_the_same_bits() -> None:
    runner = Runner(tiny_model())
    first, second = our_logits(runner), our_logits(runner)
    assert torch.equal(first, second)


def test_a_runner_that_is_not_to_be_fast_gives_the_bits_of_the_model() -> None:
    model = tiny_model()
    runner = Runner(model, fast=False)
    assert torch.equal(our_logits(runner), own_logits(model))
    assert runner.route == "plain"


def _steer(model: Any) -> Any:
    direction = torch.linspace(-2, 2, model.config.hidden_size)
    return model.model.layers[0].register_forward_hook(lambda _, __, output: output + direction)


def _change_input(model: Any) -> Any:
    return model.model.layers[1].mlp.down_proj.register_forward_pre_hook(lambda _, inputs: (inputs[0] * 2,))


def _change_a_leaf(model: Any) -> Any:
    return model.model.layers[1].self_attn.k_proj.register_forward_hook(lambda _, __, output: output * 0.5)


def _change_the_end(model: Any) -> Any:
    return model.model.norm.register_forward_hook(lambda _, __, output: output + 1)


def _change_everywhere(_: Any) -> Any:
    return register_module_forward_hook(
        lambda module, _, output: output * 1.1 if isinstance(module, nn.Linear) else None
    )


HOOKS = [_steer, _change_input, _change_a_leaf, _change_the_end, _change_everywhere]


@pytest.mark.parametrize("register", HOOKS)
def test_hooks_act_and_the_fused_step_comes_back_after_them(register: Callable[[Any], Any]) -> None:
    model = tiny_model()
    runner = Runner(model)
    before = our_logits(runner, (9, 1, 4))
    hook = register(model)
    try:
        assert_close(runner, model)
        assert runner.route != "fused"
        assert not torch.allclose(our_logits(runner, (9, 1, 4)), before, atol=1e-2)
    finally:
        hook.remove()
    assert torch.equal(our_logits(runner, (9, 1, 4)), before)
    assert runner.route == "fused"


def test_a_hook_on_the_embedding_acts_on_the_fused_step() -> None:
    model = tiny_model()
    runner = Runner(model)
    hook = model.get_input_embeddings().register_forward_hook(lambda _, __, output: output * 1.5)
    try:
        assert_close(runner, model)
        assert runner.route == "fused"
    finally:
        hook.remove()


def test_a_hook_on_the_whole_base_model_sees_each_call() -> None:
    model = tiny_model()
    runner = Runner(model)
    calls: list[Any] = []
    hook = model.base_model.register_forward_hook(lambda *_: calls.append(1))
    try:
        our_logits(runner, (9, 1))
    finally:
        hook.remove()
    # One more is the trial of the runner, which was not ready yet.
    assert len(calls) >= 2


class Doubled(nn.Module):
    """Stands around a layer, as adapters do."""

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__()
        self.base_layer = base_layer

    def forward(self, x: torch.Tensor) -> Any:
        return 2 * self.base_layer(x)


def test_a_part_that_was_replaced_is_used_and_the_step_comes_back_after_it() -> None:
    model = tiny_model()
    runner = Runner(model)
    before = our_logits(runner, (9, 1, 4))
    attention = cast("Any", model).model.layers[1].self_attn
    attention.q_proj = Doubled(attention.q_proj)
    assert_close(runner, model)
    assert runner.route != "fused"
    attention.q_proj = attention.q_proj.base_layer
    assert torch.equal(our_logits(runner, (9, 1, 4)), before)
    assert runner.route == "fused"


@contextmanager
def _own_forward(model: Any) -> Iterator[None]:
    part = model.model.layers[0].mlp
    inner = part.forward
    part.forward = lambda x: inner(x) * 3
    try:
        yield
    finally:
        del part.forward


@contextmanager
def _class_forward(model: Any) -> Iterator[None]:
    part = type(model.model.layers[0].mlp)
    inner = part.forward
    part.forward = lambda self, x: inner(self, x) * 3
    try:
        yield
    finally:
        part.forward = inner


@pytest.mark.parametrize("patch", [_own_forward, _class_forward])
@pytest.mark.parametrize("is_there_first", [False, True])
def test_a_forward_of_somebody_else_is_used(patch: Any, is_there_first: bool) -> None:
    model = tiny_model()
    runner = Runner(model)
    if not is_there_first:
        our_logits(runner, (3,))
    with patch(model):
        assert_close(runner, model)
        assert runner.route != "fused"


def test_training_mode_is_left_to_the_model() -> None:
    model = tiny_model()
    runner = Runner(model)
    our_logits(runner, (3,))
    model.train()
    assert_close(runner, model)
    assert runner.route != "fused"
    model.eval()
    our_logits(runner, (3,))
    assert runner.route == "fused"


class LouderAttention(LlamaAttention):
    def forward(self, *args: Any, **options: Any) -> Any:
        output, weights = super().forward(*args, **options)
        return output * 1.5, weights


class LouderModel(LlamaModel):
    """A family of somebody's own, derived from a known one."""


def test_a_part_of_somebody_elses_class_is_not_fused() -> None:
    model = tiny_model()
    for layer in cast("Any", model).model.layers:
        layer.self_attn.__class__ = LouderAttention
    runner = Runner(model)
    assert_close(runner, model)
    assert runner.route != "fused"


def test_a_model_of_somebody_elses_class_is_not_fused() -> None:
    model = tiny_model()
    cast("Any", model).model.__class__ = LouderModel
    runner = Runner(model)
    assert_close(runner, model)
    assert runner.route != "fused"


def test_a_model_that_disagrees_is_left_to_its_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = LlamaAttention.forward

    def louder(self: Any, *args: Any, **options: Any) -> Any:
        output, weights = inner(self, *args, **options)
        return output * 1.5, weights

    monkeypatch.setattr(LlamaAttention, "forward", louder)
    model = tiny_model()
    runner = Runner(model)
    assert_close(runner, model)
    assert runner.route != "fused"


def test_a_family_that_only_looks_alike_is_not_taken_for_one() -> None:
    model = made(
        GraniteConfig(**SIZES, residual_multiplier=0.5, attention_multiplier=0.3, embedding_multiplier=2.0)
    )
    runner = Runner(model)
    assert_close(runner, model)
    assert runner.route != "fused"


def test_a_scale_that_was_changed_is_used() -> None:
    model = tiny_model()
    runner = Runner(model)
    our_logits(runner, (3,))
    cast("Any", model).model.layers[0].self_attn.scaling *= 2
    assert_close(runner, model)


def test_gradients_are_left_to_the_model() -> None:
    model = tiny_model()
    runner = Runner(model)
    our_logits(runner, (3,))
    kept = runner.forward(TOKENS[:4], growing_cache(runner.config))
    assert runner.route == "plain"
    kept.sum().backward()  # type: ignore[no-untyped-call]
    assert cast("Any", model).model.layers[0].mlp.up_proj.weight.grad is not None
