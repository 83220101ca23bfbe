"""Rollouts: alternatives of one place run together, and one of them made a branch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

import torch

from itwidgets.engine.decoding.batches import Batch, batch_of
from itwidgets.engine.decoding.choice import Chooser, Plan, require_numbers
from itwidgets.engine.decoding.figures import forced_figures
from itwidgets.engine.decoding.generation import Branching
from itwidgets.engine.decoding.memory import tried_twice
from itwidgets.engine.decoding.places import step_after
from itwidgets.engine.decoding.writer import TreeWriter
from itwidgets.engine.kv.held import Segment, Snapshot
from itwidgets.engine.kv.pool import is_out_of_memory
from itwidgets.engine.worker import Job, Steps
from itwidgets.information import best
from itwidgets.interventions import Step

if TYPE_CHECKING:
    import pandas as pd

    from itwidgets.tree import TokenTree

T = TypeVar("T")


@dataclass(eq=False)
class Continuation:
    """One alternative and what the model makes of it: beside the tree, until it is adopted.

    Attributes
    ----------
    tree
        The tree beside which it stands.
    parent
        Row of that tree after which it stands.
    token_ids
        The alternative itself and what follows it.
    figures
        Of each token, as in the columns of the tree.
    has_ended
        Whether the model ended its text.
    row
        Of its last token in the tree, once it is adopted.
    """

    tree: TokenTree
    parent: int
    plan: Plan
    token_ids: list[int] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    kept: list[torch.Tensor] = field(default_factory=list)
    has_ended: bool = False
    row: int | None = None
    segment: Segment | None = None
    place: int = 0
    snapshot: Snapshot | None = None

    def __repr__(self) -> str:
        return f"Continuation({self.text!r}, rank={self.rank}, {self.surprisal:.2f} bits)"

    @property
    def text(self) -> str:
        """Text of the alternative and of what follows it."""
        pieces = map(self.tree.vocabulary.token_bytes, self.token_ids)
        return b"".join(pieces).decode(errors="replace")

    @property
    def rank(self) -> int:
        """Rank of the alternative; 1 is the most probable token."""
        return int(self.figures[0]["rank"])

    @property
    def probability(self) -> float:
        """Probability of the alternative itself, under `p`."""
        return float(2.0 ** -self.figures[0]["surprisal"])

    @property
    def surprisals(self) -> list[float]:
        """``-log2 p(x)`` of each token."""
        return [float(figures["surprisal"]) for figures in self.figures]

    @property
    def surprisal(self) -> float:
        """Bits of the alternative and of what follows it together."""
        return sum(self.surprisals)


class Rollout(Sequence[Continuation]):
    """Continuations of one place, in the order of their alternatives.

    Attributes
    ----------
    nbytes
        Keys and values that they take beside the prefix that they share.
    """

    def __init__(self) -> None:
        self.continuations: list[Continuation] = []
        self.nbytes = 0

    @overload
    def __getitem__(self, index: int) -> Continuation: ...
    @overload
    def __getitem__(self, index: slice) -> list[Continuation]: ...
    def __getitem__(self, index: int | slice) -> Continuation | list[Continuation]:
        """Return a continuation by its place."""
        return self.continuations[index]

    def __len__(self) -> int:
        return len(self.continuations)

    def __iter__(self) -> Iterator[Continuation]:
        return iter(self.continuations)

    def __repr__(self) -> str:
        return "\n".join([f"Rollout of {len(self)} alternatives:", *(f"  {one!r}" for one in self)])

    def to_frame(self) -> pd.DataFrame:
        """Return one row a continuation, with units in the column names."""
        import pandas as pd

        return pd.DataFrame(
            {
                "rank": [one.rank for one in self],
                "text": [one.text for one in self],
                "probability": [one.probability for one in self],
                "surprisal_bits": [one.surprisal for one in self],
                "tokens": [len(one.token_ids) for one in self],
                "has_ended": [one.has_ended for one in self],
            }
        )


def roll_out(
    branching: Branching, job: Job[Rollout], parent: int, alternatives: Sequence[int] | int, plan: Plan
) -> Steps[Rollout]:
    """Run given alternatives, or so many of the best, after ``parent``; the tree stays as it is."""
    writer = branching.writer
    branching.require_room(parent, plan.max_new_tokens)
    scores = yield from writer.scores(parent)
    count = alternatives
    chosen = writer.retried(lambda: best(scores, count).tolist()) if isinstance(count, int) else count
    yield from writer.activate(parent)
    rollout = job.partial = Rollout()
    prefix = Prefix.of(branching, parent)
    with writer.store.lent():
        batch = batch_of(writer.runner, writer.store, len(chosen), plan.max_new_tokens)
        members = [Continuation(branching.tree, parent, plan) for _ in chosen]
        choosers = [Chooser(plan, writer.retried) for _ in chosen]
        upcoming = {i: (token_id, _forced(writer, scores, token_id)) for i, token_id in enumerate(chosen)}
        try:
            while upcoming:
                rows = _step(branching, batch, members, upcoming)
                rollout.continuations = members
                yield
                upcoming = _next(branching, prefix, members, choosers, rows)
        finally:
            # Of a rollout that was stopped too: what has passed through the model can be adopted.
            _keep(branching, batch, rollout)
    return rollout


def _forced(writer: TreeWriter, scores: torch.Tensor, token_id: int) -> dict[str, Any]:
    return writer.retried(lambda: forced_figures(scores, token_id) | writer.measures_of(scores, token_id))


def _step(
    branching: Branching,
    batch: Batch,
    members: Sequence[Continuation],
    upcoming: dict[int, tuple[int, dict[str, Any]]],
) -> dict[int, torch.Tensor]:
    """Pass the upcoming tokens through the model; return what is kept of each member's."""
    token_ids = [token_id for token_id, _ in upcoming.values()]
    store, pool = branching.writer.store, branching.writer.pool
    kept = tried_twice(lambda: batch.step(list(upcoming), token_ids), batch.repair, store, pool)
    rows = dict(zip(upcoming, kept, strict=True))
    for i, (token_id, figures) in upcoming.items():
        members[i].token_ids.append(token_id)
        members[i].figures.append(figures)
        members[i].kept.append(rows[i])
        members[i].has_ended = token_id in branching.stop_ids
    return rows


