"""E-mail events through the engine and over HTTP: to few tasks, each counted once."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from crmsync.errors import ConfigurationError, StorageError
from crmsync.models.runs import RunOptions, RunReport, RunStatus
from crmsync.models.state import Acknowledgement, Lease
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.salesforce import DEFAULT_TOKEN, RunningEmulator, running_emulator
from tests.integration.emulated import connected

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PEOPLE = 50
OBJECT = "EmailActivity"


class ForgetfulRepository(MemoryRepository):
    """Bookkeeping that fails when it is to note ``fails_at`` results, as if the process had ended before it."""

    fails_at: int | None = None

    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        if self.fails_at is not None and len(acknowledgement.links) >= self.fails_at:
            raise StorageError("the bookkeeping is away")
        await super().acknowledge(lease, acknowledgement)


def add_people(emulator: RunningEmulator, numbers: range = range(PEOPLE)) -> None:
    with emulator.org.transaction():
        for number in numbers:
            emulator.org.create("Contact", {"LastName": f"P{number}", "Email": f"p{number}@example.com"})


def add_event(local: MemoryRecordStore, type_: str, number: int, minute: int = 0, **given: Any) -> str:
    fields = {"message_id": "m-1", "subject": "Hello", "email": f"p{number}@example.com", **given}
    return local.add(type=type_, occurred_at=NOON + timedelta(minutes=minute), **fields)


def thousand_events() -> MemoryRecordStore:
    """For each of 50 people that a message was sent, and that it was opened 19 times."""
    local = MemoryRecordStore("activities")
    for minute in range(1000 // PEOPLE):
        for number in range(PEOPLE):
            add_event(local, "opened" if minute else "sent", number, minute)
    return local


def counted(emulator: RunningEmulator) -> Counter[str]:
    """The events that all tasks count, by kind."""
    found: Counter[str] = Counter()
    for task in emulator.org.records("Task"):
        found.update({kind: int(n) for kind, n in re.findall(r"E-mail (\w+): (\d+)", task["Description"])})
    return found


def told(report: RunReport) -> tuple[RunStatus, int, int, int]:
    """How a run ended, and what it created, updated and could not write in the CRM."""
    return report.status, report.remote.created, report.remote.updated, report.remote.rejected


async def test_a_thousand_events_of_fifty_people_are_fifty_tasks(emulator: RunningEmulator) -> None:
    add_people(emulator)
    local = thousand_events()
    async with connected(emulator) as app:
        first = await app.sync("main", OBJECT, local)
        assert told(first) == (RunStatus.SUCCESS, 1000, 0, 0)
        assert (len(emulator.org.records("Task")), counted(emulator)) == (50, {"sent": 50, "opened": 950})
        assert first.remote.api_calls == 8
        for options in (None, RunOptions(full=True), RunOptions(from_scratch=True)):
            assert (await app.sync("main", OBJECT, local, options=options)).written == 0
        assert (await app.verify("main", OBJECT, local)).consistent
        assert counted(emulator) == {"sent": 50, "opened": 950}


@pytest.mark.parametrize("page_size, calls", [(1000, 8), (500, 12), (250, 20)])
async def test_calls_grow_with_pages_and_not_with_events(emulator: RunningEmulator, page_size: int, calls: int) -> None:
    add_people(emulator)
    async with connected(emulator) as app:
        run = await app.sync("main", OBJECT, thousand_events(), options=RunOptions(page_size=page_size))
        assert run.remote.api_calls == calls
    assert counted(emulator) == {"sent": 50, "opened": 950}


@pytest.mark.parametrize("activity", ["task", "email_message", "campaign_member"])
async def test_a_plan_says_in_advance_how_many_calls_events_take_at_most(
    emulator: RunningEmulator, activity: str
) -> None:
    add_people(emulator)
    for number in range(PEOPLE, PEOPLE + 10):
        emulator.org.create("Lead", {"LastName": "L", "Company": "C", "Email": f"p{number}@example.com"})
    campaign = emulator.org.create("Campaign", {"Name": "Spring"})
    local = MemoryRecordStore("activities")
    for number in range(PEOPLE + 10):
        for minute, kind in enumerate(("sent", "opened", "unsubscribed", "bounced")):
            add_event(local, kind, number, minute, crm_campaign_id=campaign)
    async with connected(emulator, activity=activity) as app:
        plan = await app.plan("main", OBJECT, local)
        before = emulator.org.api_calls
        _, created, updated, rejected = told(await app.apply(plan, local))
        assert (created + updated, rejected) == (4 * (PEOPLE + 10), 0)
        assert plan.calls is not None
        assert plan.calls.likely <= plan.calls.most
        assert 0 < emulator.org.api_calls - before <= plan.calls.most


async def test_what_was_written_and_not_acknowledged_counts_once(emulator: RunningEmulator) -> None:
    add_people(emulator)
    local, repository = thousand_events(), ForgetfulRepository()
    async with connected(emulator, repository=repository) as app:
        repository.fails_at = 200
        with pytest.raises(StorageError):
            await app.sync("main", OBJECT, local, options=RunOptions(page_size=200))
        assert counted(emulator).total() == 200
        repository.fails_at = None
        add_event(local, "opened", 0, 99)
        again = await app.sync("main", OBJECT, local, options=RunOptions(page_size=200))
        assert told(again) == (RunStatus.SUCCESS, 801, 200, 0)
        assert counted(emulator) == {"sent": 50, "opened": 951}
        assert (await app.sync("main", OBJECT, local)).written == 0


async def test_events_of_an_unknown_person_wait_until_the_person_is_there(emulator: RunningEmulator) -> None:
    add_people(emulator, range(1))
    local = MemoryRecordStore("activities")
    for minute in range(3):
        add_event(local, "opened", 0, minute)
        add_event(local, "opened", 1, minute)
    async with connected(emulator) as app:
        first = await app.sync("main", OBJECT, local)
        assert told(first) == (RunStatus.PARTIAL, 3, 0, 3)
        assert {problem.code for problem in first.problems} == {"not_found"}
        assert told(await app.sync("main", OBJECT, local)) == (RunStatus.PARTIAL, 0, 0, 3)
        add_people(emulator, range(1, 2))
        assert told(await app.sync("main", OBJECT, local)) == (RunStatus.SUCCESS, 3, 0, 0)
        assert counted(emulator) == {"opened": 6}


async def test_events_that_waited_are_counted_whatever_the_order_of_their_ids(emulator: RunningEmulator) -> None:
    local = MemoryRecordStore("activities")
    for minute in range(1200):
        add_event(local, "opened", 0, minute, id=f"{9999 - minute}")
    async with connected(emulator) as app:
        assert (await app.sync("main", OBJECT, local)).remote.rejected == 1200
        add_people(emulator, range(1))
        assert told(await app.sync("main", OBJECT, local)) == (RunStatus.SUCCESS, 1200, 0, 0)
    assert counted(emulator) == {"opened": 1200}


async def test_an_opt_out_that_cannot_be_written_is_tried_again_and_the_rest_goes_on() -> None:
    with running_emulator(hide_opt_out=True) as emulator:
        add_people(emulator, range(1))
        local = MemoryRecordStore("activities")
        add_event(local, "sent", 0)
        unsubscribed = add_event(local, "unsubscribed", 0, 1)
        async with connected(emulator) as app:
            for created in (1, 0):
                report = await app.sync("main", OBJECT, local)
                assert told(report) == (RunStatus.PARTIAL, created, 0, 1)
                assert [(one.markmail_id, one.code) for one in report.problems] == [(unsubscribed, "not_writable")]
        assert counted(emulator) == {"sent": 1}


async def test_events_that_say_nothing_are_rejected_each_with_its_field(emulator: RunningEmulator) -> None:
    add_people(emulator, range(1))
    local = MemoryRecordStore("activities")
    bad = {
        local.add(type="peeked", email="p0@example.com", occurred_at=NOON): "type",
        local.add(type="sent", email="nobody", occurred_at=NOON): "email",
        local.add(type="sent", email="p0@example.com"): "occurred_at",
    }
    add_event(local, "sent", 0)
    async with connected(emulator) as app:
        report = await app.sync("main", OBJECT, local)
        assert {one.markmail_id: one.field for one in report.problems} == bad
        assert counted(emulator) == {"sent": 1}


async def test_what_happens_to_an_event_afterwards_does_nothing(emulator: RunningEmulator) -> None:
    add_people(emulator, range(1))
    local = MemoryRecordStore("activities")
    edited, deleted = add_event(local, "sent", 0), add_event(local, "opened", 0, 1)
    async with connected(emulator) as app:
        await app.sync("main", OBJECT, local)
        before = emulator.org.records("Task")
        local.edit(edited, subject="Another")
        local.remove(deleted)
        [task] = before
        emulator.org.delete("Task", task["Id"])
        report = await app.sync("main", OBJECT, local)
        assert (report.status, report.written) == (RunStatus.SUCCESS, 0)
        assert (await app.sync("main", OBJECT, local)).written == 0
    assert emulator.org.records("Task") == []


async def test_events_become_campaign_responses_if_the_settings_say_so(emulator: RunningEmulator) -> None:
    add_people(emulator, range(2))
    campaign = emulator.org.create("Campaign", {"Name": "Spring"})
    local = MemoryRecordStore("activities")
    add_event(local, "sent", 0, crm_campaign_id=campaign)
    add_event(local, "clicked", 1, 1, crm_campaign_id=campaign)
    async with connected(emulator, activity="campaign_member") as app:
        assert told(await app.sync("main", OBJECT, local)) == (RunStatus.SUCCESS, 2, 0, 0)
        members = {row["Email"]: row["HasResponded"] for row in emulator.org.records("CampaignMember")}
        assert members == {"p0@example.com": False, "p1@example.com": True}
        assert (await app.sync("main", OBJECT, local)).written == 0


async def test_default_mappings_are_taken_beside_given_ones(emulator: RunningEmulator) -> None:
    add_people(emulator, range(1))
    local = MemoryRecordStore("activities")
    add_event(local, "sent", 0)
    async with connected(emulator) as app:
        known = await app.mapping("main", "Contact")
        [integration] = await app.integrations()
        settings, token = integration.settings["provider"], SecretStr(DEFAULT_TOKEN)
        changed = await app.add_integration(
            "main",
            provider="salesforce",
            settings=settings,
            credentials={"access_token": token},
            mappings={"Contact": known},
            defaults=[OBJECT],
        )
        assert sorted(changed.field_mappings) == ["Contact", OBJECT]
        assert told(await app.sync("main", OBJECT, local)) == (RunStatus.SUCCESS, 1, 0, 0)


async def test_events_that_the_settings_leave_out_are_refused(emulator: RunningEmulator) -> None:
    async with connected(emulator, activity="off") as app:
        with pytest.raises(ConfigurationError, match="activity = off"):
            await app.sync("main", OBJECT, MemoryRecordStore("activities"))
