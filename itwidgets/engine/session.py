"""A session: one prompt's token tree on an engine, and what a user does with it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING

from itwidgets.engine import generation
from itwidgets.engine.distribution import Distribution
from itwidgets.engine.generation import Branching, Generation, Recipe
from itwidgets.engine.listeners import Listeners
from itwidgets.engine.prompts import Prompt, encode_prompt
from itwidgets.engine.view import NO_PROMPT, TreeView
from itwidgets.engine.worker import Job, Steps
from itwidgets.engine.writer import TreeWriter
from itwidgets.information import log_probabilities
from itwidgets.interventions import GREEDY, Operator, Program
from itwidgets.tree import Branch, Node, Origin, TokenTree
from itwidgets.tree.files import ModelIdentity, SavedSession, save_session

if TYPE_CHECKING:
    from itwidgets.engine.engine import Engine


class BusyError(RuntimeError):
    """The session is growing, and two things cannot grow it at once."""


class ReadOnlyError(RuntimeError):
    """The session can be read but not continued."""


class Session(TreeView):
    """The token tree of one prompt, and what grows it.

    Made by :meth:`Engine.session <itwidgets.engine.Engine.session>` and :func:`itwidgets.open`.

    Positions count the *new* tokens of the current branch: 0 is the first after the prompt, -1 the
    last one made, and the number of new tokens is the place of the next one. Prompt tokens are reached
    through nodes.

    Attributes
    ----------
    tree : TokenTree
        All tokens ever made; it only grows.
    identity : ModelIdentity
        The model that made the tokens.
    read_only : str or None
        Why the session cannot go on, if it cannot.
    """

    def __init__(
        self,
        engine: Engine | None,
        tree: TokenTree,
        identity: ModelIdentity,
        *,
        head: int = -1,
        read_only: str | None = None,
    ) -> None:
        self.id = uuid.uuid4().hex
        super().__init__(tree, head)
        self.identity = identity
        self.read_only = read_only
        self._engine = engine
        self._jobs: list[Generation] = []
        self._starting = threading.Lock()
        self._listeners = Listeners()
        self._notify = self._listeners.notify
        self._first_prompt: list[int] = []
        if engine is not None:
            self._branching = Branching(
                TreeWriter(engine.runner, tree),
                engine.stop_ids,
                engine.context_length,
                self._move_head,
            )

    # ---------------------------------------------------------------- reading

    @property
    def engine(self) -> Engine:
        """The engine it runs on; an error when it is read-only."""
        if self._engine is None or self.read_only is not None:
            raise ReadOnlyError(f"this session is read-only: {self.read_only}")
        return self._engine

    @property
    def reading(self) -> Generation | None:
        """The job that is reading the prompt now, or waits to."""
        return next((job for job in self._jobs if job.kind == "prompt" and not job.done), None)

    @property
    def running(self) -> Generation | None:
        """The job that is growing the session now."""
        return next((job for job in reversed(self._jobs) if not job.done), None)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the whole tree to one JSON file, which :func:`itwidgets.open` reads."""
        save_session(path, SavedSession(self.tree, self._history.head, self.identity))

    # ---------------------------------------------------------------- growing

    def generate(
        self,
        max_new_tokens: int = 20,
        *,
        program: Program | Operator | None = None,
        seed: int = 0,
    ) -> Generation:
        """Continue from the head; the tokens stream while the job runs.

        Parameters
        ----------
        max_new_tokens
            The model may end its text before.
        program
            Interventions and sampler stages; ``None`` is greedy decoding.
        seed
            Of the noise that sampling uses: the same seed gives the same draws at the same positions.

        Returns
        -------
        Generation
            Iterate it for each node as it is made, ``wait()`` for all, or ``cancel()`` it.

        Examples
        --------
        >>> for node in session.generate(max_new_tokens=2):
        ...     print(repr(node.text), round(node.surprisal, 2))
        ' Paris' 0.37
        '.' 0.55
        """
        chosen = GREEDY if program is None else Program() >> program
        return self.grow(None, [], Recipe(chosen, seed, max_new_tokens))

    def force(self, position: int | Node, tokens: int | str | Sequence[int]) -> Node:
        """Put other tokens at a place: a new branch, to which the head moves. The old one stays.

        Parameters
        ----------
        position
            Of a new token on the current branch, or a node of any branch to be replaced.
        tokens
            A token id, several, or any text of one or more tokens.

        Returns
        -------
        Node
            The last forced token.

        Examples
        --------
        >>> node = session.force(0, " London")
        >>> node.rank, round(node.cost, 2)
        (3, 6.33)
        """
        token_ids = self.engine.vocabulary.token_ids(tokens)
        return self.grow(self.parent_of(position), token_ids, None).wait()[-1]

    def distribution(self, position: int | Node) -> Distribution:
        """`p` at a place, exact over the whole vocabulary.

        Parameters
        ----------
        position
            Of a new token on the current branch, or its end for the token that would come next, or a
            node of any branch: what that token was drawn from.

        Examples
        --------
        >>> round(session.distribution(0).entropy, 2)
        2.14
        """
        return self.distribution_after(self.parent_of(position))

    def distribution_after(self, row: int) -> Distribution:
        """`p` of the token that follows a row of the tree."""
        return self.read_distribution(row).wait()

    def read_distribution(self, row: int) -> Job[Distribution]:
        """Start the job that computes `p` after a row: at once where it is held, else after other jobs."""
        if row < 0:
            raise ValueError("the first token of a text has no context, so there is no distribution to show")
        row = self.tree[row].row
        vocabulary = self.engine.vocabulary

        def body(job: Job[Distribution]) -> Steps[Distribution]:
            scores = yield from self._branching.writer.scores(row)
            return Distribution(log_probabilities(scores).cpu().numpy(), vocabulary)

        lane = ("read", self.id) if self._branching.writer.holds(row) else self.id
        return self.engine.submit(lane, Job("distribution", body))

    def stop(self) -> None:
        """Stop what grows the session, at the next token; what was made stays."""
        for job in self._jobs:
            job.cancel()

    # ---------------------------------------------------------------- moving

    def switch(self, to: Node | Branch) -> Node:
        """Move the head to a node, or to the end of a branch; nothing is computed."""
        node = to.tip if isinstance(to, Branch) else to
        self._require_own(node)
        self._require_idle("switch branches")
        self._history.move(node.row)
        self._notify()
        return node

    def undo(self) -> Node | None:
        """Move the head back to where it was before the last move; no token is lost."""
        self._require_idle("undo")
        self._history.undo()
        self._notify()
        return self.head

    def redo(self) -> Node | None:
        """Take back an undo."""
        self._require_idle("redo")
        self._history.redo()
        self._notify()
        return self.head

    # ---------------------------------------------------------------- for the viewer

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt for this session's model; raises what is wrong with it in one sentence."""
        return encode_prompt(prompt, self.engine.vocabulary, self.engine.context_length)

    def read_prompt(self, token_ids: Sequence[int]) -> Generation:
        """Start the job that makes a prompt current: what the tree shares with it is kept."""
        return self._start("prompt", 0, lambda job: self._prompt_steps(token_ids))

    def grow(
        self,
        parent: int | None,
        forced: Sequence[int],
        recipe: Recipe | None,
        prompt: Sequence[int] | None = None,
    ) -> Generation:
        """Start the job that appends forced tokens after a row and then draws more.

        Parameters
        ----------
        parent
            Row to grow from; ``None`` is the head when the job begins.
        prompt
            Token ids to make current first.
        """
        if parent == -1 and prompt is None:
            raise ValueError("the first token of a text has none before it to go on from: edit the prompt")
        if parent is not None and parent >= 0:
            self.tree[parent]  # an error that names the rows when there is no such one
        if parent is None and prompt is None and self.head is None and self.reading is None:
            raise ValueError(NO_PROMPT)
        total = len(forced) + (recipe.max_new_tokens if recipe else 0)

        def steps(job: Generation) -> Steps[None]:
            if prompt is not None:
                yield from self._prompt_steps(prompt)
            row = self._history.head if parent is None else parent
            if row < 0:
                raise ValueError(NO_PROMPT)
            row = yield from generation.force(self._branching, job, row, forced)
            if recipe is not None:
                yield from generation.generate(self._branching, job, row, recipe)

        return self._start("force" if forced else "generate", total, steps)

    @property
    def has_ended(self) -> bool:
        """Whether the head is a token with which the model ended its text."""
        head = self.head
        return head is not None and head.origin is Origin.SAMPLED and head.token_id in self.engine.stop_ids

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` on every change, from any thread; returns what ends that."""
        return self._listeners.add(listener)

    # ---------------------------------------------------------------- parts

    def _prompt_steps(self, token_ids: Sequence[int]) -> Steps[None]:
        self._first_prompt = self._first_prompt or list(token_ids)
        origin = Origin.PROMPT if list(token_ids) == self._first_prompt else Origin.EDITED
        known = self.tree.common_prefix(token_ids, {Origin.PROMPT, Origin.EDITED})
        last = known[-1] if known else -1
        row = yield from self._branching.writer.prefill(last, token_ids[len(known) :], origin)
        self._move_head(row)

    def _start(self, kind: str, total: int, steps: Callable[[Generation], Steps[None]]) -> Generation:
        def body(job: Generation) -> Steps[list[Node]]:
            with self._history.one_move():
                yield from steps(job)
            return job.nodes

        with self._starting:
            self._require_idle(kind)
            job = Generation(kind, total, body)
            job.on_done(self._notify)
            others = [other for other in self._jobs if not other.done]
            self._jobs = [*others, job]
            try:
                return self.engine.submit(self.id, job)
            except RuntimeError:
                # A job that no engine takes would never end, and the session would stay busy.
                self._jobs = others
                raise

    def _require_idle(self, action: str) -> None:
        job = self.running
        # What is asked for while the prompt is read is done after it.
        if job is not None and job.kind != "prompt":
            raise BusyError(
                f"cannot {action} while the session is growing ({len(job.nodes)} of {job.total} tokens): "
                "stop that job or wait for it"
            )

    def _move_head(self, row: int) -> None:
        self._history.head = row
        self._notify()
