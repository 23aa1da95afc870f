"""Where the tables are and how they are called: a prefix of their names, a schema of PostgreSQL.

    postgresql://app@db.internal/shop?schema=crm&table_prefix=mm_

The code and the migrations know each table by its plain name. The dialect of an engine puts the prefix before it where
an identifier is written into a statement; SQLAlchemy itself puts the schema there. So two layouts in one database do
not see each other, and no statement knows of either.
"""

from __future__ import annotations

import re
from typing import Any, Final

import attrs
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Dialect, Engine
from sqlalchemy.sql.compiler import IdentifierPreparer

from crmsync.errors import ConfigurationError
from crmsync.storage.sql.tables import metadata

VERSION_TABLE: Final = "crmsync_alembic_version"
"""A table of our own, so that an application's own Alembic migrations may live in the same database."""

TABLES: Final = frozenset({*metadata.tables, VERSION_TABLE})
"""Every table that a migration ever made: one that is dropped some day is still to be named here."""

# Not what the names of constraints and indexes begin with, by which we know them.
_PREFIX: Final = re.compile(r"(?!(?:pk|fk|ix|uq|ck)_$)[a-z_][a-z0-9_]{0,15}")
# PostgreSQL cuts names after 63 bytes; our longest has 42.
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_OF_A_TABLE: Final = re.compile(r"(?:pk|fk|ix|uq|ck)_crm")
_OPTION: Final = "crmsync_layout"


def _checked(pattern: re.Pattern[str], what: str, value: str) -> None:
    if not pattern.fullmatch(value):
        raise ConfigurationError(
            f"the storage URL's {what} is not lower-case letters, digits and underscores, or is taken"
        )


@attrs.frozen(slots=True)
class Layout:
    """``prefix`` comes before every name of ours; ``schema`` is None for the first of the connection's search path."""

    prefix: str = ""
    schema: str | None = None

    def name(self, plain: str) -> str:
        """What a table, index or constraint of ours is called here; the name itself if it is none of ours."""
        return f"{self.prefix}{plain}" if plain in TABLES or _OF_A_TABLE.match(plain) else plain

    def options(self) -> dict[str, Any]:
        """The execution options of an engine with this layout."""
        options: dict[str, Any] = {_OPTION: self}
        if self.schema is not None:
            options["schema_translate_map"] = {None: self.schema}
        return options

    def apply(self, dialect: Dialect) -> None:
        """Let a dialect write the prefix. Only for a dialect that nobody else uses."""
        if self.prefix:
            plain = type(dialect.identifier_preparer)
            kind = type("PrefixingPreparer", (_PrefixingPreparer, plain), {"layout": self})
            dialect.identifier_preparer = kind(dialect)


class _PrefixingPreparer(IdentifierPreparer):
    """Every identifier that SQLAlchemy writes passes through `quote`."""

    layout: Layout

    def quote(self, ident: str, *options: Any) -> str:
        return super().quote(self.layout.name(ident), *options)


def split_layout(url: URL) -> tuple[URL, Layout]:
    """A URL without our own options, and the layout that they say.

    :raises ConfigurationError: a name is none, or SQLite is to have a schema.
    """
    prefix, schema = url.query.get("table_prefix", ""), url.query.get("schema")
    if prefix:
        _checked(_PREFIX, "table_prefix", str(prefix))
    if schema is not None:
        _checked(_SCHEMA, "schema", str(schema))
        if url.get_backend_name() == "sqlite":
            raise ConfigurationError("SQLite has no schemas: give the storage URL a table_prefix, or another file")
    rest = url.difference_update_query(["table_prefix", "schema"])
    return rest, Layout(str(prefix), None if schema is None else str(schema))


def layout_of(connection: Connection | Engine) -> Layout:
    """The layout that a connection, or an engine, was opened with."""
    layout = connection.get_execution_options().get(_OPTION)
    return layout if isinstance(layout, Layout) else Layout()


def has_tables(connection: Connection) -> bool:
    """Whether migrations of ours were ever run here."""
    layout = layout_of(connection)
    return sa.inspect(connection).has_table(layout.name(VERSION_TABLE), schema=layout.schema)
