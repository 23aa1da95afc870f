"""What an expression is made of: an immutable tree whose size and depth are known and bounded.

Two trees are equal if they say the same; where a node stands in its text (``at``) does not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final, TypeAlias

import attrs

from crmsync.mapping.expressions.faults import ExpressionCode, Fault, FaultyError

MAX_SOURCE: Final = 4_000
"""Characters of one expression's text."""

MAX_NODES: Final = 1_000
"""Nodes of one expression, computed fields that it refers to included."""

MAX_DEPTH: Final = 100
"""How deep one expression may be nested; what walks a tree recurses no deeper."""

Constant: TypeAlias = str | Decimal | bool | None


def _not_counted() -> int:
    return attrs.field(default=0, eq=False, repr=False)


@attrs.frozen(slots=True)
class Literal:
    """A value that stands in the expression itself."""

    value: Constant
    at: int = _not_counted()
    size: int = attrs.field(default=1, init=False, eq=False, repr=False)
    depth: int = attrs.field(default=1, init=False, eq=False, repr=False)


@attrs.frozen(slots=True)
class Name:
    """A field of the record, or another computed field of the same side."""

    name: str
    at: int = _not_counted()
    size: int = attrs.field(default=1, init=False, eq=False, repr=False)
    depth: int = attrs.field(default=1, init=False, eq=False, repr=False)


@attrs.frozen(slots=True)
class Table:
    """A look-up table: pairs of constants in the order they are written."""

    entries: tuple[tuple[Literal, Literal], ...]
    at: int = _not_counted()
    size: int = attrs.field(init=False, eq=False, repr=False)
    depth: int = attrs.field(default=1, init=False, eq=False, repr=False)

    @size.default
    def _size(self) -> int:
        return 1 + len(self.entries)


@attrs.frozen(slots=True)
class Call:
    """A function or an operator (``&``, ``+``, ``and``; ``-`` has one operand or two) with its arguments."""

    function: str
    arguments: tuple[Node, ...]
    at: int = _not_counted()
    size: int = attrs.field(init=False, eq=False, repr=False)
    depth: int = attrs.field(init=False, eq=False, repr=False)

    @size.default
    def _size(self) -> int:
        return _bounded(1 + sum(each.size for each in self.arguments), MAX_NODES, "parts", self.at)

    @depth.default
    def _depth(self) -> int:
        return _bounded(1 + max((each.depth for each in self.arguments), default=0), MAX_DEPTH, "levels", self.at)


Node: TypeAlias = Literal | Name | Table | Call


def _bounded(number: int, limit: int, what: str, at: int) -> int:
    if number > limit:
        message = f"the expression has more than {limit} {what}"
        remedy = "split it up, or use a look-up table or concat(...) in place of a long chain"
        raise FaultyError((Fault(at, ExpressionCode.TOO_LARGE, message, remedy),))
    return number


def names_in(node: Node) -> Iterator[Name]:
    """Every field that an expression refers to, in the order of its text."""
    match node:
        case Name():
            yield node
        case Call():
            for each in node.arguments:
                yield from names_in(each)
        case _:
            pass


def substituted(node: Node, known: Mapping[str, Node]) -> Node:
    """The expression with these names replaced by what they stand for.

    :raises FaultyError: it becomes too large.
    """
    match node:
        case Name() if node.name in known:
            return known[node.name]
        case Call():
            return Call(node.function, tuple(substituted(each, known) for each in node.arguments), node.at)
        case _:
            return node
