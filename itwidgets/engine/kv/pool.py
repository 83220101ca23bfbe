"""The memory that all sessions of a model share for keys, values and states."""

from __future__ import annotations

import itertools
import weakref
from dataclasses import dataclass
from typing import Any, Protocol

import psutil
import torch

_SHARE = 0.5
_HOST_SHARE = 0.25
MIB = 2**20
# Of the CPU and of MPS torch says it by a plain RuntimeError.
_PLAIN_ERRORS = ("can't allocate memory", "not enough memory", "out of memory")


class BudgetError(MemoryError):
    """The keys and values of one branch alone need more memory than they may have."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device, or the host, had no memory for an allocation."""
    if isinstance(error, BudgetError):
        return False
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in _PLAIN_ERRORS)
    )


class Holding(Protocol):
    """Something that can be given up and computed again."""

    used: int
    on_host: bool
    is_lent: bool

    @property
    def nbytes(self) -> int:
        """Bytes that it takes now."""
        ...

    def move_to_host(self) -> None:
        """Keep the content, in the host's memory."""
        ...

    def drop(self) -> None:
        """Give the content up."""
        ...


@dataclass(frozen=True)
class Budget:
    """How much memory keys, values and states may take.

    Parameters
    ----------
    device_bytes
        On the model's devices.
    host_bytes
        For what is moved from there to the host; 0 where the model itself is on the host.
    """

    device_bytes: int
    host_bytes: int = 0

    @classmethod
    def default(cls, device: torch.device, promised: int = 0) -> Budget:
        """Half of what the device has free, and a quarter of the host's where that is another memory.

        Parameters
        ----------
        promised
            Bytes of the host's memory that are free now and will be taken by something else.
        """
        free = max(0, psutil.virtual_memory().available - promised)
        if device.type == "cuda":
            devices = range(torch.cuda.device_count())
            on_device = sum(torch.cuda.mem_get_info(index)[0] for index in devices)
            return cls(int(_SHARE * on_device), int(_HOST_SHARE * free))
        return cls(int(_SHARE * free))


class Pool:
    """What is held for all sessions of a model, the least recently used first to go.

    It refers to what is held weakly: memory of a session that nobody refers to any more is free at once.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._clock = itertools.count(1)
        self._holdings: weakref.WeakSet[Any] = weakref.WeakSet()

    def add(self, holding: Holding) -> None:
        """Take something into account from now on."""
        self.touch(holding)
        self._holdings.add(holding)

    def touch(self, holding: Holding) -> None:
        """Note that something was just used."""
        holding.used = next(self._clock)

    @property
    def device_bytes(self) -> int:
        """Bytes held on the model's devices."""
        return sum(holding.nbytes for holding in self._holdings if not holding.on_host)

    @property
    def host_bytes(self) -> int:
        """Bytes that were moved to the host."""
        return sum(holding.nbytes for holding in self._holdings if holding.on_host)

    def make_room(self, wanted: int, keep: Holding, what: str) -> None:
        """Give up what was used longest ago until ``wanted`` more bytes fit.

        Parameters
        ----------
        keep
            What the caller is working on.
        what
            What all that is, for a sentence.

        Raises
        ------
        BudgetError
            When it would not fit even alone.
        """
        self.require(keep.nbytes + wanted, what)
        self.trim(keep, wanted)

    def require(self, nbytes: int, what: str = "this branch") -> None:
        """Refuse what would not fit even alone.

        Raises
        ------
        BudgetError
            When it needs more bytes than the budget has.
        """
        if nbytes > self.budget.device_bytes:
            raise BudgetError(
                f"{what} needs {_mib(nbytes)} for keys and values, but the budget is "
                f"{_mib(self.budget.device_bytes)}: give a larger kv_budget or keep the text shorter"
            )

    def trim(self, keep: Holding, wanted: int = 0) -> None:
        """Give up what was used longest ago, as far as it helps, until ``wanted`` more bytes fit."""
        over = self.device_bytes + wanted - self.budget.device_bytes
        if over <= 0:
            return
        for holding in self._oldest_first():
            if over <= 0:
                return
            if self._may_go(holding, keep):
                over -= holding.nbytes
                self._give_up(holding)

    def drop_all(self, keep: Holding | None) -> None:
        """Give up everything on the model's devices but ``keep``: the device has no memory left."""
        for holding in self._oldest_first():
            if self._may_go(holding, keep):
                self._give_up(holding)

    def _may_go(self, holding: Holding, keep: Holding | None) -> bool:
        return holding is not keep and not holding.on_host and not holding.is_lent

    def _oldest_first(self) -> list[Any]:
        return sorted(self._holdings, key=lambda holding: holding.used)

    def _give_up(self, holding: Holding) -> None:
        if self._fits_on_host(holding.nbytes):
            holding.move_to_host()
        else:
            holding.drop()

    def _fits_on_host(self, wanted: int) -> bool:
        over = self.host_bytes + wanted - self.budget.host_bytes
        if wanted > self.budget.host_bytes:
            return False
        for holding in self._oldest_first():
            if over <= 0:
                break
            if holding.on_host:
                over -= holding.nbytes
                holding.drop()
        return over <= 0


def _mib(nbytes: int) -> str:
    return f"{nbytes / MIB:.1f} MiB"
