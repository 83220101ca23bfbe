"""What an intervention changes: pairs of texts that share their noise, and the difference within pairs."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np

from itwidgets.information import paired_difference
from itwidgets.information_theory import analyze_token_information
from itwidgets.toolkit.intervals import confidence_interval


def effects(
    baseline: Sequence[dict[str, Any]], intervention: Sequence[dict[str, Any]], confidence: float
) -> dict[str, Any]:
    """Compare samples pair by pair, as ``InterventionManager.analyze_intervention_effects`` says."""
    samples = {"baseline": baseline, "intervention": intervention}
    info = {
        kind: [analyze_token_information(sample["token_probabilities"]) for sample in pair]
        for kind, pair in samples.items()
    }
    found: dict[str, Any] = {"confidence": confidence}
    for kind in samples:
        found |= {
            f"{kind}_samples": samples[kind],
            f"{kind}_info": info[kind],
            f"mean_{kind}_perplexity": fmean(one["perplexity"] for one in info[kind]),
            f"mean_{kind}_surprisal": fmean(one["mean_surprisal"] for one in info[kind]),
        }
    for measure, key in (("perplexity", "perplexity"), ("surprisal", "mean_surprisal")):
        changed, before = (
            np.array([one[key] for one in info[kind]]) for kind in ("intervention", "baseline")
        )
        difference = paired_difference(changed, before)
        found |= {
            f"{measure}_difference": float(difference.mean),
            f"{measure}_difference_interval": confidence_interval(difference, confidence),
        }
    for measure in ("costs", "expected_costs"):
        tokens = [bits for sample in intervention for bits in sample[measure]]
        found[f"mean_{measure.removesuffix('s')}"] = fmean(tokens)
    return found
