"""Imports point one way: information <- interventions <- tree <- engine <- toolkit <- widgets <- labs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "itwidgets"
# The toolkit's doors are modules beside the packages; its measures need no model.
LAYERS = (
    "information",
    "information_theory",
    "interventions",
    "tree",
    "engine",
    "toolkit",
    "probability_extractor",
    "intervention",
    "widgets",
    "labs",
)
ROOMS = (
    "cache",
    "openmp",
    "native",
    "switch_interval",
    "endings",
    "worker",
    "kv",
    "model",
    "decoding",
    "scoring",
    "session",
    "engine",
    "loading",
)
# Modules beside the packages that import nothing of the project, so that everything may use them.
LEAVES = frozenset({"_errors", "_formats"})
# The measures and the operators are for scripts too, and must not take seconds to import.
WITHOUT_TRANSFORMERS = ("information", "information_theory", "interventions")


def imported_modules(source: str, package: str) -> set[str]:
    """List the full names of what a module imports, wherever in the module it does so.

    Parameters
    ----------
    source : str
        The module's text.
    package : str
        The dotted name of the package that holds it, against which relative imports resolve.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join((*(parents if node.level else ()), *filter(None, [node.module])))
            # `from itwidgets import engine` imports itwidgets.engine.
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return names


def upward_imports(source: str, layer: str, package: str) -> set[str]:
    """List what a module of a layer imports of the project without being allowed to."""
    allowed = {*LAYERS[: LAYERS.index(layer) + 1], *LEAVES}
    ours = {name for name in imported_modules(source, package) if name.startswith("itwidgets")}
    return {name for name in ours if name.partition(".")[2].split(".")[0] not in allowed}


def names_at_import_time(source: str) -> set[str]:
    """List the modules that importing a module imports, TYPE_CHECKING blocks aside."""
    names: set[str] = set()
    pending: list[ast.AST] = [ast.parse(source)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        pending.extend(ast.iter_child_nodes(node))
    return names


def packages_at_import_time(source: str) -> set[str]:
    return {name.split(".")[0] for name in names_at_import_time(source)}


def modules(layer: str) -> list[Path]:
    return [*sorted((ROOT / layer).rglob("*.py")), *ROOT.glob(f"{layer}.py")]


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_those_below_it(layer: str) -> None:
    offenders = {}
    for path in modules(layer):
        package = ".".join(("itwidgets", *path.parent.relative_to(ROOT).parts))
        upward = upward_imports(path.read_text(encoding="utf-8"), layer, package)
        if upward:
            offenders[str(path.relative_to(ROOT))] = sorted(upward)
    assert offenders == {}


def test_a_room_of_the_engine_imports_only_those_before_it() -> None:
    offenders = {}
    for path in modules("engine"):
        room = path.relative_to(ROOT / "engine").parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        later = tuple(f"itwidgets.engine.{name}." for name in ROOMS[ROOMS.index(room) + 1 :])
        names = names_at_import_time(path.read_text(encoding="utf-8"))
        upward = sorted(name for name in names if name.startswith(later))
        if upward:
            offenders[str(path.relative_to(ROOT))] = upward
    assert offenders == {}


def test_leaf_modules_import_nothing_of_the_project() -> None:
    offenders = {}
    for name in sorted(LEAVES):
        path = ROOT / f"{name}.py"
        if path.exists():
            names = imported_modules(path.read_text(encoding="utf-8"), "itwidgets")
            offenders[name] = sorted(name for name in names if name.startswith("itwidgets"))
    assert not any(offenders.values()), offenders


@pytest.mark.parametrize("layer", WITHOUT_TRANSFORMERS)
def test_light_layers_import_without_transformers(layer: str) -> None:
    offenders = [
        str(path.relative_to(ROOT))
        for path in modules(layer)
        if "transformers" in packages_at_import_time(path.read_text(encoding="utf-8"))
    ]
    assert offenders == []


@pytest.mark.parametrize(
    ("source", "upward"),
    [
        ("from itwidgets.engine import Engine", {"itwidgets.engine.Engine"}),
        ("from ..engine.cache import Cache", {"itwidgets.engine.cache.Cache"}),
        ("from .. import engine", {"itwidgets.engine"}),
        ("from itwidgets import engine", {"itwidgets.engine"}),
        ("import itwidgets", {"itwidgets"}),
        ("def f():\n    import itwidgets.widgets.viewer", {"itwidgets.widgets.viewer"}),
        ("from itwidgets._errors import BadTokenError", set()),
        ("from ..information import entropy", set()),
        ("from .table import TokenTree", set()),
        ("from . import table", set()),
        ("import numpy", set()),
    ],
)
def test_the_check_sees_each_way_to_write_an_import(source: str, upward: set[str]) -> None:
    assert upward_imports(source, "tree", "itwidgets.tree") == upward


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("import transformers.cache_utils as c", True),
        ("from transformers import AutoModel", True),
        ("try:\n    import transformers\nexcept ImportError: ...", True),
        ("class A:\n    import transformers", True),
        ("if TYPE_CHECKING:\n    import transformers", False),
        ("def f():\n    import transformers", False),
    ],
)
def test_the_check_sees_what_runs_at_import_time(source: str, seen: bool) -> None:
    assert ("transformers" in packages_at_import_time(source)) is seen
