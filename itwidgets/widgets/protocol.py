"""The wire between kernel and page: its message kinds, its state and its codecs.

``js/src/protocol.ts`` is the other half and uses the same names. Both are held together by the files
in ``tests/fixtures/protocol``, which either side must read and write alike.

The kernel is the only writer of state. It sends, in one ordered stream of custom messages:

``delta``
    Rows that were appended since the last message, and the whole small :class:`State`. ``state.seq``
    grows by one with each; a page that sees a gap asks for a ``snapshot``.
``<kind>-response``
    The answer to the request with the same ``id``: fields of its own, or ``error``.

The traits ``state`` and ``table`` hold the same for a page that comes later: a reload, a second page,
a saved notebook. They are written when nothing streams. A live page only compares ``state`` with
what it has, since the last delta of a job may be lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NotRequired, Protocol, TypedDict

import numpy as np
import numpy.typing as npt

from itwidgets.tree.columns import WIRE_COLUMNS, MeasureColumn, measure_column
from itwidgets.tree.labels import LabelChanges

VERSION = 1

RequestKind = Literal[
    "generate",
    "force",
    "siblings",
    "rollout",
    "adopt",
    "compare",
    "divergences",
    "stop",
    "switch",
    "undo",
    "redo",
    "select",
    "settings",
    "distribution",
    "stages",
    "tokenize",
    "snapshot",
    "export",
    "dismiss",
    "label",
    "distribution-cancel",
    "stages-cancel",
    "tokenize-cancel",
    "rollout-cancel",
    "compare-cancel",
    "divergences-cancel",
]

DistributionName = Literal["p", "q", "s"]


class Settings(TypedDict):
    """The sampling settings at hand in the viewer; ``None`` switches a stage off."""

    max_new_tokens: int
    temperature: float
    top_k: int | None
    top_p: float | None
    min_p: float | None
    seed: int


class Job(TypedDict):
    """The job that is running: ``made`` of at most ``total`` tokens so far."""

    id: int
    kind: Literal["prompt", "generate", "force", "siblings", "adopt"]
    made: int
    total: int
    stopping: bool


class Notice(TypedDict):
    """A sentence for the person at the page; ``id`` is what ``dismiss`` names."""

    id: int
    type: str
    message: str


class Model(TypedDict):
    """What the page needs to know of the model."""

    name: str
    vocabulary_size: int
    context_length: int | None


class Label(TypedDict):
    """What people call the branch that starts at a row."""

    start: int
    name: str | None
    colour: str | None
    hidden: bool


class State(TypedDict):
    """Everything but the rows: small enough to travel with every message."""

    version: int
    seq: int
    session: str
    rows: int
    head: int
    selected: int | None
    prompt: str
    settings: Settings
    job: Job | None
    notice: Notice | None
    can_undo: bool
    can_redo: bool
    read_only: str | None
    labels: list[Label]
    model: Model


class MeasureInfo(TypedDict):
    """A measure that the user has registered; ``limit`` is where the scale of its colours ends."""

    name: str
    unit: str
    title: str
    limit: float


class Slice(TypedDict):
    """Header of rows ``first .. first + count``; their columns are the buffers.

    The buffers are, in this order: each column of :data:`itwidgets.tree.columns.WIRE_COLUMNS`, row-major;
    each of ``measures``, ``<f4``; then a dictionary of tokens as three buffers: ids ``<i4``, where the bytes
    of each end ``<u4``, and the bytes of all. ``delimiters`` are those among these tokens with which a text
    begins or ends.
    """

    first: int
    count: int
    measures: list[MeasureInfo]
    delimiters: list[int]


class ErrorBody(TypedDict):
    """What went wrong, in one sentence."""

    type: str
    message: str


class Request(TypedDict):
    """A request of the page. ``kind`` decides which of the other fields stand."""

    kind: RequestKind
    id: int
    prompt: NotRequired[str]
    settings: NotRequired[Settings]
    parent: NotRequired[int]
    token_id: NotRequired[int]
    text: NotRequired[str]
    row: NotRequired[int | None]
    notice: NotRequired[int]
    offset: NotRequired[int]
    count: NotRequired[int]
    search: NotRequired[str]
    order: NotRequired[DistributionName]
    n: NotRequired[int]
    k: NotRequired[int]
    rollout: NotRequired[int]
    index: NotRequired[int]
    tips: NotRequired[list[int]]
    format: NotRequired[str]
    label: NotRequired[LabelChanges]


class Table(Protocol):
    """The part of a token tree that the codecs read."""

    @property
    def measures(self) -> Sequence[MeasureColumn]:
        """Columns that it has besides those that every tree has."""
        ...

    def __len__(self) -> int: ...

    def column(self, name: str) -> npt.NDArray[Any]:
        """All rows of one column."""
        ...


class TokenBytes(Protocol):
    """What a page needs to know of a token by its id."""

    def token_bytes(self, token_id: int) -> bytes:
        """Return the exact bytes of one token."""
        ...

    def is_delimiter(self, token_id: int) -> bool:
        """Return whether a token is known to be special, as those with which a text begins or ends."""
        ...


def encode_slice(
    table: Table, vocabulary: TokenBytes, first: int, stop: int, known: set[int]
) -> tuple[Slice, list[bytes]]:
    """Encode rows ``first .. stop`` and the tokens in them that the page does not know yet.

    Parameters
    ----------
    known
        Ids that the page already has; the ids that travel now are added to it.
    """
    buffers = []
    mentioned: list[npt.NDArray[np.int32]] = []
    for column in (*WIRE_COLUMNS, *table.measures):
        values = table.column(column.name)[first:stop]
        buffers.append(np.ascontiguousarray(values, column.dtype).tobytes())
        if column.name in ("token_id", "top_ids"):
            mentioned.append(values.ravel())
    ids = np.unique(np.concatenate(mentioned))
    new = [int(i) for i in ids if i >= 0 and int(i) not in known]
    known.update(new)
    header: Slice = {
        "first": first,
        "count": stop - first,
        "measures": _described(table.measures),
        "delimiters": [i for i in new if vocabulary.is_delimiter(i)],
    }
    return header, buffers + encode_tokens(new, vocabulary)


def _described(measures: Sequence[MeasureColumn]) -> list[MeasureInfo]:
    return [{"name": one.name, "unit": one.unit, "title": one.title, "limit": one.limit} for one in measures]


def decode_slice(header: Slice, buffers: Sequence[bytes]) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of an encoded slice by name, with shape ``[count]`` or ``[count, width]``."""
    columns = {}
    measures = [measure_column(**one) for one in header["measures"]]
    for column, buffer in zip((*WIRE_COLUMNS, *measures), buffers, strict=False):
        values = np.frombuffer(buffer, column.dtype)
        shape = (header["count"], column.width) if column.width > 1 else (header["count"],)
        columns[column.name] = values.reshape(shape)
    return columns


