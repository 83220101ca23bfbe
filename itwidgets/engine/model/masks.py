"""Attention masks for a flattened tree: alternatives side by side over one prefix, in one forward call."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import get_layer_types_and_kwargs

_ATTENTION = frozenset({"full_attention", "sliding_attention", "chunked_attention"})

Mask = torch.Tensor | dict[str, torch.Tensor]
"""What transformers takes: one mask ``[1, 1, n, kv]``, or one for each type of attention layer."""


def tree_mask(
    config: Any, prefix: int, owners: torch.Tensor, positions: torch.Tensor, queries: int, dtype: torch.dtype
) -> Mask:
    """Make the mask with which each alternative sees the prefix and itself alone.

    The cache holds ``prefix`` tokens that all share, then ``extra`` slots in any order; the last of them
    are the tokens that are passed now. A token sees the slots of its own alternative up to its own
    position. Windows count positions, not slots.

    Parameters
    ----------
    config
        Configuration of the text model: it says which layers see only a window.
    prefix
        How many tokens all alternatives share.
    owners
        Which alternative each extra slot belongs to; integers, shape ``[extra]``.
    positions
        Position of each extra slot in its own text; integers, shape ``[extra]``, on the same device.
    queries
        How many of the slots, from the end, are passed now.
    dtype
        That of the model: the mask is added to the attention scores.

    Returns
    -------
    Mask
        Zero where a token sees, the lowest number where not; ``[1, 1, queries, prefix + extra]``. A dict
        by layer type where the model mixes types, as ``attention_mask`` of transformers takes it.

    Examples
    --------
    Two alternatives after three tokens, both passed at once:

    >>> import torch
    >>> owners, positions = torch.tensor([0, 1]), torch.tensor([3, 3])
    >>> mask = tree_mask(engine.runner.config, 3, owners, positions, 2, torch.float32)
    >>> (mask[0, 0] == 0).int().tolist()
    [[1, 1, 1, 1, 0], [1, 1, 1, 0, 1]]
    """
    start = len(owners) - queries
    shared = torch.arange(prefix, device=owners.device)
    at, seen = positions[start:, None], torch.cat([shared, positions])[None]
    own = (owners[start:, None] == owners[None]) & (positions[None] <= at)
    visible = torch.cat([own.new_ones(queries, prefix), own], dim=1)
    masks = _masks_by_kind(config, visible, at, seen, dtype)
    return masks if len(masks) > 1 else next(iter(masks.values()))


def causal_masks(config: Any, prefix: int, queries: int, like: torch.Tensor) -> dict[str, torch.Tensor]:
    """Make the masks with which each of ``queries`` tokens after a prefix sees what came before it.

    One for each type of attention layer, of the dtype and on the device of ``like``.
    """
    seen = torch.arange(prefix + queries, device=like.device)[None]
    at = seen[0, prefix:, None]
    return _masks_by_kind(config, seen <= at, at, seen, like.dtype)


def additive(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Turn a boolean mask into one that is added to the scores: eager attention adds what it is given."""
    mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return mask.masked_fill_(~visible, torch.finfo(dtype).min)


def attention_windows(config: Any) -> dict[str, int | None]:
    """Types of the attention layers of a model, each with how many tokens it sees."""
    kinds, options = get_layer_types_and_kwargs(config)
    return {
        kind: given.get("sliding_window")
        for kind, given in zip(kinds, options, strict=True)
        if kind in _ATTENTION
    }


def _masks_by_kind(
    config: Any, visible: torch.Tensor, at: torch.Tensor, seen: torch.Tensor, dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    return {
        kind: additive(visible & _in_reach(kind, size, at, seen), dtype)[None, None]
        for kind, size in attention_windows(config).items()
    }


def _in_reach(kind: str, size: int | None, at: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    if size is None:
        return torch.ones_like(at == seen)
    return at // size == seen // size if kind == "chunked_attention" else seen > at - size
