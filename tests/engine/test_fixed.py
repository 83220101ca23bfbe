"""Buffers shown whole: one graph for many tokens, and the numbers of the growing cache."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from itwidgets.engine.kv.fixed import FixedLayer, can_be_whole, whole
from itwidgets.engine.kv.layers import growing_cache
from itwidgets.interventions import Ban
from tests.models import A_TOKEN, tiny_engine, tiny_model


class Graphs:
    """A backend of torch.compile that runs what it is given as it is, and counts it."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, graph: Any, _: Any) -> Any:
        self.count += 1
        return graph


@pytest.fixture(autouse=True)
def fresh_compiler() -> None:
    torch._dynamo.reset()


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_one_graph_serves_until_the_buffers_double(kind: str) -> None:
    model: Any = tiny_model(kind).base_model
    starts: dict[torch.device, torch.Tensor] = {}
    fixed: Any = growing_cache(model.config, lambda: FixedLayer(starts))
    growing = growing_cache(model.config)
    graphs = Graphs()
    compiled: Any = torch.compile(model, backend=graphs, dynamic=False)
    ids = torch.arange(250)[None]
    with torch.inference_mode():
        assert not can_be_whole(fixed, 1), "nothing is allocated before the first states come"
        for cache in (fixed, growing):
            model(input_ids=ids, past_key_values=cache, use_cache=True)
        for token in range(12):
            last = torch.tensor([[token]])
            if not can_be_whole(fixed, 1):
                for layer in fixed.layers:
                    layer.grow(512)
            with whole(fixed, 1):
                found = compiled(input_ids=last, past_key_values=fixed, use_cache=True).last_hidden_state
            expected = model(input_ids=last, past_key_values=growing, use_cache=True).last_hidden_state
            torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
    assert [layer.length for layer in fixed.layers] == [262, 262]
    assert graphs.count == 2


def test_long_prompts_share_their_graphs() -> None:
    engine = tiny_engine(compile="eager")
    # Made for just these tokens, the buffers would have a shape that no other text has.
    session = engine.session([1 + i % 50 for i in range(700)])
    session.generate(3, program=Ban(sorted(engine.stop_ids))).wait()
    assert session.memory().current_branch == 1024 * A_TOKEN


def test_a_call_that_fails_leaves_the_length() -> None:
    model: Any = tiny_model().base_model
    starts: dict[torch.device, torch.Tensor] = {}
    cache: Any = growing_cache(model.config, lambda: FixedLayer(starts))
    with torch.inference_mode():
        model(input_ids=torch.arange(9)[None], past_key_values=cache, use_cache=True)
        with pytest.raises(OSError, match="injected"), whole(cache, 1):
            raise OSError("injected")
        assert [layer.length for layer in cache.layers] == [9, 9]
        model(input_ids=torch.arange(3)[None], past_key_values=cache, use_cache=True)
    assert cache.get_seq_length() == 12
