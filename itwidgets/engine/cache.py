"""The folder in which things are kept that can be made again."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_root() -> Path:
    """Where everything is kept: what ``ITWIDGETS_CACHE`` names, or the user's cache folder."""
    return Path(os.environ.get("ITWIDGETS_CACHE") or platformdirs.user_cache_path("itwidgets"))
