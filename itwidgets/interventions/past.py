"""Figures of tokens that a program drew, for operators that ask for them, where there is no token table."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from itwidgets.information import kl_divergence, log_probabilities, row_statistics
from itwidgets.information.kernel import reducible
from itwidgets.information.rows import token_surprisal
from itwidgets.interventions.program import Outcome, Program

FIGURES = (
    "rank",
    "surprisal",
    "entropy",
    "varentropy",
    "surprisal_q",
    "surprisal_s",
    "cost",
    "expected_cost",
)
"""What is known of each token, by the names of the token table's columns and in its units."""


class Figures(Mapping[str, Sequence[float]]):
    """Figures of the tokens before a step by name; the list of one figure is made when it is asked for."""

    @abstractmethod
    def of_all(self, name: str) -> Sequence[float]:
        """Return one figure of all tokens."""

    def __getitem__(self, name: str) -> Sequence[float]:
        if name not in FIGURES:
            raise KeyError(name)
        return self.of_all(name)

    def __iter__(self) -> Iterator[str]:
        return iter(FIGURES)

    def __len__(self) -> int:
        return len(FIGURES)


class Past(Figures):
    """Figures of tokens that are given one by one."""

    def __init__(self, tokens: Sequence[Mapping[str, float]]) -> None:
        self._tokens = tokens

    def of_all(self, name: str) -> Sequence[float]:
        """Return one figure of all tokens."""
        return [figures[name] for figures in self._tokens]


def token_figures(
    scores: torch.Tensor, outcome: Outcome, token_id: int, program: Program
) -> dict[str, float]:
    """Return the figures of one token, in the precision of the token table.

    Parameters
    ----------
    scores
        Raw scores of `p` that it was drawn from, ``[V]``.
    outcome
        What the program made of them.

    Examples
    --------
    >>> from itwidgets.interventions import Ban, Step
    >>> program, row = Program((Ban([0]),)), torch.zeros(4)
    >>> found = token_figures(row, program(Step(0, [1], 1), row), 2, program)
    >>> found["surprisal"], round(found["cost"], 4), found["rank"]
    (2.0, 0.415, 1.0)
    """
    token = torch.tensor([token_id])
    of_p = row_statistics(scores[None], token, k=1)
    found = {name: getattr(of_p, name)[0] for name in ("rank", "surprisal", "entropy", "varentropy")}
    found |= {"surprisal_q": found["surprisal"], "cost": 0.0, "expected_cost": 0.0}
    if program.intervenes:
        log_p, log_q = log_probabilities(scores).cpu(), log_probabilities(outcome.q).cpu()
        # From zero, so that a certain token has 0.0 bits and not -0.0.
        found["surprisal_q"] = (0 - log_q[token_id]) / math.log(2)
        found["cost"] = (log_q[token_id] - log_p[token_id]) / math.log(2)
        found["expected_cost"] = kl_divergence(log_q, log_p)
    found["surprisal_s"] = found["surprisal_q"]
    if program.is_deterministic:
        found["surprisal_s"] = 0.0
    elif outcome.s is not outcome.q:
        found["surprisal_s"] = token_surprisal(reducible(outcome.s).cpu(), token)
    return {name: float(np.float32(float(found[name]))) for name in FIGURES}
