"""Operators on rows of scores, their composition to programs, and the drawing of a token."""

from itwidgets.interventions.draw import SAMPLINGS, Draw, draw, drawing, gumbel_noise
from itwidgets.interventions.operators import Ban, Bias, Operator, Step
from itwidgets.interventions.parameters import check_seed, check_whole, is_whole
from itwidgets.interventions.program import GREEDY, Outcome, Program, sampling_program
from itwidgets.interventions.samplers import Greedy, MinP, Temperature, TopK, TopP

__all__ = [
    "GREEDY",
    "SAMPLINGS",
    "Ban",
    "Bias",
    "Draw",
    "Greedy",
    "MinP",
    "Operator",
    "Outcome",
    "Program",
    "Step",
    "Temperature",
    "TopK",
    "TopP",
    "check_seed",
    "check_whole",
    "draw",
    "drawing",
    "gumbel_noise",
    "is_whole",
    "sampling_program",
]
