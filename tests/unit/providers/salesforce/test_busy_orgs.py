"""Whole syncs with an org that is busy for a while: calls, subrequests, rows are sent again, and nothing is twice."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from crmsync.models.mappings import ObjectMapping, two_way
from crmsync.models.runs import RunReport, RunStatus
from crmsync.models.schema import FieldType
from crmsync.protocols.provider import ProviderFactory
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.registry import Registry
from crmsync.security.vault import Vault
from crmsync.service import CRMSync
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.salesforce import DEFAULT_TOKEN, SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport
from crmsync.testing.world import FakeClock

pytestmark = pytest.mark.anyio

LONG = "ConcurrentPerOrgLongTxn Limit exceeded."
FIELDS = (two_way("email", "Email", field_type=FieldType.EMAIL), two_way("last_name", "LastName", required=True))
COMPANY = two_way("company", "Account.Name")
BUSY: list[dict[str, Any]] = [
    {"status": 403, "message": LONG},
    {"status": 403, "message": "ConcurrentRequests (Concurrent API Requests) Limit exceeded."},
    {"status": 503},
    {"status": 500, "after_effect": True},
    {"status": 400, "code": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain exclusive access to this record"},
]
NAMES = ["long transactions", "concurrent requests", "503", "500 after the effect", "locks"]


class InProcess(Registry):
    """The provider, in the org's own process."""

    def __init__(self, org: SalesforceOrg) -> None:
        super().__init__()
        self._org = org

    def provider(self, name: str) -> ProviderFactory:
        assert name == SalesforceProviderFactory.name
        return SalesforceProviderFactory(InProcessTransport(self._org))


class Office:
    """An application's people, an org, and the sync between them, on one clock."""

    def __init__(self, number: int, *, company: str | None = None) -> None:
        self.clock = FakeClock()
        self.org = SalesforceOrg(clock=self.clock.now)
        self.local = MemoryRecordStore("subscribers", clock=self.clock)
        for n in range(number):
            self.local.add(email=f"p{n}@example.com", last_name=f"P{n}", company=company and f"{company} {n}")
        vault = Vault.from_key(Vault.generate_key())
        self.app = CRMSync(MemoryRepository(), vault=vault, clock=self.clock, registry=InProcess(self.org))

    async def connect(self, **settings: Any) -> None:
        await self.app.add_integration(
            "main",
            provider="salesforce",
            settings={"instance_url": "https://acme.my.salesforce.com", "retry_wait": 2.0, **settings},
            credentials={"access_token": SecretStr(DEFAULT_TOKEN)},
            mappings={"Contact": ObjectMapping(fields=(*FIELDS, COMPANY) if "accounts" in settings else FIELDS)},
        )

    async def sync(self) -> tuple[RunReport, float]:
        """Run, and say how many seconds that took: all of it are waits."""
        before = self.clock.now()
        report = await self.app.sync("main", "Contact", self.local)
        return report, (self.clock.now() - before).total_seconds()

    async def settled(self, number: int) -> None:
        """Every person is there once, and the next sync has nothing to do."""
        emails = [row["Email"] for row in self.org.records("Contact")]
        assert sorted(emails) == sorted(f"p{n}@example.com" for n in range(number))
        self.clock.tick(600)
        report, _ = await self.sync()
        assert (report.status, report.written, report.problems) == (RunStatus.SUCCESS, 0, ())


@pytest.mark.parametrize(
    "channel, path",
    [
        ("collections", "/services/data"),
        ("collections", "/query"),
        ("collections", "/composite/sobjects"),
        ("bulk", "/jobs/ingest"),
        ("bulk", "/batches"),
        ("bulk", "/successfulResults"),
    ],
)
async def test_a_sync_waits_while_long_transactions_fill_the_org(channel: str, path: str) -> None:
    office = Office(3)
    await office.connect(channel=channel)
    office.org.faults.long_transactions_exceeded_next(2, path=path)
    report, waited = await office.sync()
    assert (report.status, report.remote.created) == (RunStatus.SUCCESS, 3)
    assert waited >= 2
    assert office.org.faults.waiting == 0
    await office.settled(3)


@pytest.mark.parametrize("fault", BUSY, ids=NAMES)
async def test_subrequests_of_a_composite_call_are_sent_again(fault: dict[str, Any]) -> None:
    """Of three pages of contacts two go in one call, and both fail in it."""
    office = Office(410)
    await office.connect(channel="collections")
    office.org.faults.parts.fail_next(2, within="composite", path="/composite/sobjects", **fault)
    report, waited = await office.sync()
    assert report.status is RunStatus.SUCCESS
    assert waited > 0
    assert office.org.faults.waiting == 0
    await office.settled(410)


@pytest.mark.parametrize("fault", BUSY, ids=NAMES)
async def test_nodes_of_a_graph_are_sent_again(fault: dict[str, Any]) -> None:
    """New companies with their people: each graph is one company."""
    office = Office(4, company="Acme")
    await office.connect(accounts="create")
    office.org.faults.parts.fail_next(2, within="graph", path="/Contact", **fault)
    report, waited = await office.sync()
    assert report.status is RunStatus.SUCCESS
    assert waited > 0
    assert office.org.faults.waiting == 0
    assert sorted(row["Name"] for row in office.org.records("Account")) == [f"Acme {n}" for n in range(4)]
    await office.settled(4)


@pytest.mark.parametrize("fault", [one for one in BUSY if not one.get("after_effect")], ids=[*NAMES[:3], NAMES[4]])
async def test_rows_of_a_collection_are_sent_again(fault: dict[str, Any]) -> None:
    office = Office(5)
    await office.connect(channel="collections")
    office.org.faults.parts.fail_next(3, within="collections", **fault)
    report, waited = await office.sync()
    assert (report.status, report.remote.created) == (RunStatus.SUCCESS, 5)
    assert waited > 0
    await office.settled(5)
