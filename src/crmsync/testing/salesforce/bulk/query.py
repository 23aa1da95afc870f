"""Query jobs: what SOQL they take, and their results as CSV, taken at the moment the job is created.

"Bulk API 2.0 and Bulk API Developer Guide", page "Create a Query Job": no GROUP BY, OFFSET or TYPEOF, no aggregate
functions, no compound fields, no ``FIELDS()``, no nested queries.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from crmsync.testing.salesforce.bulk import jobs
from crmsync.testing.salesforce.bulk.refusals import refusal
from crmsync.testing.salesforce.schema import COMPOUND_TYPES
from crmsync.testing.salesforce.soql import syntax
from crmsync.testing.salesforce.soql.evaluation import run
from crmsync.testing.salesforce.soql.parsing import parse
from crmsync.testing.salesforce.soql.resolving import Resolver
from crmsync.testing.salesforce.soql.selection import table_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from crmsync.testing.salesforce.bulk.jobs import QueryJob
    from crmsync.testing.salesforce.errors import CallError
    from crmsync.testing.salesforce.org import SalesforceOrg
    from crmsync.testing.salesforce.schema import FieldDef
    from crmsync.testing.salesforce.store import Row

#: "Get Results for a Query Job": from this version on columns come as they were selected, before in alphabetical order.
FIRST_VERSION_IN_SELECT_ORDER: Final = 50.0
_COMPOUND: Final = "Selecting compound data not supported in Bulk Query"
_NESTED: Final = "Aggregate Relationships not supported in Bulk V2 Query with CSV content type"
_TYPEOF: Final = re.compile(r"\s*SELECT\b[^']*\bTYPEOF\b", re.IGNORECASE)


def parse_bulk_soql(text: str) -> syntax.Query:
    """Return the syntax tree of a query that a query job takes.

    :raises CallError: API_ERROR for what is only fit for the REST API; else as any query is refused.
    """
    # The grammar has no TYPEOF at all.
    if _TYPEOF.match(text):
        raise _unfit("TYPEOF clause")
    query = parse(text)
    for item in query.select:
        if isinstance(item, syntax.Children):
            raise refusal("API_ERROR", _NESTED)
        if isinstance(item, syntax.FieldsOf):
            raise refusal("API_ERROR", _COMPOUND)
        if isinstance(item, (syntax.Aggregate, syntax.CountAll)):
            raise _unfit("Aggregate functions")
    if query.group:
        raise _unfit("GROUP BY clause")
    if query.offset:
        raise _unfit("OFFSET clause")
    return query


def _unfit(what: str) -> CallError:
    return refusal("API_ERROR", f"{what} not supported in Bulk V2 Query")


def take_snapshot(org: SalesforceOrg, job: QueryJob, now: datetime) -> None:
    """Run a job's query and keep its result in the job.

    :raises CallError: as Salesforce refuses the query.
    """
    query = parse_bulk_soql(job.query)
    tables = org.permissions.tables_of(job.created_by)
    result = run(job.query, tables, version=job.version, now=now, include_deleted=job.operation == "queryAll")
    table = table_of(query, tables)
    columns = text_columns(Resolver(query, table, tables))
    if float(job.version) < FIRST_VERSION_IN_SELECT_ORDER:
        columns.sort(key=lambda column: column.name.lower())
    dialect = job.dialect
    job.object_name = table.definition.name
    job.header = dialect.quoted([column.name for column in columns])
    readers = [column.read for column in columns]
    job.rows = [dialect.quoted([read(row) for read in readers]) for row in result.rows]


@frozen
class TextColumn:
    """A column of a query's result: its name, its field's type, and how a row's text is read."""

    name: str
    type: str
    read: Callable[[Row], str]


def text_columns(resolver: Resolver) -> list[TextColumn]:
    """Return the columns of a query.

    :raises CallError: one is compound.
    """
    columns: list[TextColumn] = []
    for item in resolver.query.select:
        assert isinstance(item, (syntax.Path, syntax.Aliased))
        path = item if isinstance(item, syntax.Path) else item.path
        field, read = resolver.resolve(path)
        if field.type in COMPOUND_TYPES:
            raise refusal("API_ERROR", _COMPOUND)
        *parents, _ = resolver.names(path)
        name = ".".join([*_relationships(resolver, path, parents), field.name])
        columns.append(TextColumn(name, field.type, _reader(field, read)))
    return columns


def _relationships(resolver: Resolver, path: syntax.Path, parents: list[str]) -> list[str]:
    """Return the relationships of a path as the objects name them."""
    names: list[str] = []
    definition = resolver.table.definition
    for name in parents:
        link, parent = resolver.parent(definition, name, path)
        assert link.relationship is not None
        names.append(link.relationship)
        definition = parent.definition
    return names


def _reader(field: FieldDef, read: Callable[[Row], Any]) -> Callable[[Row], str]:
    """Return how a field is written: null is empty, a datetime ends in Z where REST has +0000."""
    if field.type == "datetime":
        return lambda row: _moment(read(row))
    if field.type == "boolean":
        return lambda row: "" if (value := read(row)) is None else "true" if value else "false"
    return lambda row: "" if (value := read(row)) is None else str(value)


def _moment(value: str | None) -> str:
    return "" if value is None else value.replace("+0000", "Z")


def advance(org: SalesforceOrg, job: QueryJob, now: datetime) -> None:
    """Do the part of a job that is due by ``now``."""
    options = org.bulk.options
    if job.state == jobs.UPLOAD_COMPLETE and job.is_started(now, options):
        job.move(jobs.IN_PROGRESS, now)
    if job.state != jobs.IN_PROGRESS:
        return
    due, last = job.due_records(now, options), job.last_record(len(job.rows))
    job.processed = int(min(due, last))
    if due >= last:
        job.end(len(job.rows), now)
