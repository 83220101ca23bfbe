"""Penalties: scores that are lowered for what the text has already, as folds over its tokens."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from itwidgets.interventions.operators import Operator
from itwidgets.interventions.parameters import check_number, check_whole, checked_ids
from itwidgets.interventions.step import Step
from itwidgets.interventions.supports import Ban

LONGEST_MATCH = 50
"""Tokens that a repetition is followed back by: its penalty is beyond any score long before."""


@dataclass(frozen=True)
class Repetition(Operator):
    """Divide the positive scores of tokens that the text has by ``penalty``, and multiply the negative ones.

    As in transformers, to the bit (Keskar et al. 2019). It depends on the scale of the model's own scores,
    which softmax does not know of: shifted scores are penalised otherwise.

    Parameters
    ----------
    penalty
        Above 0; 1 changes nothing, more than 1 makes repetition less probable.
    include_prompt
        Whether tokens of the prompt count.

    Examples
    --------
    >>> Repetition(2.0)(Step(1, [0, 2], 1), torch.tensor([3.0, 3.0, -1.0]))
    tensor([ 1.5000,  3.0000, -2.0000])
    """

    penalty: float
    include_prompt: bool = True

    def __post_init__(self) -> None:
        check_number("penalty", self.penalty, lambda p: 0 < p < math.inf, "above 0")

    @property
    def is_shift_invariant(self) -> bool:
        """It is not: the sign of a score decides."""
        return False

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row with repeated tokens penalised."""
        seen = list(_counted(step, scores, self.include_prompt))
        if self.penalty == 1 or not seen:
            return scores
        ids = torch.tensor(seen, device=scores.device)
        values = scores[ids]
        values = torch.where(values < 0, values * self.penalty, values / self.penalty)
        return scores.index_copy(0, ids, values)


@dataclass(frozen=True)
class Presence(Operator):
    """Subtract nats from the scores of tokens that the text has, however often (OpenAI API).

    Parameters
    ----------
    nats
        What is subtracted; a negative number invites repetition.
    include_prompt
        Whether tokens of the prompt count.
    """

    nats: float
    include_prompt: bool = False

    def __post_init__(self) -> None:
        check_number("nats", self.nats, math.isfinite, "a finite number")

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row with repeated tokens penalised."""
        counts = _counted(step, scores, self.include_prompt)
        return _lowered(scores, dict.fromkeys(counts, float(self.nats)))


@dataclass(frozen=True)
class Frequency(Operator):
    """Subtract nats from the scores of tokens for each time that the text has them (OpenAI API).

    Parameters
    ----------
    nats
        What is subtracted for each occurrence; a negative number invites repetition.
    include_prompt
        Whether tokens of the prompt count.

    Examples
    --------
    >>> Frequency(0.5)(Step(3, [0, 2, 2, 1], 1), torch.zeros(3))
    tensor([ 0.0000, -0.5000, -1.0000])
    """

    nats: float
    include_prompt: bool = False

    def __post_init__(self) -> None:
        check_number("nats", self.nats, math.isfinite, "a finite number")

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row with repeated tokens penalised."""
        counts = _counted(step, scores, self.include_prompt)
        return _lowered(scores, {token: self.nats * count for token, count in counts.items()})


