"""What an operator may know of the place that a row of scores stands in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol, TypeVar

import torch

_Value = TypeVar("_Value")


class Vocabulary(Protocol):
    """What operators need of a tokenizer; :class:`itwidgets.tree.Vocabulary` is one."""

    def __len__(self) -> int: ...

    def token_bytes(self, token_id: int) -> bytes:
        """Return the exact bytes of one token."""
        ...

    def text(self, token_ids: Sequence[int]) -> str:
        """Return the text that tokens spell together."""
        ...

    def token_ids(self, tokens: int | str | Sequence[int]) -> list[int]:
        """Return the tokens of a text that goes on from another, or ids as they are."""
        ...


class _Columns(Mapping[str, _Value]):
    """What is read of each column of a table, once, when it is first asked for."""

    def __init__(
        self, table: Mapping[str, Sequence[float]], read: Callable[[Sequence[float]], _Value]
    ) -> None:
        self._table = table
        self._read = read
        self._known: dict[str, _Value] = {}

    def __getitem__(self, name: str) -> _Value:
        if name not in self._known:
            self._known[name] = self._read(self._table[name])
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)


@dataclass(frozen=True)
class Step:
    """Where in the text a row of scores stands.

    Parameters
    ----------
    position
        Of the token to be drawn; 0 is the first new token after the prompt.
    token_ids
        All tokens before it, prompt included.
    prompt_length
        How many of them are the prompt.
    scores
        Raw scores of `p`, shape ``[V]``, untouched by any operator; None where they are not known.
    vocabulary
        Says which text tokens spell; None where there is no tokenizer.
    past
        Figures of the new tokens before this one, by the names of the token table's columns, such as
        ``"surprisal"``, ``"entropy"`` and ``"surprisal_s"``: one number a token.
    came
        Figures of the token that came here; at steps of the past alone, see :meth:`before`.

    Examples
    --------
    >>> step = Step(2, [5, 6, 7], 1, past={"surprisal": [1.5, 0.25]})
    >>> step.new_ids, step.figures("surprisal"), step.before(1).new_ids
    ([6, 7], [1.5, 0.25], [6])
    """

    position: int
    token_ids: Sequence[int]
    prompt_length: int
    scores: torch.Tensor | None = field(default=None, repr=False, compare=False)
    vocabulary: Vocabulary | None = field(default=None, repr=False, compare=False)
    past: Mapping[str, Sequence[float]] = field(default_factory=dict, repr=False, compare=False)
    came: Mapping[str, float] = field(default_factory=dict, repr=False, compare=False)

    @property
    def new_ids(self) -> Sequence[int]:
        """Tokens after the prompt."""
        return self.token_ids[self.prompt_length :]

    def require_scores(self, asking: object) -> torch.Tensor:
        """Return the raw scores of `p`, or say that ``asking`` needs them."""
        if self.scores is None:
            raise ValueError(
                f"{asking} needs the scores of p, which are not known at position {self.position}"
            )
        return self.scores

    def require_vocabulary(self, asking: object) -> Vocabulary:
        """Return the vocabulary, or say that ``asking`` needs one."""
        if self.vocabulary is None:
            raise ValueError(f"{asking} reads text, but no tokenizer is known here: give one")
        return self.vocabulary

    def figures(self, name: str) -> Sequence[float]:
        """Return one figure of all new tokens before this one.

        Raises
        ------
        ValueError
            When no such figure was recorded for all of them.
        """
        values = self.past.get(name, ())
        if len(values) != len(self.new_ids):
            raise ValueError(
                f"{name} is not known of the {len(self.new_ids)} tokens before position {self.position}: "
                f"recorded are {', '.join(sorted(self.past)) or 'no figures'}"
            )
        return values

    def before(self, index: int) -> Step:
        """Return the step of the new token ``index``, as far as it is recorded: without its scores."""
        count = self.prompt_length + index
        return replace(
            self,
            position=self.position - len(self.new_ids) + index,
            token_ids=self.token_ids[:count],
            scores=None,
            past=_Columns(self._columns, lambda values: values[:index]),
            came=_Columns(self._columns, lambda values: float(values[index])),
        )

    @cached_property
    def _columns(self) -> Mapping[str, Sequence[float]]:
        # Conditions on the past make a step of each token before, and some mappings a new list at each look.
        return _Columns(self.past, lambda values: values)
