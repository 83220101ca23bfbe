"""Watch a local language model decide, token by token, and overrule it.

The names below are the public interface; they are loaded when they are first used, so that importing
the package is cheap.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

from itwidgets._formats import HTML, register_writer

if TYPE_CHECKING:
    from itwidgets.engine import Engine, Session, load, score
    from itwidgets.engine import open_session as open  # noqa: A004 - `itwidgets.open`, like `gzip.open`
    from itwidgets.information import register_measure, unregister_measure
    from itwidgets.information_theory import (
        analyze_token_information,
        compute_entropy,
        compute_kl_divergence,
        compute_perplexity,
        compute_shannon_information,
        compute_varentropy,
    )
    from itwidgets.intervention import InterventionManager
    from itwidgets.probability_extractor import ProbabilityExtractor
    from itwidgets.widgets import TokenStream

__version__ = metadata.version("itwidgets")

__all__ = [
    "Engine",
    "InterventionManager",
    "ProbabilityExtractor",
    "Session",
    "TokenStream",
    "analyze_token_information",
    "compute_entropy",
    "compute_kl_divergence",
    "compute_perplexity",
    "compute_shannon_information",
    "compute_varentropy",
    "load",
    "open",
    "register_measure",
    "score",
    "unregister_measure",
]

_HOMES = {
    "Engine": ("itwidgets.engine", "Engine"),
    "InterventionManager": ("itwidgets.intervention", "InterventionManager"),
    "ProbabilityExtractor": ("itwidgets.probability_extractor", "ProbabilityExtractor"),
    "Session": ("itwidgets.engine", "Session"),
    "TokenStream": ("itwidgets.widgets", "TokenStream"),
    "analyze_token_information": ("itwidgets.information_theory", "analyze_token_information"),
    "compute_entropy": ("itwidgets.information_theory", "compute_entropy"),
    "compute_kl_divergence": ("itwidgets.information_theory", "compute_kl_divergence"),
    "compute_perplexity": ("itwidgets.information_theory", "compute_perplexity"),
    "compute_shannon_information": ("itwidgets.information_theory", "compute_shannon_information"),
    "compute_varentropy": ("itwidgets.information_theory", "compute_varentropy"),
    "load": ("itwidgets.engine", "load"),
    "open": ("itwidgets.engine", "open_session"),
    "register_measure": ("itwidgets.information", "register_measure"),
    "score": ("itwidgets.engine", "score"),
    "unregister_measure": ("itwidgets.information", "unregister_measure"),
}


# A session lies below the widgets and must not import them: what it is told here is where they are.
register_writer(HTML, lambda session: import_module("itwidgets.widgets.html").session_page(session))


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
