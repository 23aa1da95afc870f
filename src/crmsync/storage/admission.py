"""What every storage checks and settles before it stores anything, so that all of them refuse and return the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs

from crmsync.errors import LeaseLostError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crmsync.models.history import RecordChange
    from crmsync.models.integrations import Integration, MappingTemplate
from crmsync.models.immutable import evolved
from crmsync.models.state import (
    Acknowledgement,
    Allowance,
    Conflict,
    JournalEntry,
    Lease,
    Link,
    RemoteJob,
    SyncLog,
)

ID_LENGTH = 64
"""Characters that the id of a record may have on either side."""


def to_json(value: Any) -> str:
    """The JSON text of a value, pure ASCII: any text survives, in every database, also NUL and lone surrogates.

    :raises StorageError: the value has no JSON form (NaN and infinity have none).
    """
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError):
        # The error of the json module may quote the value, so neither it nor its chain is shown.
        msg = f"a value of type {type(value).__name__} cannot be stored: it has no JSON form"
        raise StorageError(msg) from None


def json_copy(value: Any) -> Any:
    """The value as it comes back from JSON: a copy of its own, with lists for tuples."""
    return json.loads(to_json(value))


def lost(lease: Lease) -> LeaseLostError:
    """The error of whoever comes with a lease that is not held any more."""
    what = f"{lease.entity_type!r} of integration {lease.integration_id!r}"
    return LeaseLostError(f"another run took over {what} while this one stood still")


def no_stop(integration_id: str, entity_type: str, digest: str = "") -> str:
    """What is said where a stop, or its plan with a digest, is not there."""
    which = f" with the plan {digest!r}" if digest else ""
    return f"no run of {entity_type!r} of integration {integration_id!r} is stopped{which}"


def as_utc(moment: datetime) -> datetime:
    """The same moment in UTC.

    :raises StorageError: it has no time zone.
    """
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None:
        msg = "a time without a time zone cannot be stored; give an aware datetime"
        raise StorageError(msg)
    return moment.astimezone(UTC)


def optional_utc(moment: datetime | None) -> datetime | None:
    """`as_utc`, or None for None."""
    return None if moment is None else as_utc(moment)


def settled_integration(integration: Integration) -> Integration:
    """A copy that shares nothing with the caller's, JSON-able and in UTC."""
    return integration.model_copy(
        deep=True,
        update={
            "settings": json_copy(integration.settings),
            "last_sync_at": optional_utc(integration.last_sync_at),
            "created_at": as_utc(integration.created_at),
            "updated_at": as_utc(integration.updated_at),
        },
    )


def no_template(provider: str, name: str) -> str:
    """What a `NotFoundError` says of a template that is not there."""
    return f"there is no template {name!r} for {provider}"


def settled_template(template: MappingTemplate) -> MappingTemplate:
    """A copy that shares nothing with the caller's, in UTC."""
    return template.model_copy(deep=True, update={"created_at": as_utc(template.created_at)})


def settled_log(log: SyncLog, now: datetime) -> SyncLog:
    """The log JSON-able, in UTC, and with its time of creation."""
    return attrs.evolve(
        log,
        started_at=as_utc(log.started_at),
        completed_at=optional_utc(log.completed_at),
        created_at=now if log.created_at is None else as_utc(log.created_at),
        error_details=json_copy(log.error_details),
    )


def settled_job(job: RemoteJob) -> RemoteJob:
    """A job with its time in UTC."""
    return attrs.evolve(job, started_at=as_utc(job.started_at))


def granted(taken: int, wanted: int, needed: int, limit: int | None) -> int:
    """How many calls of a day a process gets, when so many are taken already."""
    left = wanted if limit is None else min(wanted, limit - taken)
    return left if left >= needed else 0


def newer_allowance(known: Allowance | None, seen: Allowance | None) -> Allowance | None:
    """The later of two, in UTC."""
    if seen is None or (known is not None and known.seen_at > seen.seen_at):
        return known
    return attrs.evolve(seen, seen_at=as_utc(seen.seen_at))


