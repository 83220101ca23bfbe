"""Surprisal of words, exact for tokenizers that write the space before a word into its first token.

Only the token after a word says whether the word has ended. So the surprisals of its tokens do not add up
to that of the word: the probability that it ends belongs to it, and not to the word that follows (Pimentel
and Meister 2024, "How to compute the probability of a word"; Oh and Schuler 2024). With ``B`` the tokens that
begin a word or end the text,

``log p(w | c) = sum log p(tokens of w) + log P(B | c, w) - log P(B | c)``.

The first word of a text has no space in byte-level BPE: there the last term is the probability of all
tokens that do not begin a word, the end of the text among them. Tokens that end a text are units of their
own, of ``log p(end | c) - log P(B | c)``. So after every context the probabilities of words and of the end of
the text sum to 1.

A word is all that follows its whitespace up to the next whitespace, punctuation included.

Of each row two numbers are needed, :func:`word_boundaries`. Who keeps those with the surprisals goes on with
:func:`corrected_surprisals` and :func:`sum_over_words`; :func:`word_surprisals` does all in one go.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from itwidgets.information.kernel import (
    TINY,
    Array,
    at,
    beside,
    float64,
    in_kind,
    like,
    log_mass,
    mask_of,
    tensor,
    token_ids,
    unit,
)


class WordBoundaries(NamedTuple):
    """What a row says of the boundaries of words, natural log-probabilities, each of shape ``[...]``.

    Attributes
    ----------
    boundary
        That a word ends here, ``log P(B)``: the next token begins a word or ends the text.
    spaceless
        That the next token does not begin a word, as the first of a text in byte-level BPE.
    """

    boundary: Array
    spaceless: Array


class WordSurprisals(NamedTuple):
    """Surprisals of the words of one text, each part of shape ``[W]``.

    Attributes
    ----------
    surprisal
        Of each word; NaN where its first token has no context.
    first, stop
        Its tokens are those at ``first`` up to and without ``stop``.
    """

    surprisal: Array
    first: Array
    stop: Array


def word_starts(token_bytes: Sequence[bytes | None], specials: Collection[int] = ()) -> npt.NDArray[np.bool_]:
    r"""Mask of the vocabulary ids that begin a word: those whose text begins with whitespace.

    Parameters
    ----------
    token_bytes
        The text of each id as UTF-8 bytes, in which a space is a space, whether the tokenizer writes it as
        ``Ġ`` (byte-level BPE) or as ``▁`` (SentencePiece); None for ids without a text.
    specials
        Ids of special tokens, which begin no word whatever their text.

    Returns
    -------
    numpy.ndarray
        Truth values, shape ``[V]``.

    Raises
    ------
    TypeError
        If the text of a token is not bytes.

    Examples
    --------
    >>> word_starts([b"</s>", b" the", b"re", b"\n"], specials=[0]).tolist()
    [False, True, False, True]
    """
    for index, token in enumerate(token_bytes):
        if token is not None and not isinstance(token, bytes):
            raise TypeError(f"the text of token {index} is {token!r}, but must be bytes or None")
    # A token may hold a part of a character, which is no whitespace.
    begins = [token is not None and token.decode("utf-8", "replace")[:1].isspace() for token in token_bytes]
    mask = np.array(begins, dtype=np.bool_)
    mask[list(specials)] = False
    return mask


def word_boundaries(log_p: Array, starts: Array, ends: Array) -> WordBoundaries:
    """Log-probabilities that a word ends before the next token, and that none begins with it.

    Parameters
    ----------
    log_p
        Natural log-probabilities of normalised rows, shape ``[..., V]``.
    starts
        Which vocabulary ids begin a word, shape ``[V]``; see :func:`word_starts`.
    ends
        Which ids end or delimit a text, EOS above all, shape ``[V]``; after them a text begins.

    Returns
    -------
    WordBoundaries
        In the kind of ``log_p``.

    Raises
    ------
    ValueError
        If a mask does not fit the vocabulary, or a token both begins a word and ends the text.

    Examples
    --------
    >>> starts, ends = torch.tensor([True, False, False]), torch.tensor([False, False, True])
    >>> found = word_boundaries(torch.tensor([0.5, 0.25, 0.25]).log(), starts, ends)
    >>> round(float(found.boundary.exp()), 6), round(float(found.spaceless.exp()), 6)
    (0.75, 0.5)
    """
    rows = float64(log_p)
    begin, end = _masks(starts, ends, rows.device)
    mask_of(begin, rows)
    classes = torch.stack([begin, end, ~(begin | end)], -1).double()
    # Row by row: several rows of a large vocabulary do not fit the processor's caches.
    flat = rows.reshape(-1, rows.shape[-1])
    begins, ends_text, goes_on = torch.stack([row.exp() @ classes for row in flat]).unbind(-1)
    masses = [
        _log_mass(flat, begin | end, begins + ends_text, goes_on),
        _log_mass(flat, ~begin, ends_text + goes_on, begins),
    ]
    return WordBoundaries(*(like(log_p, mass.reshape(rows.shape[:-1])) for mass in masses))


@in_kind
def corrected_surprisals(
    surprisals: Array,
    boundaries: WordBoundaries,
    tokens: Array,
    starts: Array,
    ends: Array,
    *,
    base: float = 2.0,
) -> torch.Tensor:
    """Surprisals of tokens, corrected so that they sum to those of words.

    The first token of a word takes the correction for how it begins, the last that for its end; a single one
    may be negative, its word's sum is not.

    Parameters
    ----------
    surprisals
        Of the tokens, in the unit of ``base``, shape ``[..., n]``; NaN for a first token without context.
    boundaries
        Of the rows that the tokens were drawn from and of the one after the last token, where the last word
        is taken to end, shape ``[..., n + 1]``.
    tokens
        Token ids, shape ``[..., n]``.
    starts, ends
        As for :func:`word_boundaries`.

    Returns
    -------
    Array
        Shape ``[..., n]``.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a token both begins a word and ends the text.

    Examples
    --------
    >>> starts, ends = torch.tensor([True, False, False]), torch.tensor([False, False, True])
    >>> boundaries = word_boundaries(torch.tensor([[0.0, 0.5, 0.5], [0.5, 0.25, 0.25]]).log(), starts, ends)
    >>> bits = corrected_surprisals(torch.tensor([1.0]), boundaries, torch.tensor([1]), starts, ends)
    >>> round(float(bits), 4)
    1.415
    """
    plain = float64(surprisals)
    ids = token_ids(tokens, plain[..., None])
    boundary, spaceless = (beside(part, plain) for part in boundaries)
    if boundary.shape != (*plain.shape[:-1], plain.shape[-1] + 1):
        raise ValueError(
            f"the boundaries have shape {tuple(boundary.shape)} and the surprisals {tuple(plain.shape)}, but "
            "there must be one boundary more along the last axis"
        )
    begin, end = _masks(starts, ends, plain.device)
    opens, opens_text = _openings(ids, begin, end)
    closes = torch.cat([opens[..., 1:], torch.ones_like(opens[..., :1])], -1) & ~end[ids]
    opening = torch.where(opens_text & ~begin[ids], spaceless[..., :-1], boundary[..., :-1])
    correction = torch.where(opens, opening, 0.0) - torch.where(closes, boundary[..., 1:], 0.0)
    return plain + correction / unit(base)


def sum_over_words(surprisals: Array, tokens: Array, starts: Array, ends: Array) -> WordSurprisals:
    """Words of one text, and the sum of the corrected surprisals of each.

    Parameters
    ----------
    surprisals
        From :func:`corrected_surprisals`, shape ``[n]``.
    tokens, starts, ends
        As there.

    Returns
    -------
    WordSurprisals
        In the kind and unit of ``surprisals``.

    Examples
    --------
    >>> starts, ends = torch.tensor([True, False, False]), torch.tensor([False, False, True])
    >>> words = sum_over_words(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1, 1, 0]), starts, ends)
    >>> words.surprisal, words.first
    (tensor([3., 4.], dtype=torch.float64), tensor([0, 2]))
    """
    parts = float64(surprisals)
    ids = token_ids(tokens, parts[..., None])
    if ids.ndim != 1:
        raise ValueError(f"the token ids have shape {tuple(ids.shape)}, but must be those of one text, [n]")
    opens, _ = _openings(ids, *_masks(starts, ends, parts.device))
    first = opens.nonzero()[:, 0]
    stop = torch.cat([first[1:], first.new_full((min(len(ids), 1),), len(ids))])
    sums = torch.zeros_like(first, dtype=torch.float64).index_add(0, opens.cumsum(0) - 1, parts)
    return WordSurprisals(*(like(surprisals, part) for part in (sums, first, stop)))


def word_surprisals(
    log_p: Array, tokens: Array, starts: Array, ends: Array, *, base: float = 2.0
) -> WordSurprisals:
    """Surprisals of the words of one text, in context, from whole rows.

    Parameters
    ----------
    log_p
        Natural log-probabilities of normalised rows, shape ``[n + 1, V]``: row `t` is that which token `t`
        was drawn from, and the last one that after the last token, where the last word is taken to end. The
        row of a first token without context is NaN.
    tokens
        Token ids, shape ``[n]``.
    starts, ends
        As for :func:`word_boundaries`.

    Returns
    -------
    WordSurprisals
        In the kind of ``log_p``.

    Examples
    --------
    >>> log_p = torch.full((4, 3), 1 / 3).log()
    >>> starts, ends = torch.tensor([True, False, False]), torch.tensor([False, False, True])
    >>> words = word_surprisals(log_p, torch.tensor([1, 1, 0]), starts, ends)
    >>> words.first, words.stop
    (tensor([0, 2]), tensor([2, 3]))
    """
    rows = float64(log_p)
    ids = tensor(tokens)
    if rows.ndim != 2 or ids.shape != (len(rows) - 1,):
        raise ValueError(
            f"the rows have shape {tuple(rows.shape)} and the token ids {tuple(ids.shape)}, but must be "
            "those of one text, [n + 1, V] and [n]"
        )
    boundaries = word_boundaries(rows, starts, ends)
    plain = -at(rows[:-1], ids) / unit(base)
    corrected = corrected_surprisals(plain, boundaries, ids, starts, ends, base=base)
    return WordSurprisals(
        *(like(log_p, tensor(part)) for part in sum_over_words(corrected, ids, starts, ends))
    )


def _log_mass(
    rows: torch.Tensor, mask: torch.Tensor, inside: torch.Tensor, outside: torch.Tensor
) -> torch.Tensor:
    """Log of the mass within a mask, from the masses within it and without."""
    if bool((inside < TINY).any()):
        # What underflows as a probability still has a logarithm.
        return torch.stack([log_mass(row, mask) for row in rows])
    return torch.where(outside < 0.5, torch.log1p(-outside), inside.log())


def _masks(starts: Array, ends: Array, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    begin, end = (tensor(mask).to(device) for mask in (starts, ends))
    for mask in (begin, end):
        mask_of(mask, begin)
    both = (begin & end).nonzero()
    if len(both):
        raise ValueError(f"token {int(both[0, 0])} both begins a word and ends the text, but can do only one")
    return begin, end


def _openings(ids: torch.Tensor, begin: torch.Tensor, end: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Whether each token opens a unit, and whether it opens a text."""
    opens_text = torch.ones_like(ids, dtype=torch.bool)
    opens_text[..., 1:] = end[ids[..., :-1]]
    return begin[ids] | end[ids] | opens_text, opens_text
