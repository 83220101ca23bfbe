"""Branches side by side: how they are aligned."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from itwidgets.tree import Comparison, Origin, Place, StoredVocabulary, TokenTree, aligned

TEXTS = st.lists(st.integers(0, 3), max_size=30)


@given(first=TEXTS, other=TEXTS)
@example(first=[], other=[])
@example(first=[1, 2], other=[])
def test_each_token_has_one_place_and_order_is_kept(first: list[int], other: list[int]) -> None:
    places = aligned(first, other)
    assert [place.first for place in places if place.first is not None] == list(range(len(first)))
    assert [place.other for place in places if place.other is not None] == list(range(len(other)))
    assert all(place != (None, None) for place in places)


@given(start=TEXTS, first=TEXTS, other=TEXTS)
def test_what_both_begin_with_stands_beside_itself(
    start: list[int], first: list[int], other: list[int]
) -> None:
    places = aligned([*start, 8, *first], [*start, 9, *other])
    assert places[: len(start) + 1] == [Place(i, i) for i in range(len(start) + 1)]


@given(middle=TEXTS, other=TEXTS, end=st.lists(st.integers(10, 12), min_size=31, max_size=40))
def test_what_both_end_with_meets_again(middle: list[int], other: list[int], end: list[int]) -> None:
    places = aligned([*middle, *end], [*other, *end])
    shift = len(other) - len(middle)
    assert places[-len(end) :] == [Place(len(middle) + i, len(middle) + i + shift) for i in range(len(end))]


@given(text=TEXTS)
def test_a_text_beside_itself_is_itself(text: list[int]) -> None:
    assert aligned(text, text) == [Place(i, i) for i in range(len(text))]


def test_places_without_a_partner_stand_behind_those_with_one() -> None:
    places = aligned([1, 2, 3], [1, 7, 8, 9, 3])
    assert places == [(0, 0), (1, 1), (None, 2), (None, 3), (2, 4)]
    assert all(a.other is None or b.other is None or a.other < b.other for a, b in pairwise(places))


@given(texts=st.lists(TEXTS, min_size=2, max_size=4))
def test_lines_hold_each_token_once_and_pairs_as_they_were_aligned(texts: list[list[int]]) -> None:
    tree = TokenTree(StoredVocabulary({i: bytes([i]) for i in range(10)}))
    start = tree.append(parent=-1, token_id=9, origin=Origin.PROMPT)
    tips = []
    for text in texts:
        row = start
        for token_id in text:
            row = tree.append(parent=row, token_id=token_id, origin=Origin.SAMPLED)
        tips.append(tree[row])
    comparison = Comparison(tree, tuple(tips))
    for branch, path in enumerate(comparison.paths):
        own = [line[branch] for line in comparison.lines if line[branch] is not None]
        assert own == list(range(len(path)))
        beside = {Place(line[0], line[branch]) for line in comparison.lines}
        assert set(comparison.alignments[branch]) <= beside
    assert all(any(place is not None for place in line) for line in comparison.lines)


def test_texts_that_only_repeat_themselves_are_aligned_by_position() -> None:
    """To search them for the longest common stretches would take minutes."""
    first, other = [1, *[7, 8] * 3000], [2, *[8, 7] * 3000]
    assert aligned(first, other) == [Place(i, i) for i in range(len(first))]
