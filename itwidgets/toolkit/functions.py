"""Interventions as functions ``(logits, position, context)``, and as operators of programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from itwidgets.interventions import Fn, Operator, Program, Step

InterventionFunction = Callable[[torch.Tensor, int, str], Any]
"""From raw scores ``[V]``, the position among the new tokens and the text before it to other scores."""

Intervention = InterventionFunction | Operator | Program


@dataclass(frozen=True)
class OperatorFunction:
    """An operator that asks for nothing but the row, as a function that users call and nest.

    Examples
    --------
    >>> from itwidgets.interventions import Bias
    >>> OperatorFunction(Bias({1: 2.0}))(torch.zeros(3), 0, "Once upon a time")
    tensor([0., 2., 0.])
    """

    operator: Operator

    def __call__(self, logits: torch.Tensor, position: int, context: str) -> torch.Tensor:
        """Return what the operator makes of the row."""
        _require_row(logits)
        return self.operator(Step(position, (), 0, scores=logits), logits)


def _require_row(logits: Any) -> None:
    if not isinstance(logits, torch.Tensor) or logits.ndim != 1:
        shape = getattr(logits, "shape", None)
        shown = f"of shape {list(shape)}" if shape is not None else repr(logits)
        raise ValueError(f"logits is {shown}, but must be a tensor with one score for each token")


@dataclass(frozen=True)
class ConditionalFunction:
    """One of two functions, whichever a condition on the position and the text picks.

    Examples
    --------
    >>> early = ConditionalFunction(lambda position, context: position < 5, lambda logits, *_: logits * 2)
    >>> [float(early(torch.ones(1), position, "")) for position in (4, 5)]
    [2.0, 1.0]
    """

    condition: Callable[[int, str], Any]
    then: InterventionFunction
    otherwise: InterventionFunction | None = None

    def __call__(self, logits: torch.Tensor, position: int, context: str) -> Any:
        """Return what the function for this place makes of the row, or the row."""
        chosen = self.then if self.condition(position, context) else self.otherwise
        return logits if chosen is None else chosen(logits, position, context)


def as_program(name: str, intervention: Any) -> Program:
    """Return a program of what a user gives as an intervention; ``None`` is one without operators.

    Raises
    ------
    TypeError
        When it is no function, operator or program.
    """
    if intervention is None:
        return Program()
    if isinstance(intervention, OperatorFunction):
        # As what it is: JSON then needs no code, and stages say what it does.
        return Program((intervention.operator,))
    if isinstance(intervention, Operator | Program):
        return Program() >> intervention
    require_function(
        name, intervention, "a function of (logits, position, context), an operator or a program"
    )
    return Program((Fn(intervention),))


def require_function(name: str, value: Any, accepted: str) -> None:
    """Refuse what cannot be called, and operators, which are called otherwise.

    Raises
    ------
    TypeError
        When it is none.
    """
    if isinstance(value, Operator | Program) or not callable(value):
        raise TypeError(f"{name} is {value!r}, but must be {accepted}")
