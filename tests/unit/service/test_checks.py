"""Mappings are checked at any time, and before they are stored; what the CRM's administrator changed is remembered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import attrs
import pytest

from crmsync import CRMSync, ObjectMapping, RunStatus, Vault, two_way
from crmsync.errors import ConfigurationError, MappingError
from crmsync.mapping import MappingCode
from crmsync.models.checks import MappingCheck, Severity
from crmsync.models.runs import ObjectStatus
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.salesforce import DEFAULT_TOKEN, Profile, RunningEmulator, running_emulator

pytestmark = pytest.mark.anyio

CODE = MappingCode
GOOD = ObjectMapping(
    fields=(two_way("email", "Email"), two_way("last_name", "LastName", required=True), two_way("title", "Title"))
)
FAULTY = ObjectMapping(fields=(*GOOD.fields, two_way("made", "CreatedDate")))


@attrs.frozen
class Site:
    """A facade with one integration of an emulated org, and a local side."""

    crm: CRMSync
    emulator: RunningEmulator
    local: MemoryRecordStore

    def hide(self, *fields: str) -> None:
        org = self.emulator.org
        org.set_profile(org.user_id, Profile(hidden=frozenset(fields)) if fields else None)

    async def check(self, mapping: ObjectMapping | None = None) -> MappingCheck:
        return await self.crm.check_mapping("acme", "Contact", self.local, mapping=mapping)

    async def status(self) -> ObjectStatus:
        [found] = [one for one in await self.crm.status("acme") if one.entity_type == "Contact"]
        return found


@pytest.fixture(scope="module")
def emulator() -> Iterator[RunningEmulator]:
    with running_emulator() as running:
        yield running


@pytest.fixture
async def site(emulator: RunningEmulator) -> AsyncIterator[Site]:
    for contact in emulator.org.records("Contact"):
        emulator.org.delete("Contact", contact["Id"])
    async with CRMSync.open("memory://", vault=Vault.from_key(Vault.generate_key())) as crm:
        await crm.add_integration(
            "acme",
            provider="salesforce",
            settings={"instance_url": emulator.url, "allow_insecure_loopback": True},
            credentials={"access_token": DEFAULT_TOKEN},
            mappings={"Contact": GOOD},
        )
        made = Site(crm, emulator, MemoryRecordStore())
        yield made
        made.hide()


async def test_a_mapping_is_checked_without_being_stored(site: Site) -> None:
    assert (await site.check()).ok
    check = await site.check(FAULTY)
    assert [each.code for each in check.of(Severity.ERROR)] == [CODE.NOT_WRITABLE]
    assert await site.crm.mapping("acme", "Contact") == GOOD
    with pytest.raises(ConfigurationError, match="no mapping for 'Lead'"):
        await site.crm.check_mapping("acme", "Lead", site.local)


async def test_with_the_local_side_a_faulty_mapping_is_not_stored(site: Site) -> None:
    with pytest.raises(MappingError) as caught:
        await site.crm.change_mapping("acme", "Contact", FAULTY, local=site.local)
    assert [problem.code for problem in caught.value.problems] == [CODE.NOT_WRITABLE]
    assert await site.crm.mapping("acme", "Contact") == GOOD
    await site.crm.change_mapping("acme", "Contact", FAULTY)
    with pytest.raises(MappingError):
        await site.crm.sync("acme", "Contact", site.local)


async def test_a_change_of_the_crm_is_told_by_the_check_the_run_and_the_status_until_it_is_accepted(site: Site) -> None:
    site.local.add(email="ada@example.org", last_name="King", title="Countess")
    assert (await site.crm.sync("acme", "Contact", site.local)).status is RunStatus.SUCCESS
    site.hide("Contact.Title")
    assert [each.code for each in (await site.check()).drift] == [CODE.FIELD_GONE]
    assert [each.code for each in (await site.status()).drift] == [CODE.FIELD_GONE]
    report = await site.crm.sync("acme", "Contact", site.local)
    assert (report.status, [each.code for each in report.warnings]) == (RunStatus.PARTIAL, [CODE.FIELD_GONE])
    assert (await site.crm.compiled_mapping("acme", "Contact", site.local)).suspended == ("Title",)
    await site.crm.accept_schema("acme", "Contact")
    assert (await site.status()).drift == ()
    with pytest.raises(MappingError):
        await site.crm.sync("acme", "Contact", site.local)


async def test_a_providers_own_mapping_misses_a_field_that_is_gone_as_well(site: Site) -> None:
    """It is cut to what both sides have, and would else just forget the field."""
    await site.crm.add_integration(
        "acme",
        provider="salesforce",
        settings={"instance_url": site.emulator.url, "allow_insecure_loopback": True},
        credentials={"access_token": DEFAULT_TOKEN},
    )
    ours = site.local.add(email="ada@example.org", last_name="King", phone="+1 555 0100")
    assert (await site.crm.sync("acme", "Contact", site.local)).status is RunStatus.SUCCESS
    site.hide("Contact.Phone")
    site.local.edit(ours, phone="+1 555 0199", last_name="Lovelace")
    report = await site.crm.sync("acme", "Contact", site.local)
    assert (report.status, [each.code for each in report.warnings]) == (RunStatus.PARTIAL, [CODE.FIELD_GONE])
    site.hide()
    assert (await site.crm.sync("acme", "Contact", site.local)).status is RunStatus.SUCCESS
    [contact] = site.emulator.org.records("Contact")
    assert (contact["Phone"], contact["LastName"]) == ("+1 555 0199", "Lovelace")


async def test_a_dry_run_remembers_nothing_and_leaves_the_fields_out_as_well(site: Site) -> None:
    site.local.add(email="ada@example.org", last_name="King", title="Countess")
    await site.crm.sync("acme", "Contact", site.local)
    site.hide("Contact.Title")
    plan = await site.crm.plan("acme", "Contact", site.local)
    assert (plan.writes, [each.code for each in plan.report.warnings]) == (0, [CODE.FIELD_GONE])
    assert (await site.status()).drift == ()


async def test_new_credentials_keep_what_is_known_of_the_schema_and_another_mapping_does_not(site: Site) -> None:
    site.local.add(email="ada@example.org", last_name="King")
    await site.crm.sync("acme", "Contact", site.local)
    integration = await site.crm.add_integration(
        "acme",
        provider="salesforce",
        settings={"instance_url": site.emulator.url, "allow_insecure_loopback": True},
        credentials={"access_token": DEFAULT_TOKEN},
        mappings={"Contact": GOOD},
    )
    assert "Contact" in integration.settings["schemas"]
    site.hide("Contact.Title")
    await site.crm.change_mapping("acme", "Contact", ObjectMapping(fields=GOOD.fields[::-1]))
    with pytest.raises(MappingError):
        await site.crm.sync("acme", "Contact", site.local)
