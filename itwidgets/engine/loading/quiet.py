"""What bitsandbytes says at each 8-bit layer of each step, said once."""

from __future__ import annotations

import logging
from typing import Any

_SOURCE = "bitsandbytes.autograd._functions"
_MESSAGE = "MatMul8bitLt: inputs will be cast from %s to float16 during quantization"
_ONCE = "8-bit layers round what they are given from %s to float16 (bitsandbytes says so once, not at each)"


class _Once(logging.Filter):
    """Lets one message of a logger through a single time, and all others as they are."""

    told = False

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg != _MESSAGE:
            return True
        first, self.told = not self.told, True
        record.msg = _ONCE
        return first


def tell_once_of_rounding(model: Any) -> None:
    """Let bitsandbytes tell once, not a thousand times a minute, that an 8-bit model rounds to float16."""
    logger = logging.getLogger(_SOURCE)
    if getattr(model, "is_loaded_in_8bit", False) and not any(isinstance(f, _Once) for f in logger.filters):
        logger.addFilter(_Once())
