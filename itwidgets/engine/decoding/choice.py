"""How the next token is chosen."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import torch

from itwidgets.engine.decoding.figures import PendingToken, pending_drawn
from itwidgets.interventions import Outcome, Program, Step, check_whole, drawing
from itwidgets.tree import Recipe

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """How tokens are chosen, and how many at most."""

    recipe: Recipe
    max_new_tokens: int

    def __post_init__(self) -> None:
        check_whole("max_new_tokens", self.max_new_tokens, least=1)
        if isinstance(self.recipe.program, Program):
            # An unknown sampling is refused before anything begins.
            drawing(self.recipe.sampling, self.recipe.seed, self.recipe.program)

    @property
    def program(self) -> Program:
        """What makes `q` and `s` of `p`."""
        program = self.recipe.program
        if isinstance(program, str):
            raise TypeError(f"the program cannot be run, only shown: {program}")
        return program


class Retried(Protocol):
    """Computes something, and perhaps once more."""

    def __call__(self, compute: Callable[[], T]) -> T:
        """Return what was computed."""
        ...


def _once(compute: Callable[[], T]) -> T:
    return compute()


class Chooser:
    """Chooses the tokens of one generation, one after another.

    Parameters
    ----------
    retried
        Computes each part of a choice, and again where that finds no memory; by default once.
    """

    def __init__(self, plan: Plan, retried: Retried = _once) -> None:
        self._program = plan.program
        self._retried = retried
        self._draw = drawing(plan.recipe.sampling, plan.recipe.seed, plan.program)

    def choose(self, scores: torch.Tensor, step: Step) -> PendingToken:
        """Draw the token that follows others; nothing waits for the device of the scores.

        Parameters
        ----------
        scores
            Raw scores of `p`, shape ``[V]``.
        step
            Where they stand; without scores of its own.
        """

        def run() -> Outcome:
            # Copies, so that no operator can rewrite what is recorded as p.
            given = replace(step, scores=scores.clone())
            return self._program(given, scores.clone(), check=scores.device.type == "cpu")

        outcome = self._retried(run)
        # By itself: torch's generator must not draw twice.
        token = self._retried(lambda: self._draw(outcome.s, step.position))
        return self._retried(lambda: pending_drawn(scores, outcome, token, self._program))


def require_numbers(figures: dict[str, Any]) -> dict[str, Any]:
    """Return figures as they are, unless the scores behind them were no numbers.

    On the CPU that was looked at before; an accelerator is asked only once a token, here.

    Raises
    ------
    FloatingPointError
        When the model's own scores were none.
    ValueError
        When the program left no token to draw.
    """
    if math.isnan(figures["entropy"]):
        raise FloatingPointError("the model's scores are no numbers (NaN or infinite): try another dtype")
    if math.isnan(figures["surprisal_s"]):
        raise ValueError("the program leaves no token to draw: at least one must stay")
    return figures
