"""The sampling settings at hand in the viewer, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from itwidgets.interventions import Program, check_seed, sampling_program
from itwidgets.widgets.protocol import Settings

DEFAULTS: Settings = {
    "max_new_tokens": 40,
    "temperature": 0.8,
    "top_k": None,
    "top_p": None,
    "min_p": None,
    "seed": 0,
}


def checked(changes: Mapping[str, Any], settings: Settings = DEFAULTS) -> Settings:
    """Return settings with some of them changed.

    Raises
    ------
    TypeError, ValueError
        When a name is unknown or a value is not accepted; the sentence names it.
    """
    unknown = changes.keys() - settings.keys()
    if unknown:
        raise TypeError(
            f"unknown setting {sorted(unknown)[0]!r}: accepted are {', '.join(settings)}"
        )
    merged = cast("Settings", settings | dict(changes))
    count = merged["max_new_tokens"]
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError(f"max_new_tokens is {count!r}, but must be a whole number of at least 1")
    check_seed(merged["seed"])
    program_of(merged)
    return merged


def program_of(settings: Settings) -> Program:
    """Return the sampler stages that the settings stand for."""
    return sampling_program(
        settings["temperature"], settings["top_k"], settings["top_p"], settings["min_p"]
    )
