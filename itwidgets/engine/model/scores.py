"""What is done to the numbers that an output head gives, and when two of them count as the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

# Of the spread of the scores: ten times what kernels differed by over 30 layers.
_NOISE, _HALF_NOISE = 2e-3, 0.1


def agree(found: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether scores ``[n, V]`` are the same but for the noise of the dtype that made them.

    In half precision one row in ten may be off by chance, by as much as the model itself is from float32.
    """
    spread = (expected - expected.mean(dim=-1, keepdim=True)).norm(dim=-1)
    noise = (found - expected).norm(dim=-1) / spread
    if dtype.itemsize == torch.half.itemsize:
        return bool(noise.median() <= _HALF_NOISE)
    return bool(noise.max() <= _NOISE)


def upcast(scores: torch.Tensor) -> torch.Tensor:
    """Return half-precision scores as float32, and others as they are."""
    # Reductions over a vocabulary lose too much in half precision; float64 keeps its digits.
    return scores.float() if scores.dtype.itemsize < torch.float32.itemsize else scores


def numbers(scores: torch.Tensor) -> torch.Tensor:
    """Return scores as they are, unless they are no numbers."""
    if scores.device.type != "cpu":
        # To look would be to wait: the figures say it, when they are read.
        return scores
    # The maximum of a row with NaN is NaN.
    if not torch.isfinite(scores.amax(-1)).all():
        raise FloatingPointError("the model's scores are no numbers (NaN or infinite): try another dtype")
    return scores


def postprocessing(model: Any, config: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what a model does to its scores: a bias (BART), soft-capping (Gemma 2), a scale (Cohere)."""
    if getattr(model, "final_logits_bias", None) is not None:
        return lambda logits: logits + model.final_logits_bias
    cap = getattr(config, "final_logit_softcapping", None)
    if cap:
        return lambda logits: torch.tanh(logits / cap) * cap
    scale = getattr(config, "logit_scale", None) or 1.0
    divisor = getattr(config, "logits_scaling", None) or 1.0
    if scale == divisor == 1.0:
        return lambda logits: logits
    return lambda logits: logits * scale / divisor
