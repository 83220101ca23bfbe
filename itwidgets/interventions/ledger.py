"""What a program did to the token that it drew: the one place where the ledger's figures are computed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from itwidgets.information import kl_divergence, log_probabilities
from itwidgets.information.kernel import reducible
from itwidgets.information.rows import token_surprisal
from itwidgets.interventions.program import Outcome, Program

LN2 = math.log(2)


def program_figures(
    scores: torch.Tensor, outcome: Outcome, token: torch.Tensor, program: Program
) -> dict[str, torch.Tensor]:
    """Queue what `q` and `s` say of a token, as far as it does not follow: nothing here waits for a device.

    Parameters
    ----------
    scores
        Raw scores of `p` where they can be reduced, ``[V]``.
    outcome
        What the program made of them.
    token
        Its id, int64, ``[1]``, on the device of the scores.

    Returns
    -------
    dict
        Bits, float64, ``[1]``: ``surprisal_q``, ``cost`` and ``expected_cost`` where the program intervenes,
        ``surprisal_s`` where it has sampler stages; :func:`completed` knows the others. ``surprisal_s`` is
        NaN if the program left no token to draw.
    """
    found = {}
    if program.intervenes:
        log_p, log_q = log_probabilities(scores), log_probabilities(reducible(outcome.q))
        # From zero, so that a certain token has 0.0 bits and not -0.0.
        found["surprisal_q"] = (0 - log_q.take(token)) / LN2
        found["cost"] = (log_q.take(token) - log_p.take(token)) / LN2
        found["expected_cost"] = kl_divergence(log_q, log_p)[None]
    if program.is_deterministic:
        # 0 bits; NaN for a score that is not finite.
        found["surprisal_s"] = (0 * reducible(outcome.s).take(token)).abs().double()
    elif outcome.s is not outcome.q:
        found["surprisal_s"] = token_surprisal(reducible(outcome.s), token)
    return found


def completed(of_p: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return figures of `p` with those of `q` and `s`.

    Where there was no intervention `q` is `p`, and where no sampler stage came after it `s` is `q`.

    Examples
    --------
    >>> completed({"surprisal": 2.0}, {"surprisal_s": 0.5})["surprisal_q"]
    2.0
    """
    figures = {**of_p, "surprisal_q": of_p["surprisal"], "cost": 0.0, "expected_cost": 0.0, **found}
    return {"surprisal_s": figures["surprisal_q"], **figures}
