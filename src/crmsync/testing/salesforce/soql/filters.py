"""From a WHERE clause to a Python function of a row."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.schema import TEXT_TYPES, FieldDef
from crmsync.testing.salesforce.soql import dates, syntax
from crmsync.testing.salesforce.soql.literals import like_pattern, unescape, value_of
from crmsync.testing.salesforce.times import exact_stamp

if TYPE_CHECKING:
    from datetime import datetime

    from crmsync.testing.salesforce.soql.resolving import Resolver
    from crmsync.testing.salesforce.store import Row

Test: TypeAlias = Callable[["Row"], bool]
Read: TypeAlias = Callable[["Row"], Any]

_ORDERINGS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def folds_case(field: FieldDef) -> bool:
    """Whether comparisons of the field ignore letter case."""
    return field.type in TEXT_TYPES and not field.case_sensitive


def compile_condition(condition: syntax.Condition, resolver: Resolver, now: datetime) -> Test:
    """Return the function that tells whether a row meets the condition.

    :raises CallError: a field is unknown or not filterable, or a literal does not fit its field.
    """
    match condition:
        case syntax.And(terms):
            return _all_of([compile_condition(term, resolver, now) for term in terms])
        case syntax.Or(terms):
            return _any_of([compile_condition(term, resolver, now) for term in terms])
        case syntax.MemberOf():
            raise AssertionError("inner queries are run before their conditions are compiled")
        case syntax.Not(term):
            inner = compile_condition(term, resolver, now)
            return lambda row: not inner(row)
        case _:
            field, read = resolver.resolve(condition.path)
            if not field.is_filterable:
                message = f"field '{field.name}' can not be filtered in a query call"
                raise CallError(400, "INVALID_FIELD", resolver.error_at(condition.path, message))
            return _leaf(condition, field, read, now)


def _all_of(tests: list[Test]) -> Test:
    if len(tests) == 2:
        first, second = tests
        return lambda row: first(row) and second(row)
    return lambda row: all(test(row) for test in tests)


def _any_of(tests: list[Test]) -> Test:
    if len(tests) == 2:
        first, second = tests
        return lambda row: first(row) or second(row)
    return lambda row: any(test(row) for test in tests)


def _leaf(
    condition: syntax.Compare | syntax.Like | syntax.Member | syntax.Includes,
    field: FieldDef,
    read: Read,
    now: datetime,
) -> Test:
    match condition:
        case syntax.Compare(literal=syntax.DateRange() as literal):
            return _in_range(condition.operator, field, read, literal, now)
        case syntax.Compare():
            return _compare(condition.operator, field, read, value_of(field, condition.literal))
        case syntax.Like():
            return _like(field, read, condition.pattern)
        case syntax.Member():
            return _member(condition, field, read)
        case syntax.Includes():
            return _includes(condition, field, read)


def _compare(sign: str, field: FieldDef, read: Read, wanted: Any) -> Test:
    fold = folds_case(field) and wanted is not None
    bound = wanted.casefold() if fold else wanted
    if sign in ("=", "!="):
        same = _equals_folded(read, bound) if fold else (lambda row: read(row) == bound)
        return same if sign == "=" else (lambda row: not same(row))
    if field.type == "boolean":
        raise CallError(400, "INVALID_QUERY_FILTER_OPERATOR", f"invalid operator on boolean field '{field.name}'")
    if wanted is None:
        return lambda _row: False
    compare = _ORDERINGS[sign]
    if fold:
        return lambda row: (value := read(row)) is not None and compare(value.casefold(), bound)
    return lambda row: (value := read(row)) is not None and compare(value, bound)


def _equals_folded(read: Read, bound: str) -> Test:
    return lambda row: (value := read(row)) is not None and value.casefold() == bound


def _in_range(sign: str, field: FieldDef, read: Read, literal: syntax.DateRange, now: datetime) -> Test:
    if field.type not in ("date", "datetime"):
        value_of(field, literal)
    start, after = (exact_stamp(moment) for moment in dates.bounds(literal, now))
    if field.type == "date":
        start, after = start[:10], after[:10]

    def inside(row: Row) -> bool:
        return (value := read(row)) is not None and start <= value < after

    tests: dict[str, Test] = {
        "=": inside,
        "!=": lambda row: not inside(row),
        "<": lambda row: (value := read(row)) is not None and value < start,
        "<=": lambda row: (value := read(row)) is not None and value < after,
        ">": lambda row: (value := read(row)) is not None and value >= after,
        ">=": lambda row: (value := read(row)) is not None and value >= start,
    }
    return tests[sign]


def _like(field: FieldDef, read: Read, pattern: syntax.Text) -> Test:
    if field.type not in TEXT_TYPES or field.type == "multipicklist":
        raise CallError(400, "INVALID_QUERY_FILTER_OPERATOR", f"invalid operator on {field.type} field '{field.name}'")
    matches = like_pattern(pattern.escaped).fullmatch
    return lambda row: (value := read(row)) is not None and matches(value) is not None


def _member(condition: syntax.Member, field: FieldDef, read: Read) -> Test:
    values = [value_of(field, literal) for literal in condition.literals]
    fold = folds_case(field)
    wanted = {value.casefold() if fold and value is not None else value for value in values}
    held: Read = (lambda row: (value := read(row)) and value.casefold()) if fold else read
    if condition.negated:
        return lambda row: held(row) not in wanted
    return lambda row: held(row) in wanted


def _includes(condition: syntax.Includes, field: FieldDef, read: Read) -> Test:
    if field.type != "multipicklist":
        message = "includes or excludes operator only valid on multipicklist field"
        raise CallError(400, "INVALID_QUERY_FILTER_OPERATOR", message)
    groups: list[frozenset[str]] = []
    for literal in condition.literals:
        if not isinstance(literal, syntax.Text):
            value_of(field, literal)
            continue
        groups.append(frozenset(part.strip().casefold() for part in unescape(literal.escaped).split(";")))

    def includes(row: Row) -> bool:
        held = read(row)
        chosen = set(held.casefold().split(";")) if held else set()
        return any(group <= chosen for group in groups)

    return (lambda row: not includes(row)) if condition.negated else includes
