"""Entropy of the next word, from rows over tokens.

What is open about a word before it comes is its contextual entropy, ``H(W | c) = sum p(w | c) I(w | c)`` over
all words and the end of the text (Pimentel et al. 2023, "On the effect of anticipation on reading times"),
with the probabilities of :mod:`~itwidgets.information.words`. There are endlessly many words of several
tokens, so no single row says it. By the chain rule it has two parts,

``H(W | c) = H(first token | c) + sum over begun words v of p(v | c) H(how v goes on | c, v)``.

:func:`contextual_entropy` is the first part, and so a lower bound of the whole. :func:`continuation_entropy`
is the last factor: along a word that was sampled from the model, the former at its start and the latter
after each of its tokens add up, on average, to ``H(W | c)``. So do the surprisals of sampled words
(:func:`~itwidgets.information.predictive_entropy`), with more variance.
"""

from __future__ import annotations

import torch

from itwidgets.information.kernel import Array, float64, in_kind, mask_of, moments, unit
from itwidgets.information.words import word_boundaries


@in_kind
def contextual_entropy(log_p: Array, starts: Array, ends: Array, *, base: float = 2.0) -> torch.Tensor:
    """Entropy of the first token of the next word, or the end of the text, where one of them has to come.

    It is a lower bound of the entropy of the word.

    Parameters
    ----------
    log_p
        Natural log-probabilities of rows after whole words, shape ``[..., V]``.
    starts, ends
        Which ids begin a word, and which end a text, as for
        :func:`~itwidgets.information.word_boundaries`. For the first word of a text in byte-level BPE,
        ``starts`` are the ids that do not begin one elsewhere.

    Returns
    -------
    Array
        Shape ``[...]``; NaN where neither is possible.

    Raises
    ------
    ValueError
        If a mask does not fit the vocabulary.

    Examples
    --------
    >>> starts, ends = torch.tensor([True, True, False, False]), torch.tensor([False, False, False, True])
    >>> log_p = torch.tensor([0.25, 0.125, 0.5, 0.125]).log()
    >>> round(float(contextual_entropy(log_p, starts, ends)), 6)
    1.5
    """
    rows = float64(log_p)
    begins = mask_of(starts, rows) | mask_of(ends, rows)
    return moments(rows.masked_fill(~begins, -torch.inf))[1] / unit(base)


@in_kind
def continuation_entropy(log_p: Array, starts: Array, ends: Array, *, base: float = 2.0) -> torch.Tensor:
    """Entropy of how a begun word goes on: by which token, or that it ends, whatever comes then.

    Parameters
    ----------
    log_p
        Natural log-probabilities of rows within words, shape ``[..., V]``.
    starts, ends
        As for :func:`contextual_entropy`.

    Returns
    -------
    Array
        Shape ``[...]``.

    Raises
    ------
    ValueError
        If a mask does not fit the vocabulary, or a token both begins a word and ends the text.

    Examples
    --------
    >>> starts, ends = torch.tensor([True, True, False, False]), torch.tensor([False, False, False, True])
    >>> log_p = torch.tensor([0.25, 0.125, 0.5, 0.125]).log()
    >>> round(float(continuation_entropy(log_p, starts, ends)), 6)
    1.0
    """
    rows = float64(log_p)
    ended = word_boundaries(rows, starts, ends).boundary
    begins = mask_of(starts, rows) | mask_of(ends, rows)
    outcomes = torch.cat([rows.masked_fill(begins, -torch.inf), float64(ended)[..., None]], -1)
    return moments(outcomes)[1] / unit(base)
