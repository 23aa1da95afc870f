"""How a function of the language is declared: what it takes, what it gives, and what it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from crmsync.mapping.expressions.values import ValueType

ANY: Final = frozenset(ValueType) - {ValueType.NULL}


@attrs.frozen(slots=True)
class Parameter:
    """One argument. ``prepare`` set: it must be a constant, and the function is given what this makes of it.

    ``prepare`` raises `ValueError` with a message for a constant that cannot be used.
    """

    name: str
    types: frozenset[ValueType]
    prepare: Callable[[Any], object] | None = None


@attrs.frozen(slots=True)
class Function:
    """A function that is called with values only: a MISSING, failed or null argument is its result.

    ``run`` answers a value or `Failed`; it never changes what it is given. ``least`` arguments have to be there.
    ``gives`` None: the type of the first argument. ``repeats``: the last parameter takes any number of arguments.
    """

    name: str
    parameters: tuple[Parameter, ...]
    gives: ValueType | None
    run: Callable[..., object]
    summary: str
    least: int
    repeats: bool = False

    @property
    def signature(self) -> str:
        """How it is called: ``left(text, count)``, optional arguments in brackets."""
        names = [each.name for each in self.parameters]
        required, optional = names[: self.least], names[self.least :]
        shown = ", ".join(required) + "".join(f"[, {name}]" for name in optional)
        return f"{self.name}({shown}{', ...' if self.repeats else ''})"


def constant(name: str, kind: ValueType, prepare: Callable[[Any], object]) -> Parameter:
    """A parameter whose argument must be a constant."""
    return Parameter(name, frozenset({kind}), prepare)


def text(name: str = "text") -> Parameter:
    """A text parameter."""
    return Parameter(name, frozenset({ValueType.TEXT}))


def number(name: str = "number") -> Parameter:
    """A number parameter."""
    return Parameter(name, frozenset({ValueType.NUMBER}))


def of(*kinds: ValueType, name: str) -> Parameter:
    """A parameter of one of several types."""
    return Parameter(name, frozenset(kinds))


def function(
    name: str,
    parameters: tuple[Parameter, ...],
    gives: ValueType | None,
    run: Callable[..., object],
    summary: str,
    *,
    optional: int = 0,
    repeats: bool = False,
) -> Function:
    """Declare a function; the last ``optional`` parameters may be left out."""
    return Function(name, parameters, gives, run, summary, len(parameters) - optional, repeats)
