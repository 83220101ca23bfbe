"""The figures of a token: what the row of scores that it came from says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from itwidgets.information.kernel import reducible
from itwidgets.information.rows import finished, reduced
from itwidgets.interventions import Outcome, Program
from itwidgets.interventions.ledger import completed, program_figures
from itwidgets.tree import TOP_K

Numbers = npt.NDArray[np.float64]


class PendingFigures:
    """Figures that a device may still be computing, on their way to the host.

    Parameters
    ----------
    numbers
        Float64, on the device: all that the figures are made of, so that one copy brings it.
    finish
        Makes figures of the numbers, on the host.
    """

    def __init__(self, numbers: torch.Tensor, finish: Callable[[Numbers], dict[str, Any]]) -> None:
        # From an accelerator torch copies into pinned memory.
        self._numbers = numbers.to("cpu", non_blocking=True)
        self._arrival = _recorded_event(numbers.device)
        self._finish = finish

    def read(self) -> dict[str, Any]:
        """Return figures by column, once they are there; what was queued on the device later goes on."""
        return self._finish(self._arrived())

    def _arrived(self) -> Numbers:
        if self._arrival is not None:
            self._arrival.synchronize()
        return self._numbers.numpy()


class PendingToken(PendingFigures):
    """One token that a device may still be drawing, with its figures.

    Attributes
    ----------
    token
        Its id, int64, ``[1]``, on the device: to be passed through the model before it is known here.
    """

    def __init__(
        self, token: torch.Tensor, numbers: torch.Tensor, finish: Callable[[Numbers], dict[str, Any]]
    ) -> None:
        super().__init__(torch.cat([token.double(), numbers]), lambda arrived: finish(arrived[1:]))
        self.token = token

    @property
    def token_id(self) -> int:
        """Its id, once it is there."""
        return int(self._arrived()[0])


class KnownToken:
    """One token whose figures are here already."""

    def __init__(self, token_id: int, figures: dict[str, Any]) -> None:
        self.token_id = token_id
        self.token = torch.tensor([token_id])
        self._figures = figures

    def read(self) -> dict[str, Any]:
        """Return figures by column."""
        return self._figures


def _recorded_event(device: torch.device) -> torch.Event | None:
    if device.type == "cpu":
        return None
    event = torch.Event(device)
    event.record(torch.accelerator.current_stream(device))
    return event


def pending_given(rows: torch.Tensor, token_ids: Sequence[int]) -> PendingFigures:
    """Queue figures of given tokens, each with the row of scores that it stands in.

    Parameters
    ----------
    rows
        Raw scores of `p`, ``[n, V]``.

    Returns
    -------
    PendingFigures
        Reads as arrays, ``[n]`` or ``[n, TOP_K]``.
    """
    return PendingFigures(reduced(rows, token_ids, TOP_K), _columns)


def pending_forced(scores: torch.Tensor, token_id: int) -> PendingToken:
    """Queue figures of a forced token: `q` and `s` hold nothing else, so it costs its surprisal."""

    def finish(numbers: Numbers) -> dict[str, Any]:
        figures = _row(numbers)
        cost = figures["surprisal"]
        return figures | {"surprisal_q": 0.0, "surprisal_s": 0.0, "cost": cost, "expected_cost": cost}

    scores, token = reducible(scores), torch.tensor([token_id])
    token = token.to(scores.device, non_blocking=True)
    return PendingToken(token, reduced(scores[None], token, TOP_K)[0], finish)


def pending_drawn(
    scores: torch.Tensor, outcome: Outcome, token: torch.Tensor, program: Program
) -> PendingToken:
    """Queue figures of a token that a program drew.

    Parameters
    ----------
    scores
        Raw scores of `p`, ``[V]``.
    outcome
        What the program made of them.
    token
        Id of the token, int64, 0-d, on the device of the scores.

    Returns
    -------
    PendingToken
        Its ``surprisal_s`` is NaN if the program left no token to draw.
    """
    scores = reducible(scores)
    token = token.reshape(1).to(scores.device)
    extra = {"fired": reducible(outcome.fired).double().reshape(1)}
    extra |= program_figures(scores, outcome, token, program)
    names = list(extra)

    def finish(numbers: Numbers) -> dict[str, Any]:
        found: dict[str, Any] = dict(zip(names, numbers.tolist(), strict=False))
        found["fired"] = int(found["fired"])
        return completed(_row(numbers[len(names) :]), found)

    return PendingToken(token, torch.cat([*extra.values(), reduced(scores[None], token, TOP_K)[0]]), finish)


def _columns(numbers: Numbers) -> dict[str, Any]:
    return vars(finished(numbers, TOP_K))


def _row(numbers: Numbers) -> dict[str, Any]:
    return {name: column[0] for name, column in _columns(numbers[None]).items()}


def model_figures(scores: torch.Tensor, token_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Figures of tokens that stand in the rows ``scores``, one by one."""
    columns = pending_given(scores, token_ids).read()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def drawn_figures(scores: torch.Tensor, outcome: Outcome, token_id: int, program: Program) -> dict[str, Any]:
    """Figures of a token drawn by a program from the row ``scores``."""
    return pending_drawn(scores, outcome, torch.tensor(token_id), program).read()


def forced_figures(scores: torch.Tensor, token_id: int) -> dict[str, Any]:
    """Figures of a forced token."""
    return pending_forced(scores, token_id).read()
