"""Figures: what they draw is what the distributions and frames hold."""

from __future__ import annotations

import numpy as np
import pytest

from itwidgets import Engine
from itwidgets.interventions import Ban
from itwidgets.widgets import (
    branches_figure,
    comparison_figure,
    distribution_figure,
    histogram_figure,
    rank_figure,
    text_figure,
)
from itwidgets.widgets.figures.drawing import COLOURS, shown, whole_ticks
from tests.models import PROMPT


def test_a_distribution_is_drawn_best_first(engine: Engine) -> None:
    distribution = engine.session(PROMPT).distribution(0)
    (bars,) = distribution_figure(distribution, k=6).marks
    best = distribution.top(6)
    np.testing.assert_allclose(bars.y, [one.probability for one in best])
    assert list(bars.x) == [f"{place} {shown(one.text)}" for place, one in enumerate(best, 1)]


def test_distributions_are_compared_over_the_union_of_their_best(engine: Engine) -> None:
    session = engine.session(PROMPT)
    best = session.distribution(0).top(1)[0].token_id
    after = session.distribution(0, program=Ban([best]))
    figure = comparison_figure({"p": after, "q": after.q}, k=3)
    (bars,) = figure.marks
    assert list(bars.labels) == ["p", "q"]
    assert bars.y.shape == (2, 4)
    np.testing.assert_allclose(bars.y[0], [one.probability for one in after.top(4)])
    assert bars.y[1][0] == 0
    assert bars.display_legend
    # Without a scale of our own the page draws no bar.
    assert (bars.scales["y"].min, bars.scales["y"].max > bars.y.max()) == (0, True)


def test_columns_are_drawn_along_the_text_and_miss_what_is_missing(engine: Engine) -> None:
    frame = engine.session(PROMPT).to_frame()
    figure = text_figure(frame, ["surprisal_bits", "entropy_bits"])
    for line, name in zip(figure.marks, ("surprisal_bits", "entropy_bits"), strict=True):
        assert line.labels == [name]
        np.testing.assert_array_equal(line.x, range(1, len(frame)))
        np.testing.assert_array_equal(line.y, frame[name].to_numpy(float)[1:])
    assert figure.axes[1].label == "bits"
    assert text_figure(frame, ["surprisal_bits", "varentropy_bits2"]).axes[1].label == ""


def test_probability_falls_with_rank_to_the_end_of_the_vocabulary(engine: Engine) -> None:
    session = engine.session(PROMPT)
    best = session.distribution(0).top(1)[0].token_id
    after = session.distribution(0, program=Ban([best]))
    p, q = rank_figure({"p": after, "q": after.q}).marks
    assert (p.labels, q.labels) == (["p"], ["q"])
    for line, distribution, size in ((p, after, len(after)), (q, after.q, len(after) - 1)):
        probabilities = np.sort(np.exp(distribution.log_probs))[::-1]
        assert (line.x[0], line.x[-1]) == (1, size), (
            "what has no probability has no place on a logarithmic axis"
        )
        np.testing.assert_allclose(line.y, probabilities[line.x - 1])
        assert (np.diff(line.x) > 0).all()


def test_a_histogram_counts_each_token_once(engine: Engine) -> None:
    frame = engine.session(PROMPT).to_frame()
    figure = histogram_figure(frame, bins=3)
    (bars,) = figure.marks
    values = frame["surprisal_bits"].dropna().astype(float)
    assert bars.y.sum() == len(values)
    width = (values.max() - values.min()) / 3
    for centre, count in zip(bars.x, bars.y, strict=True):
        assert count == ((values - centre).abs() <= width / 2 + 1e-9).sum()
    assert figure.axes[0].label == "surprisal_bits"
    assert figure.axes[1].tick_values.tolist() == list(range(bars.y.max() + 1)), (
        "tokens are counted in wholes"
    )


def test_branches_are_drawn_from_the_last_token_that_they_share(engine: Engine) -> None:
    session = engine.session(PROMPT)
    session.force(0, [40, 41, 42])
    session.force(1, [50, 51])
    comparison = session.compare(*session.branches)
    frame = comparison.to_frame()
    for column in ("surprisal_bits", "kl_bits"):
        lines = branches_figure(comparison, column).marks
        assert [line.labels[0][:8] for line in lines] == ["Branch 1", "Branch 2"]
        for branch, line in zip(session.branches, lines, strict=True):
            own = frame[(frame["branch"] == branch.number) & (frame["position"] >= comparison.parts_at - 1)]
            own = own.dropna(subset=column)
            np.testing.assert_array_equal(line.x, own["position"])
            np.testing.assert_array_equal(line.y, own[column])


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 3, [0, 1, 2, 3]),
        (4, 4, [4]),
        (0, 20, [*range(0, 21, 2)]),
        (7, 32, [7, 10, 13, 16, 19, 22, 25, 28, 31]),
    ],
)
def test_ticks_are_whole_and_few(low: int, high: int, ticks: list[int]) -> None:
    assert whole_ticks(low, high).tolist() == ticks


def test_bad_input_gets_a_sentence(engine: Engine) -> None:
    session = engine.session(PROMPT)
    distribution, frame = session.distribution(0), session.to_frame()
    with pytest.raises(ValueError, match="k is 0, but must be a whole number of at least 1"):
        distribution_figure(distribution, k=0)
    with pytest.raises(ValueError, match="0 distributions were given, but 1 to 4 are drawn"):
        comparison_figure({})
    with pytest.raises(ValueError, match="5 columns were given, but 1 to 4 are drawn"):
        text_figure(frame, ["surprisal_bits"] * (len(COLOURS) + 1))
    with pytest.raises(ValueError, match="surprisal_bits have no numbers in the frame"):
        text_figure(frame.head(1), ["surprisal_bits"])
    with pytest.raises(ValueError, match="bins is 0, but must be a whole number of at least 1"):
        histogram_figure(frame, bins=0)
    with pytest.raises(ValueError, match="0 distributions were given, but 1 to 4 are drawn"):
        rank_figure({})
    tips = [session.force(0, token_id) for token_id in range(5)]
    with pytest.raises(ValueError, match="5 branches were given, but 1 to 4 are drawn"):
        branches_figure(session.compare(*tips, divergences=False))
    with pytest.raises(ValueError, match="'token' holds str, but must hold numbers to be drawn"):
        text_figure(frame, ["token"])
    with pytest.raises(ValueError, match="'surprise' is no column of the frame: it has token, "):
        text_figure(frame, ["surprise"])
