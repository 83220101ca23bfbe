"""Programs: ordered, serialisable compositions of operators."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch

from itwidgets.interventions.described import NO_CODE, Allowed, Described, parts, read
from itwidgets.interventions.operators import Operator
from itwidgets.interventions.predicates import Predicate
from itwidgets.interventions.samplers import Greedy, MinP, Temperature, TopK, TopP
from itwidgets.interventions.step import Step

JSON_VERSION = 1

MOST_OPERATORS = 32
"""Which of them changed a row is kept as the bits of one number."""


@dataclass(frozen=True)
class Outcome:
    """What a program made of a row.

    Attributes
    ----------
    q, s
        Raw scores after the interventions and after the whole program, each of shape ``[V]``.
    fired
        Which operators changed the row: bit `i`, counted from the lowest, is operator `i`. Int64, 0-d, on
        the device of the scores.
    """

    q: torch.Tensor
    s: torch.Tensor
    fired: torch.Tensor


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

    def __post_init__(self) -> None:
        object.__setattr__(self, "operators", tuple(self.operators))
        for one in self.operators:
            _require_operator(one)
        if len(self.operators) > MOST_OPERATORS:
            raise ValueError(
                f"{len(self.operators)} operators were given, but a program has at most {MOST_OPERATORS}: "
                "put some of them into one At, When or Every"
            )

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
        q = before = scores
        changed = []
        for operator, row in zip(self.operators, self.rows(step, scores, check=check), strict=True):
            if operator.stage == "intervention":
                q = row
            changed.append(_differs(before, row))
            before = row
        return Outcome(q, before, _as_bits(changed, scores.device))

    def rows(self, step: Step, scores: torch.Tensor, *, check: bool = True) -> Iterator[torch.Tensor]:
        """Give the row after each operator in turn; see :meth:`__call__`."""
        row = scores
        for operator in self.operators:
            row = operator(step, row)
            if check and not torch.isfinite(row.max()):
                raise ValueError(
                    f"{operator} leaves no token to draw at position {step.position}: at least one must stay"
                )
            yield row

    def last_row(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row after all operators: for operators that have a program inside."""
        row = scores
        # Whoever called looks at what is left, and knows whether that may wait for the device.
        for row in self.rows(step, scores, check=False):  # noqa: B007
            pass
        return row

    @property
    def intervenes(self) -> bool:
        """Whether `q` may differ from `p`."""
        return any(operator.stage == "intervention" for operator in self.operators)

    @property
    def is_deterministic(self) -> bool:
        """Whether it always leaves one token, so that nothing is drawn by chance."""
        return bool(self.operators) and self.operators[-1].is_deterministic

    @property
    def code(self) -> Allowed:
        """The code that JSON has only names of, by those names: what reads it again must allow it.

        Raises
        ------
        ValueError
            When one name stands for two things: what is read again would be another program.
        """
        found: dict[str, Any] = {}
        for part in parts(self):
            for name, code in part.code().items():
                if found.setdefault(name, code) is not code:
                    raise ValueError(
                        f"the name {name!r} stands for two things in the program: give them names"
                    )
        return found

    @property
    def foreign(self) -> list[Described]:
        """Operators and predicates in it that are of no class of this package, and cannot be read."""
        return [part for part in parts(self) if not part.is_known]

    def described(self) -> dict[str, Any]:
        """Return the operators as plain JSON values."""
        return {"operators": [operator.described() for operator in self.operators]}

    def to_json(self) -> str:
        """Return the canonical JSON: the same program always gives the same text."""
        return json.dumps(
            {"version": JSON_VERSION, **self.described()}, sort_keys=True, separators=(",", ":")
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str, *, allow: Allowed = NO_CODE) -> Program:
        """Read a program; names that are not operators of this package are refused.

        Parameters
        ----------
        allow
            Code that the text may name, by the name it has there: functions, processors and sources of
            scores. Nothing is ever imported because a text says so.
        """
        data = json.loads(text, parse_constant=_refuse)
        if not isinstance(data, Mapping) or data.get("version") != JSON_VERSION:
            raise ValueError(f"the text is no program of version {JSON_VERSION}: {text[:60]!r}")
        return cls.from_described(data, allow)

    @classmethod
    def from_described(cls, data: Mapping[str, Any], allow: Allowed = NO_CODE) -> Program:
        """Make one of what :meth:`described` returned."""
        entries = data.get("operators")
        if not isinstance(entries, list):
            raise ValueError(f"operators is {entries!r}, but must be a list")
        return cls(tuple(_operator(entry, allow) for entry in entries))


def _require_operator(value: object) -> None:
    if not isinstance(value, Operator):
        raise TypeError(f"{value!r} was given, but a program is made of operators")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def as_program(value: object) -> Program:
    """Return a program for an operator, a program, or what :meth:`Program.described` returned."""
    if isinstance(value, Mapping):
        return Program.from_described(value)
    if not isinstance(value, (Operator, Program)):
        raise TypeError(f"{value!r} was given, but an operator or a program is needed")
    return value if isinstance(value, Program) else Program((value,))


def _operator(entry: Any, allow: Allowed) -> Operator:
    if isinstance(entry, Operator):
        return entry
    if not isinstance(entry, Mapping):
        raise ValueError(f"an operator is {entry!r}, but must be an object that names it")
    found = read({"operator": None, **entry}, [Operator, Predicate], allow)
    return cast("Operator", found)


def _differs(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    if after is before:
        return torch.zeros((), dtype=torch.bool, device=before.device)
    return (after != before).any()


def _as_bits(flags: list[torch.Tensor], device: torch.device) -> torch.Tensor:
    if not flags:
        return torch.zeros((), dtype=torch.int64, device=device)
    return (torch.stack(flags).long() << torch.arange(len(flags), device=device)).sum()


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
