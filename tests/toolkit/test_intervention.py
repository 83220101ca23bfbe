"""Interventions do what they say, cost what they say, and their effects are compared pair by pair."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

from itwidgets import (
    Engine,
    InterventionManager,
    ProbabilityExtractor,
    analyze_token_information,
    compute_entropy,
    compute_kl_divergence,
)
from itwidgets.interventions import Ban, Bias, Fn, Force, Program, TargetEntropy
from itwidgets.toolkit.intervals import student_quantile
from tests.models import PROMPT

TOKENS: list[int | str] = [" the", " is", ".", 9]


@pytest.fixture
def manager(shared_engine: Callable[[str], Engine]) -> InterventionManager:
    return InterventionManager(ProbabilityExtractor(shared_engine("llama")))


def vocabulary_of(manager: InterventionManager) -> Any:
    return manager.extractor.engine.vocabulary


def ids_of(manager: InterventionManager) -> list[int]:
    return [vocabulary_of(manager).token_id(token) for token in TOKENS]


def rows_of(result: dict[str, Any]) -> torch.Tensor:
    """Natural log-probabilities of `p` at each new token, as the session gives them."""
    return torch.stack(
        [torch.from_numpy(result["session"].distribution(node).log_probs) for node in result["nodes"]]
    )


def at_tokens(rows: torch.Tensor, result: dict[str, Any]) -> list[float]:
    found: list[float] = rows.gather(-1, torch.tensor(result["token_ids"])[:, None])[:, 0].tolist()
    return found


# ---------------------------------------------------------------- forced tokens


def test_forced_tokens_stand_where_they_were_put(manager: InterventionManager) -> None:
    plain = manager.generate_with_intervention(PROMPT, max_new_tokens=6)
    result = manager.generate_with_intervention(PROMPT, forced_tokens={2: " is", 4: 9}, max_new_tokens=6)
    assert result["forced"] == [False, False, True, False, True, False]
    assert result["generated_tokens"][2] == " is"
    assert result["token_ids"][4] == 9
    assert result["token_ids"][:2] == plain["token_ids"][:2]
    for i, is_forced in enumerate(result["forced"]):
        surprisal = result["surprisals"][i]
        assert result["costs"][i] == result["expected_costs"][i] == (surprisal if is_forced else 0)
        assert result["intervened_probabilities"][i] == (1 if is_forced else result["token_probabilities"][i])
    assert result["total_cost"] == pytest.approx(sum(result["costs"]))
    np.testing.assert_allclose(
        at_tokens(rows_of(result).exp(), result), result["token_probabilities"], rtol=1e-5
    )


def test_a_text_of_several_tokens_takes_as_many_positions(manager: InterventionManager) -> None:
    ids = vocabulary_of(manager).token_ids("zebra")
    assert len(ids) > 1
    count = len(ids) + 2
    result = manager.generate_with_intervention(PROMPT, forced_tokens={1: "zebra"}, max_new_tokens=count)
    assert result["token_ids"][1:-1] == ids
    assert result["forced"] == [False, *[True] * len(ids), False]


def test_all_of_a_text_may_be_forced(manager: InterventionManager) -> None:
    forced: dict[int, int | str] = {0: " the", 1: 9, 2: " is"}
    result = manager.generate_with_intervention(PROMPT, forced_tokens=forced, max_new_tokens=3)
    assert result["forced"] == [True] * 3


def test_what_ends_the_text_ends_it_before_a_forced_token(manager: InterventionManager) -> None:
    (end,) = manager.extractor.engine.stop_ids
    result = manager.generate_with_intervention(PROMPT, Force(end), {3: " the"}, max_new_tokens=6)
    assert result["token_ids"] == [end]
    again = manager.generate_with_intervention(PROMPT, Ban([end]), {1: end}, max_new_tokens=4)
    assert len(again["token_ids"]) == 4


# ---------------------------------------------------------------- interventions


def test_a_boost_multiplies_the_odds(manager: InterventionManager) -> None:
    boost = manager.create_token_boost_intervention(TOKENS, boost_factor=3.0)
    result = manager.generate_with_intervention(PROMPT, boost, max_new_tokens=8, temperature=0.7, seed=2)
    p = rows_of(result).exp()
    weights = torch.ones_like(p)
    weights[:, ids_of(manager)] = 3.0
    q = p * weights / (p * weights).sum(-1, keepdim=True)
    np.testing.assert_allclose(at_tokens(p, result), result["token_probabilities"], rtol=1e-5)
    np.testing.assert_allclose(at_tokens(q, result), result["intervened_probabilities"], rtol=1e-4)
    s = (q.log() / 0.7).softmax(-1)
    np.testing.assert_allclose(at_tokens(s, result), result["sampling_probabilities"], rtol=1e-4)
    np.testing.assert_allclose(
        result["costs"],
        np.log2(result["intervened_probabilities"]) - np.log2(result["token_probabilities"]),
        atol=1e-5,
    )
    np.testing.assert_allclose(result["expected_costs"], compute_kl_divergence(q, p), rtol=1e-3, atol=1e-6)
    assert result["changed"] == [True] * len(result["token_ids"])


@pytest.mark.parametrize("factor", [4, 0.25])
def test_a_suppression_divides_the_odds_however_the_factor_is_written(
    manager: InterventionManager, factor: float
) -> None:
    suppress = manager.create_token_suppression_intervention(TOKENS, suppression_factor=factor)
    logits = torch.randn(len(vocabulary_of(manager)), dtype=torch.float64)
    before, after = logits.exp(), suppress(logits, 0, "").exp()
    expected = before.clone()
    expected[ids_of(manager)] /= 4
    torch.testing.assert_close(after, expected)


def test_a_token_that_is_named_twice_is_boosted_once(manager: InterventionManager) -> None:
    (the,) = vocabulary_of(manager).token_ids(" the")
    boost = manager.create_token_boost_intervention([" the", the, " the"], boost_factor=2)
    assert boost.operator == Bias({the: math.log(2)})


def test_the_entropy_is_what_was_asked_for(manager: InterventionManager) -> None:
    target = manager.create_entropy_maximization_intervention(target_entropy=5.5)
    result = manager.generate_with_intervention(PROMPT, target, max_new_tokens=4)
    for node in result["nodes"]:
        assert result["session"].distribution(node).q.entropy == pytest.approx(5.5, abs=1e-4)
    exact = target(rows_of(result)[0], 0, "")
    assert compute_entropy(exact.softmax(-1)) == pytest.approx(5.5, abs=1e-9)


def test_a_condition_picks_the_intervention(manager: InterventionManager) -> None:
    boost = manager.create_token_boost_intervention([9], 2.0)
    suppress = manager.create_token_suppression_intervention([9], 2.0)
    seen = []

    def is_early(position: int, context: str) -> bool:
        seen.append((position, context))
        return position < 2

    both = manager.create_conditional_intervention(is_early, boost, suppress)
    logits = torch.zeros(len(vocabulary_of(manager)))
    assert [round(float(both(logits, i, "so far")[9].exp()), 6) for i in (1, 2)] == [2.0, 0.5]
    assert seen == [(1, "so far"), (2, "so far")]
    alone = manager.create_conditional_intervention(is_early, boost)
    assert alone(logits, 2, "") is logits
    nested = manager.create_conditional_intervention(
        lambda position, context: "never" in context, boost, both
    )
    assert float(nested(logits, 1, "")[9].exp()) == pytest.approx(2)
    seen.clear()
    result = manager.generate_with_intervention(PROMPT, alone, max_new_tokens=4)
    assert result["changed"] == [True, True, False, False]
    assert [position for position, _ in seen] == [0, 1, 2, 3]
    ids = result["session"].token_ids
    spelled = [vocabulary_of(manager).text(ids[: len(ids) - 4 + i]) for i in range(4)]
    assert [context for _, context in seen] == spelled
    assert spelled[0] == PROMPT


def test_functions_of_ones_own_may_call_created_ones(manager: InterventionManager) -> None:
    boost = manager.create_token_boost_intervention(TOKENS, 3.0)

    def hotter(logits: torch.Tensor, position: int, context: str) -> torch.Tensor:
        return boost(logits, position, context) / (1 + 0.5 * position)

    result = manager.generate_with_intervention(PROMPT, hotter, max_new_tokens=4)
    p = rows_of(result)
    scores = p.clone()
    scores[:, ids_of(manager)] += math.log(3)
    q = (scores / (1 + 0.5 * torch.arange(4.0))[:, None]).softmax(-1)
    np.testing.assert_allclose(at_tokens(q, result), result["intervened_probabilities"], rtol=1e-4)


@pytest.mark.parametrize("kind", ["function", "operator", "program", "lambda"])
def test_all_ways_to_say_an_intervention_make_one_text(manager: InterventionManager, kind: str) -> None:
    boost = manager.create_token_boost_intervention(TOKENS, 3.0)
    ways: dict[str, Any] = {
        "function": boost,
        "operator": boost.operator,
        "program": Program((boost.operator,)),
        "lambda": lambda logits, position, context: boost(logits, position, context),
    }
    result = manager.generate_with_intervention(PROMPT, ways[kind], max_new_tokens=5, seed=3)
    expected = manager.generate_with_intervention(PROMPT, Fn(boost), max_new_tokens=5, seed=3)
    assert result["token_ids"] == expected["token_ids"]
    assert result["intervened_probabilities"] == expected["intervened_probabilities"]
    assert "costs" in result


def test_what_was_created_is_kept_as_plain_operators(manager: InterventionManager) -> None:
    boost = manager.create_token_boost_intervention([9], 3.0)
    result = manager.generate_with_intervention(PROMPT, boost, max_new_tokens=2)
    program = result["nodes"][0].program
    assert program.operators == (Bias({9: math.log(3)}),)
    assert program.code == {}
    assert manager.create_entropy_maximization_intervention(2.0).operator == TargetEntropy(2.0)
    replay = result["session"].replay()
    assert (replay.different, replay.exact) == (0, replay.rows)


def test_alternatives_are_the_best_tokens_of_p(manager: InterventionManager) -> None:
    boost = manager.create_token_boost_intervention(TOKENS, 9.0)
    result = manager.generate_with_intervention(
        PROMPT, boost, forced_tokens={1: 9}, max_new_tokens=3, track_alternatives=True
    )
    assert len(result["alternatives"]) == 3
    for node, alternatives in zip(result["nodes"], result["alternatives"], strict=True):
        expected = result["session"].distribution(node).top(10)
        assert [text for text, _ in alternatives] == [one.text for one in expected]
        np.testing.assert_allclose(
            [p for _, p in alternatives], [one.probability for one in expected], rtol=1e-5
        )
    assert "alternatives" not in manager.generate_with_intervention(PROMPT, max_new_tokens=1)


def test_without_an_intervention_the_text_is_the_extractors(manager: InterventionManager) -> None:
    arguments: dict[str, Any] = {
        "max_new_tokens": 5,
        "temperature": 0.9,
        "top_k": 40,
        "top_p": 0.95,
        "seed": 7,
    }
    mine = manager.generate_with_intervention(PROMPT, **arguments)
    theirs = manager.extractor.generate_with_probabilities(PROMPT, **arguments)
    different = {"nodes", "session"}
    assert {key: mine[key] for key in theirs.keys() - different} == {
        key: theirs[key] for key in theirs.keys() - different
    }
    assert mine["total_cost"] == 0


# ---------------------------------------------------------------- effects


def test_pairs_share_their_noise(manager: InterventionManager) -> None:
    boost = manager.create_token_boost_intervention(TOKENS, 5.0)
    analysis = manager.analyze_intervention_effects(PROMPT, boost, num_samples=3, max_new_tokens=6, seed=10)
    for i in range(3):
        alone = {
            "baseline": manager.generate_with_intervention(PROMPT, max_new_tokens=6, seed=10 + i),
            "intervention": manager.generate_with_intervention(PROMPT, boost, max_new_tokens=6, seed=10 + i),
        }
        for kind, expected in alone.items():
            found = analysis[f"{kind}_samples"][i]
            assert found["token_ids"] == expected["token_ids"]
            assert found["generated_text"] == expected["generated_text"]
            np.testing.assert_allclose(
                found["token_probabilities"], expected["token_probabilities"], rtol=1e-5
            )
            assert analysis[f"{kind}_info"][i] == analyze_token_information(found["token_probabilities"])
    assert len(analysis["session"].branches) <= 6


def test_what_changes_nothing_has_no_effect(manager: InterventionManager) -> None:
    analysis = manager.analyze_intervention_effects(
        PROMPT, lambda logits, position, context: logits, num_samples=3, max_new_tokens=4
    )
    assert analysis["mean_baseline_perplexity"] == analysis["mean_intervention_perplexity"]
    assert analysis["perplexity_difference"] == analysis["surprisal_difference"] == 0
    assert analysis["perplexity_difference_interval"] == (0, 0)
    assert analysis["mean_cost"] == analysis["mean_expected_cost"] == 0


@pytest.mark.parametrize("confidence", [0.95, 0.5])
def test_intervals_are_those_of_the_paired_t_test(manager: InterventionManager, confidence: float) -> None:
    hot = Fn(lambda logits, position, context: logits / 1.5, "hot")
    analysis = manager.analyze_intervention_effects(
        PROMPT, hot, num_samples=6, max_new_tokens=5, confidence=confidence
    )
    assert analysis["confidence"] == confidence
    for name, key in (("perplexity", "perplexity"), ("surprisal", "mean_surprisal")):
        before, after = (
            [one[key] for one in analysis[f"{kind}_info"]] for kind in ("baseline", "intervention")
        )
        assert analysis[f"mean_baseline_{name}"] == pytest.approx(np.mean(before))
        assert analysis[f"mean_intervention_{name}"] == pytest.approx(np.mean(after))
        expected = scipy.stats.ttest_rel(after, before).confidence_interval(confidence)
        assert analysis[f"{name}_difference_interval"] == pytest.approx(tuple(expected), rel=1e-9)
        assert analysis[f"{name}_difference"] == pytest.approx(np.mean(after) - np.mean(before))
    samples = analysis["intervention_samples"]
    assert analysis["mean_cost"] == pytest.approx(np.mean([bits for one in samples for bits in one["costs"]]))
    expected_costs = [bits for one in samples for bits in one["expected_costs"]]
    assert analysis["mean_expected_cost"] == pytest.approx(np.mean(expected_costs))


def test_one_pair_has_no_interval(manager: InterventionManager) -> None:
    analysis = manager.analyze_intervention_effects(PROMPT, Ban([9]), num_samples=1, max_new_tokens=2)
    assert all(math.isnan(end) for end in analysis["perplexity_difference_interval"])
    assert math.isfinite(analysis["perplexity_difference"])


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 9, 30, 101, 1000])
@pytest.mark.parametrize("confidence", [0.01, 0.5, 0.95, 0.999])
def test_quantiles_are_those_of_student(degrees: int, confidence: float) -> None:
    expected = scipy.stats.t.ppf((1 + confidence) / 2, degrees)
    assert student_quantile(confidence, degrees) == pytest.approx(expected, rel=1e-10)


# ---------------------------------------------------------------- bad input


def test_only_an_extractor_has_a_manager(manager: InterventionManager) -> None:
    with pytest.raises(TypeError, match=r"^extractor is <Engine .*>, but must be a ProbabilityExtractor"):
        InterventionManager(manager.extractor.engine)  # type: ignore[arg-type]


@pytest.mark.parametrize("create", ["boost", "suppress"])
def test_a_boost_of_nothing_or_by_nothing_is_refused(manager: InterventionManager, create: str) -> None:
    make, tokens, factor = {
        "boost": (manager.create_token_boost_intervention, "boost_tokens", "boost_factor"),
        "suppress": (manager.create_token_suppression_intervention, "suppress_tokens", "suppression_factor"),
    }[create]
    with pytest.raises(ValueError, match=f"^{tokens} is empty, but must name at least one token"):
        make([], 2.0)
    for no_list in (" the", {" the": 2}, None, 9):
        with pytest.raises(TypeError, match=f"^{tokens} is .*, but must be a list of token texts or ids"):
            make(no_list, 2.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"^{tokens}: 'zzzz' is no single token but 4"):
        make([" the", "zzzz"], 2.0)
    with pytest.raises(ValueError, match=f"^{tokens}: token id 999 is not in the vocabulary: 0 to 519"):
        make([999], 2.0)
    for value in (0, -1, math.inf, math.nan, "2", True):
        with pytest.raises(ValueError, match=f"^{factor} is {value!r}, but must be above 0"):
            make([9], value)  # type: ignore[arg-type]


@pytest.mark.parametrize("target", [0, -1.0, math.log2(520), 20, math.nan, "4"])
def test_a_target_out_of_range_is_refused(manager: InterventionManager, target: Any) -> None:
    with pytest.raises(ValueError, match=r"^target_entropy is .*, but must be above 0 and below 9.022 bits"):
        manager.create_entropy_maximization_intervention(target)


def test_a_target_that_a_row_cannot_reach_names_the_place(manager: InterventionManager) -> None:
    few = Ban(range(4, 520))
    target = manager.create_entropy_maximization_intervention(3.0)
    with pytest.raises(ValueError, match=r"TargetEntropy cannot give an entropy of 3.0 bits at position 0"):
        manager.generate_with_intervention(PROMPT, few >> target.operator, max_new_tokens=2)


@pytest.mark.parametrize(
    ("forced", "said"),
    [
        ({3: " the"}, "forced_tokens has the position 3, but must have whole numbers from 0 to 2"),
        ({-1: " the"}, "forced_tokens has the position -1, but must have"),
        ({"0": " the"}, "forced_tokens has the position '0', but must have"),
        ({0: "zebra"}, "forced_tokens has 'zebra' at position 0, which goes on to position 3"),
        ({0: "zz", 1: " the"}, "forced_tokens has two tokens for position 1, but it must have one"),
        ({0: ""}, "forced_tokens: '' has no tokens"),
        ({0: 999}, "forced_tokens: token id 999 is not in the vocabulary"),
    ],
)
def test_forced_tokens_that_have_no_place_are_refused(
    manager: InterventionManager, forced: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        manager.generate_with_intervention(PROMPT, forced_tokens=forced, max_new_tokens=3)


def test_forced_tokens_are_a_mapping(manager: InterventionManager) -> None:
    with pytest.raises(TypeError, match=r"^forced_tokens is \[' the'\], but must map positions"):
        manager.generate_with_intervention(PROMPT, forced_tokens=[" the"])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^forced_tokens: token is None, but must be a token id or the text"):
        manager.generate_with_intervention(PROMPT, forced_tokens={0: None})  # type: ignore[dict-item]


def test_what_is_no_intervention_is_refused(manager: InterventionManager) -> None:
    with pytest.raises(
        TypeError, match=r"^intervention_fn is 3, but must be a function of \(logits, position"
    ):
        manager.generate_with_intervention(PROMPT, 3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^intervention_fn is None, but there must be an intervention"):
        manager.analyze_intervention_effects(PROMPT, None)  # type: ignore[arg-type]
    boost = manager.create_token_boost_intervention([9])
    always = lambda position, context: True  # noqa: E731 - as a user would write it
    for arguments, name in (
        ((None, boost), "condition_fn"),
        ((always, None), "true_intervention"),
        ((always, Bias({1: 1.0})), "true_intervention"),
        ((always, boost, 5), "false_intervention"),
    ):
        with pytest.raises(TypeError, match=f"^{name} is .*, but must be a function of"):
            manager.create_conditional_intervention(*arguments)
    with pytest.raises(
        ValueError, match=r"^logits is of shape \[1, 520\], but must be a tensor with one score"
    ):
        boost(torch.zeros(1, 520), 0, "")
    with pytest.raises(ValueError, match=r"^logits is \[0.0\], but must be a tensor"):
        boost([0.0], 0, "")  # type: ignore[arg-type]


def test_a_function_that_gives_no_scores_is_named(manager: InterventionManager) -> None:
    def halves(logits: torch.Tensor, position: int, context: str) -> torch.Tensor:
        return logits[:260]

    with pytest.raises(ValueError, match=r"Fn\(name='halves'.*\) returned scores of shape \[260\]"):
        manager.generate_with_intervention(PROMPT, halves, max_new_tokens=1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"num_samples": 0}, "num_samples is 0, but must be a whole number of at least 1"),
        ({"num_samples": 2.5}, "num_samples is 2.5, but must be"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0, but must be"),
        ({"temperature": 0}, "temperature is 0, but must be above 0"),
        ({"top_p": 2}, "top_p is 2, but must be above 0 and at most 1"),
        ({"confidence": 1}, "confidence is 1, but must be between 0 and 1"),
        ({"confidence": 95}, "confidence is 95, but must be between 0 and 1"),
        ({"seed": 2**64 - 2}, "seed is 18446744073709551616, but must be below"),
        ({"seed": -1}, "seed is -1, but must be"),
    ],
)
def test_arguments_that_an_analysis_refuses(
    manager: InterventionManager, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        manager.analyze_intervention_effects(PROMPT, Ban([9]), **({"num_samples": 3} | arguments))
