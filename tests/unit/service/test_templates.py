"""Templates: the provider's own, and those that are saved, handed on and applied."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from crmsync import CRMSync, ObjectMapping, Vault, two_way
from crmsync.errors import ConfigurationError, MappingError, NotFoundError, UnknownProviderError
from crmsync.mapping.documents import DocumentForm
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.testing.memory_records import MemoryRecordStore

pytestmark = pytest.mark.anyio

CONTACT = ObjectMapping(fields=(two_way("email", "Email"), two_way("last_name", "LastName", required=True)))
LEAD = ObjectMapping(fields=(two_way("company", "Company"),))


@pytest.fixture
async def crm() -> AsyncIterator[CRMSync]:
    async with CRMSync.open("memory://", vault=Vault.from_key(Vault.generate_key())) as opened:
        yield opened


async def test_the_providers_own_mappings_are_templates_and_stored_once(crm: CRMSync) -> None:
    found = {one.name: one for one in await crm.templates("salesforce")}
    offered = SalesforceProviderFactory().default_mappings()
    assert {"Contact", "Lead", "Campaign", "CampaignMember"} <= found.keys() == offered.keys()
    assert all(one.is_default and one.mappings == {name: offered[name]} for name, one in found.items())
    assert await crm.repository.list_templates("salesforce") == await crm.templates("salesforce")
    assert {one.provider for one in await crm.templates()} >= {"salesforce", "memory"}


async def test_a_template_that_the_provider_changed_follows_it(crm: CRMSync) -> None:
    [contact] = [one for one in await crm.templates("salesforce") if one.name == "Contact"]
    await crm.repository.save_template(contact.model_copy(update={"mappings": {"Contact": LEAD}}))
    assert (await crm.template("salesforce", "Contact")).mappings == contact.mappings


async def test_a_saved_template_can_be_changed_and_forgotten_and_the_providers_cannot(crm: CRMSync) -> None:
    await crm.save_template("salesforce", "ours", {"Contact": CONTACT}, description="as agreed")
    await crm.save_template("salesforce", "ours", {"Contact": CONTACT, "Lead": LEAD})
    assert (await crm.template("salesforce", "ours")).mappings == {"Contact": CONTACT, "Lead": LEAD}
    await crm.delete_template("salesforce", "ours")
    with pytest.raises(NotFoundError, match=r"no template 'ours' for salesforce \(there are: .*Contact"):
        await crm.template("salesforce", "ours")
    for refused in (
        crm.save_template("salesforce", "Contact", {"Contact": LEAD}),
        crm.delete_template("salesforce", "Contact"),
        crm.save_template("salesforce", "empty", {}),
    ):
        with pytest.raises(ConfigurationError):
            await refused
    with pytest.raises(UnknownProviderError):
        await crm.save_template("nobody", "ours", {"Contact": CONTACT})


@pytest.mark.parametrize("form", DocumentForm)
async def test_an_exported_template_is_imported_as_it_was(crm: CRMSync, form: DocumentForm) -> None:
    await crm.save_template("salesforce", "ours", {"Contact": CONTACT}, description="with 'quotes'\nand lines")
    text = await crm.export_template("salesforce", "ours", form)
    await crm.delete_template("salesforce", "ours")
    again = await crm.import_template(text)
    assert (again.mappings, again.description) == ({"Contact": CONTACT}, "with 'quotes'\nand lines")
    assert (await crm.import_template(text, name="theirs")).name == "theirs"
    with pytest.raises(MappingError):
        await crm.import_template(text[1:])


async def test_a_template_is_applied_whole_or_in_part_and_checked_before(crm: CRMSync) -> None:
    await crm.save_template("memory", "ours", {"Contact": CONTACT, "Lead": LEAD})
    faulty = ObjectMapping(fields=(two_way("email", "Email", policy="set_merge"),))
    await crm.save_template("memory", "faulty", {"Contact": faulty})
    await crm.add_integration("acme", provider="memory", settings={}, credentials={}, mappings={"Lead": CONTACT})
    with pytest.raises(NotFoundError, match="has no Account"):
        await crm.apply_template("acme", "ours", objects=["Account"])
    changed = await crm.apply_template("acme", "ours", objects=["Contact"])
    assert changed.field_mappings == {"Lead": CONTACT, "Contact": CONTACT}
    assert (await crm.apply_template("acme", "ours")).field_mappings == {"Lead": LEAD, "Contact": CONTACT}
    with pytest.raises(MappingError):
        await crm.apply_template("acme", "faulty", locals_={"Contact": MemoryRecordStore()})
    assert await crm.mapping("acme", "Contact") == CONTACT
