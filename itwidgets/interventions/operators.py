"""What an operator is: one pure step on a row of raw scores."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch

from itwidgets.interventions.described import Described, registered
from itwidgets.interventions.step import Step

if TYPE_CHECKING:
    from itwidgets.interventions.program import Program


Stage = Literal["intervention", "sampler"]
"""Whether an operator makes `q` from `p`, or `s` from `q`."""


class Operator(Described):
    """A pure function of (step, scores), frozen and without hidden state.

    Scores are unnormalised and on the model's own scale, shape ``[V]``, in and out, in the dtype they
    came in; an operator never writes into the row it was given. ``-inf`` excludes a token. What depends
    on the text so far is computed from the step each time, so replays and branches need no care.

    Subclasses are frozen dataclasses whose fields are their parameters, so that a program can be
    written as JSON and read again.
    """

    json_key = "operator"
    by_name: ClassVar[dict[str, type[Any]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make the package's own operators known to programs that are read from JSON."""
        super().__init_subclass__(**kwargs)
        registered(cls)

    @property
    def stage(self) -> Stage:
        """Whether the operator makes `q` from `p`, or `s` from `q`."""
        return "intervention"

    @property
    def is_deterministic(self) -> bool:
        """Whether it always leaves exactly one token."""
        return False

    @property
    def is_shift_invariant(self) -> bool:
        """Whether scores that are all greater by one number give the same, as log-probabilities would."""
        return True

    @abstractmethod
    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row after this operator."""

    def __rshift__(self, other: Operator | Program) -> Program:
        """Compose: this operator first, then ``other``."""
        from itwidgets.interventions.program import Program

        return Program((self,)) >> other


def excluding(scores: torch.Tensor, excluded: torch.Tensor) -> torch.Tensor:
    """Return scores with ``-inf`` wherever ``excluded`` holds."""
    return scores.masked_fill(excluded, -torch.inf)


@dataclass(frozen=True)
class Bias(Operator):
    """Add nats to the scores of some tokens: their odds against every other are multiplied by ``exp(nats)``.

    Parameters
    ----------
    nats
        Mapping from token id to what is added.

    Examples
    --------
    >>> Bias({5: 1.5})(Step(0, [1], 1), torch.zeros(6))
    tensor([0.0000, 0.0000, 0.0000, 0.0000, 0.0000, 1.5000])
    """

    nats: Mapping[int, float]

    def __post_init__(self) -> None:
        # JSON turns integer keys into text, and a frozen operator must not change with its argument.
        nats = {int(key): float(value) for key, value in self.nats.items()}
        wrong = [value for value in nats.values() if not math.isfinite(value)]
        if wrong:
            raise ValueError(
                f"nats has {wrong[0]}, but must have finite numbers: Ban and Only exclude tokens"
            )
        object.__setattr__(self, "nats", nats)

    def __hash__(self) -> int:
        """Hash by the pairs, since a mapping has no hash of its own."""
        return hash(tuple(sorted(self.nats.items())))

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the shifted row."""
        ids = ids_in_row(self.nats, scores)
        result = scores.clone()
        result[ids] += torch.tensor(list(self.nats.values()), dtype=scores.dtype, device=scores.device)
        return result


def ids_in_row(token_ids: Iterable[int], scores: torch.Tensor) -> torch.Tensor:
    """Return token ids as an index into a row; refuse what the row does not have."""
    ids = list(token_ids)
    wrong = [i for i in ids if not 0 <= i < scores.shape[-1]]
    if wrong:
        raise ValueError(
            f"token id {wrong[0]} is not in the vocabulary: ids from 0 to {scores.shape[-1] - 1} are accepted"
        )
    return torch.tensor(ids, dtype=torch.int64, device=scores.device)