def encode_tokens(ids: Iterable[int], vocabulary: TokenBytes) -> list[bytes]:
    """Encode a dictionary of tokens as three buffers: ids, ends of the bytes, bytes."""
    ids = list(ids)
    texts = [vocabulary.token_bytes(i) for i in ids]
    ends = np.cumsum([len(text) for text in texts], dtype="<u4")
    return [np.array(ids, "<i4").tobytes(), ends.tobytes(), b"".join(texts)]


def decode_tokens(buffers: Sequence[bytes]) -> dict[int, bytes]:
    """Return the bytes of each token of an encoded dictionary by id."""
    ids, ends, text = buffers
    stops = [int(end) for end in np.frombuffer(ends, "<u4")]
    starts = [0, *stops][:-1]
    return {
        int(token_id): bytes(text[start:stop])
        for token_id, start, stop in zip(np.frombuffer(ids, "<i4"), starts, stops, strict=True)
    }


def encode_alternatives(
    ranks: npt.NDArray[Any],
    ids: npt.NDArray[Any],
    masses: npt.NDArray[Any],
    log_probs: Iterable[npt.NDArray[Any]],
    vocabulary: TokenBytes,
) -> list[bytes]:
    """Encode rows of one or more distributions over the same tokens.

    The buffers are, in this order: ranks and ids, ``<i4``; cumulative masses, ``<f4``; natural
    log-probabilities, ``<f4``, of each distribution; a dictionary of the tokens.
    """
    return [
        np.ascontiguousarray(ranks, "<i4").tobytes(),
        np.ascontiguousarray(ids, "<i4").tobytes(),
        np.ascontiguousarray(masses, "<f4").tobytes(),
        *(np.ascontiguousarray(values, "<f4").tobytes() for values in log_probs),
        *encode_tokens([int(i) for i in ids], vocabulary),
    ]


def encode_continuations(
    token_ids: Sequence[int], ranks: Sequence[int], surprisals: Sequence[float], vocabulary: TokenBytes
) -> list[bytes]:
    """Encode tokens of continuations, one after another: ids and ranks ``<i4``, bits ``<f4``, tokens."""
    return [
        np.array(token_ids, "<i4").tobytes(),
        np.array(ranks, "<i4").tobytes(),
        np.array(surprisals, "<f4").tobytes(),
        *encode_tokens(dict.fromkeys(token_ids), vocabulary),
    ]
