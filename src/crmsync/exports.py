"""A package's public names, each loaded when it is first used, so that a program pays only for what it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def loading(namespace: dict[str, Any], homes: Mapping[str, tuple[str, ...]]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package whose globals are ``namespace``; ``homes`` are its names by their modules.

    Define it under ``if not TYPE_CHECKING``: a module's ``__getattr__`` would hide misspelled names from type checkers.
    """

    def load(name: str) -> Any:
        home = next((module for module, names in homes.items() if name in names), None)
        if home is None:
            raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
        value = namespace[name] = getattr(import_module(home), name)
        return value

    return load
