"""Mirostat: truncation by feedback, so that the text's surprisal stays near a target."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from itwidgets.information import log_probabilities
from itwidgets.information.rows import BITS
from itwidgets.interventions.operators import excluding
from itwidgets.interventions.parameters import check_number
from itwidgets.interventions.samplers import SamplerStage
from itwidgets.interventions.step import Step


@dataclass(frozen=True)
class Mirostat(SamplerStage):
    """Exclude tokens with more surprisal than a limit that follows the text (Basu et al. 2021, version 2).

    The limit starts at twice the target and goes down with each token that was more surprising than that:
    ``limit = 2 * bits - learning_rate * sum(surprisal_s - bits)`` over the new tokens so far, ``surprisal_s``
    being that of the distribution it was drawn from. It is computed from the recorded figures each time, so
    branches and replays have the limit that their own text gives. A forced token counts as 0 bits.

    Parameters
    ----------
    bits
        The target of a token's surprisal, above 0.
    learning_rate
        How strongly the limit follows, above 0.

    Examples
    --------
    >>> calm = Step(2, [1, 5, 6], 1, past={"surprisal_s": [1.0, 2.0]})
    >>> round(Mirostat(bits=3.0).limit(calm), 6)
    6.3
    """

    bits: float = 5.0
    learning_rate: float = 0.1

    def __post_init__(self) -> None:
        check_number("bits", self.bits, lambda b: 0 < b < math.inf, "above 0 and finite")
        check_number("learning_rate", self.learning_rate, lambda r: 0 < r < math.inf, "above 0 and finite")

    def limit(self, step: Step) -> float:
        """Return the greatest surprisal that a token may have at a step, in bits."""
        return 2 * self.bits - self.learning_rate * math.fsum(
            surprisal - self.bits for surprisal in step.figures("surprisal_s")
        )

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row without tokens above the limit; the best token always stays."""
        surprisals = -log_probabilities(scores) * BITS
        excluded = surprisals > max(self.limit(step), float(surprisals.min()))
        return excluding(scores, excluded.to(scores.device))