def checked_links(lease: Lease, acknowledgement: Acknowledgement) -> dict[str, Link]:
    """The links to store, by markmail_id, without the times that storage sets; of two with one markmail_id the later.

    :raises StorageError: a link is of another integration or object, or an id is too long.
    """
    for link in acknowledgement.links:
        _check_scope(lease, link)
        _check_ids(link.markmail_id, link.crm_id)
    return {link.markmail_id: link for link in acknowledgement.links}


def settled_links(lease: Lease, acknowledgement: Acknowledgement, now: datetime) -> dict[str, Link]:
    """`checked_links` as they are stored.

    :raises StorageError: see there; or a time has no zone.
    """
    return {
        key: evolved(
            link,
            next_attempt_at=optional_utc(link.next_attempt_at),
            failing_since=optional_utc(link.failing_since),
            created_at=now if link.created_at is None else as_utc(link.created_at),
            updated_at=now,
        )
        for key, link in checked_links(lease, acknowledgement).items()
    }


def settled_conflicts(lease: Lease, acknowledgement: Acknowledgement, now: datetime) -> dict[str, Conflict]:
    """The conflicts to store, by id; of two with one id the later.

    :raises StorageError: a conflict is of another integration or object, or a value has no JSON form.
    """
    settled = {}
    for conflict in acknowledgement.conflicts:
        _check_scope(lease, conflict)
        settled[conflict.id] = _settled_conflict(conflict, now)
    return settled


def settled_changes(lease: Lease, acknowledgement: Acknowledgement, now: datetime) -> list[RecordChange]:
    """The changes to store, in order; storage numbers them.

    :raises StorageError: a change is of another integration or object, or a value has no JSON form.
    """
    return [_settled_change(lease, change, now) for change in acknowledgement.changes]


def _settled_change(lease: Lease, change: RecordChange, now: datetime | None) -> RecordChange:
    _check_scope(lease, change)
    _check_ids(change.markmail_id, change.crm_id)
    fields = tuple(attrs.evolve(one, before=json_copy(one.before), after=json_copy(one.after)) for one in change.fields)
    written = now if change.written_at is None else as_utc(change.written_at)
    return attrs.evolve(change, fields=fields, written_at=written)


def _settled_conflict(conflict: Conflict, now: datetime | None) -> Conflict:
    return attrs.evolve(
        conflict,
        local_value=json_copy(conflict.local_value),
        remote_value=json_copy(conflict.remote_value),
        given_value=json_copy(conflict.given_value),
        created_at=now if conflict.created_at is None else as_utc(conflict.created_at),
        resolved_at=optional_utc(conflict.resolved_at),
        local_changed_at=optional_utc(conflict.local_changed_at),
        remote_changed_at=optional_utc(conflict.remote_changed_at),
        decided_at=optional_utc(conflict.decided_at),
        erased_at=optional_utc(conflict.erased_at),
    )


def settled_journal(lease: Lease, entries: Iterable[JournalEntry]) -> dict[str, JournalEntry]:
    """The entries to store, by op_id, in order.

    :raises StorageError: an entry is of another integration or object, or an id is too long.
    """
    settled = {}
    for entry in entries:
        _check_scope(lease, entry)
        _check_ids(entry.markmail_id, entry.crm_id)
        settled[entry.op_id] = evolved(
            entry,
            sent=dict(entry.sent),
            started_at=optional_utc(entry.started_at),
            conflicts=tuple([_settled_conflict(conflict, None) for conflict in entry.conflicts]),
            change=entry.change and _settled_change(lease, entry.change, None),
        )
    return settled


def _check_scope(lease: Lease, row: Link | Conflict | JournalEntry | RecordChange) -> None:
    if row.entity_type != lease.entity_type or row.integration_id != lease.integration_id:
        msg = (
            f"a {type(row).__name__} of integration {row.integration_id!r}, object {row.entity_type!r}, cannot be "
            f"stored under the lease of integration {lease.integration_id!r}, object {lease.entity_type!r}"
        )
        raise StorageError(msg)


def _check_ids(markmail_id: str, crm_id: str | None) -> None:
    longest = max(len(markmail_id), len(crm_id or ""))
    if longest > ID_LENGTH:
        msg = f"an id of {longest} characters cannot be stored; ids have up to {ID_LENGTH}"
        raise StorageError(msg)
