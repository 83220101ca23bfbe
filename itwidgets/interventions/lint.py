"""Look over a program for what its order undoes; nothing is ever reordered."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from itwidgets.interventions.control import At, Control, Every, Schedule
from itwidgets.interventions.grammar import Language
from itwidgets.interventions.operators import Bias, Operator
from itwidgets.interventions.program import Program, as_program
from itwidgets.interventions.projection import Target
from itwidgets.interventions.samplers import MinP, Temperature, TopK
from itwidgets.interventions.step import Step
from itwidgets.interventions.supports import Ban, Force, Only
from itwidgets.interventions.targets import MassTarget
from itwidgets.interventions.tilts import Mask, Power

_SUPPORTS = (Ban, Only, Force, Language)
_TEMPERATURES = (Temperature, Power)
_COMMUTING: Sequence[tuple[tuple[type[Operator], ...], tuple[type[Operator], ...]]] = (
    (_TEMPERATURES, _SUPPORTS),
    (_TEMPERATURES, (TopK,)),
    ((Bias,), _SUPPORTS),
    ((TopK,), (MinP,)),
)

_LONGEST_NAME = 60


def lint(program: Program | Operator) -> list[str]:
    """Return one sentence for each operator whose place in a program takes an effect away.

    An operator that comes after a target and undoes it; a sampler stage before an intervention; operators
    behind one that leaves a single token. Programs inside of operators are looked over too.

    Examples
    --------
    >>> from itwidgets.interventions import TargetEntropy
    >>> print(*lint(TargetEntropy(3.0) >> Ban([5])))  # doctest: +NORMALIZE_WHITESPACE
    Ban(token_ids=(5,)) comes after TargetEntropy(bits=3.0) and undoes it: the row need not have an entropy
    of 3.0 bits any more; put the target last, or let Constrain meet both

    Sampler stages that stand last are where they belong.

    >>> lint(Bias({5: 2.0}) >> Temperature(0.7) >> TopK(40))
    []
    """
    found: list[str] = []
    operators = as_program(program).operators
    for index, operator in enumerate(operators):
        for inner in _programs(operator):
            found += lint(inner)
        later = [other for other in operators[index + 1 :] if _may_meet(operator, other)]
        if operator.is_deterministic:
            found += [_without_effect(operator, other) for other in later]
            continue
        found += [_undone(target, other) for target in _targets(operator) for other in later]
        found += _misplaced(operator, [other for other in later if other.stage == "intervention"])
    return found


def commute(first: Operator, second: Operator) -> bool:
    """Whether two operators give the same distribution in either order, whatever the row.

    Hardly any do: temperature and support, temperature and top-k, bias and support, top-k and min-p.

    Examples
    --------
    >>> from itwidgets.interventions import TopP
    >>> commute(Temperature(0.7), TopK(5)), commute(Temperature(0.7), TopP(0.9))
    (True, False)
    """
    return any(
        isinstance(one, left) and isinstance(other, right)
        for left, right in _COMMUTING
        for one, other in ((first, second), (second, first))
    )


def _programs(operator: Operator) -> Iterator[Program]:
    for value in operator.parameters().values():
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, Program):
                yield one


def _targets(operator: Operator) -> Iterator[Target]:
    """Targets that the row meets after an operator, at some positions at least."""
    if isinstance(operator, Target):
        # All or nothing is a support, and what comes later keeps to it.
        if not (isinstance(operator, MassTarget) and math.isinf(operator.log_odds)):
            yield operator
    elif isinstance(operator, Schedule):
        yield from _targets(operator.then)
    elif isinstance(operator, Control):
        for program in _programs(operator):
            for inner in program.operators:
                yield from _targets(inner)


def _may_meet(first: Operator, second: Operator) -> bool:
    """Whether there may be a position at which both act."""
    if isinstance(second, At):
        first, second = second, first
    if not isinstance(first, At) or not isinstance(second, (At, Every)):
        return True
    places = (Step(position, (), 0) for position in first.positions)
    return any(second.acts(place, torch.empty(0)) for place in places)


def _undone(target: Target, later: Operator) -> str:
    certainly = "may undo" if isinstance(later, Control) else "undoes"
    joint = isinstance(later, (Target, Mask, *_SUPPORTS))
    return (
        f"{_name(later)} comes after {_name(target)} and {certainly} it: the row need not have "
        f"{target.promise} any more; put the target last{', or let Constrain meet both' if joint else ''}"
    )


def _misplaced(operator: Operator, interventions: Sequence[Operator]) -> list[str]:
    if operator.stage == "intervention" or not interventions:
        return []
    same = all(commute(operator, other) for other in interventions)
    return [
        f"{_name(operator)} is a sampler stage before the intervention {_name(interventions[-1])}, so that "
        "what it does counts as an intervention and has a cost: put it last"
        f"{', which changes nothing of what is drawn' if same else ''}"
    ]


def _without_effect(operator: Operator, later: Operator) -> str:
    return f"{_name(later)} comes after {_name(operator)}, which leaves one token: nothing is left to choose"


def _name(operator: Operator) -> str:
    name = str(operator)
    return name if len(name) <= _LONGEST_NAME else type(operator).__name__
