"""People of Salesforce who are merged, converted and on both sides, through the engine and over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio
import pytest

from crmsync.models.mappings import DeletePolicy
from crmsync.models.records import Operation, Outcome, Side
from crmsync.models.runs import RunOptions, RunStatus
from crmsync.models.state import LinkStatus
from crmsync.providers.salesforce.objects.mappings import PERSON
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.salesforce import (
    API_USER_ID,
    Conversion,
    Profile,
    RunningEmulator,
    SalesforceOrg,
)
from tests.integration.emulated import connected
from tests.integration.people import ADA, crm_ids, in_step, people, subscribers

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("page_size", [None, 1])
async def test_a_contact_merged_into_a_new_one_keeps_its_link(
    emulator: RunningEmulator, org: SalesforceOrg, page_size: int | None
) -> None:
    local, [ada] = subscribers({"email": "ada@example.com", "last_name": "Lovelace"})
    options = RunOptions(page_size=page_size)
    async with connected(emulator) as app:
        await app.sync("main", "Contact", local, options=options)
        [lost] = await crm_ids(app, "Contact", ada)
        kept = org.create("Contact", {"LastName": "King", "Email": "ada@king.example"})
        org.merge("Contact", kept, [str(lost)], {"Phone": "1"})
        await app.sync("main", "Contact", local, options=options)
        assert await crm_ids(app, "Contact", ada) == [kept]
        assert len(local.snapshot()) == 1
        assert (await app.sync("main", "Contact", local, options=options)).written == 0
    assert [row["Id"] for row in org.records("Contact")] == [kept]


@pytest.mark.parametrize("page_size", [None, 1])
async def test_a_person_who_was_deleted_here_and_merged_there_stays_deleted(
    emulator: RunningEmulator, org: SalesforceOrg, page_size: int | None
) -> None:
    """The survivor, read before the loser's tombstone and taken for a new person, would bring the deleted one back."""
    local, [ada] = subscribers({"email": "ada@example.com", "last_name": "Lovelace"})
    options = RunOptions(page_size=page_size)
    async with connected(emulator) as app:
        await app.sync("main", "Contact", local, options=options)
        [lost] = await crm_ids(app, "Contact", ada)
        kept = org.create("Contact", {"LastName": "King", "Email": "ada@king.example"})
        org.advance(60)
        org.merge("Contact", kept, [str(lost)])
        local.remove(ada)
        for _ in range(2):
            await app.sync("main", "Contact", local, options=options)
    assert local.snapshot() == {}


async def test_of_two_linked_contacts_that_are_merged_one_local_record_is_set_aside(
    emulator: RunningEmulator, org: SalesforceOrg
) -> None:
    local, [ada, ida] = subscribers(
        {"email": "ada@example.com", "last_name": "Lovelace"}, {"email": "ida@example.com", "last_name": "Lovelace"}
    )
    async with connected(emulator) as app:
        await app.sync("main", "Contact", local)
        kept, lost = await crm_ids(app, "Contact", ada, ida)
        org.merge("Contact", str(kept), [str(lost)])
        report = await app.sync("main", "Contact", local)
        assert [problem.code for problem in report.problems] == ["merged"]
        links = await app.repository.links_by_local("main", "Contact", [ada, ida])
        assert [links[one].status for one in (ada, ida)] == [LinkStatus.SYNCED, LinkStatus.UNLINKED]
        assert (await app.sync("main", "Contact", local)).written == 0
    assert len(local.snapshot()) == 2
    assert len(org.records("Contact")) == 1


@pytest.fixture(params=[None, 1], ids=["whole pages", "pages of one"])
def options(request: pytest.FixtureRequest) -> RunOptions:
    return RunOptions(page_size=request.param)


async def test_new_people_become_leads_and_existing_contacts_stay_contacts(
    emulator: RunningEmulator, org: SalesforceOrg, options: RunOptions
) -> None:
    contact = org.create("Contact", {"LastName": "Hopper", "Email": "GRACE@example.com"})
    grace = {"email": "grace@example.com", "last_name": "Hopper", "phone": "1"}
    local, [ada, hopper, bob] = subscribers(ADA, grace, {"email": "b@x.example", "last_name": "B", "company": "Bob's"})
    async with people(emulator) as app:
        await app.sync("main", "Person", local, options=options)
        leads = {row["MarkMail_Id__c"]: row for row in org.records("Lead")}
        assert set(leads) == {ada, bob}
        assert (leads[ada]["Company"], leads[bob]["Company"]) == ("[not provided]", "Bob's")
        assert [(row["Id"], row["Phone"], row["MarkMail_Id__c"]) for row in org.records("Contact")] == [
            (contact, "1", hopper)
        ]
        assert local.snapshot()[ada].get("company") is None
        assert await in_step(app, local, options)


