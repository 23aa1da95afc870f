"""Links call their object by a number too, keep UUIDs as bytes, and have no number of their own.

The table of links is written anew. Nobody else uses it meanwhile: up to a minute for a million links.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa
from alembic import op

from crmsync.storage.sql.column_types import Id, Json, Moment, Number
from crmsync.storage.sql.isolation import POLICY, grant_sequence, isolated_tables, own_links, qualified

revision = "0017"
down_revision = "0016"

_LINKS: Final = "crm_sync_status"
_NUMBERS: Final = "crm_integration_numbers"
_REFERENCE: Final = "fk_crm_sync_status_crm_integration_numbers"
_KEY: Final = "pk_crm_sync_status"
_BY_LOCAL: Final = "uq_crm_sync_status_markmail_id"
_BY_REMOTE: Final = "uq_crm_sync_status_crm_id"
_UNSYNCED: Final = "ix_crm_sync_status_unsynced"
_ONE_EACH: Final = {True: "uq_crm_integration_numbers_entity_type", False: "uq_crm_integration_numbers_integration_id"}

_UUID: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_PACKED: Final = f"""CASE WHEN markmail_id ~ '^{_UUID}$'
 THEN decode('ff' || replace(markmail_id, '-', ''), 'hex') ELSE convert_to(markmail_id, 'UTF8') END"""
_UNPACKED: Final = """CASE WHEN length(markmail_id) = 17 AND substr(markmail_id, 1, 1) = decode('ff', 'hex')
 THEN CAST(CAST(encode(substr(markmail_id, 2), 'hex') AS uuid) AS text) ELSE convert_from(markmail_id, 'UTF8') END"""


def upgrade() -> None:
    """Number the objects, and write the links anew."""
    if op.get_context().dialect.name == "postgresql":
        with _altered(short=True) as (links, numbers):
            _alter_to_short(links, numbers)
    else:
        _copy(short=True)


def downgrade() -> None:
    """Number the integrations alone, and write the links as they were."""
    if op.get_context().dialect.name != "postgresql":
        _copy(short=False)
        return
    with _altered(short=False) as (links, numbers):
        _alter_to_long(links, numbers)
    grant_sequence(op.get_bind(), _LINKS)


@contextmanager
def _altered(*, short: bool) -> Iterator[tuple[str, str]]:
    """Both tables without what stands in the way, which comes back in its other form."""
    context, connection = op.get_context(), op.get_bind()
    # The connection's search path leads to their schema.
    links, numbers = map(context.dialect.identifier_preparer.quote, (_LINKS, _NUMBERS))
    # A policy that names the column keeps it from being altered.
    keeps_apart = not context.as_sql and _LINKS in isolated_tables(connection)
    op.execute(f"DROP POLICY IF EXISTS {POLICY} ON {links}")
    op.drop_constraint(_REFERENCE, _LINKS, type_="foreignkey")
    op.drop_constraint(_ONE_EACH[not short], _NUMBERS, type_="unique")
    op.drop_index(_UNSYNCED, _LINKS)
    op.drop_constraint(_BY_REMOTE, _LINKS, type_="unique")
    if short:
        op.drop_constraint(_BY_LOCAL, _LINKS, type_="unique")
    else:
        op.drop_constraint(_KEY, _LINKS, type_="primary")
    yield links, numbers
    both = ["integration_id", "entity_type"]
    op.create_unique_constraint(_ONE_EACH[short], _NUMBERS, both if short else both[:1])
    scope = both[:1] if short else both
    op.create_primary_key(_KEY, _LINKS, ["integration_id", "markmail_id"] if short else ["id"])
    if not short:
        op.create_unique_constraint(_BY_LOCAL, _LINKS, [*scope, "markmail_id"])
    op.create_unique_constraint(_BY_REMOTE, _LINKS, [*scope, "crm_id"])
    unsynced = sa.text("sync_status <> 'synced'")
    op.create_index(_UNSYNCED, _LINKS, [*scope, "sync_status", "markmail_id"], postgresql_where=unsynced)
    op.create_foreign_key(_REFERENCE, _LINKS, _NUMBERS, ["integration_id"], ["id"], ondelete="CASCADE")
    if keeps_apart:
        op.execute(f"CREATE POLICY {POLICY} ON {qualified(connection, _LINKS)} USING ({own_links(connection)})")
    # What PostgreSQL knew of the columns is gone, and it would sort all links to find a page of them.
    op.execute(f"ANALYZE {links}")


def _alter_to_short(links: str, numbers: str) -> None:
    op.add_column(_NUMBERS, sa.Column("entity_type", Id()))
    op.execute(
        f"INSERT INTO {numbers} (integration_id, entity_type) SELECT DISTINCT n.integration_id, l.entity_type"  # noqa: S608  (names of ours)
        f" FROM {links} l JOIN {numbers} n ON n.id = l.integration_id"
    )
    # A dropped column's values would stay in the rows, so they go in the same pass that writes the others.
    with _function(
        "integer, text",
        "integer",
        f"SELECT CAST(after.id AS integer) FROM {numbers} was JOIN {numbers} after USING (integration_id)"  # noqa: S608  (names of ours)
        " WHERE was.id = $1 AND was.entity_type IS NULL AND after.entity_type = $2",
    ) as number:
        op.execute(
            f"ALTER TABLE {links} DROP COLUMN id, ALTER COLUMN entity_type DROP NOT NULL,"
            f" ALTER COLUMN integration_id TYPE integer USING {number}(integration_id, entity_type),"
            f" ALTER COLUMN markmail_id TYPE bytea USING {_PACKED},"
            " ALTER COLUMN entity_type TYPE varchar(64) USING NULL"
        )
    op.drop_column(_LINKS, "entity_type")
    op.execute(f"DELETE FROM {numbers} WHERE entity_type IS NULL")  # noqa: S608  (names of ours)
    op.alter_column(_NUMBERS, "entity_type", nullable=False)


def _alter_to_long(links: str, numbers: str) -> None:
    op.alter_column(_NUMBERS, "entity_type", nullable=True)
    op.execute(f"INSERT INTO {numbers} (integration_id) SELECT DISTINCT integration_id FROM {numbers}")  # noqa: S608  (names of ours)
    op.add_column(_LINKS, sa.Column("entity_type", Id()))
    with (
        _function(
            "integer",
            "integer",
            f"SELECT CAST(after.id AS integer) FROM {numbers} was JOIN {numbers} after USING (integration_id)"  # noqa: S608  (names of ours)
            " WHERE was.id = $1 AND after.entity_type IS NULL",
        ) as number,
        _function("integer", "text", f"SELECT entity_type FROM {numbers} WHERE id = $1") as name,  # noqa: S608  (names of ours)
    ):
        op.execute(
            f"ALTER TABLE {links} ADD COLUMN id bigserial NOT NULL,"
            f" ALTER COLUMN integration_id TYPE integer USING {number}(integration_id),"
            f' ALTER COLUMN entity_type TYPE varchar(64) COLLATE "C" USING {name}(integration_id),'
            f' ALTER COLUMN markmail_id TYPE varchar(64) COLLATE "C" USING {_UNPACKED}'
        )
    op.alter_column(_LINKS, "entity_type", nullable=False)
    op.execute(f"DELETE FROM {numbers} WHERE entity_type IS NOT NULL")  # noqa: S608  (names of ours)
    op.drop_column(_NUMBERS, "entity_type")


@contextmanager
def _function(given: str, returned: str, query: str) -> Iterator[str]:
    """A query that stands where none may."""
    name = f"pg_temp.crmsync_{returned}"
    op.execute(f"CREATE FUNCTION {name}({given}) RETURNS {returned} LANGUAGE sql STABLE AS '{query}'")
    yield name
    op.execute(f"DROP FUNCTION {name}({given})")


def _copy(*, short: bool) -> None:
    """On SQLite."""
    links, numbers = map(op.get_context().dialect.identifier_preparer.quote, (_LINKS, _NUMBERS))
    op.drop_index(_UNSYNCED, _LINKS)
    op.rename_table(_LINKS, "links_before")
    _create_numbers("numbers_after", short=short)
    kept = _create_links("numbers_after", short=short)
    scope = {"integration_id": "n.integration_id", **({"entity_type": "l.entity_type"} if short else {})}
    was = f"links_before l JOIN {numbers} n ON n.id = l.integration_id"
    op.execute(f"INSERT INTO numbers_after ({', '.join(scope)}) SELECT DISTINCT {', '.join(scope.values())} FROM {was}")  # noqa: S608  (names of ours)
    values = {
        **{name: f"l.{name}" for name in kept},
        **({} if short else {"entity_type": "n.entity_type"}),
        "integration_id": "a.id",
        "markmail_id": _PACKED_ON_SQLITE if short else _UNPACKED_ON_SQLITE,
    }
    same = " AND ".join(f"a.{name} = {value}" for name, value in scope.items())
    op.execute(
        f"INSERT INTO {links} ({', '.join(values)}) SELECT {', '.join(values.values())} FROM {was}"  # noqa: S608  (names of ours)
        f" JOIN numbers_after a ON {same} CROSS JOIN (SELECT X'{bytes(range(256)).hex()}' AS bytes) b ORDER BY l.rowid"
    )
    for table in ("links_before", _NUMBERS):
        op.drop_table(table)
    op.rename_table("numbers_after", _NUMBERS)
    indexed = [*([] if short else ["entity_type"]), "sync_status", "markmail_id"]
    unsynced = sa.text("sync_status <> 'synced'")
    op.create_index(_UNSYNCED, _LINKS, ["integration_id", *indexed], sqlite_where=unsynced)


_DIGITS: Final = "'0123456789abcdef'"
_AT: Final = [at for at in range(1, 37) if at not in (9, 14, 19, 24)]
_BYTES: Final = " || ".join(
    f"substr(b.bytes, 16 * instr({_DIGITS}, substr(l.markmail_id, {high}, 1)) - 16"
    f" + instr({_DIGITS}, substr(l.markmail_id, {low}, 1)), 1)"
    for high, low in zip(_AT[::2], _AT[1::2], strict=True)
)
"""Of a UUID: SQLite learned to read hexadecimal digits late, so each two of them are looked up among all bytes."""
_HEX: Final = "[0-9a-f]"
_GLOB: Final = "-".join(_HEX * length for length in (8, 4, 4, 4, 12))
_PACKED_ON_SQLITE: Final = f"""CASE WHEN l.markmail_id GLOB '{_GLOB}'
 THEN CAST(X'ff' || {_BYTES} AS BLOB) ELSE CAST(l.markmail_id AS BLOB) END"""
_PARTS: Final = " || '-' || ".join(
    f"substr(hex(l.markmail_id), {at}, {length})" for at, length in ((3, 8), (11, 4), (15, 4), (19, 4), (23, 12))
)
_UNPACKED_ON_SQLITE: Final = f"""CASE WHEN length(l.markmail_id) = 17 AND substr(l.markmail_id, 1, 1) = X'ff'
 THEN lower({_PARTS}) ELSE CAST(l.markmail_id AS TEXT) END"""


def _create_numbers(name: str, *, short: bool) -> None:
    scope = ["integration_id", *(["entity_type"] if short else [])]
    op.create_table(
        name,
        sa.Column("id", Number(), autoincrement=True, nullable=False),
        *(sa.Column(column, Id(), nullable=False) for column in scope),
        sa.ForeignKeyConstraint(
            ["integration_id"],
            ["crm_integrations.id"],
            name="fk_crm_integration_numbers_crm_integrations",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_crm_integration_numbers"),
        sa.UniqueConstraint(*scope, name=_ONE_EACH[short]),
    )


def _create_links(numbers: str, *, short: bool) -> list[str]:
    """The names of the columns that both forms have."""
    columns: tuple[sa.Column[Any], ...] = (
        sa.Column("integration_id", sa.Integer(), nullable=False),
        sa.Column("markmail_id", sa.LargeBinary() if short else Id(), nullable=False),
        sa.Column("crm_id", Id()),
        sa.Column("last_sync_hash", sa.String(length=64), nullable=False),
        sa.Column("sync_status", sa.String(length=16), nullable=False),
        sa.Column("sync_direction", sa.String(length=16), nullable=False),
        sa.Column("error_message", sa.Text()),
        sa.Column("local_shadow", sa.LargeBinary(), nullable=False),
        sa.Column("remote_shadow", sa.LargeBinary(), nullable=False),
        sa.Column("local_version", sa.Text()),
        sa.Column("remote_version", sa.Text()),
        sa.Column("mapping_version", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", Moment()),
        sa.Column("problems", Json()),
        sa.Column("candidates", Json()),
        sa.Column("failing_since", Moment()),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.Column("flips", sa.LargeBinary()),
    )
    if short:
        more: tuple[sa.schema.SchemaItem, ...] = (
            sa.PrimaryKeyConstraint("integration_id", "markmail_id", name=_KEY),
            sa.UniqueConstraint("integration_id", "crm_id", name=_BY_REMOTE),
        )
    else:
        more = (
            sa.Column("id", Number(), autoincrement=True, nullable=False),
            sa.Column("entity_type", Id(), nullable=False),
            sa.PrimaryKeyConstraint("id", name=_KEY),
            sa.UniqueConstraint("integration_id", "entity_type", "markmail_id", name=_BY_LOCAL),
            sa.UniqueConstraint("integration_id", "entity_type", "crm_id", name=_BY_REMOTE),
        )
    reference = sa.ForeignKeyConstraint(["integration_id"], [f"{numbers}.id"], name=_REFERENCE, ondelete="CASCADE")
    op.create_table(_LINKS, *columns, *more, reference)
    return [column.name for column in columns]
