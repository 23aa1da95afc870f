"""The inverses that are known: from what an expression gives back to the fields that it is made of.

An inverse is an expression again, over ``value``. What cannot be undone, or only by guessing, is refused with the
reason. Whether an inverse gives the value back is proven anew at each write (see `crmsync.mapping.computed`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import attrs

from crmsync.mapping.expressions.compiling import Scope, compile_node
from crmsync.mapping.expressions.date_functions import date_pattern
from crmsync.mapping.expressions.syntax import Call, Literal, Name, Node, Table
from crmsync.mapping.expressions.values import ValueType

VALUE: Final = "value"
"""What an inverse calls the value that is to be written."""

_SPELLINGS: Final = frozenset({"upper", "lower", "title", "trim", "squeeze"})
_JOINING: Final = frozenset({"&", "concat"})
_MOVING: Final = frozenset({"add_days", "add_hours", "add_minutes"})
_NUMERALS: Final = frozenset("0123456789.-")
_CALENDAR: Final = frozenset("0123456789-")
_ALL_PARTS: Final = frozenset({"yyyy", "MM", "dd", "HH", "mm", "ss"})
_DATE_PARTS: Final = frozenset({"yyyy", "MM", "dd"})


class NoInverseError(Exception):
    """Nothing is known that undoes an expression; the message says why."""


@attrs.frozen(slots=True)
class Inverter:
    """Finds inverses under a scope. ``options`` are the only values that some fields can hold."""

    scope: Scope
    options: Mapping[str, tuple[str, ...]]

    def invert(self, node: Node) -> dict[str, Node]:
        """For each field that the expression is made of, the expression that gives its value.

        :raises NoInverseError: with the reason.
        """
        return self._invert(node, Name(VALUE))

    def _invert(self, node: Node, value: Node) -> dict[str, Node]:
        match node:
            case Name():
                return {node.name: value}
            case Call():
                return self._undone(node, value)
            case _:
                raise NoInverseError("it is a constant")

    def _undone(self, node: Call, value: Node) -> dict[str, Node]:
        name, arguments = node.function, node.arguments
        if name in _JOINING or name == "concat_with":
            return self._split(*self._pieces(node), value)
        first = arguments[0]
        if name in _SPELLINGS:
            return self._invert(first, value)
        if name in ("text", "number", "boolean", "date", "datetime", "time"):
            return self._cast_back(node, value)
        if name == "lookup":
            return self._looked_up(node, value)
        if name == "not":
            return self._invert(first, Call("not", (value,)))
        if name in ("+", "-", "*", "/"):
            return self._arithmetic(node, value)
        if name == "format_number":
            return self._invert(first, Call("parse_number", (value, *arguments[2:])))
        if name == "format_date":
            return self._invert(first, self._read_date(node, value))
        if name in ("parse_date", "parse_datetime"):
            return self._invert(first, Call("format_date", (value, arguments[1])))
        if name in _MOVING and isinstance(arguments[1], Literal):
            return self._invert(first, Call(name, (value, _negative(arguments[1]))))
        msg = f"{name} cannot be undone"
        raise NoInverseError(msg)

    def _type(self, node: Node) -> ValueType:
        return compile_node(node, self.scope).type

    def _cast_back(self, node: Call, value: Node) -> dict[str, Node]:
        first = node.arguments[0]
        kind = self._type(first)
        if node.function == "date" and kind is ValueType.DATETIME:
            raise NoInverseError("date leaves the time of day behind")
        return self._invert(first, value if node.function == kind else Call(str(kind), (value,)))

    def _looked_up(self, node: Call, value: Node) -> dict[str, Node]:
        subject, table, *otherwise = node.arguments
        if not isinstance(table, Table):
            raise NoInverseError("lookup takes a table")
        if otherwise:
            raise NoInverseError("lookup has a value for all that is not in its table, and it stands for many")
        values = [entry[1].value for entry in table.entries]
        if len(set(values)) < len(values) or None in values:
            raise NoInverseError("two entries of the table have the same value")
        turned = Table(tuple((new, old) for old, new in table.entries))
        return self._invert(subject, Call("lookup", (value, turned)))

    def _arithmetic(self, node: Call, value: Node) -> dict[str, Node]:
        match node.function, node.arguments:
            case "-", (operand,):
                return self._invert(operand, Call("-", (value,)))
            case "+", (operand, Literal() as constant) | (Literal() as constant, operand):
                return self._invert(operand, Call("-", (value, constant)))
            case "-", (operand, Literal() as constant):
                return self._invert(operand, Call("+", (value, constant)))
            case "-", (Literal() as constant, operand):
                return self._invert(operand, Call("-", (constant, value)))
            case "*", (operand, Literal(value=factor) as constant) | (Literal(value=factor) as constant, operand):
                if isinstance(factor, Decimal) and _ends(factor):
                    return self._invert(operand, Call("/", (value, constant)))
                raise NoInverseError("the quotient by this factor has no end")
            case "/", (operand, Literal(value=factor) as constant):
                if isinstance(factor, Decimal) and _ends(factor):
                    return self._invert(operand, Call("*", (value, constant)))
                raise NoInverseError("the quotient by this divisor has no end")
        msg = f"{node.function} of two fields cannot be taken apart"
        raise NoInverseError(msg)

    def _read_date(self, node: Call, value: Node) -> Node:
        subject, pattern = node.arguments
        parts = date_pattern(str(pattern.value)).parts if isinstance(pattern, Literal) else frozenset[str]()
        as_date = self._type(subject) is ValueType.DATE
        if as_date and parts == _DATE_PARTS:
            return Call("parse_date", (value, pattern))
        if not as_date and parts == _ALL_PARTS:
            return Call("parse_datetime", (value, pattern))
        raise NoInverseError("the pattern leaves a part of the date out")

    def _pieces(self, node: Call) -> tuple[list[Node], list[str], tuple[str, str]]:
        """What is joined, the constants between, and those at both ends."""
        if node.function == "concat_with":
            separator, *parts = node.arguments
            if not isinstance(separator, Literal):
                raise NoInverseError("the separator of concat_with is no constant")
            return parts, [str(separator.value)] * (len(parts) - 1), ("", "")
        parts, between = [], [""]
        for part in _flattened(node):
            if isinstance(part, Literal):
                between[-1] += part.value if isinstance(part.value, str) else ""
            else:
                parts.append(part)
                between.append("")
        return parts, between[1:-1], (between[0], between[-1])

    def _split(
        self, parts: Sequence[Node], separators: Sequence[str], ends: tuple[str, str], value: Node
    ) -> dict[str, Node]:
        if not parts:
            raise NoInverseError("it is a constant")
        rest = _without_ends(value, ends)
        found: dict[str, Node] = {}
        for place, part in enumerate(parts):
            piece = rest
            if place < len(separators):
                self._check_apart(part, separators[place])
                separator = Literal(separators[place])
                piece, rest = Call("before", (rest, separator)), Call("after", (rest, separator))
            undone = self._invert(Call("text", (part,)), piece)
            if twice := undone.keys() & found.keys():
                msg = f"{min(twice)!r} is in it twice"
                raise NoInverseError(msg)
            found |= undone
        return found

    def _check_apart(self, part: Node, separator: str) -> None:
        if not separator:
            raise NoInverseError("nothing stands between two of its parts")
        if self._may_hold(part, separator):
            what = f"{part.name!r}" if isinstance(part, Name) else "the part before it"
            msg = f"{separator!r} may stand within {what}, too: where it is to be split is a guess"
            raise NoInverseError(msg)

    def _may_hold(self, part: Node, separator: str) -> bool:
        kind = self._type(part)
        if kind is ValueType.NUMBER:
            return set(separator) <= _NUMERALS
        if kind is ValueType.DATE:
            return set(separator) <= _CALENDAR
        if kind is ValueType.BOOLEAN:
            return separator in "true" or separator in "false"
        match part:
            case Name() if part.name in self.options:
                return any(separator in option for option in self.options[part.name])
            case Call(function="lookup", arguments=(_, Table() as table)):
                return any(separator in str(entry[1].value) for entry in table.entries)
            case _:
                return True


def _flattened(node: Node) -> list[Node]:
    if isinstance(node, Call) and node.function in _JOINING:
        return [part for each in node.arguments for part in _flattened(each)]
    return [node]


def _without_ends(value: Node, ends: tuple[str, str]) -> Node:
    first, last = ends
    if first:
        value = Call("substring", (value, Literal(Decimal(len(first) + 1))))
    if last:
        value = Call("left", (value, Call("-", (Call("length", (value,)), Literal(Decimal(len(last)))))))
    return value


def _negative(constant: Literal) -> Literal:
    return Literal(-constant.value) if isinstance(constant.value, Decimal) else constant


def _ends(factor: Decimal) -> bool:
    """Whether division by a number ends: it has no prime factors but 2 and 5."""
    whole = abs(int(factor.scaleb(-int(factor.as_tuple().exponent)))) if factor else 0
    for prime in (2, 5):
        while whole and not whole % prime:
            whole //= prime
    return whole == 1
