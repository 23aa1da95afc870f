"""Which rows a WHERE clause can match at all: by an indexed value, or by a stretch of (SystemModstamp, Id) or Id order.

The filter is applied to every candidate afterwards, so all this has to be is wide enough. The clause of a keyset page,
``SystemModstamp > a OR (SystemModstamp = a AND Id > b)``, becomes the exact place to begin at, however many rows share
the second ``a``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from attrs import frozen

from crmsync.testing.salesforce.soql import syntax
from crmsync.testing.salesforce.soql.literals import value_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crmsync.testing.salesforce.soql.resolving import Resolver
    from crmsync.testing.salesforce.store import Row

Key: TypeAlias = tuple[str, str]
Bounds: TypeAlias = tuple[str | None, str | None]
_AFTER_ALL: Final = "\uffff"
_STAMP: Final = "systemmodstamp"


@frozen
class Stretch:
    """Rows from ``low`` up to but without ``high`` in (SystemModstamp, Id) order; ``None`` is no bound."""

    low: Key | None = None
    high: Key | None = None


@frozen
class Candidates:
    """Rows that may match. ``order`` are the fields, in small letters, by which they come."""

    rows: Iterable[Row]
    order: tuple[str, ...] = ()


def candidates(resolver: Resolver, where: syntax.Condition | None) -> Candidates:
    """Return the rows that are worth testing."""
    table = resolver.table
    terms = () if where is None else where.terms if isinstance(where, syntax.And) else (where,)
    for term in terms:
        found = _by_value(resolver, term)
        if found is not None:
            return Candidates(found)
    if _wants_ids(resolver):
        return Candidates(table.slice_of_ids(*_id_bounds(resolver, terms)), order=("id",))
    stretch = Stretch() if where is None else _stretch(resolver, where)
    return Candidates(table.slice(stretch.low, stretch.high), order=(_STAMP, "id"))


def _wants_ids(resolver: Resolver) -> bool:
    order = resolver.query.order
    return bool(order) and isinstance(order[0].key, syntax.Path) and resolver.names(order[0].key) == ("Id",)


def _id_bounds(resolver: Resolver, terms: tuple[syntax.Condition, ...]) -> Bounds:
    """The ids from which and before which rows can match all the terms."""
    lows, highs = [], []
    for term in terms:
        if not isinstance(term, syntax.Compare) or resolver.names(term.path) != ("Id",):
            continue
        bound = value_of(resolver.table.definition.fields["Id"], term.literal)
        if bound is None:
            continue
        if term.operator in (">", ">="):
            lows.append(bound)
        elif term.operator in ("<", "<="):
            highs.append(bound + "\0")
    return max(lows, default=None), min(highs, default=None)


def _by_value(resolver: Resolver, term: syntax.Condition) -> list[Row] | None:
    match term:
        case syntax.Compare(path, "=", literal):
            literals: tuple[syntax.Literal, ...] = (literal,)
        case syntax.Member(path, literals, negated=False):
            pass
        case _:
            return None
    names = resolver.names(path)
    field = resolver.table.definition.find(names[0])
    if len(names) != 1 or field is None or (field.name != "Id" and not resolver.table.is_indexed(field.name)):
        return None
    values = {value_of(field, literal) for literal in literals}
    if None in values:
        return None
    if field.name == "Id":
        rows = resolver.table.rows
        return [rows[value] for value in values if value in rows]
    found = {row["Id"]: row for value in values for row in resolver.table.matching(field.name, value)}
    return list(found.values())


def _stretch(resolver: Resolver, condition: syntax.Condition) -> Stretch:
    match condition:
        case syntax.Compare():
            return _leaf(resolver, condition)
        case syntax.And(terms):
            return _narrowed(resolver, terms, [_stretch(resolver, term) for term in terms])
        case syntax.Or(terms):
            parts = [_stretch(resolver, term) for term in terms]
            lows = [part.low for part in parts]
            highs = [part.high for part in parts]
            return Stretch(
                None if None in lows else min(low for low in lows if low is not None),
                None if None in highs else max(high for high in highs if high is not None),
            )
        case _:
            return Stretch()


def _leaf(resolver: Resolver, condition: syntax.Compare) -> Stretch:
    names = resolver.names(condition.path)
    if len(names) != 1 or names[0].lower() != _STAMP or not isinstance(condition.literal, syntax.Moment):
        return Stretch()
    moment = value_of(resolver.table.definition.fields["SystemModstamp"], condition.literal)
    match condition.operator:
        case "=":
            return Stretch((moment, ""), (moment, _AFTER_ALL))
        case ">=":
            return Stretch(low=(moment, ""))
        case ">":
            return Stretch(low=(moment, _AFTER_ALL))
        case "<":
            return Stretch(high=(moment, ""))
        case "<=":
            return Stretch(high=(moment, _AFTER_ALL))
        case _:
            return Stretch()


def _narrowed(resolver: Resolver, terms: tuple[syntax.Condition, ...], parts: list[Stretch]) -> Stretch:
    low = max((part.low for part in parts if part.low is not None), default=None)
    high = min((part.high for part in parts if part.high is not None), default=None)
    if low is None or high is None or low[0] != high[0]:
        return Stretch(low, high)
    for term in terms:
        if not isinstance(term, syntax.Compare) or resolver.names(term.path) != ("Id",):
            continue
        bound = value_of(resolver.table.definition.fields["Id"], term.literal)
        if bound is not None and term.operator in (">", ">="):
            low = max(low, (low[0], bound + "\0" if term.operator == ">" else bound))
    return Stretch(low, high)
