"""What tells the weights of one model from those of another."""

from __future__ import annotations

import hashlib
import json
import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

_SAMPLES = 16


def fingerprint(tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    """SHA-256 over names, shapes and a sample of all tensors: cheap, and other weights give another.

    Each tensor is read when it is given, so it need be here only then. Of tensors that are shared by
    processes all must ask.

    Examples
    --------
    >>> fingerprint({"weight": torch.ones(2)}.items())[:8]
    '429121c7'
    """
    digest = hashlib.sha256()
    for name, sample in sorted((name, _sample(tensor)) for name, tensor in tensors):
        digest.update(name.encode())
        digest.update(json.dumps(sample).encode())
    return digest.hexdigest()


def _sample(tensor: torch.Tensor) -> list[Any]:
    whole = tensor.detach()
    if hasattr(whole, "full_tensor"):
        whole = whole.full_tensor()
    flat = whole.reshape(-1)
    chosen = torch.arange(0, len(flat), max(1, len(flat) // _SAMPLES), device=flat.device)
    # Rounded to bfloat16, so that the same checkpoint in another dtype is still the same model.
    return [list(whole.shape), flat[chosen].bfloat16().float().tolist()]


class Trace:
    """What tensors a model consists of and how often each was written to: compared in no time.

    Writing through ``.data`` leaves no trace.
    """

    def __init__(self, model: nn.Module) -> None:
        parameters = list(model.parameters())
        self._tensors = [weakref.ref(parameter) for parameter in parameters]
        self._writings = [_writings(parameter) for parameter in parameters]

    def is_current(self, model: nn.Module) -> bool:
        """Whether the model is still what it was."""
        parameters = list(model.parameters())
        # What accelerate brings here for the time of a call are other tensors each time, and no others.
        if any(parameter.is_meta for parameter in parameters):
            return True
        return (
            len(parameters) == len(self._tensors)
            and all(known() is now for known, now in zip(self._tensors, parameters, strict=True))
            and [_writings(parameter) for parameter in parameters] == self._writings
        )


def _writings(parameter: torch.Tensor) -> tuple[int, int]:
    # Tensors that were made in inference mode count no versions; those of other classes may lie nowhere.
    version = 0 if parameter.is_inference() else parameter._version
    return version, parameter.data_ptr() if type(parameter) is nn.Parameter else 0
