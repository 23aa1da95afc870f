"""Looking for damage: in the database's own structures, in the schema, in what rows hold."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DatabaseError

from crmsync.storage.sql import audit, changes, counts, rows, stops, tables
from crmsync.storage.sql.calls import usage_of
from crmsync.storage.sql.isolation import isolated_tables, owned_tables
from crmsync.storage.sql.layout import layout_of
from crmsync.storage.sql.reading import DAMAGE, REMEDY, damaged_keys, described, link_reader
from crmsync.storage.sql.rows import LINK_COLUMNS
from crmsync.storage.sql.statements import AnyRow

_PAGE: Final = 1000

_READERS: Final[Mapping[str, Callable[[AnyRow], object]]] = {
    "crm_integrations": rows.integration_of,
    "crm_sync_logs": rows.log_of,
    "crm_field_mapping_templates": rows.template_of,
    "crm_sync_journal": rows.journal_of,
    "crm_remote_jobs": rows.job_of,
    "crm_sync_conflicts": rows.conflict_of,
    "crm_sync_changes": changes.change_of,
    "crm_stops": stops.stop_of,
    "crm_stopped_records": stops.records_of,
    "crm_api_calls": usage_of,
    "crm_audit_log": audit.entry_of,
}
"""How the repository reads a row. Links have a reader of their own; rows of other tables are read column by column."""


@attrs.frozen(slots=True)
class Finding:
    """One thing that is wrong. ``code`` is stable; no message holds a record's value."""

    code: str
    message: str


def check(connection: Connection) -> list[Finding]:
    """Everything that is wrong with a database of the current schema, within one transaction."""
    is_sqlite = connection.dialect.name == "sqlite"
    found = list(_sqlite_findings(connection) if is_sqlite else _postgres_findings(connection))
    # Reading on would fail where the damage is, or at what is missing.
    if not any(finding.code == "corrupt" for finding in found):
        found += _missing(connection)
    if not any(finding.code in {"corrupt", "missing"} for finding in found):
        found += (finding for table in tables.metadata.sorted_tables for finding in _damaged(connection, table))
    if not found:
        found += _miscounted(connection)
    return found


def _sqlite_findings(connection: Connection) -> Iterator[Finding]:
    said = _integrity(connection)
    if said != ["ok"]:
        # Asking on would fail where the damage is.
        yield from (Finding("corrupt", f"SQLite says: {line}; restore a backup") for line in said)
        return
    for table, row, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        yield Finding("orphan", f"row {row} of {table} belongs to nothing in {parent}; delete it")
    file = connection.exec_driver_sql("PRAGMA database_list").all()[0][2]
    for path in (Path(f"{file}{end}") for end in ("", "-wal", "-shm") if file):
        if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield Finding("permissions", f"others than its owner may open {path}: chmod 600 {path}")


def _integrity(connection: Connection) -> Sequence[str]:
    try:
        return connection.exec_driver_sql("PRAGMA integrity_check(100)").scalars().all()
    except DatabaseError as error:
        # So damaged that not even the check comes to its end.
        if getattr(error.orig, "sqlite_errorname", "") != "SQLITE_CORRUPT":
            raise
        return [str(error.orig)]


def _postgres_findings(connection: Connection) -> Iterator[Finding]:
    layout = layout_of(connection)
    names = [layout.name(name) for name in tables.metadata.tables]
    invalid = sa.text(
        "SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid"
        " JOIN pg_namespace n ON n.oid = t.relnamespace"
        " WHERE NOT x.indisvalid AND n.nspname = :schema AND t.relname = ANY(:names)"
    )
    schema = layout.schema or connection.scalar(sa.select(sa.func.current_schema()))
    for (name,) in connection.execute(invalid, {"schema": schema, "names": names}):
        yield Finding("invalid_index", f"the index {name} is not valid: REINDEX INDEX CONCURRENTLY {name}")
    apart = isolated_tables(connection)
    for plain in sorted(owned_tables() - apart if apart else ()):
        yield Finding("not_isolated", f"{layout.name(plain)} does not keep tenants apart: `crmsync db isolate`")


def _missing(connection: Connection) -> Iterator[Finding]:
    layout, inspector = layout_of(connection), sa.inspect(connection)
    there = set(inspector.get_table_names(schema=layout.schema))
    for table in tables.metadata.sorted_tables:
        name = layout.name(table.name)
        if name not in there:
            yield Finding("missing", f"the table {name} is missing; restore a backup")
            continue
        columns = {column["name"] for column in inspector.get_columns(name, schema=layout.schema)}
        for column in sorted(set(table.columns.keys()) - columns):
            yield Finding("missing", f"the column {column} of {name} is missing; restore a backup")
        indexes = {index["name"] for index in inspector.get_indexes(name, schema=layout.schema)}
        for index in sorted({layout.name(str(index.name)) for index in table.indexes} - indexes):
            yield Finding("missing_index", f"the index {index} of {name} is missing; everything works, slowly")


def _damaged(connection: Connection, table: sa.Table) -> Iterator[Finding]:
    """The rows that cannot be read, found page by page in the order of the key."""
    key = tuple(table.primary_key.columns)
    columns: tuple[Any, ...] = LINK_COLUMNS if table is tables.links else (*table.columns,)
    build = link_reader(connection) if table is tables.links else _READERS.get(table.name, tuple)
    pages = sa.select(*key).order_by(*key).limit(_PAGE)
    after: AnyRow | None = None
    while page := connection.execute(pages if after is None else pages.where(sa.tuple_(*key) > tuple(after))).all():
        after = page[-1]
        these = sa.and_(sa.tuple_(*key) >= tuple(page[0]), sa.tuple_(*key) <= tuple(after))
        query = sa.select(*columns).where(these)
        try:
            for row in connection.execute(query):
                build(row)
        except DAMAGE:
            for found in damaged_keys(connection, query, build):
                yield Finding("damaged", f"the row {described(table, found)} cannot be read; {REMEDY}")


def _miscounted(connection: Connection) -> Iterator[Finding]:
    """Objects whose kept counts are not those of their links, because somebody changed links by hand."""
    columns = tables.counts.c
    kept = sa.select(columns.integration_id, columns.entity_type).distinct()
    for integration_id, entity_type in connection.execute(kept).all():
        if not counts.agree(connection, integration_id, entity_type):
            whose = f"{entity_type!r} of {integration_id!r}"
            name = layout_of(connection).name(tables.counts.name)
            message = f"the links of {whose} are counted wrongly; delete its rows of {name} to have them counted anew"
            yield Finding("miscounted", message)
