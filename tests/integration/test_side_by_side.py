"""Processes that share the bookkeeping do at the same moment what only one may do: nothing is made twice.

Each `CRMSync` here stands for a process: they have the bookkeeping in common, and nothing else. Two of them work for
one integration, the third for another with the same org.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import anyio
import attrs
import pytest
from pydantic import SecretStr

from crmsync import CRMSync, Vault
from crmsync.errors import ConcurrentUpdateError
from crmsync.models.campaigns import CRMCampaign, EmailActivity, EmailActivityType
from crmsync.models.contacts import CRMContact, CRMList
from crmsync.models.mappings import ObjectMapping, two_way
from crmsync.models.runs import RunOptions
from crmsync.protocols.provider import CRMProvider
from crmsync.protocols.turns import TurnRepository
from crmsync.security.turns import turn_name_of
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.salesforce import DEFAULT_TOKEN, RunningEmulator, running_emulator

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WORKERS = 3


@pytest.fixture(scope="module")
def server() -> Iterator[RunningEmulator]:
    """Calls take long enough for all workers to look before one writes."""
    with running_emulator() as running:
        running.org.faults.latency = 0.02
        yield running


@pytest.fixture
def emulator(server: RunningEmulator) -> RunningEmulator:
    """The org is as new."""
    with server.org.transaction():
        for name in ("Task", "EmailMessage", "Campaign", "Contact", "Account"):
            for row in server.org.records(name):
                server.org.delete(name, row["Id"])
    return server


@asynccontextmanager
async def side_by_side(emulator: RunningEmulator, **settings: Any) -> AsyncIterator[list[CRMProvider]]:
    """An open provider for each worker."""
    repository, key = MemoryRepository(), Vault.generate_key()
    given = {"instance_url": emulator.url, "allow_insecure_loopback": True, **settings}
    workers = [CRMSync(repository, vault=Vault.from_key(key)) for _ in range(WORKERS)]
    credentials = {"access_token": SecretStr(DEFAULT_TOKEN)}
    for name in ("main", "other"):
        await workers[0].add_integration(name, provider="salesforce", settings=given, credentials=credentials)
    async with AsyncExitStack() as stack:
        opened = zip(workers, ("main", "main", "other"), strict=True)
        yield [await stack.enter_async_context(worker.provider(name)) for worker, name in opened]


@attrs.define
class Work:
    """What workers did at once."""

    failed: list[str] = attrs.field(factory=list)

    async def sync_contact(self, provider: CRMProvider, number: int) -> None:
        company = "ACME" if number % 2 else "Acme"
        contact = CRMContact(email=f"p{number}@example.com", last_name=f"P{number}", company=company)
        self._note(await provider.sync_contact(contact))

    async def log(self, provider: CRMProvider, number: int) -> None:
        events = [
            EmailActivity(
                type=kind,
                email="ada@example.com",
                occurred_at=NOON + timedelta(minutes=number, seconds=second),
                message_id="m-1",
            )
            for second, kind in enumerate([EmailActivityType.OPENED, EmailActivityType.CLICKED])
        ]
        for result in (await provider.log_email_activities(events)).results:
            self._note(result)

    async def sync_campaign(self, provider: CRMProvider, number: int) -> None:
        self._note(await provider.sync_campaign(CRMCampaign(name="Spring")))

    async def sync_list(self, provider: CRMProvider, number: int) -> None:
        members = CRMList(name="Spring", member_emails=("ada@example.com",))
        for result in (await provider.sync_list_membership(members)).results:
            self._note(result)

    def _note(self, result: Any) -> None:
        if not result.success:
            self.failed.append(f"{result.code}: {result.error}")


@pytest.mark.parametrize("graphs", [True, False])
async def test_no_account_is_made_twice_without_a_key_of_its_own(emulator: RunningEmulator, *, graphs: bool) -> None:
    """Graphs need an external id of contacts, and a version that has them."""
    settings = {"accounts": "create"} if graphs else {"accounts": "create", "api_version": "49.0"}
    work = Work()
    async with side_by_side(emulator, **settings) as workers, anyio.create_task_group() as group:
        for number, provider in enumerate(workers):
            group.start_soon(work.sync_contact, provider, number)
    assert work.failed == []
    [account] = emulator.org.records("Account")
    assert [row["AccountId"] for row in emulator.org.records("Contact")] == [account["Id"]] * WORKERS


@pytest.mark.parametrize("activity", ["task", "email_message"])
async def test_events_of_one_message_are_one_task_and_each_is_counted(emulator: RunningEmulator, activity: str) -> None:
    emulator.org.create("Contact", {"LastName": "Ada", "Email": "ada@example.com"})
    work = Work()
    async with side_by_side(emulator, activity=activity) as workers, anyio.create_task_group() as group:
        for number, provider in enumerate(workers):
            group.start_soon(work.log, provider, number)
    assert work.failed == []
    [task] = emulator.org.records("Task")
    # Who comes first has the turn, and an event that is older than the last of its kind is not counted.
    last = (NOON + timedelta(minutes=WORKERS - 1)).isoformat()
    assert f", last {last}" in task["Description"]
    assert len(re.findall(r"E-mail (\w+): ", task["Description"])) == 2
    assert len(emulator.org.records("EmailMessage")) == (activity == "email_message")


@pytest.mark.parametrize("verb", ["sync_campaign", "sync_list"])
async def test_no_campaign_is_made_twice(emulator: RunningEmulator, verb: str) -> None:
    emulator.org.create("Contact", {"LastName": "Ada", "Email": "ada@example.com"})
    work = Work()
    async with side_by_side(emulator) as workers, anyio.create_task_group() as group:
        for number, provider in enumerate(workers):
            group.start_soon(getattr(work, verb), provider, number)
    assert work.failed == []
    assert [row["Name"] for row in emulator.org.records("Campaign")] == ["Spring"]


def employee(number: int) -> MemoryRecordStore:
    """Someone new, of a company that is new to the org."""
    local = MemoryRecordStore("subscribers")
    local.add(id=f"s{number}", email=f"p{number}@example.com", last_name=f"P{number}", company="Acme")
    return local


async def add_integration(app: CRMSync, name: str, emulator: RunningEmulator) -> None:
    settings = {"instance_url": emulator.url, "allow_insecure_loopback": True, "accounts": "create"}
    credentials = {"access_token": SecretStr(DEFAULT_TOKEN)}
    mapping = ObjectMapping(
        fields=(two_way("email", "Email"), two_way("last_name", "LastName"), two_way("company", "Account.Name"))
    )
    await app.add_integration(
        name, provider="salesforce", settings=settings, credentials=credentials, mappings={"Contact": mapping}
    )


async def test_runs_of_two_integrations_with_one_org_make_a_new_company_once(
    emulator: RunningEmulator, storage: str
) -> None:
    vault = Vault.from_key(Vault.generate_key())
    async with (
        CRMSync.open(storage, vault=vault) as one,
        CRMSync.open(storage, vault=vault) as two,
        anyio.create_task_group() as group,
    ):
        for number, app in enumerate((one, two)):
            await add_integration(app, f"tenant-{number}", emulator)
            group.start_soon(app.sync, f"tenant-{number}", "Contact", employee(number))
    [account] = emulator.org.records("Account")
    assert {row["LastName"]: row["AccountId"] for row in emulator.org.records("Contact")} == {
        "P0": account["Id"],
        "P1": account["Id"],
    }


async def test_a_run_waits_for_its_own_org_alone_and_stays_the_only_one_of_its_integration(
    emulator: RunningEmulator,
) -> None:
    """It waits for longer than the lease on its object lasts."""
    vault, options = Vault.from_key(Vault.generate_key()), RunOptions(lease_seconds=0.3)
    async with CRMSync.open("memory://", vault=vault) as app, anyio.create_task_group() as group:
        repository = app.repository
        assert isinstance(repository, TurnRepository)
        turn = turn_name_of("accounts", f"salesforce {emulator.url}")
        assert await repository.take_turn(turn, "elsewhere", now=datetime.now(UTC), ttl=timedelta(hours=1))
        await add_integration(app, "waits", emulator)
        group.start_soon(partial(app.sync, options=options), "waits", "Contact", employee(0))
        with running_emulator() as elsewhere:
            await add_integration(app, "goes", elsewhere)
            await app.sync("goes", "Contact", employee(1))
            assert [row["Name"] for row in elsewhere.org.records("Account")] == ["Acme"]
        await anyio.sleep(0.4)
        with pytest.raises(ConcurrentUpdateError):
            await app.sync("waits", "Contact", employee(0))
        assert emulator.org.records("Account") == []
        await repository.end_turn(turn, "elsewhere")
    assert [row["Name"] for row in emulator.org.records("Account")] == ["Acme"]
