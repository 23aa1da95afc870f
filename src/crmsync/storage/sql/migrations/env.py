"""What Alembic runs: for `schema` on the connection that it hands over, or for Alembic's own command.

A host application may name this directory in a section of its ``alembic.ini``, with a storage URL as
``sqlalchemy.url``; then ``alembic --name SECTION upgrade head`` does what ``crmsync db upgrade`` does.
"""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy.engine import Connection

from crmsync.errors import ConfigurationError
from crmsync.storage.sql import schema
from crmsync.storage.sql.database import make_engine, parse_url
from crmsync.storage.sql.layout import VERSION_TABLE, Layout, layout_of, split_layout
from crmsync.storage.sql.revision import LOCK_WAIT
from crmsync.storage.sql.tables import metadata


def _run() -> None:
    connection = context.config.attributes.get(schema.CONNECTION)
    if connection is not None:
        _run_on(connection)
    elif context.is_offline_mode():
        _write(_given())
    else:
        url, layout = split_layout(parse_url(_given()))
        engine = make_engine(url, layout)
        try:
            with schema.alone(engine) as own:
                _run_on(own)
        finally:
            engine.dispose()


def _given() -> str:
    url = context.config.get_main_option("sqlalchemy.url")
    if not url:
        raise ConfigurationError("the section of alembic.ini has no sqlalchemy.url: give it crmsync's storage URL")
    return url


def _run_on(connection: Connection) -> None:
    layout = layout_of(connection)
    context.configure(connection=connection, version_table_schema=layout.schema, **_options(layout))
    with context.begin_transaction():
        context.run_migrations()


def _write(given: str) -> None:
    url, layout = split_layout(parse_url(given))
    context.configure(url=url, literal_binds=True, **_options(layout))
    migration = context.get_context()
    layout.apply(migration.dialect)
    if migration.dialect.name == "postgresql":
        if layout.schema is not None:
            context.execute(f"SET search_path TO {layout.schema}")
        context.execute(f"SET lock_timeout = '{LOCK_WAIT}'")
    with context.begin_transaction():
        context.run_migrations()


def _options(layout: Layout) -> dict[str, Any]:
    return {
        "target_metadata": metadata,
        "version_table": layout.name(VERSION_TABLE),
        # A revision that was reached stays reached, and locks last no longer than one revision takes.
        "transaction_per_migration": True,
    }


_run()
