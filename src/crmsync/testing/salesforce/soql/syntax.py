"""The syntax tree of a SOQL query. Positions are offsets into the query's text, for the carets of error messages."""

from __future__ import annotations

from typing import TypeAlias

from attrs import field, frozen


@frozen
class Path:
    """A field, perhaps through parent relationships: ``Account.Owner.Name``."""

    parts: tuple[str, ...]
    position: int = field(eq=False)


@frozen
class Text:
    """A string literal between its quotes, escapes not yet undone: LIKE reads them in its own way."""

    escaped: str


@frozen
class Number:
    """A number literal."""

    value: float


@frozen
class Moment:
    """A date-time literal, as written."""

    text: str


@frozen
class Day:
    """A date literal, as written."""

    text: str


@frozen
class Boolean:
    """TRUE or FALSE."""

    value: bool


@frozen
class Null:
    """NULL."""


@frozen
class DateRange:
    """A named range such as TODAY or LAST_N_DAYS:30."""

    name: str
    count: int | None


Literal: TypeAlias = Text | Number | Moment | Day | Boolean | Null | DateRange


@frozen
class Compare:
    """``path operator literal``; the operator is one of ``= != < <= > >=``."""

    path: Path
    operator: str
    literal: Literal


@frozen
class Like:
    """``path LIKE 'pattern'``."""

    path: Path
    pattern: Text


@frozen
class Member:
    """``path [NOT] IN (…)``."""

    path: Path
    literals: tuple[Literal, ...]
    negated: bool


@frozen
class MemberOf:
    """``path [NOT] IN (SELECT …)``: a semi-join or an anti-join."""

    path: Path
    query: Query
    negated: bool


@frozen
class Includes:
    """``path INCLUDES|EXCLUDES (…)`` on a multi-select picklist; ``a;b`` in a literal asks for both."""

    path: Path
    literals: tuple[Literal, ...]
    negated: bool


@frozen
class And:
    """All of the conditions."""

    terms: tuple[Condition, ...]


@frozen
class Or:
    """One of the conditions."""

    terms: tuple[Condition, ...]


@frozen
class Not:
    """The contrary of a condition."""

    term: Condition


Condition: TypeAlias = Compare | Like | Member | MemberOf | Includes | And | Or | Not


@frozen
class CountAll:
    """``COUNT()``."""


@frozen
class Aliased:
    """A field with another name in a grouped result: ``LeadSource source``."""

    path: Path
    alias: str


@frozen
class Aggregate:
    """``SUM(path) alias``; the function in capitals."""

    function: str
    path: Path
    alias: str | None


@frozen
class Children:
    """``(SELECT … FROM relationship)``: the records that belong to each record."""

    query: Query


@frozen
class FieldsOf:
    """``FIELDS(ALL)``, ``FIELDS(STANDARD)``, ``FIELDS(CUSTOM)``; ``group`` in capitals."""

    group: str
    position: int = field(eq=False)


SelectItem: TypeAlias = Path | Aliased | CountAll | Aggregate | FieldsOf | Children


@frozen
class OrderItem:
    """One key of ORDER BY."""

    key: Path | Aggregate
    descending: bool
    nulls_last: bool


@frozen(kw_only=True)
class Query:
    """A whole query. ``text`` is what was sent; an inner query's is that of the whole.

    ``purposes`` are VIEW of ``FOR VIEW`` and REFERENCE of ``FOR REFERENCE``.
    """

    text: str = ""
    select: tuple[SelectItem, ...]
    object_name: str
    object_position: int
    alias: str | None
    where: Condition | None
    group: tuple[Path, ...]
    order: tuple[OrderItem, ...]
    limit: int | None
    offset: int
    purposes: frozenset[str]
