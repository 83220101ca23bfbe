"""Measures on rows of log-probabilities: pure functions that know nothing of models or widgets."""

from itwidgets.information.measures import (
    entropy,
    kl_divergence,
    log_probabilities,
    perplexity,
    rank,
    surprisal,
    varentropy,
)
from itwidgets.information.rows import RowStatistics, best, row_statistics

__all__ = [
    "RowStatistics",
    "best",
    "entropy",
    "kl_divergence",
    "log_probabilities",
    "perplexity",
    "rank",
    "row_statistics",
    "surprisal",
    "varentropy",
]
