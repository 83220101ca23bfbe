"""Drawing a token: by the Gumbel-max rule with counter-based noise, or as transformers does."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from itwidgets.interventions.program import Program

Draw = Callable[[torch.Tensor, int], torch.Tensor]
"""From scores of `s`, ``[V]``, and the token's position among the new ones to the token's id.

The id is a 0-d int64 tensor on the device of the scores, which is not waited for.
"""

SAMPLINGS = ("gumbel", "torch")
"""By which noise a token may be drawn."""


def drawing(sampling: str, seed: int, program: Program) -> Draw:
    """Return what draws the tokens of one generation.

    Parameters
    ----------
    sampling
        ``"gumbel"``: by noise that depends on seed, position and token alone. ``"torch"``: by a generator
        of torch that goes on from token to token, as ``generate`` of transformers does after
        ``torch.manual_seed(seed)``.
    seed
        A whole number from 0 to 2⁶⁴ - 1.
    program
        What makes the scores; one that is deterministic needs no noise.

    Examples
    --------
    >>> from itwidgets.interventions import GREEDY
    >>> drawing("gumbel", 0, GREEDY)(torch.tensor([-torch.inf, 1.0]), 0)
    tensor(1)
    """
    if sampling not in SAMPLINGS:
        raise ValueError(f"sampling is {sampling!r}, but must be one of {', '.join(SAMPLINGS)}")
    if program.is_deterministic:
        return lambda scores, position: scores.max(-1).indices
    return GumbelDraw(seed) if sampling == "gumbel" else TorchDraw(seed)


@dataclass(frozen=True)
class GumbelDraw:
    """The argmax of scores plus Gumbel noise (Gumbel 1954; Maddison, Tarlow and Minka 2014)."""

    seed: int

    def __call__(self, scores: torch.Tensor, position: int) -> torch.Tensor:
        """Draw one token."""
        if scores.device.type in ("cpu", "mps"):
            # MPS has no float64.
            return torch.tensor(_winner(scores.cpu(), self.seed, position)).to(scores.device)
        return _winner_on_device(scores, self.seed, position)


class TorchDraw:
    """``torch.multinomial`` of the softmax, as in transformers, by a generator seeded at the first token."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._generator: torch.Generator | None = None

    def __call__(self, scores: torch.Tensor, position: int) -> torch.Tensor:
        """Draw the next token; ``position`` plays no part."""
        if self._generator is None:
            self._generator = torch.Generator(scores.device).manual_seed(self._seed)
        return scores.softmax(-1).multinomial(1, generator=self._generator)[0]


def draw(scores: torch.Tensor, seed: int, position: int) -> int:
    """Draw a token from ``softmax(scores)``: the argmax of scores plus Gumbel noise.

    Parameters
    ----------
    scores
        Raw scores of `s`, shape ``[V]``; ``-inf`` excludes a token.
    seed
        A whole number from 0 to 2⁶⁴ - 1.
    position
        Of the token among the new ones.

    Returns
    -------
    int
        Token id.

    Examples
    --------
    >>> draw(torch.zeros(5), seed=0, position=0)
    3
    """
    return int(GumbelDraw(seed)(scores, position))


def gumbel_noise(seed: int, position: int, size: int) -> npt.NDArray[np.float64]:
    """Gumbel noise of every token at one position: a pure function of (seed, position, token).

    The bits are those of the Philox counter-based generator (Salmon et al. 2011) keyed by seed and
    position, so the noise does not depend on what was drawn before: replays are exact, and two runs
    that differ in one intervention share their noise everywhere else.

    Examples
    --------
    >>> bool((gumbel_noise(0, 3, 8)[:4] == gumbel_noise(0, 3, 4)).all())
    True
    """
    return _gumbel(_uniform(seed, position, size))


def _uniform(seed: int, position: int, size: int) -> npt.NDArray[np.float64]:
    bits = np.random.Philox(key=np.array([seed, position], np.uint64)).random_raw(size)
    # 53 random bits at the middle of their interval: never 0 and never 1.
    bits >>= np.uint64(11)
    uniform = bits.astype(np.float64)
    uniform += 0.5
    uniform *= 2.0**-53
    return uniform


def _gumbel(uniform: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return -np.log(-np.log(uniform))


def _winner_on_device(scores: torch.Tensor, seed: int, position: int) -> torch.Tensor:
    noise = torch.from_numpy(gumbel_noise(seed, position, len(scores)))
    # From other than pinned memory the upload would wait for the device.
    noise = noise.pin_memory() if scores.is_cuda else noise
    return (scores.double() + noise.to(scores.device, non_blocking=True)).argmax()


def _winner(scores: torch.Tensor, seed: int, position: int) -> int:
    """Token with the greatest sum of score and noise, found without the noise of tokens that cannot win.

    It is the one with the least ``-log(u) / exp(score)``, and ``1 - u <= -log(u)``: whatever has a greater
    bound than one token has a value is out of the race. What is left is compared as if all were.
    """
    row = scores.detach().to(torch.promote_types(scores.dtype, torch.float32)).numpy()
    support = np.flatnonzero(row > -np.inf)
    kept, uniform = row[support], _uniform(seed, position, len(row))[support]
    # In torch, since numpy's takes three times as long.
    slowness = torch.from_numpy((kept.max() - kept) * math.log2(math.e)).exp2_().numpy()
    bound = slowness * (1 - uniform)
    first = bound.argmin()
    # A thousandth is far more than float32 can be wrong by.
    left = np.flatnonzero(bound <= -1.001 * np.log(uniform[first]) * slowness[first])
    sums = kept[left].astype(np.float64) + _gumbel(uniform[left])
    return int(support[left[sums.argmax()]])