async def test_a_persons_company_is_the_leads_field_or_the_contacts_account(
    emulator: RunningEmulator, org: SalesforceOrg, options: RunOptions
) -> None:
    works = org.create("Account", {"Name": "Works"})
    contacts = [
        org.create("Contact", {"LastName": f"C{n}", "Email": f"c{n}@x.example", "AccountId": works}) for n in range(2)
    ]
    local, [ada, *theirs] = subscribers(
        {**ADA, "company": "Engines"}, *({"email": f"c{n}@x.example", "last_name": f"C{n}"} for n in range(2))
    )
    async with people(emulator, accounts="create") as app:
        await app.sync("main", "Person", local, options=options)
        assert [row["Company"] for row in org.records("Lead")] == ["Engines"]
        assert [local.snapshot()[one]["company"] for one in theirs] == ["Works"] * 2
        local.edit(theirs[0], company="Looms")
        local.edit(ada, company=None)
        org.update("Contact", contacts[1], {"AccountId": None})
        await app.sync("main", "Person", local, options=options)
        names = {row["Id"]: row["Name"] for row in org.records("Account")}
        employers = {row["Id"]: names.get(row["AccountId"] or "") for row in org.records("Contact")}
        assert employers == dict(zip(contacts, ["Looms", None], strict=True))
        assert [row["Company"] for row in org.records("Lead")] == ["[not provided]"]
        assert local.snapshot()[theirs[1]]["company"] is None
        assert await in_step(app, local, options)


async def test_a_company_that_means_no_one_account_is_reported_and_the_rest_of_the_person_written(
    emulator: RunningEmulator, org: SalesforceOrg
) -> None:
    org.create("Contact", {"LastName": "C", "Email": "c@x.example"})
    local, [person] = subscribers({"email": "c@x.example", "last_name": "C", "company": "Works", "phone": "1"})
    async with people(emulator, accounts="link") as app:
        report = await app.sync("main", "Person", local)
        assert [(problem.field, problem.code) for problem in report.problems] == [("Company", "no_account")]
        assert [row["Phone"] for row in org.records("Contact")] == ["1"]
        works = org.create("Account", {"Name": "Works"})
        assert (await app.sync("main", "Person", local)).problems == ()
        assert [row["AccountId"] for row in org.records("Contact")] == [works]
        plan = await app.plan("main", "Person", local)
        assert plan.calls is not None
        assert local.snapshot()[person]["company"] == "Works"


async def test_people_born_in_the_crm_come_over_whichever_they_are(
    emulator: RunningEmulator, org: SalesforceOrg, options: RunOptions
) -> None:
    contact = org.create("Contact", {"LastName": "Hopper", "Email": "grace@example.com"})
    lead = org.create("Lead", {"LastName": "Lovelace", "Email": "ada@example.com", "Company": "[not provided]"})
    local, _ = subscribers()
    async with people(emulator) as app:
        await app.sync("main", "Person", local, options=options)
        rows = {str(fields["email"]): (key, fields) for key, fields in local.snapshot().items()}
        assert set(rows) == {"grace@example.com", "ada@example.com"}
        ids = [rows[email][0] for email in ("grace@example.com", "ada@example.com")]
        assert await crm_ids(app, "Person", *ids) == [contact, lead]
        assert rows["ada@example.com"][1].get("company") is None
        for one in ids:
            local.edit(one, phone="7")
        await app.sync("main", "Person", local, options=options)
        assert [row["Phone"] for row in (*org.records("Contact"), *org.records("Lead"))] == ["7", "7"]
        assert await in_step(app, local, options)
    assert (len(org.records("Contact")), len(org.records("Lead"))) == (1, 1)


async def test_a_converted_lead_is_the_contact_from_then_on(
    emulator: RunningEmulator, org: SalesforceOrg, options: RunOptions
) -> None:
    local, [ada] = subscribers(ADA)
    async with people(emulator) as app:
        await app.sync("main", "Person", local, options=options)
        [lead] = await crm_ids(app, "Person", ada)
        org.advance(60)
        contact = org.convert_lead(str(lead)).contact_id
        local.edit(ada, first_name="Augusta Ada")
        org.update("Contact", contact, {"Phone": "1"})
        await app.sync("main", "Person", local, options=options)
        assert await crm_ids(app, "Person", ada) == [contact]
        [row] = org.records("Contact")
        assert (row["FirstName"], row["MarkMail_Id__c"]) == ("Augusta Ada", ada)
        assert [fields["phone"] for fields in local.snapshot().values()] == ["1"]
        assert await in_step(app, local, options)
    assert len(org.records("Lead")) == 1


