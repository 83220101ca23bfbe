"""Marks for tests of what not every machine has."""

from __future__ import annotations

import pytest
import torch

from itwidgets.engine.model import best_product
from itwidgets.engine.native.threads import can_run

needs_onednn = pytest.mark.skipif(
    not best_product._onednn_takes(torch.float32), reason="torch has no oneDNN here"
)
needs_native = pytest.mark.skipif(not can_run(torch.float32), reason="no machine code is made here")
