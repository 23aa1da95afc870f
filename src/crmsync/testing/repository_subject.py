"""What the promises of a repository are tested with: the repository under test, and rows to store in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

import attrs
import pytest

from crmsync.diff import Shadow, sync_hash
from crmsync.models.candidates import Candidate
from crmsync.models.integrations import Integration
from crmsync.models.problems import Problem
from crmsync.models.records import OperationKind, Side
from crmsync.models.state import (
    Acknowledgement,
    Conflict,
    ConflictStatus,
    JournalEntry,
    Lease,
    Link,
    LinkStatus,
    SyncLog,
)
from crmsync.protocols.repository import SyncRepository

NOW = datetime(2026, 11, 24, 12, 30, 15, 123456, tzinfo=UTC)
TTL = timedelta(minutes=5)
ABROAD = timezone(timedelta(hours=5, minutes=30))

OURS = "ours"
THEIRS = "theirs"
CONTACT = "Contact"
LEAD = "Lead"
NEIGHBOURS = ((THEIRS, CONTACT), (OURS, LEAD))
"""The scopes beside (ours, Contact): nothing done in one may show in another."""

TEXTS = (
    "O'Brien",
    'say "hi"',
    "100%_\\x",
    " spaced  ",
    "NA",
    "null",
    "'; DROP TABLE crm_sync_status; --",
    "line\r\nfeed\ttab",
    "日本語",
    "مرحبا",
    "👩‍💻",
    "\uffff",
    "\U0001f600",
)
"""Texts that storages have been seen to change, refuse or sort wrongly. None holds a NUL."""


class RepositorySubject:
    """Override `open`; set ``persistent`` False for a repository that forgets when it is closed."""

    persistent: bool = True

    def open(self) -> AbstractAsyncContextManager[SyncRepository]:
        """Open the repository. It is empty when a test begins; within a test every opening is of the same storage."""
        raise NotImplementedError

    @pytest.fixture
    async def repository(self) -> AsyncIterator[SyncRepository]:
        """The repository, open, with two integrations in it."""
        async with self.open() as repository:
            for integration_id in (OURS, THEIRS):
                await repository.save_integration(integration(integration_id))
            yield repository


def integration(integration_id: str = OURS, *, user_id: str = "user-1", provider: str = "salesforce") -> Integration:
    """An integration with nothing configured."""
    return Integration(id=integration_id, user_id=user_id, provider=provider, created_at=NOW, updated_at=NOW)


async def lease_of(
    repository: SyncRepository, scope: tuple[str, str] = (OURS, CONTACT), owner: str = "worker-1"
) -> Lease:
    """The lease of a scope, taken by an owner."""
    return await repository.acquire_lease(*scope, owner, now=NOW, ttl=TTL)


def link(number: int | str, scope: tuple[str, str] = (OURS, CONTACT), **changes: Any) -> Link:
    """A link of a scope between ``m<number>`` and ``c<number>``."""
    return attrs.evolve(Link(*scope, f"m{number}", f"c{number}"), **changes)


def shadows(*, seed: int = 0, apart: int = 0, version: str = "0123456789abcdef" * 2) -> dict[str, Any]:
    """What a link holds of two records in sync: of twenty fields, the first ``apart`` of them in different forms."""
    random = Random(seed)
    fields = {number.to_bytes(3, "big"): random.randbytes(6) for number in range(20)}
    others = {tag: random.randbytes(6) for tag in list(fields)[:apart]}
    local = Shadow(random.randbytes(8), fields, seen=True).encode()
    remote = Shadow(random.randbytes(8), {**fields, **others}).encode()
    hashed = sync_hash(local, remote)
    return {"local_shadow": local, "remote_shadow": remote, "mapping_version": version, "last_sync_hash": hashed}


def full_link(scope: tuple[str, str] = (OURS, CONTACT)) -> Link:
    """A link with a value in every field."""
    return Link(
        *scope,
        markmail_id="11111111-2222-3333-4444-555555555555",
        crm_id="003000000000001AAA",
        status=LinkStatus.REJECTED,
        born=Side.REMOTE,
        last_sync_hash="0123456789abcdef" * 4,
        local_shadow=bytes(range(256)),
        remote_shadow=b"\x00\xff\x00",
        local_version="7",
        remote_version='W/"é"',
        mapping_version="3-abc",
        attempts=4,
        next_attempt_at=NOW + timedelta(microseconds=1),
        problems=(Problem("Email", "too_long", "O'Brien's e-mail is too long", "shorten it"), Problem("x", "y", "z")),
        candidates=(Candidate(id="003A", side=Side.REMOTE), Candidate(id="é'", side=Side.LOCAL), Candidate(id="4")),
        failing_since=NOW,
        flips=bytes(range(24)),
    )


def conflict(number: int | str, scope: tuple[str, str] = (OURS, CONTACT), **changes: Any) -> Conflict:
    """An open conflict of a scope, on the link with that number, created that many seconds after `NOW`."""
    created_at = NOW + timedelta(seconds=number) if isinstance(number, int) else NOW
    plain = Conflict(
        id=f"k{number}",
        integration_id=scope[0],
        entity_type=scope[1],
        markmail_id=f"m{number}",
        crm_id=f"c{number}",
        field="first_name",
        crm_field="FirstName",
        policy="manual",
        status=ConflictStatus.OPEN,
        local_value="Ann",
        remote_value="Anne",
        run_id="run-1",
        created_at=created_at,
    )
    return attrs.evolve(plain, **changes)


def entry(op_id: str, scope: tuple[str, str] = (OURS, CONTACT), **changes: Any) -> JournalEntry:
    """A journal entry of a scope: a create of a contact in the CRM."""
    plain = JournalEntry(
        op_id=op_id,
        integration_id=scope[0],
        entity_type=scope[1],
        target=Side.REMOTE,
        kind=OperationKind.CREATE,
        markmail_id=f"m-{op_id}",
        crm_id=None,
    )
    return attrs.evolve(plain, **changes)


def log(number: int, scope: tuple[str, str] = (OURS, CONTACT), **changes: Any) -> SyncLog:
    """The log of a run that began that many seconds after `NOW`."""
    plain = SyncLog(
        id=f"run-{number}",
        integration_id=scope[0],
        sync_type="incremental",
        entity_type=scope[1],
        entity_count=3,
        success_count=2,
        error_count=1,
        started_at=NOW + timedelta(seconds=number),
        completed_at=NOW + timedelta(seconds=number + 1),
    )
    return attrs.evolve(plain, **changes)


async def store_links(repository: SyncRepository, links: Sequence[Link]) -> None:
    """Acknowledge links of one scope, under its lease."""
    lease = await lease_of(repository, (links[0].integration_id, links[0].entity_type))
    await repository.acknowledge(lease, Acknowledgement(links=tuple(links)))


async def ids_in(repository: SyncRepository, scope: tuple[str, str] = (OURS, CONTACT)) -> list[str]:
    """The markmail_ids of every link of a scope."""
    return [found.markmail_id for found in await repository.scan_links(*scope, limit=100_000)]


def assert_utc(*moments: datetime | None) -> None:
    """Each is there, aware, and in UTC."""
    for moment in moments:
        assert moment is not None
        assert moment.utcoffset() == timedelta(0)
        assert moment.tzinfo is UTC, "a time zone other than datetime.UTC itself"
