"""Code of the user's own in a program: a function as an operator, and how code is named in JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch

from itwidgets.interventions.described import Allowed
from itwidgets.interventions.operators import Operator
from itwidgets.interventions.step import Step

Function = Callable[[torch.Tensor, int, Any], Any]
"""From raw scores ``[V]``, the position among the new tokens and the text so far to other scores."""


@dataclass(frozen=True)
class Fn(Operator):
    """A function of the user's own.

    It is called as ``function(logits, position, context)`` and must give the same result for the same
    arguments: a replay calls it again.

    Parameters
    ----------
    function
        ``logits``
            Raw scores, shape ``[V]``, a copy: what is written into it counts only if it is returned.
        ``position``
            Of the token to be drawn; 0 is the first new token after the prompt.
        ``context``
            The text before it, prompt and special tokens included; None where there is no tokenizer.

        It returns scores of the same shape, as a tensor or a numpy array; ``-inf`` excludes a token.
    name
        What JSON calls it; by default the function's own name.
    version
        Any text: another one makes another program of the same function, as after a change to it.

    Raises
    ------
    TypeError
        When it is no function, or when what it returns is no array.
    ValueError
        When what it returns has another shape or holds NaN or ``inf``.

    Examples
    --------
    >>> def hotter(logits, position, context):
    ...     return logits / (1 + 0.1 * position)
    >>> program = Fn(hotter) >> Fn(lambda logits, position, context: logits - logits.max(), "shifted")
    >>> program(Step(10, range(11), 1), torch.tensor([1.0, 3.0])).q
    tensor([-1.,  0.])

    JSON holds names alone, and what reads it says which code they may mean.

    >>> from itwidgets.interventions import Program
    >>> text = Program((Fn(hotter),)).to_json()
    >>> Program.from_json(text, allow={"hotter": hotter}).operators
    (Fn(name='hotter', version=''),)
    """

    function: Function = field(repr=False)
    name: str | None = None
    version: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", code_name("function", self.function, self.name))
        if not isinstance(self.version, str):
            raise TypeError(f"version is {self.version!r}, but must be a text")

    @property
    def is_shift_invariant(self) -> bool:
        """Nobody knows."""
        return False

    def parameters(self) -> dict[str, Any]:
        """Return the name and the version."""
        return {"name": self.name, "version": self.version}

    def code(self) -> Allowed:
        """Return the function by its name."""
        return {str(self.name): self.function}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any], allow: Allowed) -> Self:
        """Make one of a name, if ``allow`` has it."""
        return cls(allowed_code("function", parameters.get("name"), allow), **parameters)

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return what the function makes of the row."""
        text = None if step.vocabulary is None else step.vocabulary.text(step.token_ids)
        return checked_row(self, self.function(scores.clone(), step.position, text), scores)


def checked_row(asking: object, result: Any, scores: torch.Tensor) -> torch.Tensor:
    """Return scores that the code of ``asking`` gave for a row, in its dtype and on its device.

    Raises
    ------
    TypeError
        When they are no array.
    ValueError
        When they are not of the row's shape, or no scores. An accelerator is not waited for: there the
        program, or the figures of the token, say it later.
    """
    if isinstance(result, np.ndarray):
        # A copy: torch warns of arrays that cannot be written to.
        result = torch.from_numpy(result.copy())
    if not isinstance(result, torch.Tensor):
        raise TypeError(f"{asking} returned {result!r}, but must return scores, as a tensor or a numpy array")
    if result.shape != scores.shape:
        raise ValueError(
            f"{asking} returned scores of shape {list(result.shape)}, but the row has {list(scores.shape)}"
        )
    row = result.to(scores.device, scores.dtype)
    if row.device.type == "cpu" and not bool((row < torch.inf).all()):
        raise ValueError(f"{asking} returned NaN or inf among its scores: numbers and -inf are accepted")
    return row


def code_name(kind: str, code: Any, name: str | None = None) -> str:
    """Return what a program's JSON calls some code: a name that was given, or the code's own.

    Raises
    ------
    TypeError
        When the code cannot be called, or the name is no text.
    """
    if not callable(code):
        raise TypeError(f"{kind} is {code!r}, but must be callable")
    if name is None:
        name = getattr(code, "name", None) or getattr(code, "__name__", None) or type(code).__name__
    if not isinstance(name, str) or not name:
        raise TypeError(f"name is {name!r}, but must be a text of at least one character")
    return name


def allowed_code(kind: str, name: Any, allow: Allowed) -> Any:
    """Return the code of a name that a program's JSON has.

    Raises
    ------
    ValueError
        When it is not allowed.
    """
    if not isinstance(name, str) or name not in allow:
        known = f"allowed are {', '.join(sorted(allow))}" if allow else "no code is allowed"
        raise ValueError(
            f"the program names the {kind} {name!r}, but {known}: give it in allow={{name: code}}"
        )
    return allow[name]
