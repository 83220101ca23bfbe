"""The distribution that a token was drawn from, whole."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from itwidgets.engine.session.stages import Stage, Stages
from itwidgets.information import entropy, varentropy
from itwidgets.interventions import check_whole
from itwidgets.tree import Vocabulary

if TYPE_CHECKING:
    import pandas as pd


_ID = re.compile("#?([0-9]{1,9})")


class Alternative(NamedTuple):
    """A token that might come, with its rank (1 is the best), probability and surprisal in bits."""

    rank: int
    token_id: int
    text: str
    probability: float
    surprisal: float


class Distribution:
    """`p` at one place of a text, exact over the whole vocabulary.

    Parameters
    ----------
    log_probs
        Natural log-probabilities, float64, shape ``[V]``.
    vocabulary
        Finds tokens by their text.
    stages
        Finds what each operator of a program makes of it, in order: when that is first asked for, since it
        takes longer than all else.
    """

    def __init__(
        self,
        log_probs: npt.NDArray[np.float64],
        vocabulary: Vocabulary,
        stages: Callable[[], Iterable[Stage]] = tuple,
    ) -> None:
        self.log_probs = log_probs
        self.vocabulary = vocabulary
        self._find_stages = stages

    def __len__(self) -> int:
        return len(self.log_probs)

    def __repr__(self) -> str:
        best = ", ".join(f"{a.text!r} {a.probability:.3f}" for a in self.top(3))
        return f"Distribution({best}, ...; entropy {self.entropy:.2f} bits over {len(self)} tokens)"

    def with_stages(self, stages: Callable[[], Iterable[Stage]]) -> Distribution:
        """Return the same distribution with stages that are found when they are asked for."""
        return Distribution(self.log_probs, self.vocabulary, stages)

    @cached_property
    def stages(self) -> Stages:
        """What each operator of the program makes of it, in order; none where there is no program."""
        return Stages(self._find_stages())

    @cached_property
    def order(self) -> npt.NDArray[np.int64]:
        """Token ids from the most to the least probable; of tokens that tie, the lower id first."""
        return np.argsort(-self.log_probs, kind="stable")

    @cached_property
    def q(self) -> Distribution:
        """`p` after the interventions among the stages; `p` itself if there are none.

        Examples
        --------
        >>> from itwidgets.interventions import Ban, Temperature
        >>> paris = engine.vocabulary.token_id(" Paris")
        >>> found = session.distribution(0, program=Ban([paris]) >> Temperature(0.5))
        >>> [round(one.probability(" a"), 3) for one in (found, found.q, found.s)]
        [0.004, 0.017, 0.003]
        """
        return self._after([one for one in self.stages if one.operator.stage == "intervention"])

    @cached_property
    def s(self) -> Distribution:
        """`p` after all stages: what a token is drawn from."""
        return self._after(self.stages)

    def _after(self, stages: Sequence[Stage]) -> Distribution:
        return Distribution(stages[-1].log_probs, self.vocabulary) if stages else self

    @cached_property
    def entropy(self) -> float:
        """Shannon entropy in bits."""
        return float(entropy(self.log_probs))

    @cached_property
    def varentropy(self) -> float:
        """Varentropy in bits²."""
        return float(varentropy(self.log_probs))

    @cached_property
    def undecodable(self) -> float:
        """Probability of all ids that stand for no token: padding of the output head, and gaps.

        Exactly 0 where every id is a token.

        Examples
        --------
        >>> session.distribution(0).undecodable
        0.0
        """
        return float(np.exp(self.log_probs[self.vocabulary.undecodable]).sum())

    def probability(self, token: int | str) -> float:
        """Probability of a token, given by id or by its text."""
        return math.exp(self.log_probs[self.vocabulary.token_id(token)])

    def surprisal(self, token: int | str) -> float:
        """``-log2 p`` of a token, given by id or by its text."""
        return float(-self.log_probs[self.vocabulary.token_id(token)] / math.log(2))

    def rank(self, token: int | str) -> int:
        """1 + how many tokens are more probable than this one."""
        return int(self.ranks(np.array([self.vocabulary.token_id(token)]))[0])

    def ranks(self, token_ids: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Ranks of several tokens; tokens that tie share the better rank."""
        descending = -self.log_probs[self.order]
        above: npt.NDArray[np.int64] = np.searchsorted(descending, -self.log_probs[token_ids], side="left")
        return 1 + above

    def top(self, k: int = 10) -> list[Alternative]:
        """Return the `k` most probable tokens, best first."""
        check_whole("k", k, least=0)
        return self._alternatives(self.order[:k])

    def search(self, query: str) -> list[Alternative]:
        """All tokens whose text contains ``query``, best first; upper and lower case alike.

        Before them stands the token that ``query`` is the id of, as a number or as in ``"#1234"``.

        Examples
        --------
        >>> [one.token_id for one in session.distribution(0).search("#7042")]
        [7042]
        """
        return self._alternatives(self.found(query))

    def found(self, query: str) -> npt.NDArray[np.int64]:
        """Ids of the tokens that :meth:`search` finds, in its order."""
        ids = np.array(self.vocabulary.search(query), dtype=np.int64)
        ids = ids[np.argsort(-self.log_probs[ids], kind="stable")]
        named = self.named(query)
        return ids if named is None else np.concatenate([[named], ids[ids != named]])

    def named(self, query: str) -> int | None:
        """Return the token id that a query is, if it is one of the vocabulary."""
        number = _ID.fullmatch(query.strip())
        token_id = int(number[1]) if number else len(self)
        return token_id if token_id < len(self) else None

    def _alternatives(self, token_ids: npt.NDArray[np.integer]) -> list[Alternative]:
        return [
            Alternative(
                int(rank),
                int(token_id),
                self.vocabulary.token_bytes(int(token_id)).decode(errors="replace"),
                math.exp(self.log_probs[token_id]),
                float(-self.log_probs[token_id] / math.log(2)),
            )
            for rank, token_id in zip(self.ranks(token_ids), token_ids, strict=True)
        ]

    def to_frame(self, k: int | None = None) -> pd.DataFrame:
        """Return the `k` most probable tokens, or all, as a table indexed by rank."""
        import pandas as pd

        rows = self.top(len(self) if k is None else k)
        columns = ["rank", "token_id", "token", "probability", "surprisal_bits"]
        return pd.DataFrame(rows, columns=columns).set_index("rank")
