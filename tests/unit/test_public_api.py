"""The public face: which names, and what importing them costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import crmsync

NAMES = [
    "BulkSyncResult",
    "CRMCampaign",
    "CRMContact",
    "CRMError",
    "CRMFeature",
    "CRMList",
    "CRMProvider",
    "CRMSync",
    "CRMSyncResult",
    "ConflictPolicy",
    "CustomField",
    "DeletePolicy",
    "EmailActivity",
    "EmailActivityType",
    "EmailStats",
    "Enforcement",
    "FieldMapping",
    "FieldType",
    "Integration",
    "MISSING",
    "ObjectMapping",
    "Observer",
    "Plan",
    "RecordStore",
    "Registry",
    "RunOptions",
    "RunReport",
    "RunStatus",
    "Side",
    "SyncDirection",
    "SyncRepository",
    "Vault",
    "always_use_crm",
    "dont_sync",
    "prefer_crm_unless_blank",
    "two_way",
]

HEAVY = {
    "alembic",
    "defusedxml",
    "faker",
    "httpx2",
    "jwt",
    "lark",
    "psycopg",
    "pytest",
    "rich",
    "sqlalchemy",
    "starlette",
    "typer",
    "uvicorn",
}


def modules_after(program: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after running a program."""
    code = f"{program}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_public_names_are_these_and_no_more() -> None:
    assert sorted(crmsync.__all__) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_there_and_listed(name: str) -> None:
    assert getattr(crmsync, name) is not None
    assert name in dir(crmsync)


@pytest.mark.parametrize("package", ["crmsync", "crmsync.engine", "crmsync.mapping"])
def test_what_type_checkers_see_is_what_is_loaded(package: str) -> None:
    module = import_module(package)
    assert module.__file__ is not None
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {
        alias.name: node.module for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    loaded = {name: home for home, names in vars(module)["_HOMES"].items() for name in names}
    assert seen == loaded
    assert sorted(loaded) == sorted(module.__all__)
    for name, home in loaded.items():
        assert getattr(module, name) is getattr(import_module(home), name), "no module of the package has this name"


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'crmsync' has no attribute 'Connector'"):
        vars(crmsync)["__getattr__"]("Connector")


def test_importing_the_package_loads_nothing_else() -> None:
    assert not modules_after("import crmsync") & {*HEAVY, "anyio", "asyncio", "attrs", "cryptography", "pydantic"}


def test_opening_salesforce_loads_neither_the_engine_nor_what_checks_mappings_nor_jwt() -> None:
    program = "from crmsync.engine import RunBudget, SystemClock\nimport crmsync.providers.salesforce, sys"
    code = f"{program}\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    unneeded = {"crmsync.engine.runner", "crmsync.mapping.compiler", "crmsync.mapping.expressions", "jwt"}
    assert not unneeded & set(loaded)


def test_using_every_public_name_loads_no_optional_dependency() -> None:
    assert not modules_after("import crmsync\nfor name in crmsync.__all__: getattr(crmsync, name)") & HEAVY


def test_listing_plug_ins_loads_no_optional_dependency() -> None:
    program = "from crmsync.registry import Registry\nfor group in ('providers', 'storage'): Registry().names(group)"
    assert not modules_after(program) & HEAVY
