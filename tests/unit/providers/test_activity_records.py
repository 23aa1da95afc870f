"""E-mail events as records: each handed over once, whatever the log makes of it, and nothing read back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from crmsync.errors import RecordError, TransientError
from crmsync.models.campaigns import EmailActivity
from crmsync.models.records import ChangePage, Operation, OperationKind, OutcomeStatus, Record
from crmsync.models.results import BulkSyncResult, CRMSyncResult, SyncAction
from crmsync.providers.activity_records import MAX_EVENTS, ActivityRecords

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANSWERS = {
    "new@example.com": CRMSyncResult(action=SyncAction.CREATED, crm_id="00T1"),
    "counted@example.com": CRMSyncResult(action=SyncAction.UPDATED, crm_id="00T1"),
    "known@example.com": CRMSyncResult(action=SyncAction.UNCHANGED, crm_id="00T1"),
    "nobody@example.com": CRMSyncResult(action=SyncAction.FAILED, code="not_found", error="nobody has this e-mail"),
    "locked@example.com": CRMSyncResult(
        action=SyncAction.FAILED, code="unavailable", error="the row is locked", retryable=True
    ),
}


class Log:
    """A log that answers by the address, and keeps what each call brought."""

    def __init__(self) -> None:
        self.calls: list[Sequence[EmailActivity]] = []

    async def __call__(self, events: Sequence[EmailActivity]) -> BulkSyncResult:
        self.calls.append(events)
        return BulkSyncResult(results=tuple(ANSWERS[event.email] for event in events))


def create(number: int, email: str = "new@example.com", *, minute: int = 0, **fields: object) -> Operation:
    given = {"type": "opened", "email": email, "occurred_at": NOON + timedelta(minutes=minute), **fields}
    return Operation(f"op-{number}", OperationKind.CREATE, None, key=f"e-{number}", fields=given)


async def test_many_events_are_one_call_the_oldest_first_and_outcomes_keep_their_order() -> None:
    log = Log()
    outcomes = await ActivityRecords(log).write([create(n, minute=9 - n) for n in range(5)])
    assert [(one.op_id, one.id) for one in outcomes] == [(f"op-{n}", f"e-{n}") for n in range(5)]
    [events] = log.calls
    assert [event.occurred_at.minute for event in events] == [5, 6, 7, 8, 9]


async def test_what_the_log_answers_becomes_the_outcome_of_each_event() -> None:
    outcomes = await ActivityRecords(Log()).write([create(n, email) for n, email in enumerate(ANSWERS)])
    created, updated, failed = OutcomeStatus.CREATED, OutcomeStatus.UPDATED, OutcomeStatus.FAILED
    assert [one.status for one in outcomes] == [created, created, updated, failed, failed]
    rejected, locked = outcomes[3].error, outcomes[4].error
    assert isinstance(rejected, RecordError)
    assert (rejected.code, rejected.message) == ("not_found", "nobody has this e-mail")
    assert isinstance(locked, TransientError)


@pytest.mark.parametrize(
    "operation, code, field",
    [
        (create(1, type="peeked"), "invalid", "type"),
        (create(1, email="s3cret"), "invalid", "email"),
        (create(1, occurred_at=datetime(2026, 3, 1)), "invalid", "occurred_at"),  # noqa: DTZ001 - what is refused
        (create(1, colour="s3cret"), "invalid", "colour"),
        (Operation("op-1", OperationKind.CREATE, None), "no_key", None),
        (Operation("op-1", OperationKind.UPDATE, "e-1", fields={"type": "sent"}), "not_supported", None),
        (Operation("op-1", OperationKind.DELETE, "e-1"), "not_supported", None),
    ],
)
async def test_what_is_no_new_event_fails_alone_and_without_its_value(
    operation: Operation, code: str, field: str | None
) -> None:
    log = Log()
    refused, taken = await ActivityRecords(log).write([operation, create(2)])
    assert isinstance(refused.error, RecordError)
    assert (refused.error.code, refused.error.field) == (code, field)
    assert "s3cret" not in f"{refused.error!r} {refused.error}"
    assert (taken.ok, len(log.calls[0])) == (True, 1)
    await ActivityRecords(log).write([operation])
    assert len(log.calls) == 1


async def test_nothing_is_read_back_and_no_event_is_ever_gone() -> None:
    store = ActivityRecords(Log())
    names = [field.name for field in (await store.describe()).fields]
    assert await store.get(["e-1"], fields=names) == {"e-1": Record("e-1", key="e-1")}
    for cursor in (None, "any"):
        assert await store.changes(cursor, fields=names) == ChangePage((), cursor, has_more=False)
    assert list(await store.find("email", ["new@example.com"], fields=names)) == []
    assert list(await store.find_by_key(["e-1"], fields=names)) == []


async def test_more_events_than_it_takes_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match="10001 operations"):
        await ActivityRecords(Log()).write([create(n) for n in range(MAX_EVENTS + 1)])
