"""Fields of parents: described, read by every way, and followed when the parent changes."""

from __future__ import annotations

import pytest

from crmsync.models.records import Operation, OperationKind
from crmsync.models.schema import FieldType
from crmsync.testing.record_subject import read_pass
from tests.unit.providers.salesforce.objects.conftest import Connect

pytestmark = pytest.mark.anyio

PARENTS = {"fields": ["Account.Name", "Owner.Email", "Nothing.Name", "Account.NoSuchField"]}


async def test_fields_of_parents_are_described_and_cannot_be_written(connect: Connect) -> None:
    async with connect(parents=PARENTS) as it:
        schema = await (await it.provider.records("Contact")).describe()
        account, owner = schema.field("Account.Name"), schema.field("Owner.Email")
        assert account is not None
        assert owner is not None
        assert (account.type, account.length) == (FieldType.TEXT, 255)
        assert (owner.type, owner.createable, owner.updateable) == (FieldType.EMAIL, False, False)
        assert {field.name for field in schema.fields if "." in field.name} == {"Account.Name", "Owner.Email"}


async def test_no_parent_is_described_unless_it_is_asked_for(connect: Connect) -> None:
    async with connect() as it:
        await it.provider.records("Contact")
        assert [call.path for call in it.sent.of("GET", "/describe")] == ["/sobjects/Contact/describe"]


async def test_they_are_read_by_every_way(connect: Connect) -> None:
    async with connect(parents=PARENTS) as it:
        account = it.org.create("Account", {"Name": "O'Acme"})
        linked, alone = it.contact(1, AccountId=account), it.contact(2)
        store, fields = await it.provider.records("Contact"), ("Account.Name", "Email")
        everything = (await read_pass(store, None, fields)).newest()
        by_id = await store.get([linked, alone], fields=fields)
        [found] = await store.find("Email", ["p1@example.com"], fields=fields)
        [by_parent] = await store.find("Account.Name", ["O'Acme"], fields=fields)
        for records in (everything, by_id):
            assert records[linked].fields == {"Account.Name": "O'Acme", "Email": "p1@example.com"}
            assert records[alone].fields["Account.Name"] is None
        assert found.fields["Account.Name"] == "O'Acme"
        assert by_parent.id == linked


async def test_a_field_of_a_parent_is_refused_for_its_row_alone(connect: Connect) -> None:
    async with connect(parents=PARENTS) as it:
        store = await it.provider.records("Contact")
        rows: list[dict[str, object]] = [{"LastName": "A", "Account.Name": "Acme"}, {"LastName": "B"}]
        outcomes = await store.write(
            [Operation(str(n), OperationKind.CREATE, None, fields=f) for n, f in enumerate(rows)]
        )
        assert [outcome.ok for outcome in outcomes] == [False, True]
        assert "Account.Name" in str(outcomes[0].error)
        assert "Acme" not in str(outcomes[0].error)


async def test_a_renamed_account_brings_its_contacts_again(connect: Connect) -> None:
    async with connect(parents=PARENTS, look_back_seconds=0, safety_seconds=0) as it:
        accounts = [it.org.create("Account", {"Name": name}) for name in ("One", "Two")]
        contacts = [it.contact(n, AccountId=accounts[n % 2]) for n in range(6)]
        it.clock.tick(120)
        store, fields = await it.provider.records("Contact"), ("Account.Name",)
        first = await read_pass(store, None, fields)
        it.clock.tick(120)
        quiet = await read_pass(store, first.cursor, fields)
        it.org.update("Account", accounts[0], {"Name": "Renamed"})
        it.clock.tick(120)
        after = await read_pass(store, quiet.cursor, fields, limit=2)
        assert quiet.newest() == {}
        assert {key: r.fields["Account.Name"] for key, r in after.newest().items()} == dict.fromkeys(
            contacts[::2], "Renamed"
        )
        it.clock.tick(120)
        assert (await read_pass(store, after.cursor, fields)).newest() == {}


async def test_parents_are_not_followed_if_that_is_switched_off_or_not_asked_for(connect: Connect) -> None:
    async with connect(parents={**PARENTS, "follow": False}, look_back_seconds=0, safety_seconds=0) as it:
        account = it.org.create("Account", {"Name": "One"})
        it.contact(1, AccountId=account)
        it.clock.tick(120)
        store = await it.provider.records("Contact")
        first = await read_pass(store, None, ("Account.Name",))
        it.org.update("Account", account, {"Name": "Renamed"})
        it.clock.tick(120)
        assert (await read_pass(store, first.cursor, ("Account.Name",))).newest() == {}


async def test_members_have_the_addresses_of_their_people_without_any_setting(connect: Connect) -> None:
    async with connect() as it:
        campaign = it.org.create("Campaign", {"Name": "Spring"})
        it.org.create("CampaignMember", {"CampaignId": campaign, "ContactId": it.contact(1)})
        it.org.create("CampaignMember", {"CampaignId": campaign, "LeadId": it.lead(2)})
        store = await it.provider.records("CampaignMember")
        fields = ("Contact.Email", "Lead.Email", "Campaign.Name")
        read = (await read_pass(store, None, fields)).newest().values()
        assert sorted(tuple(map(str, record.fields.values())) for record in read) == [
            ("None", "p2@example.com", "Spring"),
            ("p1@example.com", "None", "Spring"),
        ]
