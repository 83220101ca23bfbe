"""Figures of tokens that a program drew, for operators that ask for them, where there is no token table."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from itwidgets.information import Measure, log_probabilities, row_statistics
from itwidgets.information.kernel import reducible
from itwidgets.information.names import FIGURES
from itwidgets.interventions.ledger import completed, program_figures
from itwidgets.interventions.program import Outcome, Program


class Figures(Mapping[str, Sequence[float]]):
    """Figures of the tokens before a step by name; the list of one figure is made when it is asked for."""

    @property
    @abstractmethod
    def names(self) -> Sequence[str]:
        """What is recorded: :data:`~itwidgets.information.names.FIGURES`, and measures of the user's own."""

    @abstractmethod
    def of_all(self, name: str) -> Sequence[float]:
        """Return one figure of all tokens."""

    def __getitem__(self, name: str) -> Sequence[float]:
        if name not in self.names:
            raise KeyError(name)
        return self.of_all(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


class Past(Figures):
    """Figures of tokens that are given one by one, all with the same names."""

    def __init__(self, tokens: Sequence[Mapping[str, float]]) -> None:
        self._tokens = tokens

    @property
    def names(self) -> Sequence[str]:
        """What is recorded of the tokens."""
        return tuple(self._tokens[0]) if self._tokens else FIGURES

    def of_all(self, name: str) -> Sequence[float]:
        """Return one figure of all tokens."""
        return [figures[name] for figures in self._tokens]


def token_figures(
    scores: torch.Tensor,
    outcome: Outcome,
    token_id: int,
    program: Program,
    measures: Sequence[Measure] = (),
) -> dict[str, float]:
    """Return the figures of one token, in the precision of the token table.

    Parameters
    ----------
    scores
        Raw scores of `p` that it was drawn from, ``[V]``.
    outcome
        What the program made of them.
    measures
        Measures of the user's own, to be computed too.

    Examples
    --------
    >>> from itwidgets.interventions import Ban, Step
    >>> program, row = Program((Ban([0]),)), torch.zeros(4)
    >>> found = token_figures(row, program(Step(0, [1], 1), row), 2, program)
    >>> found["surprisal"], round(found["cost"], 4), found["rank"]
    (2.0, 0.415, 1.0)
    """
    scores = reducible(scores)
    token = torch.tensor([token_id], device=scores.device)
    of_p = {name: values[0] for name, values in vars(row_statistics(scores[None], token, k=1)).items()}
    figures = completed(of_p, program_figures(scores, outcome, token, program))
    found = {name: figures[name] for name in FIGURES}
    if measures:
        log_p = log_probabilities(scores)[None]
        found |= {one.name: one.of(log_p, token)[0] for one in measures}
    return {name: float(np.float32(float(value))) for name, value in found.items()}
