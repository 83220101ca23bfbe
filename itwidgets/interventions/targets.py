"""Targets: operators that give a row one property, at the least ``KL(q || p)`` from the row as it came in."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from itwidgets.information.kernel import float64
from itwidgets.information.temperature import temperature_for_entropy
from itwidgets.interventions.exponential import in_kind_of, part_of_the_way
from itwidgets.interventions.operators import excluding, ids_in_row
from itwidgets.interventions.parameters import check_number, check_whole, checked_ids
from itwidgets.interventions.projection import LN2, MeanTarget, Target, projected
from itwidgets.interventions.step import Step


class MassTarget(MeanTarget):
    """A mean target whose numbers are 1 for some tokens and 0 for the others."""

    @property
    @abstractmethod
    def tokens(self) -> Sequence[int]:
        """Ids of the tokens."""

    @property
    @abstractmethod
    def log_odds(self) -> float:
        """Natural logarithm of ``goal / (1 - goal)``, which holds digits that the goal has not."""

    def numbers(self, scores: torch.Tensor) -> torch.Tensor:
        """Return 1 for the tokens and 0 for the others."""
        numbers = torch.zeros(scores.shape, dtype=torch.float64, device=scores.device)
        numbers[ids_in_row(self.tokens, scores)] = 1.0
        return numbers

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row with the scores of the tokens shifted."""
        rows = float64(scores)
        inside = self.numbers(rows) > 0
        within = rows.masked_fill(~inside, -torch.inf).logsumexp(-1)
        others = rows.masked_fill(inside, -torch.inf).logsumexp(-1)
        if within == -torch.inf and self.log_odds > -math.inf:
            raise self.unreached(step, "each of the tokens is excluded")
        if others == -torch.inf and self.log_odds < math.inf:
            raise self.unreached(step, "no other token is possible")
        if math.isinf(self.log_odds):
            return excluding(scores, (inside if self.log_odds < 0 else ~inside).to(scores.device))
        shift = self.log_odds - (within - others)
        return in_kind_of(scores, torch.where(inside, rows + shift, rows))


@dataclass(frozen=True)
class Mass(MassTarget):
    """Give some tokens a probability together; their proportions stay, and so do those of the others.

    The scores of the tokens move by ``logit a - logit p(A)``, at the cost of the binary divergence
    ``a log(a / p(A)) + (1 - a) log((1 - a) / (1 - p(A)))``.

    Parameters
    ----------
    token_ids
        At least one id.
    probability
        From 0, which excludes them, to 1, which excludes all others.

    Raises
    ------
    ValueError
        Where the tokens are all excluded already, or all others are.

    Examples
    --------
    >>> Mass([0, 1], 0.9)(Step(0, [1], 1), torch.zeros(4)).softmax(-1)
    tensor([0.4500, 0.4500, 0.0500, 0.0500])
    """

    token_ids: Sequence[int]
    probability: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "token_ids", checked_ids("token_ids", self.token_ids))
        if not self.token_ids:
            raise ValueError("token_ids is empty, but must name at least one token")
        check_number("probability", self.probability, lambda a: 0 <= a <= 1, "between 0 and 1")

    @property
    def tokens(self) -> Sequence[int]:
        """Ids of the tokens."""
        return self.token_ids

    @property
    def goal(self) -> float:
        """The probability."""
        return float(self.probability)

    @property
    def log_odds(self) -> float:
        """Natural logarithm of the odds."""
        if self.probability in (0, 1):
            return math.inf if self.probability else -math.inf
        return math.log(self.probability) - math.log1p(-self.probability)

    @property
    def promise(self) -> str:
        """The probability, in words."""
        first, *others = self.token_ids
        return f"a probability of {self.probability} for " + (
            f"{1 + len(others)} tokens" if others else f"token {first}"
        )


@dataclass(frozen=True)
class TargetSurprisal(MassTarget):
    """Give one token a surprisal, ``q(x) = 2 ** -bits``; the others keep their proportions.

    Parameters
    ----------
    bits
        At least 0; 0 leaves the token alone.

    Raises
    ------
    ValueError
        Where the token is excluded already, or all others are.

    Examples
    --------
    >>> TargetSurprisal(3, 2.0)(Step(0, [1], 1), torch.zeros(4)).softmax(-1)
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """

    token_id: int
    bits: float

    def __post_init__(self) -> None:
        check_whole("token_id", self.token_id, least=0)
        check_number("bits", self.bits, lambda b: 0 <= b < math.inf, "at least 0 and finite")

    @property
    def tokens(self) -> Sequence[int]:
        """The one token."""
        return (self.token_id,)

    @property
    def goal(self) -> float:
        """The probability."""
        return float(2.0**-self.bits)

    @property
    def log_odds(self) -> float:
        """Natural logarithm of the odds, also where the probability is below all floats."""
        nats = self.bits * LN2
        return -nats - math.log(-math.expm1(-nats)) if nats else math.inf

    @property
    def promise(self) -> str:
        """The surprisal, in words."""
        return f"a surprisal of {self.bits} bits for token {self.token_id}"


