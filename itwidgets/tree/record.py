"""The record: what the columns leave unsaid of how the rows of a tree were made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from itwidgets.interventions import SAMPLINGS, Program, check_seed
from itwidgets.tree.identity import ModelIdentity


@dataclass(frozen=True, eq=False)
class Recipe:
    """How sampled tokens were chosen.

    Parameters
    ----------
    program
        From `p` to the distribution that is drawn from. A text, if a file shows a program that cannot be
        read here.
    seed
        Of the noise, from 0 to 2⁶⁴ - 1.
    sampling
        ``"gumbel"``: noise that depends on seed, position and token alone. ``"torch"``: a generator of
        torch.
    start
        Position among the new tokens at which the generator was seeded; of no meaning for ``"gumbel"``.
    """

    program: Program | str
    seed: int
    sampling: str = "gumbel"
    start: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.sampling not in SAMPLINGS:
            raise ValueError(f"sampling is {self.sampling!r}, but must be one of {', '.join(SAMPLINGS)}")

    @property
    def text(self) -> str | None:
        """Canonical JSON of the program, if who has the code that it names can read it from that again."""
        if isinstance(self.program, str) or self.program.foreign:
            return None
        try:
            text = self.program.to_json()
            again = Program.from_json(text, allow=self.program.code)
        except (TypeError, ValueError):
            return None
        # Two functions of one name could not be told apart.
        return text if again == self.program else None

    def is_same(self, other: Recipe) -> bool:
        """Whether both choose alike.

        Operators that are not of this package are alike if they are one, and so is code of the user's own.
        """
        if (self.seed, self.sampling, self.start) != (other.seed, other.sampling, other.start):
            return False
        if isinstance(self.program, str) or isinstance(other.program, str):
            return self.program == other.program
        if self.text is not None or other.text is not None:
            return self.text == other.text and self.program.code == other.program.code
        mine, theirs = ([id(part) for part in one.foreign] for one in (self.program, other.program))
        return mine == theirs and self.program == other.program


class Recomputation(NamedTuple):
    """Rows that passed through the model once more, after their keys and values had been dropped.

    Attributes
    ----------
    forward
        Number of the forward call.
    rows
        Those whose keys and values were made anew; consecutive on one path.
    renewed
        Those of them whose state for the output head was made anew too: the figures of their children
        are computed from that.
    """

    forward: int
    rows: tuple[int, ...]
    renewed: tuple[int, ...]


class Maker(NamedTuple):
    """The model that made the rows from one forward call on.

    Attributes
    ----------
    forward
        Number of the first forward call that may be its own.
    identity
        Which model, and by which kernels.
    """

    forward: int
    identity: ModelIdentity


class Record:
    """What the rows do not say themselves: recipes, and what passed through the model again.

    Forward calls are numbered for each tree, so what other sessions do on the engine does not show.

    Parameters
    ----------
    recipes, recomputed, makers
        As they were, for a tree that is read from a file.

    Examples
    --------
    >>> record = Record()
    >>> record.intern(Recipe(Program(), seed=1)), record.intern(Recipe(Program(), seed=1))
    (0, 0)
    >>> record.note_recomputed([3, 4], renewed=[])
    Recomputation(forward=0, rows=(3, 4), renewed=())
    """

    def __init__(
        self,
        recipes: Iterable[Recipe] = (),
        recomputed: Iterable[Recomputation] = (),
        makers: Iterable[Maker] = (),
    ) -> None:
        self._recipes = list(recipes)
        self._recomputed = list(recomputed)
        self._makers = list(makers)
        self.next_forward = 1 + max((noted.forward for noted in self._recomputed), default=-1)

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """What the column ``recipe`` counts."""
        return tuple(self._recipes)

    @property
    def recomputed(self) -> tuple[Recomputation, ...]:
        """All recomputations, in the order in which they were made."""
        return tuple(self._recomputed)

    @property
    def makers(self) -> tuple[Maker, ...]:
        """Which models made the rows, in order; empty while it was only the session's own."""
        return tuple(self._makers)

    def intern(self, recipe: Recipe) -> int:
        """Return the index of a recipe; equal recipes share one."""
        for index, known in enumerate(self._recipes):
            if known.is_same(recipe):
                return index
        self._recipes.append(recipe)
        return len(self._recipes) - 1

    def note_recomputed(self, rows: Sequence[int], renewed: Sequence[int]) -> Recomputation:
        """Say that the forward call just made was for rows that the tree has already."""
        noted = Recomputation(self.next_forward, tuple(rows), tuple(renewed))
        self._recomputed.append(noted)
        self.next_forward += 1
        return noted

    def note_forward(self, forward: int) -> None:
        """Say that a row has this number; for the table."""
        self.next_forward = max(self.next_forward, forward + 1)

    def note_maker(self, identity: ModelIdentity) -> None:
        """Say which model makes the rows from now on."""
        if self._makers and self._makers[-1].forward == self.next_forward:
            # The one before has made nothing.
            self._makers.pop()
        if not self._makers or self._makers[-1].identity != identity:
            self._makers.append(Maker(self.next_forward if self._makers else 0, identity))
