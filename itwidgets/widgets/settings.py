"""The sampling settings at hand in the viewer, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from itwidgets.engine.decoding.choice import Plan
from itwidgets.interventions import Operator, Program, check_whole, sampling_program
from itwidgets.tree import Recipe
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
        raise TypeError(f"unknown setting {sorted(unknown)[0]!r}: accepted are {', '.join(settings)}")
    merged = cast("Settings", settings | dict(changes))
    plan_of(merged)
    return merged


def check_most(name: str, value: int, most: int) -> None:
    """Refuse what is no whole number from 1 to ``most``: a page may ask for so much at once."""
    check_whole(name, value, least=1)
    if value > most:
        raise ValueError(f"{name} is {value}, but must be at most {most}")


def plan_of(settings: Settings, program: Program | Operator | None = None) -> Plan:
    """Return how tokens are chosen with these settings; a program takes the place of their stages."""
    stages = sampling_program(
        settings["temperature"], settings["top_k"], settings["top_p"], settings["min_p"]
    )
    return Plan(Recipe(Program() >> (program or stages), settings["seed"]), settings["max_new_tokens"])
