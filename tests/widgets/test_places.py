"""What a page may ask about one place of the text: its distributions, its stages, and how a text is cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from itwidgets import Engine, TokenStream
from itwidgets.interventions import Ban, Operator, Program, Temperature, TopK
from itwidgets.tree import Node
from itwidgets.widgets.protocol import decode_tokens
from tests.models import PROMPT, counted_positions, gate_at, sentencepiece_tokenizer, tiny_model
from tests.widgets.page import FakePage

SIZE = 520


@dataclass
class Window:
    """A reply to a request of the kind ``distribution``."""

    content: dict[str, Any]
    ranks: npt.NDArray[np.int32]
    ids: npt.NDArray[np.int32]
    masses: npt.NDArray[np.float32]
    log_probs: dict[str, npt.NDArray[np.float32]]
    tokens: dict[int, bytes]


def window(page: FakePage, **fields: Any) -> Window:
    content, buffers = page.answer(page.tell("distribution", **fields))
    assert "error" not in content
    ranks, ids = (np.frombuffer(buffer, "<i4") for buffer in buffers[:2])
    masses, *log_probs = (np.frombuffer(buffer, "<f4") for buffer in buffers[2:-3])
    named = dict(zip(content["distributions"], log_probs, strict=True))
    return Window(content, ranks, ids, masses, named, decode_tokens(buffers[-3:]))


def drawn(page: FakePage, program: Operator | Program) -> Node:
    node = page.viewer.session.generate(1, program=program, seed=3).wait()[0]
    page.settle()
    return node


class TestDistribution:
    def test_windows_of_it_are_the_whole_vocabulary(self, page: FakePage) -> None:
        parent = page.viewer.session.nodes[0].row
        exact = page.viewer.session.distribution_after(parent)
        seen: list[int] = []
        masses: list[float] = []
        for offset in range(0, SIZE, 100):
            found = window(page, parent=parent, offset=offset, count=100)
            content = found.content
            assert (content["parent"], content["offset"], content["total"]) == (parent, offset, SIZE)
            assert (content["entropy"], content["varentropy"]) == (exact.entropy, exact.varentropy)
            assert (content["distributions"], content["chosen"]) == (["p"], None)
            assert found.ranks.tolist() == list(range(offset + 1, offset + 1 + len(found.ids)))
            np.testing.assert_array_equal(found.log_probs["p"], exact.log_probs[found.ids].astype("<f4"))
            for token_id in found.ids:
                text = page.viewer.session.engine.vocabulary.token_bytes(int(token_id))
                assert found.tokens[token_id] == text
            seen += found.ids.tolist()
            masses += found.masses.tolist()
        assert seen == exact.order.tolist()
        np.testing.assert_allclose(masses, np.cumsum(np.exp(exact.log_probs[exact.order])), rtol=1e-6)

    def test_a_search_keeps_the_ranks_of_the_whole(self, page: FakePage) -> None:
        parent = page.viewer.session.nodes[1].row
        exact = page.viewer.session.distribution_after(parent)
        found = window(page, parent=parent, offset=0, count=50, search="LON")
        assert found.ids.tolist() == exact.found("lon").tolist()
        assert found.content["total"] == len(found.ids) > 0
        assert found.ranks.tolist() == [exact.rank(int(i)) for i in found.ids]
        assert all(b"lon" in found.tokens[int(i)].lower() for i in found.ids)
        above = exact.log_probs[exact.order][: found.ranks[0]]
        assert found.masses[0] == pytest.approx(np.exp(above).sum())
        nothing = window(page, parent=parent, offset=0, count=50, search="no such token")
        assert (nothing.content["total"], len(nothing.ids)) == (0, 0)

    @pytest.mark.parametrize("search", ["#3", "3", " 3 "])
    def test_a_number_finds_the_token_with_this_id_first(self, page: FakePage, search: str) -> None:
        found = window(page, parent=1, offset=0, count=50, search=search)
        texts = page.viewer.session.engine.vocabulary.search(search)
        assert found.ids[0] == 3
        assert sorted(found.ids[1:].tolist()) == sorted(set(texts) - {3})
        past = window(page, parent=1, offset=0, count=50, search=f"#{SIZE}")
        assert past.content["total"] == 0

    def test_past_the_end_there_is_nothing(self, page: FakePage) -> None:
        found = window(page, parent=0, offset=600, count=10)
        assert (found.content["total"], len(found.ids), found.tokens) == (SIZE, 0, {})

    def test_q_and_s_stand_beside_p_as_the_program_made_them(self, page: FakePage) -> None:
        session = page.viewer.session
        best = session.distribution(0).top(1)[0].token_id
        node = drawn(page, Ban([best]) >> Temperature(0.5) >> TopK(5))
        exact = session.distribution(node)
        parent = node.parent.row if node.parent else -1
        found = window(page, parent=parent, row=node.row, offset=0, count=SIZE)
        assert found.content["distributions"] == ["p", "q", "s"]
        for name, of in (("p", exact), ("q", exact.q), ("s", exact.s)):
            np.testing.assert_array_equal(found.log_probs[name], of.log_probs[exact.order].astype("<f4"))
        assert found.ids[found.content["chosen"]] == node.token_id
        by_s = window(page, parent=parent, row=node.row, offset=0, count=SIZE, order="s")
        assert by_s.ids.tolist() == exact.s.order.tolist()
        assert by_s.masses[4] == pytest.approx(1)
        assert by_s.ranks.tolist() == exact.ranks(exact.s.order).tolist()
        assert by_s.ids[by_s.content["chosen"]] == node.token_id

    def test_what_is_p_all_the_same_does_not_travel_twice(self, page: FakePage) -> None:
        node = drawn(page, Temperature(0.5))
        parent = node.parent.row if node.parent else -1
        assert list(window(page, parent=parent, row=node.row, offset=0, count=5).log_probs) == ["p", "s"]
        forced = page.viewer.session.force(0, 42)
        page.settle()
        assert list(window(page, parent=parent, row=forced.row, offset=0, count=5).log_probs) == ["p"]

    def test_an_order_that_is_not_there_is_refused(self, page: FakePage) -> None:
        error = page.refused("distribution", parent=1, offset=0, count=5, order="s")
        assert error["message"] == "order is 's', but must be one of p"

    def test_a_row_from_elsewhere_is_refused(self, page: FakePage) -> None:
        error = page.refused("distribution", parent=0, row=2, offset=0, count=5)
        assert error["message"] == "row 2 stands after row 1, not after row 0"

    def test_it_can_be_read_while_tokens_are_made(self, page: FakePage) -> None:
        with gate_at(page.viewer.session.engine.model, 2) as gate:
            page.viewer.generate(500)
            gate.wait_until_reached()
            number = page.tell("distribution", parent=0, offset=0, count=5)
            gate.open()
            content, _ = page.answer(number)
            assert content["total"] == SIZE
            page.ask("stop")
            page.settle()

    @pytest.mark.parametrize("kind", ["distribution", "stages", "tokenize"])
    def test_a_cancelled_question_is_not_answered(self, page: FakePage, kind: str) -> None:
        fields = {"parent": 0, "row": 1, "offset": 0, "count": 5, "text": "zz"}
        with gate_at(page.viewer.session.engine.model, 1) as gate:
            page.viewer.generate(6)
            gate.wait_until_reached()
            dropped = page.tell(kind, **fields)
            kept = page.tell("distribution", parent=1, offset=0, count=5)
            page.send({"kind": f"{kind}-cancel", "id": dropped})
            gate.open()
            page.answer(kept)
            page.settle()
        assert dropped not in page.replies


class TestStages:
    def test_they_are_those_of_the_program_that_drew_the_token(self, page: FakePage) -> None:
        session = page.viewer.session
        best = session.distribution(0).top(1)[0].token_id
        node = drawn(page, Ban([best]) >> Temperature(0.5))
        exact = session.distribution(node).stages
        content, buffers = page.answer(page.tell("stages", row=node.row))
        assert content["row"] == node.row
        assert [one["operator"] for one in content["stages"]] == [str(one.operator) for one in exact]
        assert [one["makes"] for one in content["stages"]] == ["q", "s"]
        for sent, stage in zip(content["stages"], exact, strict=True):
            for name in ("kl_bits", "entropy_change_bits", "mass_moved", "support_size"):
                assert sent[name] == getattr(stage, name)
            assert [tuple(one) for one in sent["moved"]] == [(i, a, b) for i, _, a, b in stage.moved]
        assert content["stages"][0]["moved"][0][0] == best
        moved = {one[0] for stage in content["stages"] for one in stage["moved"]}
        assert decode_tokens(buffers).keys() == moved

    def test_a_token_that_was_given_has_none(self, page: FakePage) -> None:
        assert page.ask("stages", row=2)["stages"] == []

    def test_the_first_token_has_no_distribution(self, page: FakePage) -> None:
        assert "no context" in page.refused("stages", row=0)["message"]


class TestTokenize:
    def test_the_tokens_are_those_that_would_be_forced(self, page: FakePage) -> None:
        session, text = page.viewer.session, " London is zz"
        parent = session.nodes[-1].row
        exact = session.distribution(0)
        content, buffers = page.answer(page.tell("tokenize", parent=parent, text=text))
        ids = content["token_ids"]
        assert ids == session.engine.vocabulary.token_ids(text)
        assert decode_tokens(buffers).keys() == set(ids)
        assert content["surprisals"][0] == pytest.approx(exact.surprisal(ids[0]))
        # What follows a token that no row has would need a pass through the model.
        assert content["surprisals"][1:] == [None] * (len(ids) - 1)
        assert content["joined"] == []

    def test_what_stands_in_the_tree_already_has_its_price(self, page: FakePage) -> None:
        session = page.viewer.session
        parent = session.nodes[-1].row
        session.force(0, " London is")
        made = session.new_nodes
        answer = page.ask("tokenize", parent=parent, text=" London is zz")
        assert answer["surprisals"][: len(made)] == [node.surprisal for node in made]
        following = session.distribution(len(made)).surprisal(answer["token_ids"][len(made)])
        assert answer["surprisals"][len(made)] == pytest.approx(following)

    def test_nothing_passes_through_the_model(self, page: FakePage) -> None:
        rows = page.rows
        with counted_positions(page.viewer.session.engine.model) as passed:
            page.ask("tokenize", parent=1, text=" London is zz")
        assert passed == []
        assert page.rows == rows == len(page.viewer.session.tree)

    def test_a_text_that_would_join_with_the_one_before_says_how(self, page: FakePage) -> None:
        session = page.viewer.session
        vocabulary = session.engine.vocabulary
        session.force(0, " Lon")
        answer = page.ask("tokenize", parent=session.nodes[-1].row, text="don")
        assert answer["joined"] == vocabulary.token_ids(" London")
        assert answer["token_ids"] == vocabulary.token_ids("don")

    def test_sentencepiece_adds_no_space_to_what_goes_on(self, show: Any) -> None:
        engine = Engine(tiny_model("llama"), sentencepiece_tokenizer())
        page = show(TokenStream(engine.session(PROMPT)))
        page.settle()
        answer, buffers = page.answer(page.tell("tokenize", parent=page.rows - 1, text=" London"))
        assert answer["joined"] == []
        tokens = decode_tokens(buffers)
        assert b"".join(tokens[i] for i in answer["token_ids"]) == b" London"
        assert page.ask("tokenize", parent=page.rows - 1, text="x")["token_ids"][0] != answer["token_ids"][0]
        engine.close()

    def test_no_text_has_no_tokens(self, page: FakePage) -> None:
        assert page.ask("tokenize", parent=1, text="")["token_ids"] == []

    def test_the_first_token_cannot_be_replaced(self, page: FakePage) -> None:
        assert "edit the prompt" in page.refused("tokenize", parent=-1, text="a")["message"]
