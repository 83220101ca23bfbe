"""Where a model is put, in which numbers, and what of that excludes what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from itwidgets.engine.loading import parallel


@dataclass(frozen=True)
class Placement:
    """Where a model is put and in which numbers; see the arguments of :func:`~itwidgets.load`."""

    device: torch.device
    dtype: str | torch.dtype
    device_map: str | dict[str, Any] | None
    tp_plan: parallel.Plan | None
    bits: int | None

    @property
    def options(self) -> dict[str, Any]:
        """What transformers is told of it."""
        options: dict[str, Any] = {"dtype": self.dtype, "device_map": self.device_map}
        if self.bits is not None:
            options["quantization_config"] = BitsAndBytesConfig(**{f"load_in_{self.bits}bit": True})
            options["device_map"] = self.device_map or {"": str(self.device)}
        if self.tp_plan is not None:
            options |= parallel.options(self.tp_plan)
        return options

    def settle(self, model: Any) -> Any:
        """Move a model that was read to its device, unless every part is where it belongs."""
        if self.options["device_map"] is not None or self.tp_plan is not None:
            return model
        return model.to(self.device)


def check_placement(**given: Any) -> None:
    """Refuse two answers to one question.

    Parameters
    ----------
    given
        The arguments of :func:`~itwidgets.load` that say where weights are put and in how many bits.
    """
    for names in (
        ("load_in_8bit", "load_in_4bit"),
        ("device", "device_map"),
        ("device", "tp_plan"),
        ("device_map", "tp_plan"),
        ("load_in_8bit", "tp_plan"),
        ("load_in_4bit", "tp_plan"),
    ):
        if all(given[name] not in (None, False) for name in names):
            said = " and ".join(f"{name}={given[name]!r}" for name in names)
            raise ValueError(f"{said} were both given: give one of them")


def dtype_for(dtype: str | torch.dtype, device: torch.device) -> str | torch.dtype:
    """Return what transformers is to load in: what was asked for, or what suits the device."""
    if dtype == "auto":
        return torch.float32 if device.type == "cpu" else "auto"
    named = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(named, torch.dtype) or not named.is_floating_point:
        raise ValueError(f"dtype is {dtype!r}, but must be 'auto' or a float dtype such as 'bfloat16'")
    return named


def best_device() -> torch.device:
    """Return CUDA where there is one, else the CPU."""
    # MPS is never the default: it has no float64, and nothing here has been run on it yet.
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
