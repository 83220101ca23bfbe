"""What was answered with last, for the next request that asks for it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Held(Generic[Key, Value]):
    """The few values that were asked for last.

    Examples
    --------
    >>> held = Held(2)
    >>> held.put("a", 1), held.put("b", 2), held.get("a"), held.put("c", 3)
    (1, 2, 1, 3)
    >>> held.get("b") is None
    True
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """Return a value, which is now the one asked for last; None if it is not held."""
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def put(self, key: Key, value: Value) -> Value:
        """Hold a value; the one not asked for longest goes."""
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self._most:
            self._values.popitem(last=False)
        return value

    def items(self) -> list[tuple[Key, Value]]:
        """Return all that is held, the one asked for longest ago first."""
        return list(self._values.items())
