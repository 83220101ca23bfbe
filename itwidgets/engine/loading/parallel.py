"""Tensor parallelism: one process a device, each with its part of every layer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

import torch

from itwidgets.engine.kv.pool import Budget

if TYPE_CHECKING:
    from itwidgets.engine.engine import Engine

Plan = Literal["auto"] | dict[str, str]
"""``"auto"``, the plan that the model's own code has, or styles by the names of modules."""


def require_processes() -> None:
    """Refuse a plan in a script that was not started once for each device."""
    if not {"RANK", "LOCAL_RANK", "WORLD_SIZE"} <= os.environ.keys():
        raise RuntimeError(
            "tp_plan needs one process for each device: start the script with "
            "`torchrun --nproc-per-node 2 script.py`"
        )


def check_plan(plan: Any, config: Any) -> None:
    """Refuse a plan that the model has not, or that its heads do not allow.

    Parameters
    ----------
    plan
        What was given as ``tp_plan``.
    config
        The model's configuration.
    """
    if plan != "auto" and not isinstance(plan, dict):
        raise ValueError(f"tp_plan is {plan!r}, but must be 'auto' or styles by the names of modules")
    text = config.get_text_config(decoder=True)
    if plan == "auto" and not text.base_model_tp_plan:
        raise ValueError(
            f"{text.model_type} models have no plan of their own for tp_plan='auto': give styles by the "
            "names of modules, or use device_map='auto'"
        )
    count = int(os.environ["WORLD_SIZE"])
    heads = text.num_attention_heads
    groups = getattr(text, "num_key_value_heads", None) or heads
    if heads % count or groups % count:
        raise ValueError(
            f"{count} processes cannot share the model's {heads} attention and {groups} key-value heads "
            "evenly: start a number that divides both"
        )


def options(plan: Plan) -> dict[str, Any]:
    """Return what transformers is to be told of a plan."""
    from transformers.distributed.configuration_utils import DistributedConfig

    return {"distributed_config": DistributedConfig(tp_plan=plan)}


def share_budget(engine: Engine) -> None:
    """Give all processes one budget of keys and values.

    Each would drop others and compute them anew at another time, and wait for the rest forever.
    """
    if not torch.distributed.is_initialized():  # there is one process alone
        return
    near = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    own = engine.pool.budget
    shares = torch.tensor([own.device_bytes // near, own.host_bytes // near], device=engine.model.device)
    torch.distributed.all_reduce(shares, torch.distributed.ReduceOp.MIN)
    engine.pool.budget = Budget(*shares.tolist())
