"""From SOQL text to its syntax tree."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from attrs import evolve
from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.soql import syntax

MAX_QUERY_LENGTH = 100_000
MAX_FILTER_STRING = 4_000
_CONTEXT = 30


def parse(text: str) -> syntax.Query:
    """Return the syntax tree of a query.

    :raises CallError: MALFORMED_QUERY, its message with Salesforce's caret and ``ERROR at Row:1:Column:n``.
    """
    if len(text) > MAX_QUERY_LENGTH:
        raise CallError(400, "QUERY_TOO_COMPLICATED", "The SOQL query is longer than 100,000 characters.")
    try:
        query: syntax.Query = _parser().parse(text)  # type: ignore[assignment]
    except UnexpectedInput as error:
        raise _malformed(text, error) from error
    return evolve(query, text=text)


@cache
def _parser() -> Lark:
    grammar = resources.files(__package__).joinpath("grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", transformer=_Builder(), maybe_placeholders=True)


def error_at(text: str, position: int, message: str) -> str:
    """Return a message in the form of Salesforce's query errors: an excerpt, a caret, row and column."""
    line_start = text.rfind("\n", 0, position) + 1
    line_end = text.find("\n", position)
    line = text[line_start : len(text) if line_end < 0 else line_end]
    column = position - line_start
    start = max(0, column - _CONTEXT)
    excerpt = line[start : column + _CONTEXT]
    row = text.count("\n", 0, position) + 1
    return f"\n{excerpt}\n{' ' * (column - start)}^\nERROR at Row:{row}:Column:{column + 1}\n{message}"


def _malformed(text: str, error: UnexpectedInput) -> CallError:
    if isinstance(error, UnexpectedEOF) or (isinstance(error, UnexpectedToken) and error.token.type == "$END"):
        return CallError(400, "MALFORMED_QUERY", error_at(text, len(text), "unexpected token: '<EOF>'"))
    position = error.pos_in_stream or 0
    if isinstance(error, UnexpectedCharacters):
        shown = text[position : position + 1]
        return CallError(
            400,
            "MALFORMED_QUERY",
            error_at(text, position, f"line 1:{position} no viable alternative at character '{shown}'"),
        )
    shown = str(error.token) if isinstance(error, UnexpectedToken) else text[position : position + 10]
    return CallError(400, "MALFORMED_QUERY", error_at(text, position, f"unexpected token: '{shown}'"))


def _whole(token: Token) -> int:
    try:
        number = int(token)
    except ValueError:
        number = -1
    if number < 0:
        raise CallError(400, "MALFORMED_QUERY", f"unexpected token: '{token}'")
    return number


class _Builder(Transformer[Token, Any]):
    """Builds syntax nodes bottom-up; each method is named after its rule."""

    def start(self, children: list[Any]) -> Any:
        return children[0]

    def query(self, children: list[Any]) -> syntax.Query:
        select, (name, alias), where, group, order, limit, offset, purposes = children
        return syntax.Query(
            select=tuple(select),
            object_name=str(name),
            object_position=name.start_pos or 0,
            alias=None if alias is None else str(alias),
            where=where,
            group=tuple(group or ()),
            order=tuple(order or ()),
            limit=limit,
            offset=offset or 0,
            purposes=purposes or frozenset(),
        )

    def select_list(self, children: list[Any]) -> list[Any]:
        return children

    def aliased(self, children: list[Any]) -> syntax.Aliased:
        return syntax.Aliased(children[0], str(children[1]))

    def count_all(self, _: list[Any]) -> syntax.CountAll:
        return syntax.CountAll()

    def aggregate(self, children: list[Any]) -> syntax.Aggregate:
        return syntax.Aggregate(str(children[0]).upper(), children[1], None)

    def named_aggregate(self, children: list[Any]) -> syntax.Aggregate:
        return syntax.Aggregate(str(children[0]).upper(), children[1], str(children[2]))

    def children(self, children: list[Any]) -> syntax.Children:
        return syntax.Children(children[0])

    def fields_of(self, children: list[Token]) -> syntax.FieldsOf:
        return syntax.FieldsOf(str(children[0]).upper(), children[0].start_pos or 0)

    def source(self, children: list[Any]) -> tuple[Token, Token | None]:
        name, alias = children
        return name, alias

    def where(self, children: list[Any]) -> Any:
        return children[0]

    def and_(self, children: list[Any]) -> syntax.And:
        return syntax.And(tuple(children))

    def or_(self, children: list[Any]) -> syntax.Or:
        return syntax.Or(tuple(children))

    def not_(self, children: list[Any]) -> syntax.Not:
        return syntax.Not(children[0])

    def compare(self, children: list[Any]) -> syntax.Compare:
        path, operator, literal = children
        return syntax.Compare(path, "!=" if operator == "<>" else str(operator), literal)

    def like(self, children: list[Any]) -> syntax.Like:
        return syntax.Like(children[0], self.string(children[1:]))

    def in_(self, children: list[Any]) -> syntax.Member:
        return syntax.Member(children[0], children[1], negated=False)

    def not_in(self, children: list[Any]) -> syntax.Member:
        return syntax.Member(children[0], children[1], negated=True)

    def in_query(self, children: list[Any]) -> syntax.MemberOf:
        return syntax.MemberOf(children[0], children[1], negated=False)

    def not_in_query(self, children: list[Any]) -> syntax.MemberOf:
        return syntax.MemberOf(children[0], children[1], negated=True)

    def includes(self, children: list[Any]) -> syntax.Includes:
        return syntax.Includes(children[0], children[1], negated=False)

    def excludes(self, children: list[Any]) -> syntax.Includes:
        return syntax.Includes(children[0], children[1], negated=True)

    def literals(self, children: list[Any]) -> tuple[Any, ...]:
        return tuple(children)

    def string(self, children: list[Token]) -> syntax.Text:
        return syntax.Text(str(children[0])[1:-1])

    def number(self, children: list[Token]) -> syntax.Number:
        return syntax.Number(float(children[0]))

    def datetime(self, children: list[Token]) -> syntax.Moment:
        return syntax.Moment(str(children[0]))

    def date(self, children: list[Token]) -> syntax.Day:
        return syntax.Day(str(children[0]))

    def true(self, _: list[Any]) -> syntax.Boolean:
        return syntax.Boolean(value=True)

    def false(self, _: list[Any]) -> syntax.Boolean:
        return syntax.Boolean(value=False)

    def null(self, _: list[Any]) -> syntax.Null:
        return syntax.Null()

    def date_literal(self, children: list[Any]) -> syntax.DateRange:
        name, count = children
        return syntax.DateRange(str(name).upper(), None if count is None else _whole(count))

    def group(self, children: list[Any]) -> list[Any]:
        return children

    def order(self, children: list[Any]) -> list[Any]:
        return children

    def order_item(self, children: list[Any]) -> syntax.OrderItem:
        key, direction, nulls = children
        return syntax.OrderItem(
            key,
            descending=direction is not None and direction.upper() == "DESC",
            nulls_last=nulls is not None and nulls.upper() == "LAST",
        )

    def limit(self, children: list[Token]) -> int:
        return _whole(children[0])

    def offset(self, children: list[Token]) -> int:
        return _whole(children[0])

    def purposes(self, children: list[Token]) -> frozenset[str]:
        return frozenset(str(token).upper() for token in children)

    def path(self, children: list[Token]) -> syntax.Path:
        return syntax.Path(tuple(str(part) for part in children), children[0].start_pos or 0)
