"""A session: one prompt's token tree on an engine, and what a user does with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, Unpack

from itwidgets.engine.decoding.generation import Generation, step_at
from itwidgets.engine.decoding.memory import Memory
from itwidgets.engine.scoring.score import ScoreOptions, score
from itwidgets.engine.scoring.texts import Texts
from itwidgets.engine.session.comparing import diverging
from itwidgets.engine.session.counterfactuals import Counterfactuals, plan_of
from itwidgets.engine.session.distribution import Distribution
from itwidgets.engine.session.growing import last_token
from itwidgets.engine.session.keeping import KeptTree
from itwidgets.engine.session.replay import Replay, start_replay
from itwidgets.engine.session.stages import looked_at
from itwidgets.engine.worker import Job, Steps
from itwidgets.interventions import Operator, Program
from itwidgets.tree import Branch, Comparison, Node

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


class Session(Counterfactuals, KeptTree):
    """The token tree of one prompt, and what grows it.

    Made by :meth:`Engine.session <itwidgets.engine.Engine.session>` and :func:`itwidgets.open`.

    Positions count the *new* tokens of the current branch: 0 is the first after the prompt, -1 the
    last one made, and the number of new tokens is the place of the next one. Prompt tokens are reached
    through nodes.

    Attributes
    ----------
    tree : TokenTree
        All tokens ever made; it only grows.
    read_only : str or None
        Why the session cannot go on, if it cannot.
    """

    # ---------------------------------------------------------------- growing

    def generate(
        self,
        max_new_tokens: int = 20,
        *,
        program: Program | Operator | None = None,
        seed: int = 0,
        sampling: str = "gumbel",
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
        sampling
            ``"gumbel"``: noise that depends on seed, position and token alone, whatever else happened.
            ``"torch"``: the draws of transformers' ``generate`` after ``torch.manual_seed(seed)``.

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
        return self.grow(None, [], plan_of(program, seed, sampling, max_new_tokens))

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
        return last_token(self.grow(self.parent_of(position), token_ids, None))

    def distribution(self, position: int | Node, program: Program | Operator | None = None) -> Distribution:
        """`p` at a place, exact over the whole vocabulary, and what a program makes of it.

        Parameters
        ----------
        position
            Of a new token on the current branch, or its end for the token that would come next, or a
            node of any branch: what that token was drawn from.
        program
            For ``stages``, ``q`` and ``s``; by default that which drew the token there. Of a token that was
            given, and where there is none yet, there are no stages, and `q` and `s` are `p`.

        Examples
        --------
        >>> round(session.distribution(0).entropy, 2)
        2.14
        """
        row = self.parent_of(position)
        if program is not None:
            return self.read_distribution(row, Program() >> program).wait()
        found, drawn_by = self.read_distribution(row).wait(), self.program_at(position)
        return found.with_stages(lambda: self.read_distribution(row, drawn_by).wait().stages)

    def distribution_after(self, row: int) -> Distribution:
        """`p` of the token that follows a row of the tree."""
        return self.read_distribution(row).wait()

    def read_distribution(self, row: int, program: Program | None = None) -> Job[Distribution]:
        """Start the job that computes `p` after a row: at once where it is held, else after other jobs."""
        if row < 0:
            raise ValueError("the first token of a text has no context, so there is no distribution to show")
        row = self.tree[row].row
        vocabulary, writer = self.engine.vocabulary, self._branching.writer

        def body(job: Job[Distribution]) -> Steps[Distribution]:
            scores = yield from writer.scores(row)
            step = None if program is None else step_at(self.tree, row)
            log_probs, made = writer.retried(lambda: looked_at(scores, program, step, vocabulary))
            return Distribution(log_probs, vocabulary, lambda: made)

        lane = ("read", self.id) if writer.holds(row) else self.id
        return self._submit(lane, Job("distribution", body))

    def compare(self, *branches: Node | Branch, divergences: bool = True) -> Comparison:
        """Lay branches side by side, each aligned with the first: where they part and where they meet again.

        Parameters
        ----------
        branches
            Two or more, as branches or as their last tokens.
        divergences
            Whether to compute how far their distributions are apart at aligned places, ``KL(p of the first
            || p of the other)`` in bits. Each place takes two rows of the output head.

        Examples
        --------
        >>> tips = session.force(0, " Paris"), session.force(0, " London")
        >>> session.compare(*tips).totals()[["text", "surprisal_bits"]].round(2).values.tolist()
        [[' Paris', 0.37], [' London', 6.33]]
        """
        return self.start_comparison(*branches).wait() if divergences else self._beside(branches)

    def start_comparison(self, *branches: Node | Branch) -> Job[Comparison]:
        """Start :meth:`compare` and return its job at once."""
        return self.start_divergences(self._beside(branches))

    def start_divergences(self, comparison: Comparison) -> Job[Comparison]:
        """Start the job that fills in what a comparison lacks of its divergences; return it at once."""
        writer = self._branching.writer
        # Here, since to align long texts takes long, and all sessions share the engine's thread.
        pairs = [pair for pair in comparison.pairs() if pair not in comparison.divergences]
        job = Job("comparison", lambda _: diverging(comparison, pairs, writer))
        # What is read of kept rows needs no cache, and so not the session's turn.
        if all(writer.holds(row) for pair in pairs for row in pair):
            return self._submit(("read", self.id), job)
        return self._submit_between(job)

    def score(self, texts: Texts, **options: Unpack[ScoreOptions]) -> pd.DataFrame:
        """Score every token of given texts with the session's model and adapter; the tree stays as it is.

        As :func:`itwidgets.score`, which says what ``options`` there are.

        Examples
        --------
        >>> session.score("It is Rome")["surprisal_bits"].round(2).tolist()
        [nan, 5.27, 17.61]
        """
        return score(self.engine, texts, adapter=self.identity.adapter, **options)

    def replay(self) -> Replay:
        """Make all tokens again, call by call and in a tree of their own, and compare every figure.

        What was computed by one and the same path must come out to the bit; what came from a rollout, or
        from another dtype, device or version, within a tolerance.

        Raises
        ------
        ValueError
            When the record does not say how the tokens were made.

        Examples
        --------
        >>> session.replay()
        <Replay: all 5 rows came out again, 5 to the bit>
        """
        return start_replay(self.engine, self.tree, self.identity.adapter).wait()

    # ---------------------------------------------------------------- memory

    def memory(self) -> Memory:
        """Return what the session holds, in bytes.

        Examples
        --------
        >>> session.memory().rows  # a hidden state of 576 numbers a token
        11520
        """
        return self._on_worker("memory", self._branching.writer.memory)

    def forget(self) -> None:
        """Give up all keys and values; they are computed again when they are needed. No token is lost."""
        writer = self._branching.writer
        self._submit(("read", self.id), Job("forget", lambda _: writer.forget())).wait()

    def _on_worker(self, kind: str, action: Callable[[], T]) -> T:
        """Run a short action on the engine's thread, which owns what it is about."""

        def body(_: Job[T]) -> Steps[T]:
            yield
            return action()

        return self._submit(("read", self.id), Job(kind, body)).wait()
