"""Scores of several models or prompts together: contrastive decoding, guidance, products of experts."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch

from itwidgets.interventions.described import Allowed
from itwidgets.interventions.functions import allowed_code, checked_row, code_name
from itwidgets.interventions.operators import Operator, excluding
from itwidgets.interventions.parameters import check_number
from itwidgets.interventions.step import Step

Source = Callable[[Step], torch.Tensor]
"""From a step to raw scores ``[V]`` of another distribution there; a pure function of the step.

:meth:`Engine.source <itwidgets.engine.Engine.source>` makes one of another prompt or of another model. JSON
has its ``name``, or else the name of the function.
"""


class Mixing(Operator):
    """Mixes the logarithms of the row's distribution `p` and of those of sources.

    The formulas are computed in the dtype of the row, as transformers computes them. What `p` or a source
    excludes is excluded.
    """

    @property
    @abstractmethod
    def mixed(self) -> Sequence[Source]:
        """The sources."""

    @abstractmethod
    def mix(self, log_p: torch.Tensor, others: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return scores from the logarithms of `p` and of the sources."""

    def code(self) -> Allowed:
        """Return the sources by their names."""
        return {code_name("source", source): source for source in self.mixed}

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the mixed row."""
        rows = [
            checked_row(f"the source {name!r} of {type(self).__name__}", source(step), scores)
            for name, source in ((code_name("source", source), source) for source in self.mixed)
        ]
        excluded = torch.stack([scores, *rows]).isneginf().any(0)
        mixed = self.mix(scores.log_softmax(-1), [row.log_softmax(-1) for row in rows])
        return excluding(mixed, excluded)


class OneSource(Mixing):
    """A mixture with one source."""

    source: Source

    @property
    def mixed(self) -> Sequence[Source]:
        """The source."""
        return [self.source]

    def parameters(self) -> dict[str, Any]:
        """Return the parameters, the source as its name."""
        return {**super().parameters(), "source": code_name("source", self.source)}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any], allow: Allowed) -> Self:
        """Make one of parameters with the source's name, if ``allow`` has it."""
        source = allowed_code("source", parameters.get("source"), allow)
        return cls(**{**parameters, "source": source})


@dataclass(frozen=True)
class Contrast(OneSource):
    """Contrastive decoding: ``log p - weight * log p_source`` (Li et al. 2023).

    Their amateur is the source and their expert is the row; with it come their ``weight`` of 1 and
    their ``plausibility`` of 0.1.

    Parameters
    ----------
    source
        What counts against a token.
    weight
        How much.
    plausibility
        Only tokens at least so many times as probable under `p` as the best one stay; 0 keeps all.

    Examples
    --------
    >>> def amateur(step):
    ...     return torch.tensor([2.0, 0.0, 0.0])
    >>> Contrast(amateur, 1.0, plausibility=0.2)(Step(0, [], 0), torch.tensor([2.0, 1.0, 0.0])).argmax()
    tensor(1)
    """

    source: Source
    weight: float
    plausibility: float = 0.0

    def __post_init__(self) -> None:
        code_name("source", self.source)
        check_number("weight", self.weight, math.isfinite, "a finite number")
        check_number("plausibility", self.plausibility, lambda a: 0 <= a <= 1, "between 0 and 1")

    def mix(self, log_p: torch.Tensor, others: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return scores from the logarithms of `p` and of the source."""
        (other,) = others
        mixed = log_p - self.weight * other
        if self.plausibility == 0:
            return mixed
        return excluding(mixed, log_p < log_p.max() + math.log(self.plausibility))


@dataclass(frozen=True)
class Guidance(OneSource):
    """Classifier-free guidance: ``log p_source + scale * (log p - log p_source)`` (Sanchez et al. 2023).

    The source has another prompt, or none: a scale above 1 moves away from it. Of a source without some
    context, a scale of ``1 + alpha`` is context-aware decoding (Shi et al. 2023). To the bit what
    transformers makes of ``guidance_scale``.

    Parameters
    ----------
    source
        What is moved away from.
    scale
        1 leaves `p`, 0 is the source alone.

    Examples
    --------
    >>> def without_context(step):
    ...     return torch.tensor([1.0, 0.0])
    >>> Guidance(without_context, 2.0)(Step(0, [], 0), torch.tensor([1.0, 1.0])).softmax(-1)
    tensor([0.2689, 0.7311])
    """

    source: Source
    scale: float

    def __post_init__(self) -> None:
        code_name("source", self.source)
        check_number("scale", self.scale, math.isfinite, "a finite number")

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the guided row; with a scale of 1 the row, and the source is not asked."""
        return scores if self.scale == 1 else super().__call__(step, scores)

    def mix(self, log_p: torch.Tensor, others: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return scores from the logarithms of `p` and of the source."""
        (other,) = others
        return self.scale * (log_p - other) + other


@dataclass(frozen=True)
class Experts(Mixing):
    """A product of experts: ``log p + sum of weight * log p_source`` (Hinton 2002).

    With a source for a wish and one against it, at weights ``alpha`` and ``-alpha``, it is DExperts (Liu et
    al. 2021).

    Parameters
    ----------
    sources
        The experts.
    weights
        One for each; a negative one counts against.

    Examples
    --------
    >>> def kind(step):
    ...     return torch.tensor([1.0, 0.0])
    >>> def rude(step):
    ...     return torch.tensor([0.0, 1.0])
    >>> Experts([kind, rude], [0.5, -0.5])(Step(0, [], 0), torch.zeros(2)).softmax(-1)
    tensor([0.7311, 0.2689])
    """

    sources: Sequence[Source]
    weights: Sequence[float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", tuple(self.sources))
        object.__setattr__(self, "weights", tuple(self.weights))
        for source in self.sources:
            code_name("source", source)
        for weight in self.weights:
            check_number("weight", weight, math.isfinite, "a finite number")
        if len(self.sources) != len(self.weights) or not self.sources:
            raise ValueError(
                f"{len(self.weights)} weights were given for {len(self.sources)} sources, but there must be "
                "at least one source, and a weight for each"
            )

    @property
    def mixed(self) -> Sequence[Source]:
        """The sources."""
        return self.sources

    def parameters(self) -> dict[str, Any]:
        """Return the parameters, the sources as their names."""
        return {**super().parameters(), "sources": [code_name("source", one) for one in self.sources]}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any], allow: Allowed) -> Self:
        """Make one of parameters with the sources' names, if ``allow`` has them."""
        sources = [allowed_code("source", name, allow) for name in parameters.get("sources", ())]
        return cls(**{**parameters, "sources": sources})

    def mix(self, log_p: torch.Tensor, others: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return scores from the logarithms of `p` and of the sources."""
        for weight, other in zip(self.weights, others, strict=True):
            log_p = log_p + weight * other
        return log_p
