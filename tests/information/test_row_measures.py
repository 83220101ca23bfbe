"""The list of measures of a row: all that there are, and what each takes."""

from __future__ import annotations

import inspect
import math

import pytest
import torch

from itwidgets import information
from itwidgets.information import row_measures

NUMBERS = {"alpha", "k", "mass", "min_p", "modulus"}


def test_every_public_function_of_a_row_is_listed() -> None:
    found = {}
    for name in information.__all__:
        function = getattr(information, name)
        if not inspect.isfunction(function):
            continue
        row, *further = [
            one.name
            for one in inspect.signature(function).parameters.values()
            if one.kind is one.POSITIONAL_OR_KEYWORD
        ] or [""]
        if row == "log_p" and set(further) <= NUMBERS:
            found[name] = further[0] if further else None
    assert {name: one.argument for name, one in row_measures().items()} == found


@pytest.mark.parametrize(
    ("name", "argument", "sentence"),
    [
        ("entropy", 2.0, "argument is 2.0, but must be None: entropy takes none"),
        (
            "renyi_entropy",
            None,
            "argument is None, but must be a number: renyi_entropy needs its alpha",
        ),
        ("hill_number", -1.0, "alpha is -1, but must be an order of at least 0, math.inf included"),
        ("head_mass", 1.5, "k is 1.5, but must be a whole number of at least 0"),
        ("nucleus_size", 0.0, "mass is 0, but must be above 0 and at most 1"),
        ("min_p_size", 2.0, "min_p is 2, but must be above 0 and at most 1"),
        ("spike_entropy", -0.5, "modulus is -0.5, but must be at least 0"),
    ],
)
def test_an_argument_that_a_measure_does_not_take_is_refused(
    name: str, argument: float | None, sentence: str
) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        row_measures()[name].check(argument)


def test_a_whole_number_may_come_as_json_has_it() -> None:
    log_p = torch.tensor([0.5, 0.3, 0.2]).double().log()
    assert float(row_measures()["head_mass"](log_p, 2.0)) == pytest.approx(0.8)
    assert float(row_measures()["renyi_entropy"](log_p, math.inf)) == pytest.approx(1.0)
