"""Where the level of a sequence changes, such as that of the surprisals of a text."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from itwidgets.information.kernel import Array, check_number, in_kind, sequences

Numbers = npt.NDArray[np.float64]


@in_kind
def change_points(values: Array, penalty: float | None = None) -> torch.Tensor:
    """Where a segment of another mean begins: the exact segmentation of least squares and a price a change.

    It minimises ``sum (x_t - mean of its segment)**2 + penalty * changes`` over all segmentations (optimal
    partitioning, Jackson et al. 2005), in time of the square of the length. Missing values (NaN) are left
    out.

    Parameters
    ----------
    values
        Shape ``[..., n]``, such as surprisals in bits.
    penalty
        By how much each change must lower the sum of squares, in the unit of the values squared. By default
        ``2 v ln n``, as the Bayesian information criterion has it for `n` values of noise of variance `v`
        (Yao 1988), with `v` half of the mean squared difference of neighbours (von Neumann et al. 1941),
        which a few changes of level hardly touch.

    Returns
    -------
    Array
        Truth values, shape ``[..., n]``: whether a segment begins at the value; never at the first.

    Raises
    ------
    ValueError
        If the penalty is no number of at least 0, or a value is infinite, or there is no sequence.

    Examples
    --------
    >>> change_points(torch.tensor([1.0, 2.0, 1.0, 8.0, 9.0, 8.0, 9.0]))
    tensor([False, False, False,  True, False, False, False])
    """
    if penalty is not None:
        check_number("penalty", penalty, lambda x: 0 <= x < math.inf, "a number of at least 0")
    numbers = sequences(values)
    if bool(numbers.isinf().any()):
        raise ValueError("a value is infinite, but must be a finite number, or NaN where it is missing")
    rows = numbers.detach().cpu().numpy()
    found = np.zeros(rows.shape, dtype=np.bool_)
    for index in np.ndindex(rows.shape[:-1]):
        present = np.flatnonzero(~np.isnan(rows[index]))
        found[index][present[_starts(rows[index][present], penalty)]] = True
    return torch.from_numpy(found).to(numbers.device)


def _starts(values: Numbers, penalty: float | None) -> list[int]:
    """First places of all segments but the first."""
    n = len(values)
    if n < 2:
        return []
    price = np.square(np.diff(values)).mean() * math.log(n) if penalty is None else float(penalty)
    least, best = np.zeros(n + 1), np.zeros(n + 1, dtype=np.int64)
    least[0] = -price
    # Of the segments from each place to this one, each by itself: the digits of one are not lost to another.
    means, spreads = np.zeros(n), np.zeros(n)
    for stop, value in enumerate(values, 1):
        gaps = value - means[:stop]
        means[:stop] += gaps / np.arange(stop, 0, -1)
        spreads[:stop] += gaps * (value - means[:stop])
        # Of ways as good, the one with the longest segment counts.
        totals = least[:stop] + spreads[:stop] + price
        best[stop] = totals.argmin()
        least[stop] = totals[best[stop]]
    starts, stop = [], n
    while best[stop]:
        stop = int(best[stop])
        starts.append(stop)
    return starts
