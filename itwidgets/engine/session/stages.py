"""What each operator of a program did at one place of a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from itwidgets.information import entropy, kl_divergence, log_probabilities, total_variation
from itwidgets.interventions import Operator, Program, Step
from itwidgets.tree import Vocabulary

if TYPE_CHECKING:
    import pandas as pd

Numbers = npt.NDArray[np.float64]

_MOST_MOVED = 10


class Moved(NamedTuple):
    """A token whose probability an operator changed, before and after."""

    token_id: int
    text: str
    before: float
    after: float


@dataclass(frozen=True, eq=False)
class Stage:
    """What one operator did.

    Attributes
    ----------
    operator
        The operator; ``operator.stage`` says whether it made `q` or `s`.
    log_probs
        Natural log-probabilities after it, float64, shape ``[V]``. Those of the token that came, less those
        of the stage before, are its part of the realised cost: up to and with the last intervention they
        add up to the token's ``cost``.
    kl_bits
        ``KL(after || before)``. Does not add up over stages.
    entropy_change_bits
        ``H(after) - H(before)``.
    mass_moved
        Total variation: how much probability went elsewhere, from 0 to 1.
    support_size
        How many tokens may still come.
    moved
        The ten tokens whose probability changed most, of those that changed, the most first.
    """

    operator: Operator
    log_probs: Numbers
    kl_bits: float
    entropy_change_bits: float
    mass_moved: float
    support_size: int
    moved: tuple[Moved, ...]

    def __repr__(self) -> str:
        figures = f"KL {self.kl_bits:.3f} bits, entropy {self.entropy_change_bits:+.3f} bits"
        return f"<{self.operator}: {figures}, {self.mass_moved:.1%} moved, {self.support_size} tokens left>"


class Stages(tuple[Stage, ...]):
    """What the operators of a program did, one after another."""

    __slots__ = ()

    def to_frame(self) -> pd.DataFrame:
        """Return one row an operator, with units in the column names.

        ``operator`` is its name, ``parameters`` is the whole of it, ``stage`` says what it made: ``q`` or
        ``s``.
        """
        import pandas as pd

        return pd.DataFrame(
            {
                "operator": [type(one.operator).__name__ for one in self],
                "parameters": [str(one.operator) for one in self],
                "stage": ["q" if one.operator.stage == "intervention" else "s" for one in self],
                "kl_bits": [one.kl_bits for one in self],
                "entropy_change_bits": [one.entropy_change_bits for one in self],
                "mass_moved": [one.mass_moved for one in self],
                "support_size": [one.support_size for one in self],
            }
        )


def looked_at(
    scores: torch.Tensor, program: Program | None, step: Step | None, vocabulary: Vocabulary
) -> tuple[Numbers, Sequence[Stage]]:
    """Return the log-probabilities of raw scores, and the stages of a program on them, if there is one."""
    stages = () if program is None or step is None else stages_of(scores, step, program, vocabulary)
    return _log_probs(scores), stages


def stages_of(scores: torch.Tensor, step: Step, program: Program, vocabulary: Vocabulary) -> Stages:
    """Return what each operator of a program does to a row: a pure function of its arguments.

    Parameters
    ----------
    scores
        Raw scores of `p`, shape ``[V]``; they stay as they are.
    step
        Where they stand.
    vocabulary
        Says the texts of the tokens that moved.

    Raises
    ------
    ValueError
        When an operator leaves no token; the sentence names it.
    """
    # Copies, as in decoding: no operator can rewrite p.
    step = replace(step, scores=scores.clone())
    before = _log_probs(scores)
    stages = []
    for operator, row in zip(program.operators, program.rows(step, scores.clone()), strict=True):
        after = _log_probs(row)
        stages.append(
            Stage(
                operator,
                after,
                kl_bits=float(kl_divergence(after, before)),
                entropy_change_bits=float(entropy(after) - entropy(before)),
                mass_moved=float(total_variation(after, before)),
                support_size=int(np.isfinite(after).sum()),
                moved=_moved(before, after, vocabulary),
            )
        )
        before = after
    return Stages(stages)


def _log_probs(scores: torch.Tensor) -> Numbers:
    return log_probabilities(scores).cpu().numpy()


def _moved(before: Numbers, after: Numbers, vocabulary: Vocabulary) -> tuple[Moved, ...]:
    p, q = np.exp(before), np.exp(after)
    change = np.abs(q - p)
    ids = np.argsort(-change, kind="stable")[:_MOST_MOVED]
    return tuple(
        Moved(i, vocabulary.token_bytes(i).decode(errors="replace"), float(p[i]), float(q[i]))
        for i in ids[change[ids] > 0].tolist()
    )
