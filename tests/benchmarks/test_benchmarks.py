from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import child, command, large, report
from tests.benchmarks.bench import TINY, Bench
from tests.benchmarks.harness import Measured, Row, at_least, at_most, take_turns


def in_this_process(name: str, arguments: Mapping[str, Any]) -> dict[str, float]:
    return child.FUNCTIONS[name](**arguments)


@pytest.fixture(scope="module")
def bench() -> Any:
    bench = Bench("tiny", TINY, 1, in_this_process)
    yield bench
    bench.close()


# ---------------------------------------------------------------- arithmetic


def test_ratios_are_taken_round_by_round() -> None:
    slow, fast = Measured((4.0, 40.0, 4.0)), Measured((2.0, 10.0, 1.0))
    ratio = slow / fast
    assert ratio.values == (2.0, 4.0, 4.0)
    assert ratio.median == 4.0
    assert ratio.middle_half == (3.0, 4.0)


def test_systems_of_different_rounds_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Measured((1.0, 2.0)) / Measured((1.0,))


def test_each_round_runs_every_turn_once_and_the_first_does_not_count() -> None:
    calls: list[str] = []

    def turn(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    names = ["a", "b", "c", "d"]
    taken = take_turns({name: lambda name=name: turn(name) for name in names}, rounds=5)  # type: ignore[misc]
    by_round = [calls[start : start + 4] for start in range(0, len(calls), 4)]
    assert len(by_round) == 6
    assert all(sorted(one) == names for one in by_round)
    assert len({tuple(one) for one in by_round}) > 1, "the order is never changed"
    assert {name: len(measured.values) for name, measured in taken.items()} == dict.fromkeys(names, 5)
    assert min(value for measured in taken.values() for value in measured.values) > 4


@pytest.mark.parametrize(
    ("target", "value", "reached"),
    [
        (at_least(1.5), 1.5, True),
        (at_least(1.5), 1.49, False),
        (at_most(0.1), 0.1, True),
        (at_most(0.1), 0.11, False),
    ],
)
def test_a_target_has_a_side(target: Any, value: float, reached: bool) -> None:
    assert Row("it", Measured.once(value), target=target).reached is reached


# ---------------------------------------------------------------- the table


ROWS = [
    Row("first", Measured((1.0, 2.0, 3.0)), "times", at_least(1.5), "how it was done"),
    Row("second", Measured((1.0, 2.0, 3.0)), "steps", at_most(1.5), "how it was done"),
    Row("third", None, "times", at_least(1.5), "not installed"),
    Row("fourth", Measured.once(1234.5), "ms"),
]


def test_the_table_says_what_was_reached() -> None:
    header, _, first, second, third, fourth, *_ = report.table(ROWS).splitlines()
    assert header.split() == ["what", "measured", "middle", "half", "target", "reached"]
    assert first.split("  ")[-1].strip() == "yes"
    assert second.split("  ")[-1].strip() == "NO"
    assert "at least 1.5 times" in third
    assert fourth.split() == ["fourth", "1234", "ms"]


def test_notes_that_are_alike_stand_there_once() -> None:
    text = report.table(ROWS)
    assert "first [1]" in text
    assert "second [1]" in text
    assert "third [2]" in text
    assert text.count("how it was done") == 1


def test_the_json_has_every_round() -> None:
    found = json.loads(report.as_json(ROWS, {"processor": "one"}))
    assert found["about"] == {"processor": "one"}
    assert [row["rounds"] for row in found["rows"]] == [[1, 2, 3], [1, 2, 3], [], [1234.5]]
    assert [row["reached"] for row in found["rows"]] == [True, False, None, None]


# ---------------------------------------------------------------- options


def test_everything_but_the_large_model_is_run_by_default() -> None:
    names = list(command.BENCHMARKS)
    assert command.chosen(command.parse([])) == [name for name in names if name != "large"]
    assert command.chosen(command.parse(["--large"])) == names


def test_some_are_run_in_the_order_of_the_table() -> None:
    options = command.parse(["--only", "stop", "decode", "--rounds", "3"])
    assert command.chosen(options) == ["decode", "stop"]
    assert command.rounds_of(options) == 3


def test_quick_is_fewer_rounds() -> None:
    assert command.rounds_of(command.parse(["--quick"])) < command.rounds_of(command.parse([]))


@pytest.mark.parametrize("arguments", [["--only", "speed"], ["--rounds", "0"], ["--rounds", "many"]])
def test_bad_options_end_the_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.parse(arguments)
    assert arguments[0] in capsys.readouterr().err


# ---------------------------------------------------------------- each benchmark, on a tiny model


@pytest.mark.parametrize("name", [name for name in command.BENCHMARKS if name != "large"])
def test_each_benchmark_runs(bench: Bench, name: str) -> None:
    rows = command.BENCHMARKS[name](bench)
    assert rows
    assert all(row.measured is None or min(row.measured.values) >= 0 for row in rows)
    assert all(row.note for row in rows if row.measured is None)
    assert report.table(rows)


def test_the_large_model_can_be_made_small(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {
        "vocab_size": 520,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
    }
    monkeypatch.setattr(large, "LLAMA_3_2_1B", large.LLAMA_3_2_1B | small)
    monkeypatch.setattr(large, "PROMPT", 8)
    monkeypatch.setattr(large, "NEW", 2)
    assert large.large(bench)


def test_the_command_prints_one_table(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "Bench", lambda *_: bench)
    file = tmp_path / "figures.json"
    assert command.main(["--only", "statistics", "--json", str(file)]) == 0
    assert "all statistics and top 50" in capsys.readouterr().out
    assert json.loads(file.read_text())["rows"]


def test_a_child_process_gives_figures() -> None:
    found = child.in_fresh_process("seconds_to_load", {"model": "tiny"})
    assert found["load"] > 0