@dataclass(frozen=True)
class Prefix:
    """What all continuations share, looked up once: a long text takes long to walk."""

    tree: TokenTree
    token_ids: Sequence[int]
    rows: Sequence[int]
    prompt_length: int

    @classmethod
    def of(cls, branching: Branching, row: int) -> Prefix:
        """Return the prefix that ends at a row."""
        tree, length = branching.tree, branching.prompt_length(row)
        return cls(tree, tree.token_ids(row), tree.path(row)[length:], length)

    def step_after(self, one: Continuation) -> Step:
        """Return the step of the token that follows those of a continuation."""
        text = [*self.token_ids, *one.token_ids]
        return step_after(self.tree, text, self.prompt_length, self.rows, one.figures)


def _next(
    branching: Branching,
    prefix: Prefix,
    members: Sequence[Continuation],
    choosers: Sequence[Chooser],
    rows: dict[int, torch.Tensor],
) -> dict[int, tuple[int, dict[str, Any]]]:
    """Choose the next token of each member that goes on."""
    going = [i for i in rows if not members[i].has_ended]
    going = [i for i in going if len(members[i].token_ids) < members[i].plan.max_new_tokens]
    if not going:
        return {}
    writer = branching.writer
    scores = writer.retried(lambda: writer.runner.all_logits(torch.stack([rows[i] for i in going])))
    upcoming = {}
    for i, row in zip(going, scores, strict=True):
        pending = choosers[i].choose(row, prefix.step_after(members[i]))
        measures = writer.retried(partial(writer.measures_of, row, pending.token_id))
        figures = require_numbers(writer.retried(pending.read)) | measures
        upcoming[i] = pending.token_id, figures
    return upcoming


def _keep(branching: Branching, batch: Batch, rollout: Rollout) -> None:
    """Keep what the members added to the cache, for as long as there is memory for it."""
    rollout.nbytes = batch.nbytes
    pool = branching.writer.pool
    segment, place = Segment(_found(batch.layers) or []), 0
    pool.add(segment)
    for i, one in enumerate(rollout):
        one.segment, one.place = segment, place
        place += len(one.token_ids)
        if (states := _found(partial(batch.states, i))) is not None:
            one.snapshot = Snapshot(states)
            pool.add(one.snapshot)
    pool.trim(keep=branching.writer.store)


def _found(take: Callable[[], T | None]) -> T | None:
    """Take what is to be kept; without memory for it, it is computed again when it is adopted."""
    try:
        return take()
    except Exception as error:
        if is_out_of_memory(error):
            return None
        raise


def adopt(branching: Branching, one: Continuation) -> Steps[int]:
    """Make a continuation a branch, without the model; return the row of its last token."""
    if one.row is None:
        one.row = branching.writer.adopt(one)
        # The branch holds copies of its own.
        one.segment = one.snapshot = None
    yield
    return one.row
