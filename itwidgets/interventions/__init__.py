"""Operators on rows of scores, their composition to programs, and the drawing of a token."""

from itwidgets.interventions import strategies
from itwidgets.interventions.constrain import Constrain
from itwidgets.interventions.contrast import Contrast, Experts, Guidance, Source
from itwidgets.interventions.control import At, Every, Schedule, Until, When
from itwidgets.interventions.described import NO_CODE, Allowed
from itwidgets.interventions.draw import SAMPLINGS, Draw, draw, drawing, gumbel_noise
from itwidgets.interventions.from_hf import FromHF
from itwidgets.interventions.functions import Fn
from itwidgets.interventions.grammar import Grammar, JsonSchema, Regex
from itwidgets.interventions.lint import commute, lint
from itwidgets.interventions.mirostat import Mirostat
from itwidgets.interventions.operators import Bias, Operator
from itwidgets.interventions.parameters import check_seed, check_whole, is_whole
from itwidgets.interventions.penalties import (
    DRY,
    Frequency,
    MinNewTokens,
    NoRepeatNGram,
    Presence,
    Repetition,
)
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
from itwidgets.interventions.projection import Target
from itwidgets.interventions.samplers import Greedy, MinP, SamplerStage, Temperature, TopK, TopP
from itwidgets.interventions.step import Step
from itwidgets.interventions.supports import Ban, Force, ForceText, Only
from itwidgets.interventions.targets import Mass, MaxEntropy, TargetEntropy, TargetMoment, TargetSurprisal
from itwidgets.interventions.tilts import KLBudget, Mask, Mix, Pool, Power
from itwidgets.interventions.to_hf import ProgramProcessor, generation_settings, to_logits_processor
from itwidgets.interventions.truncation import XTC, Epsilon, Eta, TopA, TopH, TopNSigma, Typical
from itwidgets.interventions.watermark import Detection, Watermark

__all__ = [
    "DRY",
    "GREEDY",
    "NO_CODE",
    "SAMPLINGS",
    "XTC",
    "AllOf",
    "Allowed",
    "AnyOf",
    "At",
    "Ban",
    "Bias",
    "Compare",
    "Constrain",
    "Contrast",
    "Detection",
    "Draw",
    "Epsilon",
    "Eta",
    "Every",
    "Experts",
    "Fn",
    "Force",
    "ForceText",
    "Frequency",
    "FromHF",
    "Grammar",
    "Greedy",
    "Guidance",
    "JsonSchema",
    "KLBudget",
    "LastToken",
    "Mask",
    "Mass",
    "MaxEntropy",
    "MinNewTokens",
    "MinP",
    "Mirostat",
    "Mix",
    "NoRepeatNGram",
    "Not",
    "Only",
    "Operator",
    "Outcome",
    "Pool",
    "PositionIn",
    "Power",
    "Predicate",
    "Presence",
    "Program",
    "ProgramProcessor",
    "Regex",
    "Repetition",
    "SamplerStage",
    "Schedule",
    "Source",
    "Step",
    "Target",
    "TargetEntropy",
    "TargetMoment",
    "TargetSurprisal",
    "Temperature",
    "TextMatches",
    "TopA",
    "TopH",
    "TopK",
    "TopNSigma",
    "TopP",
    "Typical",
    "Until",
    "Watermark",
    "When",
    "check_seed",
    "check_whole",
    "commute",
    "draw",
    "drawing",
    "generation_settings",
    "gumbel_noise",
    "is_whole",
    "lint",
    "sampling_program",
    "strategies",
    "to_logits_processor",
]
