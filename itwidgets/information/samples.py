"""Several continuations of one context, or several distributions of one token: what their spread says."""

from __future__ import annotations

from typing import NamedTuple

import torch

from itwidgets.information.divergences import generalised_jensen_shannon
from itwidgets.information.estimates import Estimate, estimate_like, mean_and_error
from itwidgets.information.kernel import (
    Array,
    beside,
    expectation,
    float64,
    in_kind,
    like,
    moments,
    tensor,
    unit,
)

_ROUNDING = 1e-6
"""How far below 0 a distance in float32 may be by rounding."""


class SemanticEntropy(NamedTuple):
    """Entropy over meanings, each part of shape ``[...]``.

    Attributes
    ----------
    entropy
        Of the mass of the classes, ``-sum P(c) log P(c)``.
    discrete
        Of the frequencies of the classes among the samples; needs no probabilities.
    monte_carlo
        Mean of ``-log P(c)`` over the samples.
    coverage
        Probability of all different responses together: how much of what could come is known.
    """

    entropy: Array
    discrete: Array
    monte_carlo: Array
    coverage: Array


class EnsembleInformation(NamedTuple):
    """Uncertainty of an ensemble, ``total = expected + mutual``, each of shape ``[...]``."""

    total: Array
    expected: Array
    mutual: Array


class InformationValue(NamedTuple):
    """How far a text lies from what might have stood in its place, in the unit of the distances, ``[...]``.

    Attributes
    ----------
    mean
        Mean distance to the alternatives.
    nearest
        Distance to the nearest of them.
    """

    mean: Array
    nearest: Array


def predictive_entropy(log_p_sequences: Array, *, base: float = 2.0) -> Estimate:
    """Entropy of continuations from `K` samples, ``-(1/K) sum log p(y_k)``, with its standard error.

    Parameters
    ----------
    log_p_sequences
        Natural log-probability of each sampled continuation, shape ``[..., K]``.

    Examples
    --------
    >>> float(predictive_entropy(torch.tensor([0.25, 0.25]).double().log()).mean)
    2.0
    """
    mean, error, n = mean_and_error(-float64(log_p_sequences) / unit(base))
    return estimate_like(log_p_sequences, mean, error, n)


@in_kind
def length_normalised_uncertainty(
    log_p_sequences: Array, lengths: Array, *, base: float = 2.0
) -> torch.Tensor:
    """Mean over samples of the surprisal a token, ``-(1/K) sum log p(y_k) / n_k`` (Malinin and Gales 2021).

    It makes samples of different lengths comparable, and is no entropy: it is not that of any distribution.

    Parameters
    ----------
    log_p_sequences, lengths
        Natural log-probability and number of tokens of each sampled continuation, shape ``[..., K]``.

    Examples
    --------
    >>> float(length_normalised_uncertainty(torch.tensor([0.25, 0.25]).double().log(), torch.tensor([1, 2])))
    1.5
    """
    log_p = float64(log_p_sequences)
    return (-log_p / beside(lengths, log_p)).nanmean(-1) / unit(base)


def semantic_entropy(
    log_p_sequences: Array, classes: Array, responses: Array | None = None, *, base: float = 2.0
) -> SemanticEntropy:
    """Entropy over the meanings of sampled continuations (Kuhn et al. 2023, Farquhar et al. 2024).

    The mass of a class is that of its different responses, each counted once however often it was drawn, over
    that of all different responses: so no entropy is negative.

    Parameters
    ----------
    log_p_sequences
        Natural log-probability of each continuation, shape ``[..., K]``.
    classes
        Which meaning each has, whole numbers of shape ``[..., K]``.
    responses
        Which text each is: equal numbers are one response. By default all are different.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> log_p = torch.tensor([0.25, 0.25, 0.125]).double().log()
    >>> found = semantic_entropy(log_p, torch.tensor([0, 0, 1]), torch.tensor([7, 7, 8]))
    >>> round(float(found.entropy), 4), round(float(found.discrete), 4), float(found.coverage)
    (0.9183, 0.9183, 0.375)
    """
    log_p = float64(log_p_sequences)
    same_class = _equal(classes, log_p, "classes")
    if responses is None:
        first = torch.ones_like(log_p, dtype=torch.bool)
    else:
        first = ~_equal(responses, log_p, "responses").tril(-1).any(-1)
    unique = log_p.masked_fill(~first, -torch.inf)
    known = unique.logsumexp(-1, keepdim=True)
    # Of each sample: the log-mass and the frequency of its class.
    log_mass = torch.where(same_class, unique[..., None, :], -torch.inf).logsumexp(-1) - known
    frequency = same_class.double().mean(-1)
    nats = unit(base)
    parts = (
        expectation(unique - known, -log_mass) / nats + 0.0,
        -frequency.log().mean(-1) / nats + 0.0,
        -log_mass.mean(-1) / nats + 0.0,
        known[..., 0].exp(),
    )
    return SemanticEntropy(*(like(log_p_sequences, part) for part in parts))


