"""PostgreSQL's row-level security: a role that is not the tables' owner sees one tenant's rows, whatever its SQL says.

A session names its tenant in a setting: ``crmsync.user_id`` (all integrations of a user) or ``crmsync.integration_id``
(one). Without one it sees nothing. The owner of the tables, and roles with BYPASSRLS, see everything: migrations and
workers that serve everybody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Final

import attrs
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection

from crmsync.errors import ConfigurationError
from crmsync.storage.sql.layout import VERSION_TABLE, layout_of
from crmsync.storage.sql.revision import LOCK_WAIT
from crmsync.storage.sql.tables import audit_keys, audit_log, links, metadata, numbers, turns

POLICY: Final = "crmsync_isolation"

_ROLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]{0,62}")
# Empty once it was set and reset: that must not mean the user without a name.
_OWN_INTEGRATION: Final = "nullif(current_setting('crmsync.integration_id', true), '')"
_OWN_USER: Final = "nullif(current_setting('crmsync.user_id', true), '')"


@attrs.frozen(slots=True)
class Tenant:
    """Whose rows a session sees: all integrations of a user, one integration, or (neither) what its role may see."""

    user_id: str | None = None
    integration_id: str | None = None

    def apply(self, engine: Engine) -> None:
        """Name the tenant in every session of an engine."""
        named = {f"crmsync.{name}": value for name, value in attrs.asdict(self).items() if value is not None}

        def name_tenant(connection: DBAPIConnection, _entry: object) -> None:
            with closing(connection.cursor()) as cursor:
                for setting, value in named.items():
                    cursor.execute("SELECT set_config(%s, %s, false)", (setting, value))
            connection.commit()

        if named:
            event.listen(engine, "connect", name_tenant)


def split_tenant(url: URL) -> tuple[URL, Tenant]:
    """A URL without ``tenant_user`` and ``tenant_integration``, and the tenant that they name.

    :raises ConfigurationError: SQLite is asked for one.
    """
    names = {"user_id": "tenant_user", "integration_id": "tenant_integration"}
    given = {field: str(url.query[name]) for field, name in names.items() if name in url.query}
    if given and url.get_backend_name() == "sqlite":
        raise ConfigurationError("SQLite keeps no tenants apart: give each a file, or a table_prefix of its own")
    return url.difference_update_query(list(names.values())), Tenant(**given)


def isolate(connection: Connection, role: str | None = None) -> None:
    """Make the policies, and let a role work under them. Repeatable.

    :raises ConfigurationError: it is not PostgreSQL, or the role's name is none.
    """
    _begin(connection, role)
    for table in _owned():
        name = qualified(connection, table.name)
        connection.exec_driver_sql(f"DROP POLICY IF EXISTS {POLICY} ON {name}")
        connection.exec_driver_sql(f"CREATE POLICY {POLICY} ON {name} USING ({_own_rows(connection, table)})")
        connection.exec_driver_sql(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
    if role is not None:
        _grant(connection, role)


def extend_isolation(connection: Connection) -> None:
    """After an upgrade: for the tables that are new what `isolate` did for the others, and the roles that work there.

    :raises ConfigurationError: it is not PostgreSQL.
    """
    isolate(connection)
    for role in _roles(connection):
        _grant(connection, role)


def grant_sequence(connection: Connection, plain: str) -> None:
    """Let the roles that work under the policies number the rows of a table whose numbers are new."""
    for role in _roles(connection):
        _grant_sequence(connection, plain, connection.dialect.identifier_preparer.quote_identifier(role))


def _roles(connection: Connection) -> Sequence[str]:
    roles = sa.text(
        "SELECT DISTINCT r.rolname FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a JOIN pg_roles r"
        " ON r.oid = a.grantee WHERE c.oid = CAST(:name AS regclass) AND a.privilege_type = 'DELETE'"
        " AND r.oid <> c.relowner"
    )
    return connection.execute(roles, {"name": qualified(connection, "crm_integrations")}).scalars().all()


def undo_isolation(connection: Connection) -> None:
    """Drop the policies; whoever may read a table sees all of it again.

    :raises ConfigurationError: it is not PostgreSQL.
    """
    _begin(connection, None)
    for table in _owned():
        name = qualified(connection, table.name)
        connection.exec_driver_sql(f"ALTER TABLE {name} DISABLE ROW LEVEL SECURITY")
        connection.exec_driver_sql(f"DROP POLICY IF EXISTS {POLICY} ON {name}")


def isolated_tables(connection: Connection) -> set[str]:
    """The plain names of the tables that keep tenants apart."""
    layout = layout_of(connection)
    schema = layout.schema or connection.scalar(sa.select(sa.func.current_schema()))
    query = sa.text("SELECT tablename FROM pg_policies WHERE schemaname = :schema AND policyname = :policy")
    found = set(connection.execute(query, {"schema": schema, "policy": POLICY}).scalars())
    return {table.name for table in _owned() if layout.name(table.name) in found}


def owned_tables() -> set[str]:
    """The plain names of the tables whose rows belong to an integration."""
    return {table.name for table in _owned()}


def qualified(connection: Connection, plain: str) -> str:
    """A table's name for a statement that is written by hand."""
    quote = connection.dialect.identifier_preparer.quote
    schema = layout_of(connection).schema
    return quote(plain) if schema is None else f"{quote(schema)}.{quote(plain)}"


