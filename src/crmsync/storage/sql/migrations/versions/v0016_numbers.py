"""Links call their integration by a number, and keep times as numbers on SQLite.

The table of links is written anew. Nobody else uses it meanwhile: up to half a minute for a million links.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from alembic import op

from crmsync.storage.sql.column_types import Id, Json, Moment, Number, UtcDateTime
from crmsync.storage.sql.isolation import POLICY, isolated_tables, own_rows, qualified

revision = "0016"
down_revision = "0015"

_LINKS: Final = "crm_sync_status"
_NUMBERS: Final = "crm_integration_numbers"
_REFERRED: Final = {True: _NUMBERS, False: "crm_integrations"}
_TIMES: Final = ("next_attempt_at", "failing_since", "created_at", "updated_at")
_INDEX: Final = "ix_crm_sync_status_unsynced"


def upgrade() -> None:
    """Number the integrations."""
    op.create_table(
        _NUMBERS,
        sa.Column("id", Number(), autoincrement=True, nullable=False),
        sa.Column("integration_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(
            ["integration_id"],
            ["crm_integrations.id"],
            name="fk_crm_integration_numbers_crm_integrations",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_crm_integration_numbers"),
        sa.UniqueConstraint("integration_id", name="uq_crm_integration_numbers_integration_id"),
    )
    integrations = sa.table("crm_integrations", sa.column("id"))
    numbers = sa.table(_NUMBERS, sa.column("integration_id"))
    op.execute(sa.insert(numbers).from_select(["integration_id"], sa.select(integrations.c.id)))
    _rewrite(numbered=True)


def downgrade() -> None:
    """Call them by their ids again."""
    connection = op.get_bind()
    keeps_apart = connection.dialect.name == "postgresql" and _LINKS in isolated_tables(connection)
    _rewrite(numbered=False)
    op.drop_table(_NUMBERS)
    if keeps_apart:
        op.execute(f"CREATE POLICY {POLICY} ON {qualified(connection, _LINKS)} USING ({own_rows(connection)})")


def _rewrite(*, numbered: bool) -> None:
    if op.get_context().dialect.name == "postgresql":
        _alter(numbered=numbered)
    else:
        _copy(numbered=numbered)


def _alter(*, numbered: bool) -> None:
    # The connection's search path leads to their schema.
    links, numbers = map(op.get_context().dialect.identifier_preparer.quote, (_LINKS, _NUMBERS))
    # A policy that names the column keeps it from being altered. After an upgrade `schema` makes it anew.
    op.execute(f"DROP POLICY IF EXISTS {POLICY} ON {links}")
    op.drop_constraint(f"fk_{_LINKS}_{_REFERRED[not numbered]}", _LINKS, type_="foreignkey")
    if numbered:
        given, kind, found, by = "text", "integer", "CAST(id AS integer)", "integration_id"
    else:
        given, kind, found, by = "integer", 'varchar(64) COLLATE "C"', "integration_id", "id"
    returned = kind.split()[0]
    query = f"SELECT {found} FROM {numbers} WHERE {by} = $1"  # noqa: S608  (names of ours)
    op.execute(f"CREATE FUNCTION pg_temp.crmsync_renamed({given}) RETURNS {returned} LANGUAGE sql STABLE AS '{query}'")
    change = f"TYPE {kind} USING pg_temp.crmsync_renamed(integration_id)"
    op.execute(f"ALTER TABLE {links} ALTER COLUMN integration_id {change}")
    op.execute(f"DROP FUNCTION pg_temp.crmsync_renamed({given})")
    _refer(numbered=numbered)


def _refer(*, numbered: bool) -> None:
    referred, column = _REFERRED[numbered], "id"
    name = f"fk_{_LINKS}_{referred}"
    op.create_foreign_key(name, _LINKS, referred, ["integration_id"], [column], ondelete="CASCADE")


def _copy(*, numbered: bool) -> None:
    op.drop_index(_INDEX, _LINKS)
    op.rename_table(_LINKS, "links_before")
    columns = _create(numbered=numbered)
    before = sa.table("links_before", *map(sa.column, columns))
    numbers = sa.table(_NUMBERS, sa.column("id"), sa.column("integration_id"))
    mine, other = (numbers.c.integration_id, numbers.c.id) if numbered else (numbers.c.id, numbers.c.integration_id)
    values = {
        **{name: before.c[name] for name in columns},
        "integration_id": sa.select(other).where(mine == before.c.integration_id).scalar_subquery(),
        **{name: _converted(before.c[name], to_number=numbered) for name in _TIMES},
    }
    after = sa.table(_LINKS, *map(sa.column, columns))
    op.execute(sa.insert(after).from_select(columns, sa.select(*values.values())))
    op.drop_table("links_before")
    unsynced = sa.text("sync_status <> 'synced'")
    indexed = ["integration_id", "entity_type", "sync_status", "markmail_id"]
    op.create_index(_INDEX, _LINKS, indexed, sqlite_where=unsynced)


def _converted(time: sa.ColumnElement[object], *, to_number: bool) -> sa.ColumnElement[object]:
    """What is neither is left as it is, for whoever reads it to find it damaged."""
    million, zone = 1_000_000, "+00:00"
    if to_number:
        seconds = sa.func.strftime("%s", sa.func.substr(time, 1, 19))
        number = sa.cast(seconds, sa.Integer) * million + sa.cast(sa.func.substr(time, 21, 6), sa.Integer)
        return sa.case((sa.and_(sa.func.typeof(time) == "text", seconds.is_not(None)), number), else_=time)
    date = sa.func.strftime("%Y-%m-%dT%H:%M:%S", sa.cast(time, sa.Integer) // million, "unixepoch")
    text = sa.func.printf("%s.%06d%s", date, sa.cast(time, sa.Integer) % million, zone)
    return sa.case((sa.func.typeof(time) == "integer", text), else_=time)


def _create(*, numbered: bool) -> Sequence[str]:
    moment = Moment if numbered else UtcDateTime
    referred = _REFERRED[numbered]
    columns: tuple[sa.Column[Any], ...] = (
        sa.Column("id", Number(), autoincrement=True, nullable=False),
        sa.Column("integration_id", sa.Integer() if numbered else Id(), nullable=False),
        sa.Column("entity_type", Id(), nullable=False),
        sa.Column("markmail_id", Id(), nullable=False),
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
        sa.Column("next_attempt_at", moment()),
        sa.Column("problems", Json()),
        sa.Column("candidates", Json()),
        sa.Column("failing_since", moment()),
        sa.Column("created_at", moment(), nullable=False),
        sa.Column("updated_at", moment(), nullable=False),
        sa.Column("flips", sa.LargeBinary()),
    )
    op.create_table(
        _LINKS,
        *columns,
        sa.ForeignKeyConstraint(
            ["integration_id"], [f"{referred}.id"], name=f"fk_{_LINKS}_{referred}", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_crm_sync_status"),
        sa.UniqueConstraint("integration_id", "entity_type", "crm_id", name="uq_crm_sync_status_crm_id"),
        sa.UniqueConstraint("integration_id", "entity_type", "markmail_id", name="uq_crm_sync_status_markmail_id"),
    )
    return [column.name for column in columns]
