"""The columns of the table against the model's own logits, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from itwidgets import Engine, Session
from itwidgets.interventions import GREEDY, Ban, Bias, Program, Temperature, TopK, TopP
from itwidgets.tree import TOP_K, Node, Origin
from tests.models import KINDS, PROMPT, fresh_logits

Engines = Callable[[str], Engine]
PROGRAMS = {
    "greedy": GREEDY,
    "plain": Program(),
    "sampler": Temperature(0.7) >> TopP(0.9),
    "bias": Bias({5: 3.0, 40: -2.0}) >> Temperature(1.5),
    "ban": Ban(range(0, 520, 2)) >> TopK(20),
    "sampler first": TopK(30) >> Bias({5: 1.0}),
}


def _logits(session: Session) -> torch.Tensor:
    """Scores that each token of the branch but the first was drawn from."""
    return fresh_logits(session.engine.model, session.token_ids)[:-1]


@pytest.mark.parametrize("kind", KINDS)
def test_measures_are_those_of_the_models_logits(shared_engine: Engines, kind: str) -> None:
    session = shared_engine(kind).session(PROMPT)
    session.generate(max_new_tokens=10, program=Temperature(1.2), seed=3).wait()
    rows = [node.row for node in session.nodes]
    table = {name: session.tree.column(name)[rows] for name in ("surprisal", "entropy", "varentropy", "rank")}
    for name in ("surprisal", "entropy", "varentropy"):
        assert math.isnan(table[name][0])
    assert table["rank"][0] == 0
    log_p = _logits(session).log_softmax(-1)
    p = log_p.exp()
    tokens = torch.tensor(session.token_ids[1:])
    bits = -log_p / math.log(2)
    entropy = (p * bits).sum(-1)
    surprisal = bits.gather(1, tokens[:, None])[:, 0]
    np.testing.assert_allclose(table["surprisal"][1:], surprisal, rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(table["entropy"][1:], entropy, rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(
        table["varentropy"][1:], (p * (bits - entropy[:, None]) ** 2).sum(-1), rtol=1e-3, atol=1e-3
    )
    np.testing.assert_array_equal(table["rank"][1:], 1 + (bits < surprisal[:, None]).sum(-1))


def test_the_best_tokens_of_each_row_are_kept(shared_engine: Engines) -> None:
    session = shared_engine("llama").session(PROMPT)
    session.generate(max_new_tokens=5).wait()
    log_p = _logits(session).log_softmax(-1)
    for row, exact in zip(session.nodes[1:], log_p, strict=True):
        ids = session.tree.column("top_ids")[row.row]
        kept = session.tree.column("top_log_probs")[row.row]
        assert ids.tolist() == exact.topk(TOP_K).indices.tolist()
        np.testing.assert_allclose(kept, exact[ids.tolist()], atol=2e-4)
    assert (session.tree.column("top_ids")[0] == -1).all()


@pytest.mark.parametrize("name", PROGRAMS)
def test_costs_are_what_the_program_did_to_the_models_logits(shared_engine: Engines, name: str) -> None:
    program = PROGRAMS[name]
    session = shared_engine("llama").session(PROMPT)
    nodes = session.generate(max_new_tokens=12, program=program, seed=5).wait()
    scores = _logits(session)[-len(nodes) :]
    for node, row in zip(nodes, scores, strict=True):
        p, (q, s) = Categorical(logits=row), _applied(program, row)
        x = torch.tensor(node.token_id)
        log_p, log_q, log_s = (float(d.log_prob(x)) / math.log(2) for d in (p, q, s))  # type: ignore[no-untyped-call]
        assert node.surprisal == pytest.approx(-log_p, abs=1e-3)
        assert node.surprisal_q == pytest.approx(-log_q, abs=1e-3)
        assert node.surprisal_s == pytest.approx(-log_s, abs=1e-3)
        assert node.cost == pytest.approx(log_q - log_p, abs=1e-3)
        assert node.expected_cost == pytest.approx(float(kl_divergence(q, p)) / math.log(2), abs=1e-3)


def _applied(program: Program, row: torch.Tensor) -> tuple[Categorical, Categorical]:
    """Q and s in float64, by arithmetic on probabilities that is not the operators' own."""
    q = row.clone()
    current = row.clone()
    for operator in program.operators:
        p = current.softmax(-1)
        match operator:
            case Bias(nats):
                for token, value in nats.items():
                    p[token] *= math.exp(value)
            case Ban(ids):
                p[list(ids)] = 0
            case Temperature(temperature):
                p = p ** (1 / temperature)
            case TopK(k):
                p[p < p.sort().values[-k]] = 0
            case TopP(mass):
                ordered, order = p.sort(descending=True)
                p[order[ordered.cumsum(-1) - ordered >= mass]] = 0
            case _:
                p = torch.nn.functional.one_hot(p.argmax(), len(p)).double()
        current = (p / p.sum()).log()
        q = current if operator.stage == "intervention" else q
    return Categorical(logits=q), Categorical(logits=current)


def test_a_hard_mask_costs_the_same_whatever_comes(shared_engine: Engines) -> None:
    session = shared_engine("llama").session(PROMPT)
    banned = list(range(0, 520, 3))
    row = session.distribution(0)
    mass = 1 - np.exp(row.log_probs[banned]).sum()
    for seed in range(6):
        (node,) = session.generate(max_new_tokens=1, program=Ban(banned), seed=seed).wait()
        assert node.cost == pytest.approx(-math.log2(mass), rel=1e-5)
        assert node.expected_cost == pytest.approx(-math.log2(mass), rel=1e-5)
        session.undo()


def test_the_mean_cost_is_the_expected_cost(shared_engine: Engines) -> None:
    session = shared_engine("llama").session(PROMPT)
    bias = Bias({5: 4.0, 300: 2.0})
    log_p = torch.from_numpy(session.distribution(0).log_probs)
    log_q = bias(None, log_p).log_softmax(-1)  # type: ignore[arg-type]
    (node,) = session.generate(max_new_tokens=1, program=bias).wait()
    costs = (log_q - log_p) / math.log(2)
    assert node.cost == pytest.approx(float(costs[node.token_id]), rel=1e-5)
    assert node.expected_cost == pytest.approx(float((log_q.exp() * costs).sum()), rel=1e-5)


def test_a_forced_token_costs_its_surprisal(shared_engine: Engines) -> None:
    session = shared_engine("llama").session(PROMPT)
    session.generate(max_new_tokens=4).wait()
    last = session.force(2, " London and")
    for node in (last, last.parent):
        assert isinstance(node, Node)
        assert node.origin is Origin.FORCED
        assert node.cost == node.expected_cost == node.surprisal > 0
        assert node.surprisal == pytest.approx(session.distribution(node).surprisal(node.token_id), rel=1e-6)
        assert node.surprisal_q == node.surprisal_s == 0


def test_a_prompt_has_no_costs(shared_engine: Engines) -> None:
    session = shared_engine("llama").session(PROMPT)
    for name in ("cost", "expected_cost", "surprisal_q", "surprisal_s"):
        assert np.isnan(session.tree.column(name)).all()
    assert {node.origin for node in session.nodes} == {Origin.PROMPT}


def test_the_path_is_part_of_the_record(shared_engine: Engines) -> None:
    session = shared_engine("llama").session(PROMPT)
    prompt = len(session.tree)
    session.generate(max_new_tokens=3).wait()
    session.force(1, " London")
    forward = session.tree.column("forward").tolist()
    assert len(set(forward[:prompt])) == 1
    assert len(set(forward)) == len(forward) - prompt + 1
    assert forward == sorted(forward)
