"""From a tree to its text: what `read` makes the same tree of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from crmsync.mapping.expressions.syntax import Call, Constant, Literal, Name, Node

_PLAIN: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_RESERVED: Final = frozenset({"or", "and", "not", "true", "false", "null"})
_ESCAPED: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SPECIAL: Final = re.compile(r'["\\\n\r\t]')

_BINDING: Final[Mapping[str, int]] = {
    "or": 1,
    "and": 2,
    "not": 3,
    **dict.fromkeys(("=", "!=", "<", "<=", ">", ">="), 4),
    "&": 5,
    "+": 6,
    "-": 6,
    "*": 7,
    "/": 7,
}
_COMPARED: Final = 4
_MINUS: Final = 8
_ALONE: Final = 9


def printed(node: Node) -> str:
    """The text of a tree, in one form."""
    match node:
        case Literal():
            return _constant(node.value)
        case Name():
            return name_text(node.name)
        case Call():
            return _call(node)
        case _:
            pairs = (f"{printed(key)}: {printed(value)}" for key, value in node.entries)
            return "{" + ", ".join(pairs) + "}"


def name_text(name: str) -> str:
    """A field's name as an expression refers to it."""
    if _PLAIN.fullmatch(name) and name not in _RESERVED:
        return name
    return "[" + name.replace("]", "]]") + "]"


def _constant(value: Constant) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case Decimal():
            return format(value, "f")
        case _:
            return '"' + _SPECIAL.sub(lambda match: _ESCAPED[match[0]], value) + '"'


def _call(node: Call) -> str:
    binding = _binding(node)
    match node.arguments:
        case (operand,) if node.function == "not":
            return f"not {_operand(operand, binding)}"
        case (operand,) if node.function == "-":
            return f"-{_operand(operand, binding)}"
        case (left, right) if binding < _ALONE:
            # A comparison takes no other beside it; all other operators gather from the left.
            first = _operand(left, binding + (binding == _COMPARED))
            return f"{first} {node.function} {_operand(right, binding + 1)}"
    return f"{node.function}({', '.join(map(printed, node.arguments))})"


def _operand(node: Node, least: int) -> str:
    text = printed(node)
    return f"({text})" if _binding(node) < least else text


def _binding(node: Node) -> int:
    """How closely a node holds together what it is made of."""
    if not isinstance(node, Call):
        return _ALONE
    return _MINUS if node.function == "-" and len(node.arguments) == 1 else _BINDING.get(node.function, _ALONE)
