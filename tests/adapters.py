"""Adapters made with PEFT, and PEFT's own model with them as the oracle."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model

from itwidgets import Session
from tests.models import fresh_log_probs, fresh_logits, tiny_model


def lora(*targets: str, **options: Any) -> LoraConfig:
    """Describe a LoRA of rank 4 on some linear layers, by default on the queries."""
    return LoraConfig(r=4, task_type="CAUSAL_LM", target_modules=list(targets) or ["q_proj"], **options)


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Pass over what PEFT says while it makes, saves and opens adapters by itself."""
    with warnings.catch_warnings():
        # A name that transformers has given up.
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
        warnings.filterwarnings("ignore", "Setting `save_embedding_layers`")
        yield


def adapted(
    config: PeftConfig,
    *,
    seed: int,
    kind: str = "llama",
    make: Callable[..., Any] = tiny_model,
    **changes: Any,
) -> Any:
    """Make PEFT's own model with a new adapter, all of whose weights count."""
    with quiet_peft():
        model = get_peft_model(make(kind, **changes), config, adapter_name="default")
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
    return model.eval()


def save_adapter(
    folder: Path, config: PeftConfig, *, seed: int = 1, kind: str = "llama", **changes: Any
) -> Path:
    """Write an adapter for the tiny model of a kind."""
    model = adapted(config, seed=seed, kind=kind, **changes)
    with quiet_peft():
        model.save_pretrained(folder)
    return folder


def oracle(
    folder: Path | None, kind: str = "llama", make: Callable[..., Any] = tiny_model, **changes: Any
) -> Any:
    """Return the tiny model of a kind as PEFT runs it with an adapter, or without one."""
    model = make(kind, **changes)
    if folder is None:
        return model
    with quiet_peft():
        return PeftModel.from_pretrained(model, str(folder)).eval()


def assert_made_by(model: Any, session: Session) -> None:
    """Assert that all figures of the current branch, kept and computed anew, are those of a model."""
    text = session.token_ids
    log_probs = fresh_logits(model, text).log_softmax(-1).numpy()
    surprisals = -log_probs[range(len(text) - 1), text[1:]] / np.log(2)
    made = [node.surprisal for node in session.nodes]
    np.testing.assert_allclose(made[1:], surprisals, rtol=0, atol=1e-3)
    for position in range(len(session.new_nodes) + 1):
        assert_next(model, session, position)


def assert_next(model: Any, session: Session, position: int) -> None:
    """Assert that the distribution at a place is a model's own."""
    text = session.token_ids[: len(session.token_ids) - len(session.new_nodes) + position]
    found = session.distribution(position).log_probs
    np.testing.assert_allclose(found, fresh_log_probs(model, text), rtol=0, atol=2e-4)


def difference(one: Any, other: Any, token_ids: Sequence[int]) -> float:
    """Return how far what follows a text is apart in two models."""
    return float(np.abs(fresh_log_probs(one, token_ids) - fresh_log_probs(other, token_ids)).max())
