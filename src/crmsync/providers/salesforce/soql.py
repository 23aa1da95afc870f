"""SOQL, put together from checked names and typed literals; no value is ever formatted into a query as it came."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NewType
from urllib.parse import quote

Soql = NewType("Soql", str)
"""A piece of SOQL that this module made."""

MAX_ENCODED = 14_000
"""Bytes of a percent-encoded query in a URI. Salesforce refuses URI and headers of more than 16,384 bytes together
(help 000386264)."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*")
_ESCAPES = str.maketrans(
    {
        "\\": "\\\\",
        "'": "\\'",
        '"': '\\"',
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        "\b": "\\b",
        "\f": "\\f",
    }
)


def name(identifier: str) -> Soql:
    """An object's or field's API name.

    :raises ValueError: it is no identifier.
    """
    if not _NAME.fullmatch(identifier):
        raise ValueError("not an API name")
    return Soql(identifier)


def literal(value: object) -> Soql:
    """A value as SOQL writes it ("Quoted String Escape Sequences", "Date Formats and Date Literals", SOQL reference).

    :raises TypeError: SOQL has no literal for such a value.
    """
    match value:
        case None:
            return Soql("NULL")
        case bool():
            return Soql("TRUE" if value else "FALSE")
        case int():
            return Soql(str(value))
        case Decimal() if value.is_finite():
            return Soql(format(value, "f"))
        case str():
            return Soql(f"'{value.translate(_ESCAPES)}'")
        case datetime() if value.tzinfo is not None:
            moment = value.astimezone(UTC)
            fraction = f".{moment.microsecond // 1000:03d}" if moment.microsecond else ""
            return Soql(f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z")
        case date() if not isinstance(value, datetime):
            return Soql(value.isoformat())
        case _:
            raise TypeError(f"SOQL has no literal for {type(value).__name__}")


def compare(field: str, operator: str, value: object) -> Soql:
    """``field operator value``; the operator is one of ``= != < <= > >=``.

    :raises ValueError: another operator, or no field name.
    """
    if operator not in ("=", "!=", "<", "<=", ">", ">="):
        raise ValueError("not an operator")
    return Soql(f"{name(field)} {operator} {literal(value)}")


def contained(field: str, values: Iterable[object]) -> Soql:
    """``field IN (values)``."""
    return Soql(f"{name(field)} IN ({','.join(literal(value) for value in values)})")


def every(*conditions: Soql) -> Soql:
    """All conditions hold."""
    return Soql(" AND ".join(f"({condition})" for condition in conditions))


def some(*conditions: Soql) -> Soql:
    """At least one condition holds."""
    return Soql(" OR ".join(f"({condition})" for condition in conditions))


def select(
    fields: Sequence[str],
    object_name: str,
    *,
    where: Soql | None = None,
    order_by: Sequence[str] = (),
    limit: int | None = None,
) -> Soql:
    """A whole query.

    :raises ValueError: a name is no identifier.
    """
    # Only validated identifiers and clauses that this module escaped come together here.
    parts = [f"SELECT {','.join(name(field) for field in fields)} FROM {name(object_name)}"]  # noqa: S608 - see above
    if where:
        parts.append(f"WHERE {where}")
    if order_by:
        parts.append(f"ORDER BY {','.join(name(field) for field in order_by)}")
    if limit is not None:
        parts.append(f"LIMIT {limit:d}")
    return Soql(" ".join(parts))


def count(object_name: str, where: Soql | None = None) -> Soql:
    """A query for the number of records."""
    counted = f"SELECT COUNT() FROM {name(object_name)}"  # noqa: S608 - a validated identifier
    return Soql(f"{counted} WHERE {where}" if where else counted)


def edge(object_name: str, *, last: bool, where: Soql | None = None, skip: int = 0) -> Soql:
    """A query for the first or the last id, or for the one so many after or before it (2,000 at the most, "OFFSET",
    SOQL and SOSL Reference).
    """
    clause = f" WHERE {where}" if where else ""
    direction = "DESC" if last else "ASC"
    offset = f" OFFSET {skip:d}" if skip else ""
    statement = f"SELECT Id FROM {name(object_name)}{clause} ORDER BY Id {direction} LIMIT 1"  # noqa: S608 - as above
    return Soql(statement + offset)


def encoded_length(query: str) -> int:
    """Bytes of a query once it is percent-encoded."""
    return len(quote(query, safe=""))


def select_in(
    fields: Sequence[str], object_name: str, field: str, values: Iterable[object], *, also: Soql | None = None
) -> Iterator[Soql]:
    """Queries that together find the records whose field is one of the values; each fits into a URI, if its fields do.

    ``also`` is a condition that the records meet besides.
    """

    def of(batch: Sequence[object]) -> Soql:
        inside = contained(field, batch)
        return select(fields, object_name, where=every(inside, also) if also else inside)

    empty = encoded_length(of(()))
    # Fields that leave little room are sent in a body anyway, and then with values enough.
    most = max(MAX_ENCODED, empty + MAX_ENCODED // 2)
    batch: list[object] = []
    length = empty
    for value in values:
        added = encoded_length(literal(value) + ",")
        if batch and length + added > most:
            yield of(batch)
            batch, length = [], empty
        batch.append(value)
        length += added
    if batch:
        yield of(batch)
