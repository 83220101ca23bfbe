"""What makes a session grow: its jobs on the engine's thread, one at a time."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from itwidgets.engine.decoding import generation, rollout
from itwidgets.engine.decoding.choice import Plan
from itwidgets.engine.decoding.generation import Branching, Generation
from itwidgets.engine.decoding.rollout import Continuation, Rollout
from itwidgets.engine.session.listeners import Listeners
from itwidgets.engine.session.prompts import Prompt, encode_prompt, encode_source
from itwidgets.engine.session.view import NO_PROMPT, TreeView
from itwidgets.engine.worker import Job, Steps, StoppedError
from itwidgets.tree import Branch, LabelChanges, Node, Origin, TokenTree
from itwidgets.tree.files import ModelIdentity

if TYPE_CHECKING:
    from itwidgets.engine.engine import Engine

AnyJob = TypeVar("AnyJob", bound=Job[Any])


class BusyError(RuntimeError):
    """The session is growing, and two things cannot grow it at once."""


class ReadOnlyError(RuntimeError):
    """The session can be read but not continued."""


class GrowingTree(TreeView):
    """A token tree with a head and, unless it is read-only, an engine to grow it.

    Attributes
    ----------
    tree : TokenTree
        All tokens ever made; it only grows.
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
        self._identity = identity
        self.read_only = read_only
        self._engine = engine
        self._jobs: list[Generation] = []
        # Jobs that grow nothing, but that what grows the session waits for.
        self._others: list[Job[Any]] = []
        self._starting = threading.Lock()
        self._listeners = Listeners()
        self._notify = self._listeners.notify
        self._first_prompt: list[int] = []
        if engine is not None:
            self._writer = engine.writer(tree, identity)

    @property
    def _branching(self) -> Branching:
        # Made anew each time: kept, it and the session would hold each other, and what they hold of memory.
        engine = self.engine
        return Branching(self._writer, engine.stop_ids, engine.context_length, self._move_head)

    @property
    def identity(self) -> ModelIdentity:
        """The model that made the last tokens, and by which code; that which will, where there are none."""
        makers = self.tree.record.makers
        return makers[-1].identity if makers else self._identity

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

    def holds_distribution(self, row: int) -> bool:
        """Whether the distribution after a row can be read without running the model's layers."""
        return self._branching.writer.holds(self.tree[row].row)

    def stop(self) -> None:
        """Stop what grows the session, at the next token; what was made stays."""
        for job in (*self._jobs, *self._others):
            job.cancel()

    # ---------------------------------------------------------------- jobs

    def encode(self, prompt: Prompt, template: Mapping[str, Any] | None = None) -> list[int]:
        """Token ids of a prompt for this session's model; raises what is wrong with it in one sentence."""
        engine = self.engine
        if engine.runner.has_encoder:
            return encode_source(prompt, engine.vocabulary, engine.source_length, template)
        return encode_prompt(prompt, engine.vocabulary, engine.context_length, template)

    def read_prompt(self, token_ids: Sequence[int]) -> Generation:
        """Start the job that makes a prompt current: what the tree shares with it is kept.

        With an encoder, the prompt is a source text: each has texts of its own.
        """
        return self._start("prompt", 0, lambda job: self._prompt_steps(token_ids))

    def grow(
        self,
        parent: int | None,
        forced: Sequence[int],
        plan: Plan | None,
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
        total = len(forced) + (plan.max_new_tokens if plan else 0)

        def steps(job: Generation) -> Steps[None]:
            if prompt is not None:
                yield from self._prompt_steps(prompt)
            row = self._history.head if parent is None else parent
            if row < 0:
                raise ValueError(NO_PROMPT)
            row = yield from generation.force(self._branching, job, row, forced)
            if plan is not None:
                yield from generation.generate(self._branching, job, row, plan)

        return self._start("force" if forced else "generate", total, steps)

    def roll_out(self, parent: int, alternatives: Sequence[int] | int, plan: Plan) -> Job[Rollout]:
        """Start the job that runs alternatives after a row beside the tree; it waits for others to end."""
        if parent < 0:
            raise ValueError("the first token of a text has none before it, so it has no alternatives")
        self._branching.require_room(parent, plan.max_new_tokens)

        def body(job: Job[Rollout]) -> Steps[Rollout]:
            return (yield from rollout.roll_out(self._branching, job, parent, alternatives, plan))

        job = Job("rollout", body)
        return self._submit_between(job)

    def add_branch(self, continuation: Continuation) -> Generation:
        """Start the job that makes a continuation a branch and moves the head to its end."""

        def steps(job: Generation) -> Steps[None]:
            last = yield from rollout.adopt(self._branching, continuation)
            self._move_head(last)
            for row in self.tree.path(last)[-len(continuation.token_ids) :]:
                job.add(self.tree[row])

        return self._start("adopt", len(continuation.token_ids), steps)

    @property
    def has_ended(self) -> bool:
        """Whether the head is a token with which the model ended its text."""
        head = self.head
        return head is not None and head.origin is Origin.SAMPLED and head.token_id in self.engine.stop_ids

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` on every change, from any thread; returns what ends that."""
        return self._listeners.add(listener)

    # ---------------------------------------------------------------- moving

    def switch(self, to: Node | Branch) -> Node:
        """Move the head to a node, or to the end of a branch; nothing is computed."""
        node = self._tip(to, "switch to")
        # No job may begin between the look and the move.
        with self._starting:
            self._require_still("switch branches")
            self._history.move(node.row)
        self._notify()
        return node

    def label(self, branch: Node | Branch, **changes: Unpack[LabelChanges]) -> Branch:
        """Name a branch, give it a colour, or hide it in lists; what is not given stays as it is.

        Every viewer of the session shows it, and files keep it. A read-only session can be labelled too.

        Parameters
        ----------
        branch
            A branch, or any node of its own.
        name
            At most 60 characters; ``None`` for "Branch" and its number. Two branches may have one name.
        colour
            One of ``"blue"``, ``"orange"``, ``"green"``, ``"pink"``, ``"gold"``, or ``None``.
        hidden
            Whether lists leave it out. No token is lost.

        Examples
        --------
        >>> rude = session.label(session.force(0, " London"), name="the rude one", colour="green")
        >>> rude.name, rude.colour, rude.hidden
        ('the rude one', 'green', False)
        """
        labelled = self.tree.branch_of(self._tip(branch, "label").row)
        self.tree.labels.change(labelled.start, **changes)
        self._notify()
        return labelled

    def undo(self) -> Node | None:
        """Move the head back to where it was before the last move; no token is lost."""
        with self._starting:
            self._require_still("undo")
            self._history.undo()
        self._notify()
        return self.head

    def redo(self) -> Node | None:
        """Take back an undo."""
        with self._starting:
            self._require_still("redo")
            self._history.redo()
        self._notify()
        return self.head

    # ---------------------------------------------------------------- parts

    def _prompt_steps(self, token_ids: Sequence[int]) -> Steps[None]:
        self._first_prompt = self._first_prompt or list(token_ids)
        origin = Origin.PROMPT if list(token_ids) == self._first_prompt else Origin.EDITED
        writer = self._branching.writer
        source, start = writer.runner.begin(token_ids)
        known = self.tree.common_prefix(start, {Origin.PROMPT, Origin.EDITED}, source)
        last = known[-1] if known else -1
        row = yield from writer.prefill(last, start[len(known) :], origin, source)
        self._move_head(row)

    def _start(self, kind: str, total: int, steps: Callable[[Generation], Steps[None]]) -> Generation:
        def body(job: Generation) -> Steps[list[Node]]:
            with self._history.one_move():
                yield from steps(job)
            return job.nodes

        with self._starting:
            self._require_idle(kind)
            job = Generation(kind, total, body)
            job.on_done(self._prune)
            job.on_done(self._notify)
            others = [other for other in self._jobs if not other.done]
            self._jobs = [*others, job]
            try:
                return self._submit(self.id, job)
            except RuntimeError:
                # A job that no engine takes would never end, and the session would stay busy.
                self._jobs = others
                raise

    def _prune(self) -> None:
        """Let go of jobs that have ended: of what they made, only who wants it keeps it."""
        with self._starting:
            self._jobs = [job for job in self._jobs if not job.done]
            self._others = [job for job in self._others if not job.done]

    def _submit(self, lane: Hashable, job: AnyJob) -> AnyJob:
        return self.engine.submit(lane, job, self.identity.adapter)

    def _submit_between(self, job: AnyJob) -> AnyJob:
        """Submit a job that grows nothing, to be done between those that do; :meth:`stop` ends it too."""
        job.on_done(self._prune)
        with self._starting:
            self._others.append(job)
        try:
            return self._submit(self.id, job)
        except RuntimeError:
            self._others.remove(job)
            raise

    def _require_idle(self, action: str) -> None:
        job = self.running
        # What is asked for while the prompt is read is done after it.
        if job is not None and job.kind != "prompt":
            raise BusyError(
                f"cannot {action} while the session is growing ({len(job.nodes)} of {job.total} tokens): "
                "stop that job or wait for it"
            )

    def _require_still(self, action: str) -> None:
        """Refuse what moves the head while a job does."""
        self._require_idle(action)
        if self.reading is not None:
            raise BusyError(f"cannot {action} while the prompt is read: stop that job or wait for it")

    def _move_head(self, row: int) -> None:
        self._history.move(row)
        self._notify()


def last_token(job: Generation) -> Node:
    """Wait for the last of all tokens that a job is to make."""
    try:
        nodes = job.wait()
    except BaseException:
        # As in wait: an error holds the frames that it has passed.
        del job
        raise
    if len(nodes) < job.total:
        raise StoppedError(f"{job.kind} was stopped after {len(nodes)} of {job.total} tokens")
    return nodes[-1]
