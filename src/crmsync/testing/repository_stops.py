"""The promises on stopped runs, their plans and approvals."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from crmsync.errors import NotFoundError
from crmsync.models.calls import CallEstimate
from crmsync.models.records import OperationKind, Side
from crmsync.models.state import Cursors
from crmsync.models.stops import Stop, StoppedPlan, StoppedRecord, StoppedWrite
from crmsync.protocols.repository import SyncRepository
from crmsync.testing.repository_subject import (
    ABROAD,
    CONTACT,
    NEIGHBOURS,
    NOW,
    OURS,
    TEXTS,
    RepositorySubject,
    assert_utc,
    integration,
)

DIGEST = "d1" * 32


class StopPromises(RepositorySubject):
    """A stop waits with its plan until somebody, or a run that is not stopped, does something about it."""

    async def test_a_stop_is_listed_as_it_was_noted(self, repository: SyncRepository) -> None:
        noted = stop(stopped_at=NOW.astimezone(ABROAD), message=TEXTS[0])
        await repository.note_stop(noted)
        listed = await repository.list_stops(OURS, CONTACT)
        assert listed == [noted] == await repository.list_stops(OURS)
        assert_utc(*(found.stopped_at for found in listed))

    async def test_a_stop_that_happens_again_is_counted_and_keeps_the_plan_and_its_approval(
        self, repository: SyncRepository
    ) -> None:
        await repository.note_stop(stop())
        await repository.save_stopped_plan(OURS, CONTACT, plan(), [record(1)])
        await repository.approve_stop(OURS, CONTACT, DIGEST, by="Ann", now=NOW)
        later = stop(run_id="run-2", code="budget_exceeded", message="no calls", stopped_at=NOW + timedelta(hours=1))
        await repository.note_stop(later)
        expected = attrs.evolve(later, times=2, plan=plan(), approved_by="Ann", approved_at=NOW)
        assert await repository.list_stops(OURS) == [expected]
        assert await repository.stopped_records(OURS, CONTACT, 0) == [record(1)]

    async def test_a_plan_is_kept_record_by_record_in_order_over_pages(self, repository: SyncRepository) -> None:
        await repository.note_stop(stop())
        records = [record(number) for number in range(2500)]
        await repository.save_stopped_plan(OURS, CONTACT, plan(), records)
        found, page = list[StoppedRecord](), 0
        while part := await repository.stopped_records(OURS, CONTACT, page):
            found += part
            page += 1
        assert found == records
        assert page > 1, "a large plan is not read in one piece"
        (listed,) = await repository.list_stops(OURS)
        assert listed.plan == plan()

    async def test_a_new_plan_replaces_the_old_one_and_voids_its_approval(self, repository: SyncRepository) -> None:
        await repository.note_stop(stop())
        await repository.save_stopped_plan(OURS, CONTACT, plan(), [record(n) for n in range(1500)])
        await repository.approve_stop(OURS, CONTACT, DIGEST, by="Ann", now=NOW)
        other = attrs.evolve(plan(), digest="e2" * 32, calls=None, would_stop=None, cursors=Cursors())
        await repository.save_stopped_plan(OURS, CONTACT, other, [record(7)])
        assert await repository.list_stops(OURS) == [attrs.evolve(stop(), plan=other)]
        assert await repository.stopped_records(OURS, CONTACT, 0) == [record(7)]
        assert await repository.stopped_records(OURS, CONTACT, 1) == []

    async def test_only_the_very_plan_can_be_approved(self, repository: SyncRepository) -> None:
        with pytest.raises(NotFoundError):
            await repository.approve_stop(OURS, CONTACT, DIGEST, by="Ann", now=NOW)
        with pytest.raises(NotFoundError):
            await repository.save_stopped_plan(OURS, CONTACT, plan(), [])
        await repository.note_stop(stop())
        with pytest.raises(NotFoundError):
            await repository.approve_stop(OURS, CONTACT, DIGEST, by="Ann", now=NOW)
        await repository.save_stopped_plan(OURS, CONTACT, plan(), [])
        with pytest.raises(NotFoundError):
            await repository.approve_stop(OURS, CONTACT, "e2" * 32, by="Ann", now=NOW)
        (waiting,) = await repository.list_stops(OURS)
        assert waiting.approved_at is None
        approved = await repository.approve_stop(OURS, CONTACT, DIGEST, by=TEXTS[0], now=NOW.astimezone(ABROAD))
        assert (approved.approved_by, approved.approved_at) == (TEXTS[0], NOW)
        assert await repository.list_stops(OURS) == [approved]
        assert approved.approved_at is not None
        assert_utc(approved.approved_at)

    async def test_a_removed_stop_is_gone_with_its_records(self, repository: SyncRepository) -> None:
        await repository.remove_stop(OURS, CONTACT)
        await repository.note_stop(stop())
        await repository.save_stopped_plan(OURS, CONTACT, plan(), [record(1)])
        await repository.remove_stop(OURS, CONTACT)
        assert await repository.list_stops(OURS) == []
        assert await repository.stopped_records(OURS, CONTACT, 0) == []
        await repository.note_stop(stop())
        assert await repository.list_stops(OURS) == [stop()]

    async def test_stops_of_other_scopes_are_neither_seen_nor_touched(self, repository: SyncRepository) -> None:
        for scope in NEIGHBOURS:
            await repository.note_stop(stop(scope))
            await repository.save_stopped_plan(*scope, plan(), [record(1)])
        assert await repository.list_stops(OURS, CONTACT) == []
        assert await repository.stopped_records(OURS, CONTACT, 0) == []
        await repository.note_stop(stop())
        await repository.save_stopped_plan(OURS, CONTACT, plan(), [record(2)])
        await repository.approve_stop(OURS, CONTACT, DIGEST, by="Ann", now=NOW)
        await repository.remove_stop(OURS, CONTACT)
        for scope in NEIGHBOURS:
            assert await repository.list_stops(*scope) == [attrs.evolve(stop(scope), plan=plan())]
            assert await repository.stopped_records(*scope, 0) == [record(1)]

    async def test_a_stop_belongs_to_an_integration_and_goes_with_it(self, repository: SyncRepository) -> None:
        await repository.note_stop(stop())
        await repository.save_stopped_plan(OURS, CONTACT, plan(), [record(1)])
        await repository.delete_integration(OURS)
        with pytest.raises(NotFoundError):
            await repository.note_stop(stop())
        assert await repository.list_stops(OURS) == []
        await repository.save_integration(integration())
        assert await repository.list_stops(OURS) == []
        assert await repository.stopped_records(OURS, CONTACT, 0) == []

    async def test_stops_are_still_there_when_it_is_opened_again(self, repository: SyncRepository) -> None:
        """For a repository that outlives its process (``persistent``)."""
        if not self.persistent:
            return
        await repository.note_stop(stop())
        await repository.save_stopped_plan(OURS, CONTACT, plan(), [record(1)])
        async with self.open() as reopened:
            assert await reopened.list_stops(OURS) == [attrs.evolve(stop(), plan=plan())]
            assert await reopened.stopped_records(OURS, CONTACT, 0) == [record(1)]


def stop(scope: tuple[str, str] = (OURS, CONTACT), **changes: object) -> Stop:
    """A stop without a plan."""
    made = Stop(*scope, "run-1", "delete_guard", "the run would delete 60 records", NOW)
    return attrs.evolve(made, **changes)  # type: ignore[arg-type]  # whatever a test wants to differ


def plan() -> StoppedPlan:
    """A plan with a value in every field."""
    return StoppedPlan(
        DIGEST,
        "3-abc",
        NOW,
        Cursors("l", "r", "3-abc"),
        2500,
        {"remote update": 2000, "local delete": 500},
        {"remote FirstName": 2000},
        "too much",
        CallEstimate(40, 20),
    )


def record(number: int) -> StoppedRecord:
    """One of its records."""
    writes = (
        StoppedWrite(Side.REMOTE, OperationKind.UPDATE, ("FirstName", "Größe__c")),
        StoppedWrite(Side.LOCAL, OperationKind.DELETE),
    )
    return StoppedRecord(
        f"m{number}", None if number % 3 else f"c{number}", f"{number:064x}", number % 2 == 0, writes[: number % 3]
    )
