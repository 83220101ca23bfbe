"""Operators and predicates as plain JSON: what they are called and what their parameters are."""

from __future__ import annotations

import inspect
import math
from abc import ABC
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from numbers import Integral, Real
from typing import Any, ClassVar, Self

Allowed = Mapping[str, Any]
"""Code that a file may name: what it is called there, and what it is."""

NO_CODE: Allowed = {}


class Described(ABC):
    """Something that its class's name and its parameters describe, so that JSON can hold it.

    Subclasses are frozen dataclasses whose fields are their parameters: numbers, texts, sequences and
    mappings of those, and others that are described. ``__post_init__`` accepts each as JSON gives it
    back: sequences as lists, keys of mappings as text.
    """

    json_key: ClassVar[str]
    """The key under which JSON has the class's name."""

    by_name: ClassVar[dict[str, type[Any]]]
    """Classes that may be read from JSON."""

    def parameters(self) -> dict[str, Any]:
        """Return the parameters by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any], allow: Allowed) -> Self:
        """Make one of parameters as JSON gives them back; those that name code look it up in ``allow``."""
        del allow
        return cls(**parameters)

    def code(self) -> Allowed:
        """Return the code that JSON has only a name of, by that name."""
        return NO_CODE

    @classmethod
    def declares_float(cls, name: str) -> bool:
        """Whether a parameter is declared as a float, so that 1 and 1.0 are the same for it."""
        return any(one.name == name and "float" in str(one.type).split(" | ") for one in fields(cls))  # type: ignore[arg-type]

    def described(self) -> dict[str, Any]:
        """Return the name and the parameters as plain JSON values."""
        parameters = {
            name: float(value) if isinstance(value, Real) and self.declares_float(name) else value
            for name, value in self.parameters().items()
        }
        return {self.json_key: type(self).__name__, **plain(parameters)}

    @property
    def is_known(self) -> bool:
        """Whether it may be read from JSON: a class of this package, and none that only has its name."""
        return self.by_name.get(type(self).__name__) is type(self)


def registered(cls: type[Described]) -> None:
    """Make a class of this package known to what is read from JSON.

    A file must not name code that happens to be there: other classes stay unknown to it.
    """
    if cls.__module__.startswith("itwidgets."):
        cls.by_name[cls.__name__] = cls


def parts(value: Any) -> Iterator[Described]:
    """Give all that is described in a program or a parameter, itself included.

    What is in a class of someone else's is that one's own affair.
    """
    if isinstance(value, Described):
        yield value
        if not value.is_known:
            return
        value = value.parameters()
    value = getattr(value, "operators", value)
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from parts(one)


def plain(value: Any) -> Any:
    """Return a parameter as plain JSON values; keys of mappings as text, sorted.

    Raises
    ------
    TypeError
        When JSON cannot hold it.
    """
    described = getattr(value, "described", None)
    if described is not None:
        return described()
    if isinstance(value, Mapping):
        return {str(key): plain(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        if not math.isfinite(value):
            raise TypeError(f"{value} cannot be written as JSON")
        return float(value)
    raise TypeError(f"{value!r} cannot be written as JSON: it is no number, text, list, or named part")


def read(value: Any, kinds: Sequence[type[Described]], allow: Allowed) -> Any:
    """Make what JSON describes: the opposite of :func:`plain`.

    Parameters
    ----------
    kinds
        What may stand in it, such as operators and predicates.
    allow
        Code that it may name.

    Raises
    ------
    ValueError
        When it names something unknown, or parameters that are not accepted.
    """
    if isinstance(value, list):
        return [read(one, kinds, allow) for one in value]
    if not isinstance(value, Mapping):
        return value
    for kind in kinds:
        if kind.json_key in value:
            return _read_one(value, kind, kinds, allow)
    return {key: read(one, kinds, allow) for key, one in value.items()}


def _read_one(
    value: Mapping[str, Any], kind: type[Described], kinds: Sequence[type[Described]], allow: Allowed
) -> Any:
    word, name = kind.json_key, value[kind.json_key]
    known = {title: found for title, found in kind.by_name.items() if not inspect.isabstract(found)}
    found = known.get(name) if isinstance(name, str) else None
    if found is None:
        raise ValueError(f"unknown {word} {name!r}: accepted are {', '.join(sorted(known))}")
    parameters = {key: read(one, kinds, allow) for key, one in value.items() if key != word}
    try:
        return found.from_parameters(parameters, allow)
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{word} {name!r} cannot be read: {error}") from None
