"""Rows of scores of all kinds that a stage may meet."""

from __future__ import annotations

import torch


def rows_of_all_kinds() -> list[torch.Tensor]:
    """Return small and large rows, with ties, with excluded tokens, with one value, in several dtypes."""
    generator = torch.Generator().manual_seed(0)
    random = [torch.randn(size, generator=generator) * 3 for size in (2, 11, 200, 3000)]
    ties = torch.randn(200, generator=generator).round()
    excluded = torch.randn(200, generator=generator)
    excluded[::3] = -torch.inf
    one_left = torch.full((9,), -torch.inf)
    one_left[4] = 1.0
    return [*random, ties, excluded, torch.zeros(50), one_left, random[2].bfloat16(), random[2].double()]