@dataclass(frozen=True)
class NoRepeatNGram(Operator):
    """Exclude tokens that would make `n` tokens in a row come a second time; the prompt counts.

    As in transformers (Paulus, Xiong and Socher 2018).

    Parameters
    ----------
    n
        At least 1, by which no token comes twice.

    Examples
    --------
    >>> NoRepeatNGram(2)(Step(3, [0, 1, 2, 0], 1), torch.zeros(3))
    tensor([0., -inf, 0.])
    """

    n: int

    def __post_init__(self) -> None:
        check_whole("n", self.n, least=1)

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row without the tokens that would repeat."""
        ids = np.asarray(step.token_ids, np.int64)
        if len(ids) < self.n:
            return scores
        windows = np.lib.stride_tricks.sliding_window_view(ids, self.n)
        start = windows[:, :-1] == ids[len(ids) - self.n + 1 :]
        repeated = set(windows[start.all(1), -1].tolist())
        return Ban(sorted(i for i in repeated if i < len(scores)))(step, scores)


@dataclass(frozen=True)
class DRY(Operator):
    """Penalise tokens that would prolong a repetition, the more the longer it is.

    "Don't repeat yourself" (p-e-w 2024): a token that, somewhere before, followed the last `m` tokens of the
    text, `m` as large as possible, loses ``nats * base ** (m - allowed_length)`` if `m` is at least
    ``allowed_length``, and at most the greatest number of the row's dtype.

    Parameters
    ----------
    nats
        What is subtracted for the shortest repetition, at least 0.
    base
        At least 1.
    allowed_length
        Tokens that may be repeated without a penalty for the next one, counted from 1.
    breakers
        Ids that repetitions are not followed across, such as those of line breaks and quotation marks.

    Examples
    --------
    >>> DRY(nats=1.0, base=2.0, allowed_length=1)(Step(4, [0, 1, 2, 0, 1], 1), torch.zeros(3))
    tensor([ 0.,  0., -2.])
    """

    nats: float = 0.8
    base: float = 1.75
    allowed_length: int = 2
    breakers: Sequence[int] = ()

    def __post_init__(self) -> None:
        check_number("nats", self.nats, lambda nats: 0 <= nats < math.inf, "at least 0")
        check_number("base", self.base, lambda base: 1 <= base < math.inf, "at least 1")
        check_whole("allowed_length", self.allowed_length, least=1)
        object.__setattr__(self, "breakers", checked_ids("breakers", self.breakers))

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row with what prolongs repetitions penalised."""
        lengths = self._match_lengths(step.token_ids)
        # Not infinity, of which the row can have none.
        most = torch.finfo(scores.dtype).max
        return _lowered(
            scores,
            {
                token: min(self.nats * self._growth(length), most)
                for token, length in lengths.items()
                if length >= self.allowed_length and token < len(scores)
            },
        )

    def _growth(self, length: int) -> float:
        try:
            return float(self.base ** (length - self.allowed_length))
        except OverflowError:
            return sys.float_info.max

    def _match_lengths(self, token_ids: Sequence[int]) -> dict[int, int]:
        """Return how many of the last tokens came before, by the token that followed them there."""
        ids, breakers = [int(i) for i in token_ids], frozenset(self.breakers)
        lengths: dict[int, int] = {}
        ends = np.flatnonzero(np.asarray(ids[:-1], np.int64) == ids[-1]).tolist() if ids else []
        for end in ends:
            follower, length = ids[end + 1], 0
            while length < min(LONGEST_MATCH, end + 1) and ids[end - length] == ids[-1 - length]:
                if ids[end - length] in breakers:
                    break
                length += 1
            if length and follower not in breakers:
                lengths[follower] = max(length, lengths.get(follower, 0))
        return lengths


@dataclass(frozen=True)
class MinNewTokens(Operator):
    """Exclude the tokens that end a text until it has some new ones, as in transformers.

    Parameters
    ----------
    count
        How many new tokens there must be before the text may end.
    token_ids
        Ids that end it.
    """

    count: int
    token_ids: Sequence[int]

    def __post_init__(self) -> None:
        check_whole("count", self.count, least=0)
        object.__setattr__(self, "token_ids", checked_ids("token_ids", self.token_ids))

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row without the end, or the row."""
        return Ban(self.token_ids)(step, scores) if step.position < self.count else scores


def _counted(step: Step, scores: torch.Tensor, include_prompt: bool) -> Counter[int]:
    """Return how often the text has each token; those that the row does not have cannot come again."""
    ids = step.token_ids if include_prompt else step.new_ids
    return Counter(i for i in ids if i < len(scores))


def _lowered(scores: torch.Tensor, nats: dict[int, float]) -> torch.Tensor:
    """Return scores less what is to be subtracted of some tokens."""
    if not any(nats.values()):
        return scores
    ids = torch.tensor(list(nats), device=scores.device)
    before = scores[ids]
    lowered = before - torch.tensor(list(nats.values()), dtype=scores.dtype, device=scores.device)
    # A penalty excludes nothing that was not excluded before.
    least = torch.finfo(scores.dtype).min
    return scores.index_copy(0, ids, torch.where(before == -torch.inf, before, lowered.clamp_min(least)))
