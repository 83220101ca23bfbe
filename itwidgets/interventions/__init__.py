"""Operators on rows of scores, their composition to programs, and the drawing of a token."""

from itwidgets.interventions.control import At, Every, Schedule, Until, When
from itwidgets.interventions.described import NO_CODE, Allowed
from itwidgets.interventions.draw import SAMPLINGS, Draw, draw, drawing, gumbel_noise
from itwidgets.interventions.functions import Fn
from itwidgets.interventions.operators import Ban, Bias, Operator
from itwidgets.interventions.parameters import check_seed, check_whole, is_whole
from itwidgets.interventions.predicates import (
    AllOf,
    AnyOf,
    Compare,
    LastToken,
    Not,
    PositionIn,
    Predicate,
    TextMatches,
)
from itwidgets.interventions.program import GREEDY, Outcome, Program, sampling_program
from itwidgets.interventions.samplers import Greedy, MinP, SamplerStage, Temperature, TopK, TopP
from itwidgets.interventions.step import Step

__all__ = [
    "GREEDY",
    "NO_CODE",
    "SAMPLINGS",
    "AllOf",
    "Allowed",
    "AnyOf",
    "At",
    "Ban",
    "Bias",
    "Compare",
    "Draw",
    "Every",
    "Fn",
    "Greedy",
    "LastToken",
    "MinP",
    "Not",
    "Operator",
    "Outcome",
    "PositionIn",
    "Predicate",
    "Program",
    "SamplerStage",
    "Schedule",
    "Step",
    "Temperature",
    "TextMatches",
    "TopK",
    "TopP",
    "Until",
    "When",
    "check_seed",
    "check_whole",
    "draw",
    "drawing",
    "gumbel_noise",
    "is_whole",
    "sampling_program",
]