@in_kind
def self_consistency(classes: Array) -> torch.Tensor:
    """Share of the samples that give the most frequent answer (Wang et al. 2023).

    Parameters
    ----------
    classes
        Which answer each sample gives, whole numbers of shape ``[..., K]``.

    Examples
    --------
    >>> float(self_consistency(torch.tensor([0, 0, 0, 1])))
    0.75
    """
    answers = tensor(classes)
    return (answers[..., :, None] == answers[..., None, :]).double().mean(-1).amax(-1)


def information_value(distances: Array) -> InformationValue:
    """Predictability of a text as its distance from sampled alternatives (Giulianelli et al. 2023).

    Parameters
    ----------
    distances
        From the text to each of `K` alternatives that were sampled in its context, by any measure of
        distance, such as 1 less the cosine of their representations, shape ``[..., K]``; missing ones (NaN)
        are left out. What rounding of float32 left just below 0 counts as 0.

    Raises
    ------
    ValueError
        If a distance is negative, or there is none.

    Examples
    --------
    >>> text, others = torch.tensor([1.0, 0.0]), torch.tensor([[2.0, 0.0], [0.0, 1.0], [-3.0, 0.0]])
    >>> found = information_value(1 - torch.cosine_similarity(text, others, -1))
    >>> float(found.mean), float(found.nearest)
    (1.0, 0.0)
    """
    given = float64(distances)
    if given.ndim == 0 or not given.shape[-1]:
        raise ValueError(f"distances have shape {list(given.shape)}, but must be of at least one alternative")
    negative = given[given < -_ROUNDING]
    if len(negative):
        raise ValueError(f"a distance is {float(negative[0])}, but must be at least 0")
    given = given.clamp_min(0)
    missing = given.isnan()
    nearest = given.masked_fill(missing, torch.inf).amin(-1).masked_fill(missing.all(-1), torch.nan)
    return InformationValue(like(distances, given.nanmean(-1)), like(distances, nearest))


def ensemble_information(
    log_p: Array, weights: Array | None = None, *, base: float = 2.0
) -> EnsembleInformation:
    """Mutual information of the next token and the member of an ensemble, exact over the vocabulary.

    ``H(sum w_k p_k) - sum w_k H(p_k)``, the BALD score (Houlsby et al. 2011): what is uncertain because the
    members disagree, beside what each is uncertain of. Members may be models, prompts, temperatures or
    dropout masks.

    Parameters
    ----------
    log_p
        Natural log-probabilities of each member, shape ``[..., K, V]``.
    weights
        Shape ``[K]``, of sum 1; by default all are equal.

    Raises
    ------
    ValueError
        If there is not one weight of at least 0 for each member, or they do not sum to 1.

    Examples
    --------
    >>> found = ensemble_information(torch.eye(2).log())
    >>> [round(float(part), 9) for part in found]
    [1.0, 0.0, 1.0]
    """
    rows = float64(log_p)
    mutual = generalised_jensen_shannon(rows, weights, base=base)
    entropies = moments(rows)[1] / unit(base)
    expected = entropies.mean(-1) if weights is None else (entropies * beside(weights, rows)).sum(-1)
    return EnsembleInformation(*(like(log_p, part) for part in (expected + mutual, expected, mutual)))


def _equal(labels: Array, log_p: torch.Tensor, name: str) -> torch.Tensor:
    """Whether the samples at two places have one label, shape ``[..., K, K]``."""
    found = tensor(labels).to(log_p.device)
    if found.shape != log_p.shape:
        raise ValueError(
            f"{name} have shape {tuple(found.shape)}, but must have that of the samples, {tuple(log_p.shape)}"
        )
    return found[..., :, None] == found[..., None, :]
