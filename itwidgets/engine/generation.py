"""The jobs that grow a branch: generate and force. Their bodies run on the engine's thread."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from itwidgets.engine.view import prompt_length
from itwidgets.engine.worker import Job, Steps
from itwidgets.engine.writer import TreeWriter, drawn_figures, forced_figures
from itwidgets.interventions import Program, Step, check_seed, check_whole, draw
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


@dataclass(frozen=True)
class Recipe:
    """How tokens are chosen: the program, the seed of the noise, and how many at most."""

    program: Program
    seed: int
    max_new_tokens: int

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_whole("max_new_tokens", self.max_new_tokens, least=1)


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


class ContextFullError(RuntimeError):
    """The model's context holds no further token."""


def force(branching: Branching, job: Generation, parent: int, token_ids: Sequence[int]) -> Steps[int]:
    """Append given tokens after ``parent``, one decode step each; return the row of the last."""
    yield from branching.writer.activate(parent)
    for token_id in token_ids:
        _require_room(branching, parent)
        scores = yield from branching.writer.scores(parent)
        parent = branching.writer.decode(parent, token_id, Origin.FORCED, forced_figures(scores, token_id))
        branching.hand_out(parent, job)
        yield
    return parent


def generate(branching: Branching, job: Generation, parent: int, recipe: Recipe) -> Steps[None]:
    """Draw tokens after ``parent`` until there are enough or the model ends its text."""
    tree, writer = branching.tree, branching.writer
    yield from writer.activate(parent)
    path = tree.path(parent)
    token_ids = tree.token_ids(parent)
    prompt = prompt_length(tree, path)
    for _ in range(recipe.max_new_tokens):
        _require_room(branching, parent)
        scores = yield from writer.scores(parent)
        step = Step(len(token_ids) - prompt, tuple(token_ids), prompt)
        # A copy, so that no operator can rewrite what is recorded as p.
        outcome = recipe.program(step, scores.clone())
        token_id = draw(outcome.s, recipe.seed, step.position)
        figures = drawn_figures(scores, outcome, token_id, recipe.program)
        parent = writer.decode(parent, token_id, Origin.SAMPLED, figures)
        token_ids.append(token_id)
        branching.hand_out(parent, job)
        yield
        if token_id in branching.stop_ids:
            return


def _require_room(branching: Branching, parent: int) -> None:
    limit = branching.context_length
    used = int(branching.tree.column("position")[parent]) + 1
    if limit is not None and used >= limit:
        raise ContextFullError(
            f"the model's context is full: it holds {limit} tokens, and this branch has {used}"
        )
