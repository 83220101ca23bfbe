"""What tells the weights of one model from those of another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import torch

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