async def test_a_converted_lead_that_was_deleted_here_is_not_brought_back(
    emulator: RunningEmulator, org: SalesforceOrg, options: RunOptions
) -> None:
    local, [ada] = subscribers(ADA)
    async with people(emulator) as app:
        await app.sync("main", "Person", local, options=options)
        [lead] = await crm_ids(app, "Person", ada)
        org.advance(60)
        org.convert_lead(str(lead))
        local.remove(ada)
        for _ in range(2):
            await app.sync("main", "Person", local, options=options)
    assert local.snapshot() == {}


async def test_a_read_from_the_start_takes_no_conversion_for_a_delete(
    emulator: RunningEmulator, org: SalesforceOrg
) -> None:
    """Both records were linked, so one local record is left over: it is reported, whatever deletes do."""
    local, [ada, ida] = subscribers(ADA, {"email": "ida@example.com", "last_name": "King"})
    mapping = PERSON.model_copy(update={"delete_in_local": DeletePolicy.PROPAGATE})
    async with people(emulator, mappings={"Person": mapping}) as app:
        contact = org.create("Contact", {"LastName": "King", "Email": "ida@example.com"})
        await app.sync("main", "Person", local)
        [lead, linked] = await crm_ids(app, "Person", ada, ida)
        assert linked == contact
        org.convert_lead(str(lead), Conversion(contact_id=contact))
        # Whether a scan is complete is told by whole seconds of the server's Date.
        await anyio.sleep(2.1)
        report = await app.sync("main", "Person", local, options=RunOptions(full=True))
        assert [problem.code for problem in report.problems] == ["merged"]
        assert set(local.snapshot()) == {ada, ida}


async def test_a_lead_converted_into_a_contact_that_is_merged_is_followed_to_the_end(
    emulator: RunningEmulator, org: SalesforceOrg, options: RunOptions
) -> None:
    local, [ada] = subscribers(ADA)
    async with people(emulator) as app:
        await app.sync("main", "Person", local, options=options)
        [lead] = await crm_ids(app, "Person", ada)
        first = org.convert_lead(str(lead)).contact_id
        kept = org.create("Contact", {"LastName": "King", "Email": "ada@king.example"})
        org.merge("Contact", kept, [first])
        await app.sync("main", "Person", local, options=options)
        assert await crm_ids(app, "Person", ada) == [kept]
        assert await in_step(app, local, options)
    assert len(local.snapshot()) == 1


async def test_a_person_who_is_contact_and_lead_is_the_contact_until_the_lead_is_converted(
    emulator: RunningEmulator, org: SalesforceOrg, options: RunOptions
) -> None:
    lead = org.create("Lead", {"LastName": "Lovelace", "Email": "ada@example.com", "Company": "Acme"})
    contact = org.create("Contact", {"LastName": "Lovelace", "Email": "ada@example.com"})
    local, [ada] = subscribers(ADA)
    async with people(emulator) as app:
        for _ in range(2):
            report = await app.sync("main", "Person", local, options=options)
            assert await crm_ids(app, "Person", ada) == [contact]
            assert [(problem.code, problem.crm_id) for problem in report.problems] == [("duplicate", lead)]
        org.convert_lead(lead, Conversion(contact_id=contact))
        assert await in_step(app, local, options)
        assert await crm_ids(app, "Person", ada) == [contact]
    assert len(local.snapshot()) == 1


async def test_a_rule_says_which_new_people_become_contacts(
    emulator: RunningEmulator, org: SalesforceOrg, options: RunOptions
) -> None:
    local, [ada, bob] = subscribers(
        {**ADA, "tags": ("Customer", "vip"), "company": "Acme"}, {"email": "bob@example.com", "last_name": "Bob"}
    )
    rule = {"field": "MarkMail_Tags__c", "values": ["customer"]}
    async with people(emulator, contact_when=rule) as app:
        await app.sync("main", "Person", local, options=options)
        assert [row["MarkMail_Id__c"] for row in org.records("Contact")] == [ada]
        assert [row["MarkMail_Id__c"] for row in org.records("Lead")] == [bob]
        local.edit(bob, tags=("customer",))
        assert await in_step(app, local, options)
    assert [row["MarkMail_Tags__c"] for row in org.records("Lead")] == ["customer"], "who is a lead stays one"


