"""Drawing a token by the Gumbel-max rule with counter-based noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch


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
    bits = np.random.Philox(key=np.array([seed, position], np.uint64)).random_raw(size)
    # 53 random bits at the middle of their interval: never 0 and never 1.
    uniform = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return -np.log(-np.log(uniform))


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

    References
    ----------
    Gumbel 1954; Maddison, Tarlow and Minka 2014.
    """
    row = scores.detach().cpu().double().numpy()
    (support,) = np.nonzero(np.isfinite(row))
    if len(support) == 1:
        return int(support[0])
    noise = gumbel_noise(seed, position, len(row))
    return int(support[np.argmax(row[support] + noise[support])])
