"""The jobs that grow a branch: generate and force. Their bodies run on the engine's thread."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from itwidgets.engine.decoding.choice import Chooser, Plan
from itwidgets.engine.decoding.figures import pending_forced
from itwidgets.engine.decoding.places import step_after
from itwidgets.engine.decoding.writer import TreeWriter
from itwidgets.engine.worker import Job, Steps
from itwidgets.interventions import Step
from itwidgets.tree import Node, Origin, TokenTree


class Generation(Job[list[Node]]):
    """Tokens in the making: a job that also yields them one by one.

    Iterating gives each :class:`~itwidgets.tree.Node` as it is made and raises the job's error at the
    end, if it has one; leaving the loop early stops the job. :meth:`wait` returns the list of them.

    Attributes
    ----------
    nodes
        The tokens made so far.
    total
        How many it makes at most.
    """

    def __init__(self, kind: str, total: int, body: Callable[[Generation], Steps[list[Node]]]) -> None:
        super().__init__(kind, body)
        self.total = total
        self.nodes: list[Node] = []
        self.partial = self.nodes
        self._arrival = threading.Condition()
        self.on_done(self._announce)

    def add(self, node: Node) -> None:
        """Take a token that was just made. For the job's body."""
        self.nodes.append(node)
        self._announce()

    def _announce(self) -> None:
        with self._arrival:
            self._arrival.notify_all()

    def __iter__(self) -> Iterator[Node]:
        try:
            for index in itertools.count():
                self._await_token(index)
                if index >= len(self.nodes):
                    break
                yield self.nodes[index]
        except (GeneratorExit, KeyboardInterrupt):
            self.cancel()
            raise
        self.wait()

    def _await_token(self, index: int) -> None:
        with self._arrival:
            while index >= len(self.nodes) and not self.done:
                # With a timeout, so that an interrupt of the kernel gets through on every platform.
                self._arrival.wait(timeout=0.1)


def prompt_length(tree: TokenTree, path: Sequence[int]) -> int:
    """How many rows at the start of a path are the prompt."""
    given = np.isin(tree.column("origin")[list(path)], (Origin.PROMPT, Origin.EDITED))
    return len(path) if given.all() else int(given.argmin())


def step_at(tree: TokenTree, row: int) -> Step:
    """Return the step of the token that follows a row of a tree."""
    path = tree.path(row)
    prompt = prompt_length(tree, path)
    return step_after(tree, tree.token_ids(row), prompt, path[prompt:])


@dataclass(frozen=True)
class Branching:
    """What the bodies need of a session: its writer, the end of its prompt and where its head goes."""

    writer: TreeWriter
    stop_ids: frozenset[int]
    context_length: int | None
    move_head: Callable[[int], None]

    @property
    def tree(self) -> TokenTree:
        """The tree that grows."""
        return self.writer.tree

    def hand_out(self, row: int, job: Generation) -> None:
        """Tell of a row that was just made: the head first, so that whoever gets the token finds it there."""
        self.move_head(row)
        job.add(self.tree[row])

    def require_room(self, parent: int, count: int = 1) -> None:
        """Refuse what would go past the model's context.

        Raises
        ------
        ContextFullError
            When ``count`` tokens after ``parent`` are more than it holds.
        """
        limit = self.context_length
        used = int(self.tree.column("position")[parent]) + 1
        if limit is not None and used + count > limit:
            wanted = f"and {count} more were asked for" if count > 1 else "which is all"
            raise ContextFullError(
                f"the model's context is full: it holds {limit} tokens, this branch has {used}, {wanted}"
            )

    def prompt_length(self, row: int) -> int:
        """How many tokens of the branch that ends at ``row`` are its prompt."""
        return prompt_length(self.tree, self.tree.path(row))


class ContextFullError(RuntimeError):
    """The model's context holds no further token."""


def force(branching: Branching, job: Generation, parent: int, token_ids: Sequence[int]) -> Steps[int]:
    """Append given tokens after ``parent``, one decode step each; return the row of the last."""
    writer = branching.writer
    for token_id in token_ids:
        branching.require_room(parent)
        scores = yield from writer.scores(parent)
        # Between two steps another session may have needed the memory.
        yield from writer.activate(parent)
        token = writer.retried(partial(pending_forced, scores, token_id))
        parent = writer.decode(parent, token, Origin.FORCED)
        branching.hand_out(parent, job)
        yield
    return parent


def generate(branching: Branching, job: Generation, parent: int, plan: Plan) -> Steps[None]:
    """Draw tokens after ``parent`` until there are enough or the model ends its text."""
    tree, writer = branching.tree, branching.writer
    token_ids = tree.token_ids(parent)
    prompt = branching.prompt_length(parent)
    chooser = Chooser(plan, writer.retried)
    recipe = tree.record.intern(replace(plan.recipe, start=len(token_ids) - prompt))
    rows = tree.path(parent)[prompt:]
    for _ in range(plan.max_new_tokens):
        branching.require_room(parent)
        scores = yield from writer.scores(parent)
        token = chooser.choose(scores, step_after(tree, token_ids, prompt, rows))
        # Afterwards, since sources of scores that operators ask may have needed the memory.
        yield from writer.activate(parent)
        parent = writer.decode(parent, token, Origin.SAMPLED, recipe)
        token_ids.append(tree[parent].token_id)
        rows.append(parent)
        branching.hand_out(parent, job)
        yield
        if token_ids[-1] in branching.stop_ids:
            return
