"""Replay: a session's record made again, call by call, and compared with what it says."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from itwidgets.engine.decoding.choice import Chooser, Plan
from itwidgets.engine.decoding.figures import KnownToken, forced_figures
from itwidgets.engine.decoding.generation import step_at
from itwidgets.engine.worker import Job, Steps
from itwidgets.information import names
from itwidgets.interventions import Program
from itwidgets.tree import Origin, Recomputation, Route, TokenTree

if TYPE_CHECKING:
    import torch

    from itwidgets.engine.engine import Engine

FIGURES = (*names.FIGURES, "fired", "top_ids", "top_log_probs")
"""Columns that must come out again to the bit."""

OF_P = ("rank", "surprisal", "entropy", "varentropy", "top_ids", "top_log_probs")
"""Those of them that do not depend on how the token was drawn."""

SMOOTH = ("surprisal", "entropy", "varentropy", "top_log_probs")
"""Columns that noise of the dtype moves a little and never by a jump."""

TOLERANCES = {"float64": 1e-5, "float32": 5e-3, "float16": 0.25, "bfloat16": 2.0}
"""How far figures of one model may lie apart by another path, in their units and as a share of them.

Prefill against decode was measured to differ by 1e-4 nats in float32 and by 1 nat in bfloat16.
"""


class Difference(NamedTuple):
    """A figure that did not come out again.

    Attributes
    ----------
    row, column
        Where it stands; ``token_id`` when another token was drawn.
    recorded, replayed
        What the record says, and what came out; of a wide column the first number that differs.
    """

    row: int
    column: str
    recorded: float
    replayed: float


@dataclass(frozen=True)
class Replay:
    """What a replay has found.

    Attributes
    ----------
    rows
        Rows that passed through the model again.
    exact
        Those of them that were compared bit for bit: all that was computed by one and the same path.
    close
        Those that were compared within ``tolerance``: what came from a rollout, from another dtype,
        attention, version or device, and all that was computed from it.
    tolerance
        In bits, and as a share of the figure.
    not_drawn
        Sampled rows whose token could not be drawn again, since the file only shows their program or how
        they were drawn is not known. Their figures were compared all the same, but for `q` and `s`.
    different
        Rows that came out otherwise.
    first_difference
        The first of them, or ``None``.
    """

    rows: int
    exact: int
    close: int
    tolerance: float
    not_drawn: int
    different: int
    first_difference: Difference | None

    def __repr__(self) -> str:
        compared = [f"{self.exact} to the bit"] * bool(self.exact or not self.close)
        compared += [f"{self.close} within {self.tolerance:g} bits"] * bool(self.close)
        rest = f", {self.not_drawn} of them not drawn again" if self.not_drawn else ""
        how = f"{' and '.join(compared)}{rest}"
        if self.first_difference is None:
            return f"<Replay: all {self.rows} rows came out again, {how}>"
        row, column, recorded, replayed = self.first_difference
        return (
            f"<Replay: {self.different} of {self.rows} rows came out otherwise, compared {how}; the first is "
            f"row {row}, whose {column} is {recorded!r} in the record and {replayed!r} now>"
        )


def start_replay(engine: Engine, tree: TokenTree, adapter: str | None = None) -> Job[Replay]:
    """Start the job that makes the rows of a tree again, in a tree of its own, and compares them.

    The same calls are made in the same order: rows that passed through the model together do so again,
    tokens are drawn again by their programs and seeds, and what was computed anew is computed anew. All
    of it under the adapter of that name, if one is given.

    Raises
    ------
    ValueError
        When the record does not say how the rows were made.
    """
    player = _Player(engine, tree)

    def body(job: Job[Replay]) -> Steps[Replay]:
        return (yield from player.play())

    return engine.submit(("replay", id(player)), Job("replay", body), adapter)


def _calls(tree: TokenTree) -> list[tuple[int, range | Recomputation]]:
    """Return all forward calls in order: for new rows, or for rows that the tree had already."""
    forward, parent = tree.column("forward"), tree.column("parent")
    origin, route = tree.column("origin"), tree.column("route")
    if (forward < 0).any() or (np.diff(forward) < 0).any():
        raise ValueError("this record cannot be replayed: it does not say in which order its rows were made")
    calls: list[tuple[int, range | Recomputation]] = [(one.forward, one) for one in tree.record.recomputed]
    cuts = [*np.flatnonzero(np.diff(forward, prepend=-1)).tolist(), len(forward)]
    for first, stop in itertools.pairwise(cuts):
        chain = (parent[first + 1 : stop] == np.arange(first, stop - 1)).all()
        alike = len(set(origin[first:stop].tolist())) == len(set(route[first:stop].tolist())) == 1
        alone = stop == first + 1 and parent[first] >= 0
        if not chain or not alike or (route[first] != Route.PREFILL and not alone):
            rows = f"rows {first} to {stop - 1}"
            raise ValueError(f"this record cannot be replayed: {rows} cannot have been one forward call")
        calls.append((int(forward[first]), range(first, stop)))
    return sorted(calls, key=lambda call: call[0])


class _Player:
    """Makes the rows of a tree again, under the same numbers, and counts what is the same."""

    def __init__(self, engine: Engine, tree: TokenTree) -> None:
        self._old = tree
        self._calls = _calls(tree)
        self._new = TokenTree(engine.vocabulary, tree.measures)
        self._engine = engine
        self._writer = engine.writer(self._new, engine.identity)
        identities = [maker.identity for maker in tree.record.makers]
        self._starts = [maker.forward for maker in tree.record.makers]
        self._identities = identities
        self._alike: list[bool] = []
        dtypes = {engine.identity.dtype, *(identity.dtype for identity in identities)}
        self._tolerance = max(TOLERANCES.get(dtype, TOLERANCES["bfloat16"]) for dtype in dtypes)
        # Rows whose keys and values, or whose state for the output head, are not the record's to the bit.
        self._other_states: set[int] = set()
        self._other_kept: set[int] = set()
        self._seen = 0
        self._exact = self._close = self._not_drawn = 0
        self._choosers: dict[int, tuple[Chooser | None, int]] = {}
        self._differences: list[Difference] = []

    def play(self) -> Steps[Replay]:
        """Make all calls again."""
        # Which code will run the layers is known when the weights are ready.
        self._engine.runner.prepare()
        here = replace(self._engine.identity, route=self._engine.runner.route)
        self._alike = [identity.computes_like(here) for identity in self._identities]
        for forward, call in self._calls:
            alike = self._is_alike(forward)
            if isinstance(call, Recomputation):
                yield from self._recompute(call, alike)
            elif self._old.column("route")[call.start] == Route.PREFILL:
                yield from self._prefill(call, alike)
            else:
                yield from self._decode(call, alike)
            yield
        return Replay(
            rows=self._exact + self._close,
            exact=self._exact,
            close=self._close,
            tolerance=self._tolerance,
            not_drawn=self._not_drawn,
            different=len(self._differences),
            first_difference=self._differences[0] if self._differences else None,
        )

    def _is_alike(self, forward: int) -> bool:
        """Whether the model that made a call computes as this one does, to the bit."""
        maker = bisect.bisect_right(self._starts, forward) - 1
        return maker < 0 or self._alike[maker]

    # ---------------------------------------------------------------- calls

    def _recompute(self, call: Recomputation, alike: bool) -> Steps[None]:
        yield from self._writer.recompute(call.rows, call.renewed)
        made = self._new.record.recomputed[-1]
        self._note_unplanned(leave_out=made)
        self._note_states(call.rows, call.renewed, alike and made.renewed == call.renewed)

    def _prefill(self, rows: range, alike: bool) -> Steps[None]:
        parent = self._parent(rows)
        ids = self._old.column("token_id")[rows.start : rows.stop].tolist()
        origin = Origin(self._old.column("origin")[rows.start])
        yield from self._writer.prefill(parent, ids, origin, self._old.source(rows.start))
        self._note_unplanned()
        forward = self._new.column("forward")
        together = forward[rows.start] == forward[rows.stop - 1]
        exact = alike and together and self._is_same_after(parent)
        self._compare(rows, FIGURES if exact else SMOOTH, exact)
        self._note_states(rows, rows, exact)

    def _decode(self, rows: range, alike: bool) -> Steps[None]:
        row, parent = rows.start, self._parent(rows)
        token_id, origin = int(self._old.column("token_id")[row]), Origin(self._old.column("origin")[row])
        scores = yield from self._writer.scores(parent)
        yield from self._writer.activate(parent)
        self._note_unplanned()
        rolled_out = self._old.column("route")[row] == Route.ROLLOUT
        exact = alike and not rolled_out and parent not in self._other_kept
        figures = forced_figures(scores, token_id)
        columns: Sequence[str] = FIGURES if exact else SMOOTH
        if exact and origin is Origin.SAMPLED:
            drawn, figures, columns = self._draw(row, parent, scores, figures)
            if drawn != token_id:
                self._differences.append(Difference(row, "token_id", token_id, drawn))
                columns = ()
            # Sources of scores that operators ask may have needed the memory.
            yield from self._writer.activate(parent)
        self._writer.decode(parent, KnownToken(token_id, figures), origin)
        self._note_unplanned()
        self._compare(rows, columns, exact)
        self._note_states(rows, rows, alike and not rolled_out and self._is_same_after(parent))

    def _draw(
        self, row: int, parent: int, scores: torch.Tensor, figures: dict[str, Any]
    ) -> tuple[int, dict[str, Any], Sequence[str]]:
        """Draw a token as the record says; the figures it gets, and those that can be compared."""
        step = step_at(self._old, parent)
        chooser = self._chooser(int(self._old.column("recipe")[row]), step.position)
        if chooser is None:
            self._not_drawn += 1
            return int(self._old.column("token_id")[row]), figures, OF_P
        pending = chooser.choose(scores, step)
        return pending.token_id, pending.read(), FIGURES

    def _chooser(self, index: int, position: int) -> Chooser | None:
        """Return what draws the token at a position by a recipe, if that is known here."""
        recipe = self._old.record.recipes[index] if index >= 0 else None
        if recipe is None or not isinstance(recipe.program, Program):
            return None
        chooser, following = self._choosers.get(index, (None, -1))
        if recipe.sampling == "gumbel" or position == recipe.start:
            chooser = Chooser(Plan(recipe, 1))
        elif position != following:
            # A generator of torch goes on from token to token: one that was not drawn here breaks it off.
            return None
        self._choosers[index] = chooser, position + 1
        return chooser

    def _parent(self, rows: Sequence[int]) -> int:
        return int(self._old.column("parent")[rows[0]])

    # ---------------------------------------------------------------- what is the same

    def _note_states(self, rows: Sequence[int], kept: Sequence[int], is_same: bool) -> None:
        is_same = is_same and self._is_same_after(self._parent(rows))
        for changed, others in ((rows, self._other_states), (kept, self._other_kept)):
            (others.difference_update if is_same else others.update)(changed)

    def _is_same_after(self, row: int) -> bool:
        """Whether all that a token after ``row`` is computed from is as in the record."""
        if row in self._other_kept:
            return False
        return not self._other_states or self._other_states.isdisjoint(self._old.path(row))

    def _note_unplanned(self, leave_out: Recomputation | None = None) -> None:
        """Take down rows that the engine computed again by itself, perhaps for want of memory."""
        for made in self._new.record.recomputed[self._seen :]:
            self._seen += 1
            if made is not leave_out:
                self._other_states.update(made.rows)
                self._other_kept.update(made.renewed)

    def _compare(self, rows: range, columns: Sequence[str], exact: bool) -> None:
        self._exact += len(rows) * exact
        self._close += len(rows) * (not exact)
        found: dict[int, Difference] = {}
        for name in columns:
            old, new = (tree.column(name)[rows.start : rows.stop] for tree in (self._old, self._new))
            same = _same_bits(old, new) if exact else _close(old, new, self._tolerance)
            if name == "fired":
                # Files of earlier versions do not say it.
                same |= old == 0
            for place in np.argwhere(~same).tolist():
                row, where = rows.start + place[0], tuple(place)
                found.setdefault(row, Difference(row, name, old[where].item(), new[where].item()))
        self._differences += [found[row] for row in sorted(found)]


def _same_bits(old: npt.NDArray[Any], new: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    same: npt.NDArray[np.bool_] = old.view(np.uint32) == new.view(np.uint32)
    # A missing figure is one whatever its bits: a file keeps none of them.
    both_missing: npt.NDArray[np.bool_] = np.isnan(old) & np.isnan(new)
    return same | both_missing


def _close(old: npt.NDArray[Any], new: npt.NDArray[Any], tolerance: float) -> npt.NDArray[np.bool_]:
    close: npt.NDArray[np.bool_] = np.isclose(new, old, rtol=tolerance, atol=tolerance, equal_nan=True)
    return close
