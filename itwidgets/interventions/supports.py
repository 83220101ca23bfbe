"""Supports: which tokens may come at all. What is left keeps its proportions.

A support `A` makes of `p` the distribution nearest to it that lives on `A` (Csiszár 1975): the row costs
``KL(q || p) = -log2 p(A)`` bits, and so does every token that is drawn from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch

from itwidgets.interventions.operators import Operator, excluding, ids_in_row
from itwidgets.interventions.parameters import check_whole, checked_ids
from itwidgets.interventions.step import Step, Vocabulary


@dataclass(frozen=True)
class Ban(Operator):
    """Exclude tokens.

    Parameters
    ----------
    token_ids
        Ids that must not come.

    Examples
    --------
    >>> Ban([0])(Step(0, [1], 1), torch.zeros(3))
    tensor([-inf, 0., 0.])
    """

    token_ids: Sequence[int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "token_ids", checked_ids("token_ids", self.token_ids))

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row without the banned tokens."""
        if not self.token_ids:
            return scores
        return scores.index_fill(0, ids_in_row(self.token_ids, scores), -torch.inf)


@dataclass(frozen=True)
class Only(Operator):
    """Exclude all tokens but some.

    Parameters
    ----------
    token_ids
        Ids that may come, one at least.

    Raises
    ------
    ValueError
        When there is none.

    Examples
    --------
    >>> Only([0, 2])(Step(0, [1], 1), torch.tensor([1.0, 5.0, 2.0]))
    tensor([1., -inf, 2.])
    """

    token_ids: Sequence[int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "token_ids", checked_ids("token_ids", self.token_ids))
        _require_tokens(self.token_ids)

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row with these tokens alone."""
        return only(self.token_ids, scores)


@dataclass(frozen=True)
class Force(Operator):
    """Let one token come; it costs its surprisal.

    Within :class:`~itwidgets.interventions.At` it forces a token at some positions. A token that was
    excluded before cannot be forced.

    Examples
    --------
    >>> from itwidgets.interventions import At
    >>> At([0], Force(2)).then.is_deterministic
    True
    """

    token_id: int

    def __post_init__(self) -> None:
        check_whole("token_id", self.token_id, least=0)
        object.__setattr__(self, "token_id", int(self.token_id))

    @property
    def is_deterministic(self) -> bool:
        """It leaves one token."""
        return True

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row with the token alone."""
        return only([self.token_id], scores)


@dataclass(frozen=True)
class ForceText(Operator):
    """Let the tokens of a text come one after another from a position on, and leave the row elsewhere.

    Parameters
    ----------
    token_ids
        Of the text, one at least.
    start
        Position of the first among the new tokens; 0 is the first after the prompt.

    Raises
    ------
    ValueError
        When there is no token, or ``start`` is no position.

    Examples
    --------
    >>> text = ForceText([2, 0], start=5)
    >>> text(Step(6, range(7), 1), torch.zeros(3))
    tensor([0., -inf, -inf])
    >>> text(Step(7, range(8), 1), torch.zeros(3))
    tensor([0., 0., 0.])
    """

    token_ids: Sequence[int]
    start: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "token_ids", checked_ids("token_ids", self.token_ids))
        _require_tokens(self.token_ids)
        check_whole("start", self.start, least=0)

    @classmethod
    def spelling(cls, text: str, vocabulary: Vocabulary, start: int = 0) -> Self:
        """Force the tokens into which a vocabulary takes a text that goes on from another."""
        return cls(vocabulary.token_ids(text), start)

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row with the token of this position alone, or the row."""
        index = step.position - self.start
        if not 0 <= index < len(self.token_ids):
            return scores
        return only([self.token_ids[index]], scores)


def only(token_ids: Sequence[int], scores: torch.Tensor) -> torch.Tensor:
    """Return scores with ``-inf`` for all tokens but some."""
    excluded = torch.ones_like(scores, dtype=torch.bool)
    return excluding(scores, excluded.index_fill_(0, ids_in_row(token_ids, scores), value=False))


def _require_tokens(token_ids: Sequence[int]) -> None:
    if not token_ids:
        raise ValueError("token_ids is empty, but must name at least one token")
