"""Invariant 15: applying a plan never takes more API calls than the plan said, whatever it holds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from crmsync.engine import RunBudget, Runner
from crmsync.mapping import compile_mapping
from crmsync.models.integrations import Integration
from crmsync.models.mappings import DeletePolicy, ObjectMapping, two_way
from crmsync.models.plans import Plan
from crmsync.models.runs import RunOptions
from crmsync.models.schema import FieldType
from crmsync.protocols.provider import ProviderContext
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.salesforce import DEFAULT_TOKEN, SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport
from crmsync.testing.world import LOCAL_LIMITS, FakeClock

FIELDS = (
    two_way("email", "Email", field_type=FieldType.EMAIL),
    two_way("first", "FirstName"),
    two_way("last", "LastName", required=True),
)


@attrs.frozen
class Case:
    """What changed between two runs, in numbers of people, and the kind of connection.

    ``parted`` are those whose contact was merged into that of the person after them, and who have a new one.
    """

    linked: int
    from_local: int
    from_crm: int
    met: int
    edited: int
    deleted: int
    delete: DeletePolicy
    external_key: bool
    channel: str
    name: str
    parted: int = 0


counts = st.integers(0, 12)
cases = st.builds(
    Case,
    linked=counts,
    from_local=counts,
    from_crm=counts,
    met=counts,
    edited=counts,
    deleted=counts,
    delete=st.sampled_from([DeletePolicy.IGNORE, DeletePolicy.PROPAGATE]),
    external_key=st.booleans(),
    channel=st.sampled_from(["auto", "collections", "bulk"]),
    name=st.sampled_from(["p", "ä" * 20, "o'" * 10]),
    parted=st.integers(0, 3),
)


@attrs.define
class Scene:
    """An emulated org, a local store, and connections to the org that begin with nothing but a token."""

    case: Case
    clock: FakeClock
    org: SalesforceOrg
    local: MemoryRecordStore
    repository: MemoryRepository

    @asynccontextmanager
    async def runner(self) -> AsyncIterator[Runner]:
        mapping = ObjectMapping(fields=FIELDS, delete_in_crm=self.case.delete)
        budget = RunBudget()
        context = ProviderContext(self.clock, budget)
        given_settings = {
            "instance_url": "https://acme.my.salesforce.com",
            "channel": self.case.channel,
            "external_id_field": "MarkMail_Id__c" if self.case.external_key else "Nothing__c",
        }
        factory = SalesforceProviderFactory(InProcessTransport(self.org))
        async with factory.open(given_settings, {"access_token": SecretStr(DEFAULT_TOKEN)}, context) as provider:
            remote = await provider.records("Contact")
            yield Runner(
                integration_id="acme",
                entity_type="Contact",
                mapping=mapping,
                rule=compile_mapping(mapping, await self.local.describe(), await remote.describe()),
                local=self.local,
                remote=remote,
                repository=self.repository,
                clock=self.clock,
                budget=budget,
                opening_calls=budget.used,
                digest_key=bytes(32),
                options=RunOptions(allow_deletes=10_000),
            )

    def person(self, number: int) -> dict[str, str]:
        return {"email": f"{self.case.name}{number}@example.org", "first": f"First {number}", "last": f"Last {number}"}

    def change(self) -> None:
        """What people do on both sides between the two runs."""
        case, ids = self.case, sorted(self.local.snapshot())
        for record_id in ids[: case.edited]:
            self.local.edit(record_id, first="Edited")
        for record_id in ids[case.edited :][: case.deleted]:
            self.local.remove(record_id)
        for number in range(case.from_local):
            self.local.add(self.person(1000 + number))
        for number in range(case.met):
            self.local.add(self.person(2000 + number))
            self._create(2000 + number)
        for number in range(case.from_crm):
            self._create(3000 + number)
        self._part()
        self.clock.tick(3600)

    def _part(self) -> None:
        contacts = {row["Email"]: row["Id"] for row in self.org.records("Contact")}
        for loser in range(0, min(2 * self.case.parted, self.case.linked - 1), 2):
            lost, kept = (contacts[self.person(number)["email"]] for number in (loser, loser + 1))
            self.org.merge("Contact", kept, [lost])
            self._create(loser)

    def _create(self, number: int) -> None:
        known = self.person(number)
        self.org.create("Contact", {"Email": known["email"], "FirstName": known["first"], "LastName": known["last"]})


async def play(case: Case, *, sync: bool = False) -> tuple[Plan, int, int]:
    """The plan, the calls that applying it took, or a sync in its place, and the writes left to a run after it."""
    clock = FakeClock()
    scene = Scene(
        case,
        clock,
        SalesforceOrg(clock=clock.now),
        MemoryRecordStore(clock=clock, limits=LOCAL_LIMITS),
        MemoryRepository(now=clock.now),
    )
    await scene.repository.save_integration(Integration(id="acme", provider="salesforce"))
    for number in range(case.linked):
        scene.local.add(scene.person(number))
    clock.tick(3600)
    async with scene.runner() as runner:
        await runner.sync()
    clock.tick(3600)
    scene.change()
    async with scene.runner() as runner:
        before = scene.org.api_calls
        plan = await runner.plan()
        assert plan.reading_calls >= scene.org.api_calls - before > 0
    before = scene.org.api_calls
    async with scene.runner() as runner:
        report = await (runner.sync() if sync else runner.apply(plan))
    used = report.remote.api_calls
    assert scene.org.api_calls - before <= used, "the budget counts all that the org counts"
    async with scene.runner() as runner:
        left = (await runner.sync()).written
    return plan, used, left


@given(case=cases)
@settings(max_examples=30, deadline=None)
def test_applying_a_plan_takes_no_more_calls_than_it_said(case: Case) -> None:
    plan, used, left = anyio.run(play, case)
    assert plan.calls is not None
    assert used <= plan.calls.most, json.dumps(attrs.asdict(case))
    assert left == 0


def test_a_large_plan_is_bounded_and_the_likely_number_is_near() -> None:
    case = Case(1200, 700, 30, 100, 300, 40, DeletePolicy.PROPAGATE, external_key=True, channel="auto", name="p")
    plan, used, _ = anyio.run(play, case)
    assert plan.calls is not None
    assert used <= plan.calls.most
    assert plan.calls.likely / 1.5 <= used <= plan.calls.likely * 1.5


def test_a_sync_in_place_of_a_plan_takes_about_the_calls_that_the_plan_said() -> None:
    """Few of them where there is little to do, and where there is much."""
    for case in (
        Case(300, 450, 30, 100, 90, 40, DeletePolicy.PROPAGATE, external_key=True, channel="auto", name="p"),
        Case(12, 0, 0, 0, 0, 0, DeletePolicy.IGNORE, external_key=True, channel="auto", name="p"),
    ):
        plan, used, _ = anyio.run(partial(play, case, sync=True))
        assert plan.sync_calls is not None
        assert plan.sync_calls / 1.3 <= used <= plan.sync_calls * 1.3
        assert plan.reading_calls <= plan.sync_calls


def test_a_plan_through_a_bulk_job_is_bounded() -> None:
    case = Case(0, 700, 0, 0, 0, 0, DeletePolicy.IGNORE, external_key=True, channel="bulk", name="p")
    plan, used, _ = anyio.run(play, case)
    assert plan.calls is not None
    assert used <= plan.calls.most
