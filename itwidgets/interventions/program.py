"""Programs: ordered, serialisable compositions of operators."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from itwidgets.interventions.operators import Operator, Step
from itwidgets.interventions.samplers import Greedy, MinP, Temperature, TopK, TopP

JSON_VERSION = 1


@dataclass(frozen=True)
class Outcome:
    """Raw scores after the interventions (`q`) and after the whole program (`s`), each of shape ``[V]``."""

    q: torch.Tensor
    s: torch.Tensor


@dataclass(frozen=True)
class Program:
    """Operators that act one after another, from left to right, never reordered.

    `q` is the row after the last intervention and `s` the row after the last operator, so a sampler
    stage that stands before an intervention belongs to what the user did to `p`.

    Examples
    --------
    >>> program = Temperature(0.8) >> TopP(0.95)
    >>> Program.from_json(program.to_json()) == program
    True
    """

    operators: tuple[Operator, ...] = ()

    def __rshift__(self, other: Operator | Program) -> Program:
        """Compose: this program first, then ``other``."""
        if not isinstance(other, (Operator, Program)):
            raise TypeError(f"{other!r} was given, but a program is made of operators and programs")
        return Program(self.operators + (other.operators if isinstance(other, Program) else (other,)))

    def __call__(self, step: Step, scores: torch.Tensor, *, check: bool = True) -> Outcome:
        """Apply every operator to a row of raw scores.

        Parameters
        ----------
        check
            Whether to look at what each operator leaves, which waits for the device of the scores.

        Raises
        ------
        ValueError
            When an operator leaves no token or a score that is no number; the sentence names it.
        """
        q = row = scores
        for operator in self.operators:
            row = operator(step, row)
            if check and not torch.isfinite(row.max()):
                raise ValueError(
                    f"{operator} leaves no token to draw at position {step.position}: at least one must stay"
                )
            if operator.stage == "intervention":
                q = row
        return Outcome(q, row)

    @property
    def intervenes(self) -> bool:
        """Whether `q` may differ from `p`."""
        return any(operator.stage == "intervention" for operator in self.operators)

    @property
    def is_deterministic(self) -> bool:
        """Whether it always leaves one token, so that nothing is drawn by chance."""
        return bool(self.operators) and self.operators[-1].is_deterministic

    def to_json(self) -> str:
        """Return the canonical JSON: the same program always gives the same text."""
        operators = [
            {"operator": type(operator).__name__, **operator.parameters()} for operator in self.operators
        ]
        return json.dumps(
            {"version": JSON_VERSION, "operators": operators}, sort_keys=True, separators=(",", ":")
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str) -> Program:
        """Read a program; names that are not operators of this package are refused."""
        data = json.loads(text)
        if not isinstance(data, Mapping) or data.get("version") != JSON_VERSION:
            raise ValueError(f"the text is no program of version {JSON_VERSION}: {text[:60]!r}")
        entries = data.get("operators")
        if not isinstance(entries, list):
            raise ValueError(f"operators is {entries!r}, but must be a list")
        return cls(tuple(_operator(entry) for entry in entries))


def _operator(entry: Any) -> Operator:
    if not isinstance(entry, Mapping):
        raise ValueError(f"an operator is {entry!r}, but must be an object that names it")
    name = entry.get("operator")
    kind = Operator.by_name.get(str(name))
    if kind is None:
        raise ValueError(f"unknown operator {name!r}: accepted are {', '.join(sorted(Operator.by_name))}")
    try:
        return kind(**{key: value for key, value in entry.items() if key != "operator"})
    except (AttributeError, TypeError) as error:
        raise ValueError(f"operator {name!r} cannot be read: {error}") from None


GREEDY = Program((Greedy(),))


def sampling_program(
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> Program:
    """Build the usual chain of sampler stages in the order of transformers; ``None`` leaves a stage out.

    Parameters
    ----------
    temperature
        0 is greedy decoding, and the other stages then have nothing to do.

    Examples
    --------
    >>> sampling_program(temperature=0.8, top_p=0.95).operators
    (Temperature(temperature=0.8), TopP(p=0.95))
    """
    if temperature == 0:
        return GREEDY
    stages: list[Operator] = [] if temperature == 1 else [Temperature(temperature)]
    stages += [TopK(top_k)] if top_k is not None else []
    stages += [TopP(top_p)] if top_p is not None else []
    stages += [MinP(min_p)] if min_p is not None else []
    return Program(tuple(stages))
