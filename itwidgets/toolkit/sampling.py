"""From the toolkit's sampling arguments to a program."""

from __future__ import annotations

import math

from itwidgets.interventions import Program, check_seed, check_whole, sampling_program
from itwidgets.interventions.parameters import check_number


def sampler(temperature: float, top_k: int | None, top_p: float | None) -> Program:
    """Return the sampler stages, after each argument was checked under the name that the user gave it.

    Raises
    ------
    ValueError
        When an argument is none that is accepted.
    """
    check_number("temperature", temperature, lambda t: 0 <= t < math.inf, "at least 0, which is greedy")
    if top_k is not None:
        check_whole("top_k", top_k, least=1)
    if top_p is not None:
        check_number("top_p", top_p, lambda p: 0 < p <= 1, "above 0 and at most 1")
    return sampling_program(temperature, top_k, top_p)


def check_run(max_new_tokens: int, seed: int) -> None:
    """Refuse what no generation accepts, before there is one.

    Raises
    ------
    ValueError
        When the number of tokens is not at least 1, or the seed not from 0 to 2⁶⁴ - 1.
    """
    check_whole("max_new_tokens", max_new_tokens, least=1)
    check_seed(seed)
