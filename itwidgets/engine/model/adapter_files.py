"""Adapters of PEFT as files: read, tried on a model without numbers, and put into the model itself."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

Weights = Mapping[str, torch.Tensor]

# Starts of LoRA that take the adapter's first weights out of the model's own.
_CHANGING_STARTS = ("pissa", "olora", "corda", "loftq", "lora_ga")


def read(source: str) -> tuple[Any, Weights]:
    """Read the configuration and the weights of an adapter, from a folder or a hub.

    Raises
    ------
    OSError
        When there is no adapter to read.
    ModuleNotFoundError
        When peft is not installed.
    """
    try:
        from peft import PeftConfig
        from peft.utils import load_peft_weights
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"adapters need the package peft ({error}): run `pip install 'itwidgets[peft]'`"
        ) from error
    try:
        config = PeftConfig.from_pretrained(source)
        weights = load_peft_weights(source, device="cpu")
    # The hub, safetensors, torch and json have each their own.
    except Exception as error:
        raise OSError(
            f"no adapter could be read from {source!r}: give a folder that peft wrote, or an id that the hub "
            f"has and you may read ({_one_line(error)})"
        ) from error
    config.inference_mode = True
    # In the file the names are those of PEFT's own model around the one of transformers.
    return config, {name.removeprefix("base_model.model."): weight for name, weight in weights.items()}


def require_switchable(name: str, config: Any) -> None:
    """Refuse an adapter without which the model would not be its base again."""
    if config.is_prompt_learning or config.is_adaption_prompt:
        raise ValueError(
            f"the adapter {name!r} is of kind {config.peft_type.value}, which is no part of the layers: "
            "kinds like LORA are accepted"
        )
    bias, start = getattr(config, "bias", "none"), getattr(config, "init_lora_weights", True)
    changes = {"bias": bias} if bias != "none" else {}
    if isinstance(start, str) and start.lower().startswith(_CHANGING_STARTS):
        changes["init_lora_weights"] = start
    for option, value in changes.items():
        raise ValueError(
            f"the adapter {name!r} changes the model's own weights ({option}={value!r}), but other sessions "
            "need them as they are: merge it into the model, or save it without that option"
        )


def fitting(model: Any, base: Weights, config: Any, weights: Weights, name: str) -> Weights:
    """Try an adapter on a copy of the model that has no numbers, so that the model itself stays whole.

    Parameters
    ----------
    base
        The model's own weights, by the names that they have without adapters.

    Returns
    -------
    Mapping
        The adapter's weights, without those that are the model's own anyway.

    Raises
    ------
    ValueError
        When the adapter does not fit the model.
    """
    with torch.device("meta"):
        twin = type(model)(copy.deepcopy(model.config))
    own = {id(tensor) for tensor in twin.state_dict(keep_vars=True).values()}
    with warnings.catch_warnings():
        # They are given when it is loaded.
        warnings.simplefilter("ignore")
        found = insert(twin, copy.deepcopy(config), weights, name)
    if found.unexpected_keys:
        raise _misfit(twin, name, f"it has {found.unexpected_keys[0]}, but the model has not")
    after = twin.state_dict(keep_vars=True)
    loaded = {key: tensor for key, tensor in after.items() if key not in set(found.missing_keys)}
    known = own.union(map(id, loaded.values()))
    for key, tensor in after.items():
        if id(tensor) not in known:
            raise _misfit(twin, name, f"it lacks {key}")
    # PEFT saves the embedding and the head beside an adapter of theirs.
    brought = [key for key, tensor in loaded.items() if id(tensor) in own]
    for key in brought:
        if not _is_same(base.get(key.replace(".base_layer", "")), weights.get(key)):
            raise _misfit(twin, name, f"it brings {key}, which is the model's own, with other values")
    return {key: weight for key, weight in weights.items() if key not in brought}


def insert(model: Any, config: Any, weights: Weights, name: str) -> Any:
    """Put an adapter into the layers of a model; return which keys had no place, or no weight."""
    from peft.functional import cast_adapter_dtype, inject_adapter_in_model, set_peft_model_state_dict

    with warnings.catch_warnings():
        # A second adapter is meant.
        warnings.filterwarnings("ignore", "Already found a `peft_config` attribute")
        try:
            inject_adapter_in_model(config, model, name)
            # As PEFT does: in half precision the small weights would lose too much.
            cast_adapter_dtype(model, name)
            return set_peft_model_state_dict(model, dict(weights), name)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        # Whatever PEFT raises on what it cannot place.
        except Exception as error:
            raise _misfit(model, name, _one_line(error)) from error


def _is_same(own: torch.Tensor | None, given: torch.Tensor | None) -> bool:
    if own is None or given is None or own.shape != given.shape or own.is_meta:
        return False
    # The file may be of another dtype than the model: what both can hold must be the same.
    dtype = min(own.dtype, given.dtype, key=lambda dtype: dtype.itemsize)
    return torch.equal(own.detach().to("cpu", dtype), given.to(dtype))


def _misfit(model: nn.Module, name: str, reason: str) -> ValueError:
    return ValueError(f"the adapter {name!r} does not fit this {type(model).__name__}: {reason}")


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
