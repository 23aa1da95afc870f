"""The audit log in a SQL database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, Self, TypeAlias, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.models.audit import Actor, AuditEntry, AuditEvent, AuditHead, AuditNote, StoredAuditKey
from crmsync.protocols.audit import Tell
from crmsync.storage import admission
from crmsync.storage.sql.database import Database
from crmsync.storage.sql.statements import AnyRow, insert_into
from crmsync.storage.sql.tables import audit_heads, audit_keys, audit_log

T = TypeVar("T")
_Work: TypeAlias = Callable[[Connection], object]


class _Worker(Protocol):
    """What a repository works with: a `Database`, or one that writes down what was done."""

    async def read(self, work: Callable[[Connection], T]) -> T: ...

    async def write(self, work: Callable[[Connection], T], *, then: _Work | None = None) -> T: ...


class _AuditedDatabase:
    """A database whose transactions write down what came of them."""

    def __init__(self, database: _Worker, tell: Tell) -> None:
        self._database = database
        self._tell = tell

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._database.read(work)

    async def write(self, work: Callable[[Connection], T], *, then: _Work | None = None) -> T:
        def told(connection: Connection) -> T:
            result = work(connection)
            note = self._tell(result)
            if note is not None:
                # Last, so that whoever waits for the head of a chain waits for nobody who waits for it.
                append(connection, note)
            return result

        return await self._database.write(told, then=then)


class SqlAudit:
    """The `AuditRepository` part of a repository in a SQL database."""

    _database: Database

    def audited(self, tell: Tell) -> Self:
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy._database = cast("Database", _AuditedDatabase(self._database, tell))
        return copy

    async def append_audit(self, note: AuditNote) -> None:
        await self._database.write(lambda connection: append(connection, note))

    async def audit_entries(self, integration_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[AuditEntry]:
        columns = audit_log.c
        query = (
            sa.select(audit_log)
            .where(columns.integration_id == integration_id, columns.sequence > after)
            .order_by(columns.sequence)
            .limit(limit)
        )
        return await self._database.read(lambda connection: [entry_of(row) for row in connection.execute(query)])

    async def audit_heads(self) -> Mapping[str, AuditHead]:
        names, noted = sa.select(audit_log.c.integration_id).distinct(), sa.select(audit_heads)

        def work(connection: Connection) -> dict[str, AuditHead]:
            heads = {row.integration_id: AuditHead(row.sequence, row.mac) for row in connection.execute(noted)}
            return {name: AuditHead() for name in connection.scalars(names)} | heads

        found = await self._database.read(work)
        return {name: found[name] for name in sorted(found)}

    async def audit_keys(self) -> Sequence[StoredAuditKey]:
        query = sa.select(audit_keys.c.key_id, audit_keys.c.sealed).order_by(audit_keys.c.key_id)
        return await self._database.read(lambda connection: [StoredAuditKey(*row) for row in connection.execute(query)])

    async def add_audit_key(self, key: StoredAuditKey) -> bool:
        def work(connection: Connection) -> bool:
            insert = insert_into(connection, audit_keys).values(key_id=key.id, sealed=key.sealed)
            return connection.scalar(insert.on_conflict_do_nothing().returning(audit_keys.c.key_id)) is not None

        return await self._database.write(work)

    async def replace_audit_key(self, key_id: int, before: str, after: str) -> bool:
        columns = audit_keys.c
        statement = sa.update(audit_keys).where(columns.key_id == key_id, columns.sealed == before).values(sealed=after)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount > 0)


def append(connection: Connection, note: AuditNote) -> None:
    """Add the events to their chains, whose heads stay locked until the transaction ends."""
    heads = dict[str, AuditHead]()
    # In one order, so that of two who add to the same chains none waits for the other for ever.
    for name in sorted({event.integration_id for event in note.events}):
        heads[name] = _locked_head(connection, name)
    added = list[dict[str, Any]]()
    for event in note.events:
        entry = note.entry(event, heads[event.integration_id])
        heads[event.integration_id] = AuditHead(entry.sequence, entry.mac)
        added.append(_row(entry))
    if not added:
        return
    connection.execute(sa.insert(audit_log), added)
    for name, head in heads.items():
        values = {"sequence": head.sequence, "mac": head.mac}
        connection.execute(sa.update(audit_heads).where(audit_heads.c.integration_id == name).values(values))


def _locked_head(connection: Connection, integration_id: str) -> AuditHead:
    query = sa.select(audit_heads).where(audit_heads.c.integration_id == integration_id).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        insert = insert_into(connection, audit_heads).values(integration_id=integration_id, sequence=0, mac="")
        connection.execute(insert.on_conflict_do_nothing())
        row = connection.execute(query).one()
    return AuditHead(row.sequence, row.mac)


def _row(entry: AuditEntry) -> dict[str, Any]:
    event = entry.event
    return {
        "integration_id": event.integration_id,
        "sequence": entry.sequence,
        "at": admission.as_utc(event.at),
        "actor": event.actor.name,
        "origin": event.actor.origin,
        "action": event.action,
        "entity_type": event.entity_type,
        "result": event.result,
        "details": admission.json_copy(dict(event.details)),
        "key_id": entry.key_id,
        "mac": entry.mac,
    }


def entry_of(row: AnyRow) -> AuditEntry:
    """An entry from its whole row."""
    actor = Actor(row.actor, row.origin)
    event = AuditEvent(row.integration_id, row.action, actor, row.at, row.entity_type, row.result, row.details)
    return AuditEntry(row.sequence, event, row.key_id, row.mac)
