"""From literals to values comparable with stored ones, by the type of the field they meet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.ids import canonical_id
from crmsync.testing.salesforce.schema import ID_TYPES, NUMBER_TYPES, FieldDef
from crmsync.testing.salesforce.soql import syntax
from crmsync.testing.salesforce.times import exact_stamp, parse_date, parse_datetime

if TYPE_CHECKING:
    from collections.abc import Callable

_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
_PAIR: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)


def unescape(escaped: str) -> str:
    r"""Undo SOQL's escapes: ``\n \r \t \b \f \" \' \\`` and ``\uXXXX``.

    :raises CallError: MALFORMED_QUERY: another character is escaped.
    """
    if "\\" not in escaped:
        return escaped
    return _PAIR.sub(lambda match: _character(match, escaped), escaped)


def _character(match: re.Match[str], escaped: str) -> str:
    code = match[1]
    if len(code) == 5:
        return chr(int(code[1:], 16))
    if code.lower() in _ESCAPES:
        return _ESCAPES[code.lower()]
    message = f"Invalid string literal '{escaped}'. Illegal character sequence '\\{code}' in string literal."
    raise CallError(400, "MALFORMED_QUERY", message)


def like_pattern(escaped: str) -> re.Pattern[str]:
    r"""Return the pattern of a LIKE: ``%`` any text, ``_`` one character, ``\%`` and ``\_`` themselves; no case."""
    pieces: list[str] = []
    position = 0
    while position < len(escaped):
        char = escaped[position]
        if char == "\\" and escaped[position + 1 : position + 2] in ("%", "_"):
            pieces.append(escaped[position + 1])
            position += 2
        elif char == "\\":
            match = _PAIR.match(escaped, position)
            assert match is not None
            pieces.append(re.escape(_character(match, escaped)))
            position = match.end()
        else:
            pieces.append({"%": ".*", "_": "."}.get(char) or re.escape(char))
            position += 1
    return re.compile("".join(pieces), re.IGNORECASE | re.DOTALL)


def _wrong_type(field: FieldDef, kind: str, *, quoted: bool) -> CallError:
    rule = "should be enclosed in quotes" if quoted else "should not be enclosed in quotes"
    message = f"value of filter criterion for field '{field.name}' must be of type {kind} and {rule}"
    return CallError(400, "INVALID_FIELD", message)


def value_of(field: FieldDef, literal: syntax.Literal) -> Any:
    """Return what a literal means for a field: text, number, bool, the text of a moment; ``None`` for NULL and ''.

    :raises CallError: INVALID_FIELD or INVALID_QUERY_FILTER_OPERATOR: the literal's type is not the field's.
    """
    if isinstance(literal, syntax.Null):
        return None
    return _CONVERTERS.get(field.type, _text)(field, literal)


def _text(field: FieldDef, literal: syntax.Literal) -> str | None:
    if not isinstance(literal, syntax.Text):
        raise _wrong_type(field, "string", quoted=True)
    return unescape(literal.escaped) or None


def _id(field: FieldDef, literal: syntax.Literal) -> str | None:
    if not isinstance(literal, syntax.Text):
        raise _wrong_type(field, "ID", quoted=True)
    text = unescape(literal.escaped)
    known = canonical_id(text)
    if text and known is None:
        raise CallError(400, "INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {text}")
    return known


def _number(field: FieldDef, literal: syntax.Literal) -> float:
    if not isinstance(literal, syntax.Number):
        raise _wrong_type(field, "double" if field.type != "int" else "int", quoted=False)
    return literal.value


def _boolean(field: FieldDef, literal: syntax.Literal) -> bool:
    if not isinstance(literal, syntax.Boolean):
        raise _wrong_type(field, "boolean", quoted=False)
    return literal.value


def _moment(field: FieldDef, literal: syntax.Literal) -> str:
    if isinstance(literal, syntax.Moment):
        moment = parse_datetime(literal.text)
        if moment is None:
            raise CallError(400, "MALFORMED_QUERY", f"invalid date: {literal.text}")
        return exact_stamp(moment)
    raise _wrong_type(field, "dateTime", quoted=False)


def _day(field: FieldDef, literal: syntax.Literal) -> str:
    if isinstance(literal, syntax.Day):
        day = parse_date(literal.text)
        if day is None:
            raise CallError(400, "MALFORMED_QUERY", f"invalid date: {literal.text}")
        return day.isoformat()
    raise _wrong_type(field, "date", quoted=False)


_CONVERTERS: Final[dict[str, Callable[[FieldDef, syntax.Literal], Any]]] = {
    **dict.fromkeys(ID_TYPES, _id),
    **dict.fromkeys(NUMBER_TYPES, _number),
    "boolean": _boolean,
    "datetime": _moment,
    "date": _day,
}
