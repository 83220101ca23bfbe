"""The record of a session as JSON values, and back: exact, or refused by a ValueError."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from itwidgets.interventions import Allowed, Program
from itwidgets.tree.identity import ModelIdentity
from itwidgets.tree.json_values import Json, checked, member, only, shown
from itwidgets.tree.record import Maker, Recipe, Recomputation, Record


def record_to_json(record: Record, rows: int) -> Json:
    """Recipes, and recomputations of the first ``rows`` rows."""
    return {
        "recipes": [_recipe_to_json(recipe) for recipe in record.recipes],
        "recomputed": [
            {"forward": noted.forward, "rows": list(noted.rows), "renewed": list(noted.renewed)}
            for noted in record.recomputed
            if max(noted.rows) < rows
        ],
    }


def record_from_json(content: Json, allow: Allowed) -> Record:
    """Read what :func:`record_to_json` wrote, and the models; programs may name the code in ``allow``."""
    return Record(
        [_recipe_from_json(recipe, allow) for recipe in member(content, "recipes", list)],
        [_recomputation_from_json(noted) for noted in member(content, "recomputed", list)],
        [maker_from_json(maker) for maker in member(content, "models", list)],
    )


def sources_to_json(sources: Mapping[int, Sequence[int]], rows: int) -> Json:
    """Write what the encoder read for the first ``rows`` rows; nothing where there is no encoder."""
    content = {str(row): list(ids) for row, ids in sorted(sources.items()) if row < rows}
    return {"sources": content} if content else {}


def sources_from_json(content: Json) -> dict[int, list[int]]:
    """Read what :func:`sources_to_json` wrote."""
    sources = member(content, "sources", dict) if "sources" in content else {}
    return {
        row_from_json("sources", key): _whole_numbers(f"source {key}", ids) for key, ids in sources.items()
    }


def row_from_json(name: str, key: str) -> int:
    """Read a row that is the key of a member."""
    if not re.fullmatch("0|[1-9][0-9]{0,9}", key):
        raise ValueError(f"{name} has {shown(key)}, which is no row")
    return int(key)


def _recipe_to_json(recipe: Recipe) -> Json:
    return {
        "program": _program_to_json(recipe),
        "seed": int(recipe.seed),
        "sampling": recipe.sampling,
        "start": int(recipe.start),
    }


def _program_to_json(recipe: Recipe) -> Any:
    text = recipe.program if isinstance(recipe.program, str) else recipe.text
    if text is None:
        return str(recipe.program)
    try:
        # Also of a file that names code which was not allowed here: elsewhere it may be.
        return _checked_program(json.loads(text))
    except ValueError:
        return text


def _recipe_from_json(content: Any, allow: Allowed) -> Recipe:
    checked("a recipe", content, dict)
    only("a recipe", content, {field.name for field in fields(Recipe)})
    sampling = member(content, "sampling", str)
    (start,) = _whole_numbers("start", [content.get("start")])
    return Recipe(_program(content.get("program"), allow), member(content, "seed", int), sampling, start)


def _program(content: Any, allow: Allowed) -> Program | str:
    if isinstance(content, str):
        return content
    text = json.dumps(_checked_program(content), sort_keys=True, separators=(",", ":"))
    try:
        return Program.from_json(text, allow=allow)
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        MemoryError,
        RuntimeError,
        TypeError,
        ValueError,
    ):
        # Of another release, perhaps, with code that is not allowed, or for a device that is not here: its
        # rows can be shown all the same.
        return text


def _checked_program(content: Any) -> Json:
    only("program", checked("program", content, dict), {"version", "operators"})
    member(content, "version", int)
    for operator in member(content, "operators", list):
        member(checked("an operator", operator, dict), "operator", str)
    program: Json = content
    return program


def _recomputation_from_json(content: Any) -> Recomputation:
    checked("recomputed", content, dict)
    only("recomputed", content, set(Recomputation._fields))
    rows, renewed = (_whole_numbers(name, content.get(name)) for name in ("rows", "renewed"))
    return Recomputation(member(content, "forward", int), tuple(rows), tuple(renewed))


def _whole_numbers(name: str, values: Any) -> list[int]:
    for value in checked(name, values, list):
        if checked(name, value, int) < 0:
            raise ValueError(f"{name} has {value}, but must have whole numbers of at least 0")
    return list(values)


def maker_to_json(maker: Maker) -> Json:
    """One model, and from which forward call on it made the rows."""
    return {"forward": maker.forward, **asdict(maker.identity)}


def maker_from_json(content: Any) -> Maker:
    """Read what :func:`maker_to_json` wrote."""
    checked("a model", content, dict)
    known = {field.name for field in fields(ModelIdentity)}
    only("a model", content, known | {"forward"})
    texts = ("name", "model_fingerprint", "tokenizer_fingerprint", "dtype", "route")
    environment = member(content, "environment", dict)
    for name, value in environment.items():
        checked(name, value, str)
    size = member(content, "vocabulary_size", int)
    if size < 1:
        raise ValueError(f"vocabulary_size is {size}, but must be at least 1")
    identity = ModelIdentity(
        **{name: member(content, name, str) for name in texts},
        vocabulary_size=size,
        environment=environment,
        attention=_text_or_none(content, "attention"),
        adapter=_text_or_none(content, "adapter"),
        adapter_fingerprint=_text_or_none(content, "adapter_fingerprint"),
    )
    return Maker(member(content, "forward", int), identity)


def _text_or_none(content: Json, name: str) -> str | None:
    if name in content and content[name] is None:
        return None
    return member(content, name, str)
