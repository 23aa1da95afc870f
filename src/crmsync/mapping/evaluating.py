"""Try an expression on one record, without a mapping."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

import attrs

from crmsync.errors import MappingError
from crmsync.mapping.expressions import Failed, FaultyError, Scope, ValueType, compile_node, printed, read
from crmsync.mapping.expressions.inverting import Inverter, NoInverseError
from crmsync.models.problems import Problem
from crmsync.models.records import MISSING, Fields
from crmsync.models.schema import FieldType

_NO_TYPES: Final[Mapping[str, FieldType]] = MappingProxyType({})


@attrs.frozen(slots=True)
class Evaluation:
    """What an expression makes of a record.

    ``value`` is None for a blank, and MISSING where the record does not show what it needs; with a ``failure`` it is
    MISSING, too. ``fields`` are those that it depends on. ``expression`` is its text in one form. ``inverse`` are the
    expressions over ``value`` that undo it, by field; where none is known, ``obstacle`` says why.
    """

    value: object = attrs.field(repr=False)
    type: ValueType
    fields: tuple[str, ...]
    expression: str
    failure: str = ""
    inverse: Mapping[str, str] = attrs.field(factory=dict)
    obstacle: str = ""


def evaluate(expression: str, record: Fields, *, types: Mapping[str, FieldType] = _NO_TYPES) -> Evaluation:
    """Evaluate an expression on a record. A field that is not in ``types`` has the type of its value.

    :raises MappingError: with every fault of the expression. :raises MissingExtraError: its packages are not installed.
    """
    scope = Scope({**{name: _type_of(value) for name, value in record.items()}, **types})
    try:
        node = read(expression)
        compiled = compile_node(node, scope)
    except FaultyError as error:
        problems = (Problem("expression", each.code, each.placed(expression), each.remedy) for each in error.faults)
        raise MappingError(tuple(problems)) from None
    value = compiled.run(record.get)
    inverse, obstacle = dict[str, str](), ""
    try:
        inverse = {name: printed(tree) for name, tree in Inverter(scope, {}).invert(node).items()}
    except NoInverseError as error:
        obstacle = str(error)
    return Evaluation(
        value=MISSING if isinstance(value, Failed) else value,
        type=compiled.type,
        fields=tuple(sorted(compiled.names)),
        expression=printed(node),
        failure=value.message if isinstance(value, Failed) else "",
        inverse=inverse,
        obstacle=obstacle,
    )


def _type_of(value: object) -> FieldType:
    match value:
        case bool():
            return FieldType.BOOLEAN
        case int() | float() | Decimal():
            return FieldType.DECIMAL
        case dt.datetime():
            return FieldType.DATETIME
        case dt.date():
            return FieldType.DATE
        case dt.time():
            return FieldType.TIME
        case tuple() | list() | set() | frozenset():
            return FieldType.TAGS
        case _:
            return FieldType.TEXT
