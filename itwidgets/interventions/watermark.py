"""The green-list watermark of Kirchenbauer et al. (2023), and the test that finds it in a text."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from itwidgets.interventions.operators import Operator
from itwidgets.interventions.parameters import check_choice, check_number, check_whole, is_whole
from itwidgets.interventions.step import Step

TABLE_SIZE = 1_000_003
"""Tokens are hashed by a permutation of so many numbers."""

CANDIDATES = 40
"""How many of the best tokens ``"selfhash"`` looks at, since each has a green list of its own."""


@dataclass(frozen=True)
class Detection:
    """What speaks for a watermark in a text.

    Attributes
    ----------
    scored
        How many tokens were looked at.
    green
        How many of them are green.
    green_fraction
        Share of them that is green.
    z_score
        Standard deviations that ``green`` lies above what is expected without a watermark,
        ``(green - g * n) / sqrt(n * g * (1 - g))`` with `g` the share of green tokens in the vocabulary.
    p_value
        How probable at least as great a score is without a watermark, by the normal distribution.
    """

    scored: int
    green: int
    green_fraction: float
    z_score: float
    p_value: float


@dataclass(frozen=True)
class Watermark(Operator):
    """Add nats to the green part of the vocabulary, which the text so far picks (Kirchenbauer et al. 2023).

    As in transformers on the CPU, to the bit, whatever the device of the scores.

    Parameters
    ----------
    green_fraction
        Share of the vocabulary that is green, between 0 and 1.
    nats
        What is added to the scores of green tokens.
    key
        Secret of whoever marks: another key gives other green lists.
    scheme
        ``"lefthash"``: the token before picks the green list (algorithm 2 of the paper). ``"selfhash"``:
        the token itself and those before it do, so that each of the 40 best tokens is asked whether it is
        green (algorithm 3).
    context_width
        How many tokens ``"selfhash"`` hashes, the new one among them; while the text has fewer, nothing is
        marked.

    Raises
    ------
    ValueError
        When a parameter is none that is accepted.

    Examples
    --------
    >>> mark = Watermark(green_fraction=0.5, nats=1.0)
    >>> mark(Step(0, [3], 1), torch.zeros(6)).sum()
    tensor(3.)
    """

    green_fraction: float = 0.25
    nats: float = 2.0
    key: int = 15485863
    scheme: str = "lefthash"
    context_width: int = 1

    def __post_init__(self) -> None:
        accepted = "between 0 and 1, and neither"
        check_number("green_fraction", self.green_fraction, lambda g: 0 < g < 1, accepted)
        check_number("nats", self.nats, math.isfinite, "a finite number")
        accepted = "a whole number from 1 to 2⁶³ - 1"
        check_number("key", self.key, lambda key: is_whole(key) and 0 < key < 2**63, accepted)
        check_choice("scheme", self.scheme, ("lefthash", "selfhash"))
        check_whole("context_width", self.context_width, least=1)

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row with green tokens favoured."""
        if len(step.token_ids) < self.context_width:
            return scores
        before = tuple(step.token_ids[-self.context_width :])
        if self.scheme == "lefthash":
            green = self.green_ids(before, len(scores))
        else:
            best = scores.sort(descending=True).indices[:CANDIDATES].tolist()
            chosen = [i for i in best if self.is_green((*before, i), len(scores))]
            green = torch.tensor(chosen, dtype=torch.int64)
        ids = green.to(scores.device)
        return scores.index_copy(0, ids, scores[ids] + self.nats)

    def green_ids(self, token_ids: Sequence[int], vocabulary_size: int) -> torch.Tensor:
        """Return the green list that the last of some tokens pick.

        Parameters
        ----------
        token_ids
            The text before a token; with ``"selfhash"``, the token itself too.
        vocabulary_size
            Number of scores in a row of the model.

        Returns
        -------
        torch.Tensor
            Int64, on the CPU, in no order.
        """
        generator = torch.Generator().manual_seed(self._seed(token_ids) % (2**64 - 1))
        permutation = torch.randperm(vocabulary_size, generator=generator)
        return permutation[: int(vocabulary_size * self.green_fraction)]

    def is_green(self, token_ids: Sequence[int], vocabulary_size: int) -> bool:
        """Whether the last of some tokens is green after those before it."""
        own = 1 if self.scheme == "selfhash" else 0
        before = token_ids[: len(token_ids) - 1 + own]
        return bool((self.green_ids(before, vocabulary_size) == token_ids[-1]).any())

    def detect(self, token_ids: Sequence[int], vocabulary_size: int, *, once_each: bool = False) -> Detection:
        """Test a text for this watermark: the more green tokens, the less it looks like chance.

        Parameters
        ----------
        token_ids
            The text without its prompt and without a token that begins every text.
        vocabulary_size
            Number of scores in a row of the model that may have made it.
        once_each
            Whether to count tokens that repeat after the same context once.

        Raises
        ------
        ValueError
            When the text is too short for one token to have its context.

        Examples
        --------
        >>> mark = Watermark(nats=100.0)
        >>> text = [7]
        >>> for position in range(20):
        ...     text.append(int(mark(Step(position, text, 1), torch.zeros(50)).argmax()))
        >>> found = mark.detect(text, 50)
        >>> found.green, found.scored, round(found.z_score, 2), found.p_value < 1e-10
        (20, 20, 7.75, True)
        """
        check_whole("vocabulary_size", vocabulary_size, least=2)
        width = self.context_width + (self.scheme == "lefthash")
        if len(token_ids) <= self.context_width:
            raise ValueError(
                f"the text has {len(token_ids)} tokens, but at least {self.context_width + 1} are needed "
                f"to test one after a context of {self.context_width}"
            )
        ids = tuple(int(i) for i in token_ids)
        windows = [ids[at : at + width] for at in range(len(ids) - width + 1)]
        hits = {window: self.is_green(window, vocabulary_size) for window in set(windows)}
        counted = list(hits) if once_each else windows
        return self._detection(len(counted), sum(hits[window] for window in counted))

    def _detection(self, scored: int, green: int) -> Detection:
        share = self.green_fraction
        z_score = (green - share * scored) / math.sqrt(scored * share * (1 - share))
        return Detection(scored, green, green / scored, z_score, 0.5 * math.erfc(z_score / math.sqrt(2)))

    def _seed(self, token_ids: Sequence[int]) -> int:
        """Return what the last tokens hash to, as transformers has it."""
        if self.scheme == "lefthash":
            return self.key * token_ids[-1]
        table = _table(self.key)
        hashed = table[torch.tensor(token_ids[-self.context_width :]) % TABLE_SIZE] + 1
        # The product is meant to run over: the seed is what is left in 64 bits.
        return int((self.key * hashed * hashed[-1]).min())


@functools.lru_cache(maxsize=4)
def _table(key: int) -> torch.Tensor:
    return torch.randperm(TABLE_SIZE, generator=torch.Generator().manual_seed(key))
