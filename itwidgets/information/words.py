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
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from itwidgets.information.kernel import Array, float64, in_kind, like, log_mass, mask_of, tensor, unit


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


@in_kind
def word_token_surprisals(
    log_p: Array, tokens: Array, starts: Array, ends: Array, *, base: float = 2.0
) -> torch.Tensor:
    """Surprisals of tokens, corrected so that they sum to those of words.

    The first token of a word takes the correction for how it begins, the last that for its end; a single one
    may be negative, its word's sum is not.

    Parameters
    ----------
    log_p
        Natural log-probabilities of normalised rows, shape ``[..., n + 1, V]``: row `t` is that which token
        `t` was drawn from, and the last one that after the last token, where the last word is taken to end.
        The row of a first token without context is NaN.
    tokens
        Token ids, shape ``[..., n]``.
    starts
        Which vocabulary ids begin a word, shape ``[V]``; see :func:`word_starts`.
    ends
        Which ids end or delimit a text, EOS above all, shape ``[V]``; after them a text begins.

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
    >>> log_p = torch.tensor([[0.0, 0.5, 0.5], [0.5, 0.25, 0.25]]).double().log()
    >>> starts, ends = torch.tensor([True, False, False]), torch.tensor([False, False, True])
    >>> round(float(word_token_surprisals(log_p, torch.tensor([1]), starts, ends)), 4)
    1.415
    """
    rows = float64(log_p)
    ids = _ids(tokens, rows)
    begin, end = _masks(starts, ends, rows)
    opens, opens_text = _openings(ids, begin, end)
    closes = torch.cat([opens[..., 1:], torch.ones_like(opens[..., :1])], -1) & ~end[ids]
    boundary = log_mass(rows, begin | end)
    spaceless = log_mass(rows[..., :-1, :], ~begin)
    opening = torch.where(opens_text & ~begin[ids], spaceless, boundary[..., :-1])
    log_tokens = rows[..., :-1, :].gather(-1, ids[..., None])[..., 0]
    corrected = log_tokens - torch.where(opens, opening, 0.0) + torch.where(closes, boundary[..., 1:], 0.0)
    return -corrected / unit(base)


def word_surprisals(
    log_p: Array, tokens: Array, starts: Array, ends: Array, *, base: float = 2.0
) -> WordSurprisals:
    """Surprisals of the words of one text, in context.

    Parameters
    ----------
    log_p, tokens, starts, ends
        As for :func:`word_token_surprisals`, with ``log_p`` of shape ``[n + 1, V]`` and ``tokens`` ``[n]``.

    Returns
    -------
    WordSurprisals
        In the kind of ``log_p``.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a token both begins a word and ends the text.

    Examples
    --------
    >>> log_p = torch.full((4, 3), 1 / 3).log()
    >>> starts, ends = torch.tensor([True, False, False]), torch.tensor([False, False, True])
    >>> words = word_surprisals(log_p, torch.tensor([1, 1, 0]), starts, ends)
    >>> words.first, words.stop
    (tensor([0, 2]), tensor([2, 3]))
    """
    rows = float64(log_p)
    ids = _ids(tokens, rows)
    if ids.ndim != 1:
        raise ValueError(f"the token ids have shape {tuple(ids.shape)}, but must be those of one text, [n]")
    corrected = word_token_surprisals(rows, ids, starts, ends, base=base)
    opens, _ = _openings(ids, *_masks(starts, ends, rows))
    first = opens.nonzero()[:, 0]
    stop = torch.cat([first[1:], first.new_full((min(len(ids), 1),), len(ids))])
    sums = torch.zeros_like(first, dtype=torch.float64).index_add(0, opens.cumsum(0) - 1, corrected)
    return WordSurprisals(*(like(log_p, part) for part in (sums, first, stop)))


def _ids(tokens: Array, rows: torch.Tensor) -> torch.Tensor:
    ids = tensor(tokens).to(rows.device)
    expected = (*rows.shape[:-2], rows.shape[-2] - 1) if rows.ndim > 1 else None
    if ids.is_floating_point() or tuple(ids.shape) != expected:
        raise ValueError(
            f"the token ids have shape {tuple(ids.shape)} and dtype {ids.dtype} and the rows have shape "
            f"{tuple(rows.shape)}, but must be whole numbers of shape [..., n] and rows of [..., n + 1, V]"
        )
    return ids.long()


def _masks(starts: Array, ends: Array, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    begin, end = mask_of(starts, rows), mask_of(ends, rows)
    both = (begin & end).nonzero()
    if len(both):
        raise ValueError(f"token {int(both[0, 0])} both begins a word and ends the text, but can do only one")
    return begin, end


def _openings(ids: torch.Tensor, begin: torch.Tensor, end: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Whether each token opens a unit, and whether it opens a text."""
    opens_text = torch.ones_like(ids, dtype=torch.bool)
    opens_text[..., 1:] = end[ids[..., :-1]]
    return begin[ids] | end[ids] | opens_text, opens_text
