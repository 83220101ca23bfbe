"""Watch a local language model decide, token by token, and overrule it.

The names below are the public interface; they are loaded when they are first used, so that importing
the package is cheap.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from itwidgets.engine import Engine, Session, load, score
    from itwidgets.engine import open_session as open  # noqa: A004 - `itwidgets.open`, like `gzip.open`
    from itwidgets.widgets import TokenStream

__version__ = metadata.version("itwidgets")

__all__ = ["Engine", "Session", "TokenStream", "load", "open", "score"]

_HOMES = {
    "Engine": ("itwidgets.engine", "Engine"),
    "Session": ("itwidgets.engine", "Session"),
    "TokenStream": ("itwidgets.widgets", "TokenStream"),
    "load": ("itwidgets.engine", "load"),
    "open": ("itwidgets.engine", "open_session"),
    "score": ("itwidgets.engine", "score"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
