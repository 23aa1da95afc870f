"""The session ``no_extras`` runs the core's tests: here it is seen, without it, that they can be collected there."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What asks for packages of an extra when it is used, not when it is imported.
USES_AN_EXTRA = {
    "crmsync.mapping.expressions",
    "crmsync.mapping.suggestions.spelling_ratio",
    "crmsync.models.mappings.ComputedField",
    "crmsync.models.mappings.ValidationRule",
}


def core() -> list[str]:
    """What the session gives to pytest."""
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    [value] = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "CORE"
    ]
    given: list[str] = ast.literal_eval(value)
    return given


def core_modules() -> list[Path]:
    given = core()
    ignored = [ROOT / one.removeprefix("--ignore=") for one in given if one.startswith("--ignore=")]
    places = [ROOT / one for one in given if one.startswith("tests/")]
    found = {path for place in places for path in ([place] if place.is_file() else place.rglob("test_*.py"))}
    return sorted(path for path in found if not any(path.is_relative_to(one) for one in ignored))


@cache
def extras() -> frozenset[str]:
    """The modules that only an extra brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = (re.split(r"[\[<>=]", one)[0] for group in project["optional-dependencies"].values() for one in group)
    brought = {name.lower() for name in names} - {"crmsync", "hypothesis", "pytest"}
    return frozenset(
        module
        for module, owners in packages_distributions().items()
        if any(owner.lower() in brought for owner in owners)
    )


@cache
def file_of(module: str) -> Path | None:
    base = (ROOT / "src" if module.partition(".")[0] == "crmsync" else ROOT) / module.replace(".", "/")
    return next((one for one in (base.with_suffix(".py"), base / "__init__.py") if one.is_file()), None)


@cache
def imported(path: Path) -> frozenset[str]:
    """What a file imports when it is imported itself: not what a function does, nor what is for types alone."""
    return frozenset(_imports(ast.parse(path.read_text(encoding="utf-8")).body))


def _imports(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Try | ast.With | ast.If) and not _is_for_types(node):
            yield from _imports(node.body)


def _is_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def reached(start: Path) -> set[str]:
    """Every module that is imported with a test module, as far as it is ours, and what that imports of others."""
    seen: set[str] = set()
    todo = [start]
    while todo:
        for name in imported(todo.pop()):
            parts = name.split(".")
            for module in (".".join(parts[: n + 1]) for n in range(len(parts))):
                if module not in seen:
                    seen.add(module)
                    path = file_of(module) if parts[0] in {"crmsync", "tests"} else None
                    todo += [path] if path else []
    return seen


def test_a_test_of_the_core_is_collected_without_any_extra() -> None:
    modules = core_modules()
    assert len(modules) > 50
    assert {"sqlalchemy", "httpx2", "typer", "keyring", "re2"} <= extras()
    needed = {path.relative_to(ROOT).as_posix(): sorted(extras() & reached(path)) for path in modules}
    at_fault = {path: names for path, names in needed.items() if names}
    assert not at_fault, "list it in noxfile.py, or import what needs an extra in the tests that use it"


def test_a_test_of_the_core_uses_nothing_that_needs_an_extra() -> None:
    used = {path.relative_to(ROOT).as_posix(): sorted(USES_AN_EXTRA & imported(path)) for path in core_modules()}
    at_fault = {path: names for path, names in used.items() if names}
    assert not at_fault, "list it in noxfile.py, or do without in this module"
