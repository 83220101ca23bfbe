"""What a place might have become: alternatives run together, and continuations by other seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from itwidgets.engine.decoding import generation
from itwidgets.engine.decoding.choice import Plan
from itwidgets.engine.decoding.generation import Generation
from itwidgets.engine.decoding.rollout import Continuation, Rollout
from itwidgets.engine.session.growing import GrowingTree, last_token
from itwidgets.engine.worker import Job, Steps
from itwidgets.interventions import GREEDY, Operator, Program, check_whole
from itwidgets.tree import Node, Recipe


class Counterfactuals(GrowingTree):
    """A growing tree with ways to see, and to keep, what else might have come of a place."""

    def rollout(
        self,
        position: int | Node,
        k: int = 5,
        max_new_tokens: int = 12,
        *,
        tokens: Sequence[int | str] | None = None,
        program: Program | Operator | None = None,
        seed: int = 0,
        sampling: str = "gumbel",
    ) -> Rollout:
        """Run alternatives of one place together, from the prefix that they share. The tree stays as it is.

        Parameters
        ----------
        position
            Of a new token on the current branch, or its end, or a node of any branch.
        k
            How many of the most probable tokens to run.
        max_new_tokens
            Of each continuation, the alternative included.
        tokens
            The alternatives, by id or by text of one token, in place of the `k` best.
        program, seed, sampling
            As in :meth:`generate`, for what follows the alternatives; all share their noise.

        Returns
        -------
        Rollout
            One :class:`Continuation` an alternative; :meth:`adopt` makes any of them a branch.

        Raises
        ------
        ContextFullError
            When the continuations would go past the model's context.

        Examples
        --------
        >>> session.rollout(0, k=2, max_new_tokens=2)
        Rollout of 2 alternatives:
          Continuation(' Paris.', rank=1, 0.92 bits)
          Continuation(' the capital', rank=2, 4.38 bits)
        """
        return self.start_rollout(
            position, k, max_new_tokens, tokens=tokens, program=program, seed=seed, sampling=sampling
        ).wait()

    def start_rollout(
        self,
        position: int | Node,
        k: int = 5,
        max_new_tokens: int = 12,
        *,
        tokens: Sequence[int | str] | None = None,
        program: Program | Operator | None = None,
        seed: int = 0,
        sampling: str = "gumbel",
    ) -> Job[Rollout]:
        """Start :meth:`rollout` and return its job at once; what a stopped one has made is its result."""
        check_whole("k", k, least=1)
        if isinstance(tokens, str):
            raise TypeError(f"tokens is {tokens!r}, but must be a list of token ids or texts of one token")
        vocabulary = self.engine.vocabulary
        alternatives = k if tokens is None else [vocabulary.token_id(token) for token in tokens]
        if alternatives == []:
            raise ValueError("tokens is empty, but a rollout needs at least one alternative")
        return self.roll_out(
            self.parent_of(position), alternatives, plan_of(program, seed, sampling, max_new_tokens)
        )

    def adopt(self, continuation: Continuation) -> Node:
        """Make a continuation of a rollout a branch, without the model; the head moves to its end.

        Examples
        --------
        >>> node = session.adopt(session.rollout(0, k=3, max_new_tokens=2)[2])
        >>> session.new_text, node.parent.origin.word
        (' London.', 'forced')
        """
        if not isinstance(continuation, Continuation):
            raise TypeError(f"cannot adopt {continuation!r}: give a continuation of a rollout")
        if continuation.tree is not self.tree:
            raise ValueError(f"{continuation!r} belongs to another session: give one of this session's own")
        return last_token(self.add_branch(continuation))

    def siblings(
        self,
        position: int | Node,
        n: int = 4,
        max_new_tokens: int = 20,
        *,
        program: Program | Operator,
        seed: int = 0,
        sampling: str = "gumbel",
    ) -> Generation:
        """Grow several continuations of one place, each a branch of its own, drawn with a seed of its own.

        Parameters
        ----------
        position
            Of a new token on the current branch, or its end, or a node of any branch; it stays.
        n
            How many.
        max_new_tokens
            Of each.
        program
            Interventions and sampler stages; one that leaves a choice.
        seed
            Of the first; each next one has the next seed, and the tokens that it would have by itself.

        Returns
        -------
        Generation
            One job for all: stopped, it keeps what was made. The head goes with the tokens, and so it ends
            on the last continuation.

        Examples
        --------
        >>> from itwidgets.interventions import Temperature
        >>> len(session.siblings(0, n=3, max_new_tokens=2, program=Temperature(0.8)).wait())
        6
        >>> len(session.branches)
        3
        """
        plan = plan_of(program, seed, sampling, max_new_tokens)
        return self.grow_siblings(self.parent_of(position), n, plan)

    def grow_siblings(self, parent: int, n: int, plan: Plan) -> Generation:
        """Start the job of :meth:`siblings` after a row; the plan is that of the first."""
        check_whole("n", n, least=1)
        if parent < 0:
            raise ValueError("the first token of a text has none before it, so it has no siblings")
        if n > 1 and plan.program.is_deterministic:
            raise ValueError(
                f"the program {plan.program!r} leaves no choice, so all {n} siblings would be the same: "
                "sample, or ask for one"
            )
        parent, first = self.tree[parent].row, plan.recipe.seed

        def steps(job: Generation) -> Steps[None]:
            for seed in range(first, first + n):
                each = replace(plan, recipe=replace(plan.recipe, seed=seed))
                yield from generation.generate(self._branching, job, parent, each)

        return self._start("siblings", n * plan.max_new_tokens, steps)


def plan_of(program: Program | Operator | None, seed: int, sampling: str, max_new_tokens: int) -> Plan:
    """Return how tokens are chosen by what a user gives; without a program the best of each place."""
    chosen = GREEDY if program is None else Program() >> program
    return Plan(Recipe(chosen, seed, sampling), max_new_tokens)