@dataclass(frozen=True)
class TargetMoment(MeanTarget):
    """Give a number that tokens have a mean: ``q ∝ p exp(m * number)``, with the `m` for which it has it.

    Parameters
    ----------
    values
        Mapping from token id to number, such as the length of its text; tokens that it lacks have 0.
    mean
        Under `q`.

    Raises
    ------
    ValueError
        Where the mean lies outside the numbers of the possible tokens.

    Examples
    --------
    >>> row = TargetMoment({0: 1, 1: 2, 2: 3}, 2.5)(Step(0, [1], 1), torch.zeros(3))
    >>> round(float(row.softmax(-1) @ torch.tensor([1.0, 2.0, 3.0])), 6)
    2.5
    """

    values: Mapping[int, float]
    mean: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", {int(key): value for key, value in self.values.items()})
        if not self.values:
            raise ValueError("values is empty, but must give at least one token a number")
        for token, value in self.values.items():
            check_number(f"the value of token {token}", value, math.isfinite, "a finite number")
        check_number("mean", self.mean, math.isfinite, "a finite number")

    def __hash__(self) -> int:
        """Hash by the pairs, since a mapping has no hash of its own."""
        return hash((tuple(sorted(self.values.items())), self.mean))

    @property
    def goal(self) -> float:
        """The mean."""
        return float(self.mean)

    def numbers(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the number of each token."""
        numbers = torch.zeros(scores.shape, dtype=torch.float64, device=scores.device)
        ids = ids_in_row(self.values, scores)
        numbers[ids] = torch.tensor(list(self.values.values()), dtype=torch.float64, device=scores.device)
        return numbers

    @property
    def promise(self) -> str:
        """The mean, in words."""
        return f"a mean of {self.mean}"

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the tilted row."""
        return projected(self, step, scores, [self])


@dataclass(frozen=True)
class TargetEntropy(Target):
    """Give the row an entropy, by the temperature that does it: the nearest distribution with that entropy.

    Parameters
    ----------
    bits
        Of the distribution afterwards.

    Raises
    ------
    ValueError
        Where no temperature does it: entropies lie strictly between the logarithm of the number of tokens
        that tie for the best and that of possible tokens.

    Examples
    --------
    >>> from itwidgets.information import entropy
    >>> row = TargetEntropy(1.5)(Step(0, [1], 1), torch.tensor([4.0, 2.0, 1.0, 0.0]).double())
    >>> round(float(entropy(row.log_softmax(-1))), 10)
    1.5
    """

    bits: float

    def __post_init__(self) -> None:
        check_number("bits", self.bits, lambda b: 0 <= b < math.inf, "at least 0 and finite")

    @property
    def promise(self) -> str:
        """The entropy, in words."""
        return f"an entropy of {self.bits} bits"

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the tempered row; its best score stays as it is."""
        rows = float64(scores)
        try:
            temperature = float(temperature_for_entropy(rows, self.bits))
        except ValueError as error:
            raise self.unreached(step, error) from None
        if temperature == 1:
            return scores
        peak = rows.max()
        return in_kind_of(scores, (rows - peak) / temperature + peak)


@dataclass(frozen=True)
class MaxEntropy(Target):
    """Raise the entropy as far as some bits of cost allow: a temperature of at least 1.

    Of all `q` with ``KL(q || p) <= within_bits`` a tempered `p` has the greatest entropy; where the budget is
    large enough it is the uniform distribution of the possible tokens.

    Examples
    --------
    >>> row = torch.tensor([2.0, 1.0, 0.0])
    >>> MaxEntropy(0.01)(Step(0, [1], 1), row)
    tensor([2.0000, 1.1727, 0.3455])
    """

    within_bits: float

    def __post_init__(self) -> None:
        check_number("within_bits", self.within_bits, lambda b: 0 <= b < math.inf, "at least 0 and finite")

    @property
    def promise(self) -> str:
        """The most that it costs, in words."""
        return f"a cost of at most {self.within_bits} bits"

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the flattened row; its best score stays as it is."""
        uniform = torch.where(scores > -torch.inf, scores.max(), -torch.inf)
        return part_of_the_way(scores, uniform, self.within_bits * LN2)