def _owned() -> Iterator[sa.Table]:
    return (t for t in metadata.sorted_tables if t.name == "crm_integrations" or "integration_id" in t.columns)


def own_rows(connection: Connection) -> str:
    """The condition of a table that has the integrations' ids."""
    integrations = qualified(connection, "crm_integrations")
    of_user = f"SELECT id FROM {integrations} WHERE user_id = {_OWN_USER}"  # noqa: S608  (names of ours)
    return f"integration_id = {_OWN_INTEGRATION} OR integration_id IN ({of_user})"


def own_links(connection: Connection) -> str:
    """The condition of the links, which have numbers."""
    named = qualified(connection, numbers.name)
    return f"integration_id IN (SELECT id FROM {named} WHERE {own_rows(connection)})"  # noqa: S608  (names of ours)


def _own_rows(connection: Connection, table: sa.Table) -> str:
    if table.name == "crm_integrations":
        return f"id = {_OWN_INTEGRATION} OR user_id = {_OWN_USER}"
    return own_links(connection) if table is links else own_rows(connection)


def _grant(connection: Connection, role: str) -> None:
    to = connection.dialect.identifier_preparer.quote_identifier(role)
    schema = layout_of(connection).schema or connection.scalar(sa.select(sa.func.current_schema()))
    connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA {_quoted(connection, str(schema))} TO {to}")
    for table in _owned():
        name = qualified(connection, table.name)
        rights = "SELECT, INSERT" if table is audit_log else "SELECT, INSERT, UPDATE, DELETE"
        connection.exec_driver_sql(f"GRANT {rights} ON {name} TO {to}")
        if isinstance(table.columns.get("id"), sa.Column) and isinstance(table.columns["id"].type, sa.BigInteger):
            _grant_sequence(connection, table.name, to)
    connection.exec_driver_sql(f"GRANT SELECT, INSERT ON {qualified(connection, audit_keys.name)} TO {to}")
    # Nobody's rows: tenants with one org take turns at it. A digest is all that they say of which.
    connection.exec_driver_sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {qualified(connection, turns.name)} TO {to}")
    for plain in ("crm_field_mapping_templates", VERSION_TABLE):
        connection.exec_driver_sql(f"GRANT SELECT ON {qualified(connection, plain)} TO {to}")


def _grant_sequence(connection: Connection, plain: str, to: str) -> None:
    name = qualified(connection, plain)
    sequence = connection.scalar(sa.select(sa.func.pg_get_serial_sequence(name, "id")))
    connection.exec_driver_sql(f"GRANT USAGE ON SEQUENCE {sequence} TO {to}")


def _quoted(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote(name)


def _begin(connection: Connection, role: str | None) -> None:
    if connection.dialect.name != "postgresql":
        raise ConfigurationError("only PostgreSQL keeps tenants apart by itself; give each an SQLite file of its own")
    # The tables are locked until all of them are done: rather try again than keep everybody waiting.
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
    if role is not None and not _ROLE.fullmatch(role):
        raise ConfigurationError("the role's name is not letters, digits, underscores and hyphens")
