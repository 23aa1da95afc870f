"""What an administrator does to the bookkeeping's database; opening it changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial

import attrs
from sqlalchemy.engine import Engine

from crmsync.errors import StorageError
from crmsync.models.backups import BackupSummary, RestoreOptions
from crmsync.storage.sql import host_users, isolation, schema, snapshot
from crmsync.storage.sql.checking import Finding, check
from crmsync.storage.sql.database import Database, open_database
from crmsync.storage.sql.revision import HEAD, current_revision


@attrs.frozen(slots=True)
class Maintenance:
    """An open database of the bookkeeping, of whatever revision. See `open_maintenance`."""

    _database: Database

    @property
    def name(self) -> str:
        """The URL for people: without its password."""
        return self._database.name

    @property
    def newest(self) -> str:
        """The revision of the schema that this crmsync works with."""
        return HEAD

    async def revision(self) -> str:
        """The revision of the schema; ``base`` where there are no tables of ours.

        :raises StorageError: the database failed.
        """
        return await self._database.read(current_revision) or schema.BASE

    async def upgrade(self, target: str = HEAD) -> None:
        """Upgrade to a revision; does nothing if it is there or past it.

        :raises StorageError: the database is read-only, newer than this crmsync, or failed.
        :raises ConfigurationError: there is no such revision.
        """
        await self._database.manage(partial(schema.upgrade, name=self.name, target=target))

    async def downgrade(self, target: str) -> None:
        """Go back to an earlier revision, or to ``base``. What only later revisions keep is lost.

        :raises StorageError: the database is read-only, newer than this crmsync, older than the revision, or failed.
        :raises ConfigurationError: there is no such revision.
        """
        await self._database.manage(partial(schema.downgrade, name=self.name, target=target))

    async def check(self) -> list[Finding]:
        """Look for damage: in the database's structures, in the schema, in each row. Empty: nothing was found.

        :raises StorageError: the database has another revision than this crmsync's, or failed.
        """
        found = await self.revision()
        if found != HEAD:
            msg = f"the database {self.name} is at revision {found}, and this crmsync checks {HEAD}"
            raise StorageError(f"{msg}: run `crmsync db upgrade`" if found in known() else f"{msg}: upgrade crmsync")
        return await self._database.manage(_check)

    async def dump(self, consume: Callable[[Iterator[bytes]], object]) -> BackupSummary:
        """See `BackupSource`."""
        return await self._database.manage(partial(snapshot.dump, name=self.name, consume=consume), writes=False)

    def verify(self, lines: Iterator[bytes]) -> BackupSummary:
        """See `BackupSource`."""
        return snapshot.verify(lines)

    async def load(self, lines: Callable[[], Iterator[bytes]], options: RestoreOptions) -> BackupSummary:
        """See `BackupSource`. The rows come in one transaction; every lease that was ever given out is void."""
        return await self._database.manage(partial(snapshot.load, name=self.name, lines=lines, options=options))

    async def reference_users(self, place: str, on_delete: host_users.OnDelete = "restrict") -> None:
        """Let ``user_id`` refer to the host's ``table.column``: a text, a number or a UUID. Empty ones refer to nobody.

        :raises ConfigurationError: there is no such column, it refers to users already, or a user is missing there.
        :raises StorageError: the user may not do this, or the database failed.
        """
        await self._database.write(partial(host_users.reference_users, place=place, on_delete=on_delete))

    async def unreference_users(self) -> None:
        """Let ``user_id`` be any text again.

        :raises ConfigurationError: it is.
        :raises StorageError: the user may not do this, or the database failed.
        """
        await self._database.write(host_users.unreference_users)

    async def isolate(self, role: str | None = None) -> None:
        """Let PostgreSQL keep tenants apart by itself, and let ``role`` work so. See `crmsync.storage.sql.isolation`.

        :raises ConfigurationError: it is not PostgreSQL, or the role's name is none.
        :raises StorageError: there is no such role, the user may not do this, or the database failed.
        """
        await self._database.write(partial(isolation.isolate, role=role))

    async def undo_isolation(self) -> None:
        """Let whoever may read the tables see all of them again.

        :raises ConfigurationError: it is not PostgreSQL.
        :raises StorageError: the user may not do this, or the database failed.
        """
        await self._database.write(isolation.undo_isolation)


def _check(engine: Engine) -> list[Finding]:
    # Never committed: a damaged SQLite file refuses even that.
    with engine.connect() as connection:
        return check(connection)


def known() -> tuple[str, ...]:
    """Every revision that a database can be brought to, ``base`` first."""
    return (schema.BASE, *schema.revisions())


@asynccontextmanager
async def open_maintenance(url: str) -> AsyncIterator[Maintenance]:
    """Open the database at a storage URL of SQLite or PostgreSQL for maintenance, and close it after.

    :raises ConfigurationError: the URL is malformed, or of another kind of storage.
    :raises MissingExtraError: PostgreSQL's driver is not installed.
    :raises StorageError: it cannot be opened.
    """
    async with open_database(url) as database:
        yield Maintenance(database)
