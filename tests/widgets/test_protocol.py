"""The codecs: round trips, and the fixtures that the TypeScript half reads and writes too."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itwidgets.tree import TOP_K, WIRE_COLUMNS, Origin, StoredVocabulary, TokenTree
from itwidgets.tree.columns import measure_column
from itwidgets.widgets.protocol import (
    decode_slice,
    decode_tokens,
    encode_alternatives,
    encode_continuations,
    encode_slice,
    encode_tokens,
)

FIXTURES = Path(__file__).parents[1] / "fixtures" / "protocol"
NAMES = ["distribution", "no_rows", "rows", "rows_with_known_tokens"]
TEXTS = st.dictionaries(st.integers(0, 2**31 - 1), st.binary(max_size=9), max_size=8)


@given(TEXTS)
def test_tokens_come_back(texts: dict[int, bytes]) -> None:
    buffers = encode_tokens(texts, StoredVocabulary(texts))
    assert decode_tokens(buffers) == texts
    assert len(buffers[0]) == len(buffers[1]) == 4 * len(texts)


@given(
    rows=st.lists(st.tuples(st.integers(0, 9), st.floats(width=32), st.sampled_from(Origin)), max_size=12),
    data=st.data(),
)
def test_slices_put_together_are_the_table(
    rows: list[tuple[int, float, Origin]], data: st.DataObject
) -> None:
    vocabulary = StoredVocabulary({i: bytes([i] * i) for i in range(10)})
    tree = TokenTree(vocabulary)
    for index, (token, figure, origin) in enumerate(rows):
        tree.append(
            parent=index // 2 - 1,
            token_id=token,
            origin=origin,
            entropy=figure,
            top_log_probs=np.full(TOP_K, figure),
            top_ids=np.full(TOP_K, (token + 1) % 10),
        )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4), label="cuts"))
    known: set[int] = set()
    parts, tokens = [], dict[int, bytes]()
    for first, stop in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        header, buffers = encode_slice(tree, vocabulary, first, stop, known)
        assert header == {"first": first, "count": stop - first, "measures": [], "delimiters": []}
        parts.append(decode_slice(header, buffers))
        new = decode_tokens(buffers[len(WIRE_COLUMNS) :])
        # No token travels twice.
        assert not new.keys() & tokens.keys()
        tokens |= new
    for column in WIRE_COLUMNS:
        together = np.concatenate([part[column.name] for part in parts])
        np.testing.assert_array_equal(together, tree.column(column.name), strict=True)
    assert tokens.keys() == known == {i for token, *_ in rows for i in (token, (token + 1) % 10)}
    assert all(vocabulary.token_bytes(i) == text for i, text in tokens.items())


def _fixture(name: str) -> tuple[dict[str, Any], list[bytes], dict[str, Any]]:
    content = json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))
    return content["message"], [base64.b64decode(text) for text in content["buffers"]], content["decoded"]


def _tokens(decoded: dict[str, Any]) -> dict[int, bytes]:
    return {int(i): bytes(text) for i, text in decoded["tokens"].items()}


def _numbers(values: Any, dtype: Any) -> Any:
    """An array of what JSON holds; ``null`` is a missing number."""
    return np.array(values, dtype=object).astype(np.float64).astype(dtype)


def test_continuations_of_the_fixture_are_written_alike() -> None:
    message, buffers, decoded = _fixture("rollout")
    ids, ranks = ([x for one in decoded[name] for x in one] for name in ("ids", "ranks"))
    surprisals = [*decoded["finite_surprisals"][0], float("inf")]
    assert encode_continuations(ids, ranks, surprisals, StoredVocabulary(_tokens(decoded))) == buffers
    assert sum(message["lengths"]) == len(ids)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "distribution"])
def test_rows_of_the_fixtures_read_alike(name: str) -> None:
    message, buffers, decoded = _fixture(name)
    columns = decode_slice(message["header"], buffers)
    measures = [measure_column(**one) for one in message["header"]["measures"]]
    assert list(columns) == [column.name for column in (*WIRE_COLUMNS, *measures)]
    for column in (*WIRE_COLUMNS, *measures):
        expected = _numbers((decoded["columns"] | decoded["measures"])[column.name], column.dtype)
        np.testing.assert_array_equal(columns[column.name], expected.reshape(columns[column.name].shape))
    assert decode_tokens(buffers[len(columns) :]) == _tokens(decoded)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "distribution"])
def test_rows_of_the_fixtures_are_written_alike(name: str) -> None:
    message, buffers, decoded = _fixture(name)

    class Table:
        measures = tuple(measure_column(**one) for one in message["header"]["measures"])

        def __len__(self) -> int:
            return int(message["header"]["count"])

        def column(self, name: str) -> Any:
            (column,) = (column for column in (*WIRE_COLUMNS, *self.measures) if column.name == name)
            values = _numbers((decoded["columns"] | decoded["measures"])[name], column.dtype)
            return values.reshape((-1, column.width) if column.width > 1 else -1)

    tokens = _tokens(decoded)
    mentioned = {i for name in ("token_id", "top_ids") for i in Table().column(name).ravel() if i >= 0}
    known = {int(i) for i in mentioned} - tokens.keys()
    header, mine = encode_slice(Table(), StoredVocabulary(tokens), 0, len(Table()), known)
    assert header["count"] == message["header"]["count"]
    assert mine == buffers


def test_a_distribution_of_the_fixtures_is_written_alike() -> None:
    message, buffers, decoded = _fixture("distribution")
    mine = encode_alternatives(
        np.array(decoded["ranks"]),
        np.array(decoded["ids"]),
        np.array(decoded["masses"]),
        [np.array(decoded["log_probs"][name]) for name in message["distributions"]],
        StoredVocabulary(_tokens(decoded)),
    )
    assert mine == buffers
