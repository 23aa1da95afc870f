"""Whether a given inverse undoes its expression, tried on made-up records before any real one is at stake."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from crmsync.mapping.computed import ComputedColumn, ComputedSide
from crmsync.mapping.expressions import Call, Failed, Literal, Node, Table, ValueType, value_type_of
from crmsync.mapping.expressions.values import is_blank
from crmsync.models.records import MISSING
from crmsync.models.schema import ObjectSchema

_TRIES: Final = 24
_NOON: Final = dt.datetime(2024, 2, 29, 12, 30, tzinfo=dt.UTC)
_SAMPLES: Final[Mapping[ValueType, tuple[object, ...]]] = {
    ValueType.TEXT: ("Ada", "Li Bo", "Grace Hopper", "x-1/2", "ada@example.org", "12", "2024-02-29", "true"),
    ValueType.NUMBER: (Decimal(1), Decimal(0), Decimal(1200), Decimal(-3)),
    ValueType.BOOLEAN: (True, False),
    ValueType.DATE: (_NOON.date(), dt.date(1999, 12, 31)),
    ValueType.DATETIME: (_NOON, _NOON + dt.timedelta(days=40)),
    ValueType.TIME: (dt.time(12, 30), dt.time(0, 0)),
    ValueType.LIST: (("a", "b"), ("c",)),
}


def tried(column: ComputedColumn, schema: ObjectSchema) -> tuple[int, int]:
    """How many values the expression made of samples, and how many of these its inverse gave back."""
    side = ComputedSide({column.name: column}, {})
    made = returned = 0
    for record in _records(column, schema):
        value = column.run(record.get)
        if value is MISSING or isinstance(value, Failed) or is_blank(value):
            continue
        made += 1
        returned += not side.expand({column.name: value}, record).refused
    return made, returned


def _records(column: ComputedColumn, schema: ObjectSchema) -> Iterator[dict[str, object]]:
    """Records of samples; the texts that stand in the expression are among them, as a table's are all that it knows."""
    constants = tuple(_texts(column.compiled.node))
    samples: dict[str, tuple[object, ...]] = {}
    for name in sorted(column.compiled.names):
        field = schema.field(name)
        kind = value_type_of(field.type) if field is not None else ValueType.TEXT
        options = field.options if field is not None and field.restricted else ()
        values: tuple[object, ...] = options or (*_SAMPLES[kind], *(constants if kind is ValueType.TEXT else ()))
        room = field.length if field is not None and field.length else None
        # What the field cannot hold is no value of it.
        samples[name] = tuple(each for each in values if not isinstance(each, str) or len(each) <= (room or len(each)))
    for turn in range(_TRIES):
        yield {
            name: values[(turn + place) % len(values)] for place, (name, values) in enumerate(samples.items()) if values
        }


def _texts(node: Node) -> Iterator[str]:
    match node:
        case Literal(value=str() as text):
            yield text
        case Table():
            yield from (key.value for key, _ in node.entries if isinstance(key.value, str))
        case Call():
            for each in node.arguments:
                yield from _texts(each)
        case _:
            pass
