"""The toolkit's measures: functions of probabilities, as people have them, over those of log-probabilities.

They take lists, numpy arrays and torch tensors. One row, or one probability, gives a plain float; several
give one number each, in the kind that they came in, and as a tensor for lists. ``base`` is the unit of the
result: 2 for bits, ``math.e`` for nats. All of :mod:`itwidgets.information` is there for what they lack.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from itwidgets.information import (
    check_distribution,
    cross_entropy_rate,
    entropy,
    kl_divergence,
    perplexity,
    surprisal_variance,
    varentropy,
)
from itwidgets.information.kernel import Array, float64, like, tensor, unit

Probabilities = Array | Sequence[Any]
"""Numbers between 0 and 1, nested lists of them included."""

_ROUNDING = 1e-6
"""How far above 1 a probability in float32 may come by rounding."""


def compute_entropy(probabilities: Probabilities, base: float = 2.0) -> Any:
    """Shannon entropy of a distribution, ``H = -sum p log p`` (Shannon 1948).

    Parameters
    ----------
    probabilities
        Shape ``[..., V]``; the last axis sums to 1. Nothing is rescaled.
    base
        Unit of the result; 2 gives bits.

    Returns
    -------
    float or Array
        Shape ``[...]``.

    Raises
    ------
    ValueError
        If they are no distribution: a sum other than 1, a negative number, NaN, no axis, or no number at all.
    TypeError
        If they are no numbers.

    Examples
    --------
    >>> compute_entropy([0.5, 0.25, 0.25])
    1.5
    >>> compute_entropy(np.array([[0.5, 0.5], [1.0, 0.0]]))
    array([1., 0.])
    >>> compute_entropy([0.5, 0.4])
    Traceback (most recent call last):
    ValueError: probabilities is no distribution: the probabilities sum to 0.9, but each row must sum to 1
    """
    return _plain(entropy(_log_distribution("probabilities", probabilities), base=base))


def compute_varentropy(probabilities: Probabilities, base: float = 2.0) -> Any:
    """Variance of the surprisal of a distribution, ``V = sum p (log p + H)**2``.

    It is 0 exactly where all possible tokens are equally probable.

    Parameters
    ----------
    probabilities
        Shape ``[..., V]``; the last axis sums to 1.
    base
        The result is in squared units of it; 2 gives bits².

    Returns
    -------
    float or Array
        Shape ``[...]``.

    Raises
    ------
    ValueError, TypeError
        As :func:`compute_entropy`.

    Examples
    --------
    >>> compute_varentropy([0.5, 0.25, 0.25])
    0.25
    """
    return _plain(varentropy(_log_distribution("probabilities", probabilities), base=base))


def compute_kl_divergence(p: Probabilities, q: Probabilities, base: float = 2.0) -> Any:
    """Divergence of `q` from `p`, ``KL(p || q) = sum p log(p / q)`` (Kullback and Leibler 1951).

    What coding for `q` costs where `p` is true; infinite where `q` excludes what `p` allows.

    Parameters
    ----------
    p, q
        Shape ``[..., V]``, over one vocabulary; the last axis of each sums to 1.
    base
        Unit of the result; 2 gives bits.

    Returns
    -------
    float or Array
        Shape ``[...]``, at least 0.

    Raises
    ------
    ValueError, TypeError
        As :func:`compute_entropy`, and if `p` and `q` are of different vocabularies.

    Examples
    --------
    >>> compute_kl_divergence([1.0, 0.0], [0.5, 0.5])
    1.0
    >>> compute_kl_divergence([0.5, 0.5], [1.0, 0.0])
    inf
    """
    return _plain(kl_divergence(_log_distribution("p", p), _log_distribution("q", q), base=base))


def compute_shannon_information(probability: float | Probabilities, base: float = 2.0) -> Any:
    """Shannon information of what came, its surprisal: ``-log p`` (Shannon 1948).

    Parameters
    ----------
    probability
        That it had: a number between 0 and 1, or several of any shape.
    base
        Unit of the result; 2 gives bits.

    Returns
    -------
    float or Array
        At least 0; infinite for what had probability 0.

    Raises
    ------
    ValueError
        If a probability is not between 0 and 1.
    TypeError
        If it is no number.

    Examples
    --------
    >>> compute_shannon_information(0.25)
    2.0
    >>> compute_shannon_information([1.0, 0.5])
    tensor([0., 1.], dtype=torch.float64)
    """
    found = _token_probabilities("probability", probability)
    return _in_kind_of(probability, _surprisals(found, base))


def compute_perplexity(probabilities: Probabilities) -> Any:
    """Perplexity of a text, ``2 ** mean(-log2 p)`` over its tokens (Jelinek et al. 1977).

    Parameters
    ----------
    probabilities
        Of the tokens that came, shape ``[..., n]``: not a distribution.

    Returns
    -------
    float or Array
        Shape ``[...]``, at least 1; infinite where a token had probability 0.

    Raises
    ------
    ValueError
        If a probability is not between 0 and 1, or there is none.
    TypeError
        If they are no numbers.

    Examples
    --------
    >>> compute_perplexity([0.5, 0.125])
    4.0
    """
    found = _some("probabilities", _token_probabilities("probabilities", probabilities))
    return _in_kind_of(probabilities, perplexity(_surprisals(found, 2.0)))


def analyze_token_information(token_probabilities: Probabilities, base: float = 2.0) -> dict[str, Any]:
    """Analyse a text by the probabilities of its tokens.

    Parameters
    ----------
    token_probabilities
        One for each token, such as ``result["token_probabilities"]`` of
        :meth:`~itwidgets.ProbabilityExtractor.generate_with_probabilities`, which are those of `p`.
    base
        Unit of the information; 2 gives bits.

    Returns
    -------
    dict
        ``"surprisals"``
            List of ``-log p``, one for each token.
        ``"num_tokens"``
            How many there are.
        ``"total_information"``
            Sum of the surprisals.
        ``"mean_surprisal"``, ``"std_surprisal"``, ``"min_surprisal"``, ``"max_surprisal"``
            Over the tokens; the standard deviation is that of these tokens, ``sqrt(mean (I - mean I)**2)``.
        ``"standard_error"``
            Of the mean, taking the tokens for independent; NaN for a single one.
        ``"perplexity"``
            ``base ** mean_surprisal``, which is the same whatever the base.

    Raises
    ------
    ValueError
        If a probability is not between 0 and 1, there is none, or there is more than one row of them.
    TypeError
        If they are no numbers.

    Examples
    --------
    >>> found = analyze_token_information([0.5, 0.125])
    >>> found["surprisals"], found["num_tokens"], found["total_information"]
    ([1.0, 3.0], 2, 4.0)
    >>> found["mean_surprisal"], found["std_surprisal"], found["standard_error"]
    (2.0, 1.0, 1.0)
    >>> found["min_surprisal"], found["max_surprisal"], found["perplexity"]
    (1.0, 3.0, 4.0)
    """
    found = _some("token_probabilities", _token_probabilities("token_probabilities", token_probabilities))
    if found.ndim > 1:
        raise ValueError(
            f"token_probabilities has shape {tuple(found.shape)}, but must be one row of numbers"
        )
    surprisals = _surprisals(found, base)
    rate = cross_entropy_rate(surprisals)
    return {
        "surprisals": surprisals.tolist(),
        "num_tokens": len(surprisals),
        "total_information": float(surprisals.sum()),
        "mean_surprisal": float(rate.mean),
        "std_surprisal": float(surprisal_variance(surprisals)) ** 0.5,
        "standard_error": float(rate.standard_error),
        "min_surprisal": float(surprisals.min()),
        "max_surprisal": float(surprisals.max()),
        "perplexity": float(perplexity(_surprisals(found, 2.0))),
    }


def _plain(result: Any) -> Any:
    """Return one number as a float, and several as they are."""
    return result if result.ndim else float(result)


def _in_kind_of(values: Any, result: torch.Tensor) -> Any:
    """Return several numbers in the kind of what was given, and one as a float."""
    return _plain(like(values, result))


def _surprisals(probabilities: torch.Tensor, base: float) -> torch.Tensor:
    # From zero, so that what is certain has 0.0 and not -0.0.
    return (0 - probabilities.log()) / unit(base)


def _log_distribution(name: str, values: Any) -> Array:
    try:
        return check_distribution(_numbers(name, values))
    except ValueError as error:
        raise ValueError(f"{name} is no distribution: {error}") from None


def _token_probabilities(name: str, values: Any) -> torch.Tensor:
    """Return probabilities that need not sum to anything as a float64 tensor."""
    numbers = float64(_numbers(name, values))
    wrong = numbers[~((numbers >= 0) & (numbers <= 1 + _ROUNDING))]
    if len(wrong):
        raise ValueError(f"{name} has {float(wrong[0]):.7g}, but probabilities are numbers from 0 to 1")
    return numbers.clamp(max=1)


def _some(name: str, numbers: torch.Tensor) -> torch.Tensor:
    if not numbers.ndim or not numbers.numel():
        raise ValueError(
            f"{name} has shape {tuple(numbers.shape)}, but must have at least one probability a row"
        )
    return numbers


def _numbers(name: str, values: Any) -> Array:
    """Return an array as it is, and numbers and lists of them as a tensor."""
    if isinstance(values, torch.Tensor):
        is_numbers, given = not (values.is_complex() or values.dtype == torch.bool), values
    else:
        try:
            array = np.asarray(values)
        except (TypeError, ValueError):
            array = np.array(None)
        is_numbers = array.dtype.kind in "iuf"
        given = values if isinstance(values, np.ndarray) or not is_numbers else tensor(array)
    if not is_numbers:
        raise TypeError(
            f"{name} is {values!r:.80}, but must be numbers: a list with rows of one length, a numpy array "
            "or a tensor"
        )
    return given
