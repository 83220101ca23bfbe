"""Which model made the tokens of a tree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ROUTES = ("plain", "packed", "fused", "compiled")
"""Which code may run a model's layers: its own, or faster ones that are equal to the noise of the dtype."""


@dataclass(frozen=True)
class ModelIdentity:
    """Which model made the tokens, and by which kernels.

    Attributes
    ----------
    name
        As the user named it.
    model_fingerprint, tokenizer_fingerprint
        SHA-256 over what the weights and the vocabulary are.
    dtype
        Of the forward calls; figures of another dtype differ by its noise.
    vocabulary_size
        Number of tokens that a distribution is over.
    adapter, adapter_fingerprint
        Name of the adapter that was on, and what its weights are; ``None`` for the model alone.
    attention
        Implementation in the words of transformers, as ``"sdpa"``; ``None`` where it is not known.
    route
        Which code ran the layers, one of :data:`ROUTES`.
    environment
        What else figures depend on to the bit: versions of torch and transformers, device, threads.
    """

    name: str
    model_fingerprint: str
    tokenizer_fingerprint: str
    dtype: str
    vocabulary_size: int
    attention: str | None = None
    route: str = "plain"
    environment: Mapping[str, str] = field(default_factory=dict)
    adapter: str | None = None
    adapter_fingerprint: str | None = None

    def __post_init__(self) -> None:
        if self.route not in ROUTES:
            raise ValueError(f"route is {self.route!r}, but must be one of {', '.join(ROUTES)}")

    def computes_like(self, other: ModelIdentity) -> bool:
        """Whether both give the same figures to the bit, as far as can be known."""
        return (self.dtype, self.attention, self.route, dict(self.environment)) == (
            other.dtype,
            other.attention,
            other.route,
            dict(other.environment),
        )