@pytest.mark.parametrize("kind", ["contact", "lead_then_contact"])
async def test_people_linked_while_the_external_id_was_hidden_get_it_once_it_is_shown(
    emulator: RunningEmulator, org: SalesforceOrg, kind: str
) -> None:
    """Hidden from Contact alone, a person who is a lead goes without, too: no key finds people of both kinds then."""
    name = {"contact": "Contact", "lead_then_contact": "Person"}[kind]
    org.create("Contact", {"LastName": "Lovelace", "FirstName": "Ada", "Email": "ada@example.com"})
    local, ids = subscribers(ADA, {"email": "bob@example.com", "last_name": "Bob"})
    async with connected(emulator, people=kind) as app:
        org.set_profile(API_USER_ID, Profile(hidden=frozenset({"Contact.MarkMail_Id__c"})))
        await app.sync("main", name, local)
        assert {row["MarkMail_Id__c"] for row in org.records("Contact")} == {None}
        org.set_profile(API_USER_ID, None)
        plan = await app.plan("main", name, local)
        assert [(write.side, dict(write.fields)) for each in plan.records for write in each.writes] == [
            (Side.REMOTE, {})
        ] * 2
        await app.sync("main", name, local)
        held = {row["Id"]: row["MarkMail_Id__c"] for each in ("Contact", "Lead") for row in org.records(each)}
        assert held == dict(zip(await crm_ids(app, name, *ids), ids, strict=True))
        assert [(await app.sync("main", name, local)).written for _ in range(2)] == [0, 0]


class Meanwhile(MemoryRecordStore):
    """A store during whose next write ``then`` happens elsewhere: after the CRM was read, before it is written."""

    def __init__(self) -> None:
        super().__init__("subscribers")
        self.then: Callable[[], object] | None = None

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        then, self.then = self.then, None
        if then is not None:
            then()
        return await super().write(operations)


@pytest.mark.parametrize("channel", ["collections", "bulk"])
@pytest.mark.parametrize("deletes", [DeletePolicy.IGNORE, DeletePolicy.PROPAGATE])
async def test_a_lead_converted_while_it_is_written_is_written_to_as_its_contact_in_the_same_run(
    emulator: RunningEmulator, org: SalesforceOrg, channel: str, deletes: DeletePolicy
) -> None:
    mapping = PERSON.model_copy(update={"delete_in_local": deletes, "delete_in_crm": deletes})
    async with people(emulator, mappings={"Person": mapping}, channel=channel) as app:
        converted: list[str] = []

        def convert() -> None:
            converted.append(org.convert_lead(str(lead)).contact_id)

        local = Meanwhile()
        ada = local.add(ADA)
        await app.sync("main", "Person", local)
        [lead] = await crm_ids(app, "Person", ada)
        local.then = convert
        local.edit(ada, first_name="Augusta Ada")
        org.update("Lead", str(lead), {"Phone": "1"})
        report = await app.sync("main", "Person", local)
        assert (report.status, report.problems) == (RunStatus.SUCCESS, ())
        assert await crm_ids(app, "Person", ada) == converted
        [row] = org.records("Contact")
        assert (row["FirstName"], row["Phone"], row["MarkMail_Id__c"]) == ("Augusta Ada", "1", ada)
        assert [fields["phone"] for fields in local.snapshot().values()] == ["1"]
        assert [(await app.sync("main", "Person", local)).written for _ in range(2)] == [0, 0]


async def test_a_contact_merged_while_it_is_written_is_written_to_as_the_survivor_in_the_same_run(
    emulator: RunningEmulator, org: SalesforceOrg
) -> None:
    """Whatever deletes do: it was not deleted."""
    mapping = PERSON.model_copy(update={"delete_in_local": DeletePolicy.PROPAGATE})
    async with people(emulator, mappings={"Person": mapping}) as app:
        kept: list[str] = []
        lost = org.create("Contact", {"LastName": "Lovelace", "Email": "ada@example.com"})

        def merge() -> None:
            kept.append(org.create("Contact", {"LastName": "King", "Email": "ada@king.example"}))
            org.merge("Contact", kept[0], [lost])

        local = Meanwhile()
        ada = local.add(ADA)
        await app.sync("main", "Person", local)
        local.then = merge
        local.edit(ada, first_name="Augusta Ada")
        org.update("Contact", lost, {"Phone": "1"})
        await app.sync("main", "Person", local)
        assert await crm_ids(app, "Person", ada) == kept
        [row] = org.records("Contact")
        assert row["FirstName"] == "Augusta Ada"
        assert ada in local.snapshot()
