"""The typing test uses the whole public API."""

from __future__ import annotations

import ast
from pathlib import Path

import crmsync

API = Path(__file__).parents[1] / "typing" / "api.py"


def test_every_public_name_is_used_in_the_typing_test() -> None:
    tree = ast.parse(API.read_text(encoding="utf-8"))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert used >= set(crmsync.__all__)


def test_every_verb_of_the_facade_and_of_a_provider_is_used_in_the_typing_test() -> None:
    tree = ast.parse(API.read_text(encoding="utf-8"))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    verbs = {name for kind in (crmsync.CRMSync, crmsync.CRMProvider) for name in vars(kind) if not name.startswith("_")}
    assert used >= verbs
