"""Contacts and leads as one store, where it is more than either."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from pydantic import SecretStr

from crmsync.engine import RunBudget
from crmsync.errors import BudgetExceededError, ConfigurationError, RecordError, SchemaChangedError, UnavailableError
from crmsync.models.calls import StoreUse, StoreVerb
from crmsync.models.records import Operation, OperationKind, Outcome, OutcomeStatus, Record
from crmsync.protocols.provider import ProviderContext
from crmsync.providers.salesforce import SalesforceProvider, SalesforceProviderFactory
from crmsync.providers.salesforce.people.store import PeopleStore
from crmsync.testing.record_subject import read_pass
from crmsync.testing.salesforce import DEFAULT_TOKEN, Conversion, Profile, SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport
from crmsync.testing.world import FakeClock
from tests.unit.providers.salesforce.conftest import URL

pytestmark = pytest.mark.anyio

CREATE, UPDATE = OperationKind.CREATE, OperationKind.UPDATE
FIELDS = ("LastName", "Email", "Company", "HasOptedOutOfEmail")
CUSTOMERS = {"field": "LastName", "values": ["Customer"]}


@attrs.frozen
class Line:
    """An open connection, and what is behind it."""

    provider: SalesforceProvider
    org: SalesforceOrg
    clock: FakeClock
    budget: RunBudget

    async def people(self) -> PeopleStore:
        store = await self.provider.records("Person")
        assert isinstance(store, PeopleStore)
        return store

    def contact(self, **values: Any) -> str:
        return self.org.create("Contact", {"LastName": "Lovelace", "Email": "ada@example.com", **values})

    def lead(self, **values: Any) -> str:
        return self.org.create(
            "Lead", {"LastName": "Lovelace", "Email": "ada@example.com", "Company": "Acme", **values}
        )


@asynccontextmanager
async def connected(
    org: SalesforceOrg | None = None, *, max_calls: int | None = None, **settings: Any
) -> AsyncIterator[Line]:
    clock, budget = FakeClock(), RunBudget(max_calls)
    org = org or SalesforceOrg(clock=clock.now)
    given = {"instance_url": URL, "people": "lead_then_contact", "retry_wait": 0, "safety_seconds": 0, **settings}
    token = {"access_token": SecretStr(DEFAULT_TOKEN)}
    context = ProviderContext(clock, budget)
    async with SalesforceProviderFactory(InProcessTransport(org)).open(given, token, context) as provider:
        yield Line(provider, org, clock, budget)


def create(key: str | None = "k", **fields: object) -> Operation:
    return Operation(f"create {key}", CREATE, None, key=key, fields={"LastName": "Lovelace", **fields})


def told(records: Any) -> dict[str, str | None]:
    return {record.id: record.merged_into for record in records if record.deleted}


@pytest.mark.parametrize("people", ["contact", "lead"])
async def test_people_as_one_are_asked_for_by_the_settings(people: str) -> None:
    async with connected(people=people) as line:
        with pytest.raises(ConfigurationError, match='people = "lead_then_contact"'):
            await line.provider.records("Person")


async def test_a_rule_about_a_field_that_one_object_lacks_is_a_wrong_setting() -> None:
    async with connected(contact_when={"field": "Birthdate", "values": ["x"]}) as line:
        with pytest.raises(ConfigurationError, match=r"contact_when\.field.*'Birthdate'"):
            await line.provider.records("Person")


async def test_a_key_finds_the_contact_that_its_lead_became() -> None:
    async with connected() as line:
        lead, store = line.lead(MarkMail_Id__c="k"), await line.people()
        made = line.org.convert_lead(lead)
        [found] = await store.find_by_key(["k", "other"], fields=FIELDS)
        assert (found.id, found.key, found.fields["LastName"]) == (made.contact_id, "k", "Lovelace")
        line.org.delete("Contact", made.contact_id)
        assert await store.find_by_key(["k"], fields=FIELDS) == []


async def test_a_key_that_both_carry_is_the_contacts() -> None:
    async with connected() as line:
        contact, store = line.contact(MarkMail_Id__c="k"), await line.people()
        line.lead(MarkMail_Id__c="k")
        other = line.lead(MarkMail_Id__c="l")
        assert [record.id for record in await store.find_by_key(["k", "l"], fields=())] == [contact, other]


async def test_query_jobs_of_ranges_read_everybody_who_is_not_converted() -> None:
    async with connected(first_read="bulk", bulk_read_ranges=2) as line:
        contacts = {line.contact(Email=f"c{number}@example.com") for number in range(5)}
        leads = [line.lead(Email=f"l{number}@example.com") for number in range(8)]
        became = line.org.convert_lead(leads.pop(3)).contact_id
        full = await read_pass(await line.people(), None, FIELDS)
        queries = [job.query for job in line.org.bulk.query.values()]
    assert len(full.records) == 13
    assert full.live_ids() == {*contacts, *leads, became}
    assert len(queries) == 4
    assert all("isconverted = false" in query.lower() for query in queries if "FROM Lead" in query)


async def test_a_converted_lead_is_gone_and_says_into_whom() -> None:
    async with connected() as line:
        lead, store = line.lead(), await line.people()
        start = (await read_pass(store, None, FIELDS)).cursor
        line.clock.tick(3600)
        contact = line.org.convert_lead(lead).contact_id
        assert await store.get([lead], fields=FIELDS) == {}
        assert [record.id for record in await store.find("Email", ["ada@example.com"], fields=FIELDS)] == [contact]
        later = await read_pass(store, start, FIELDS)
        assert (told(later.records), later.live_ids()) == ({lead: contact}, {contact})
        full = await read_pass(store, None, FIELDS)
        assert ([record.id for record in full.records], full.complete_scan) == ([contact], True)


async def test_a_conversion_while_a_pass_runs_leaves_no_gap() -> None:
    """Leads are read first: who is converted in between was a lead then, and is a contact still to come."""
    async with connected() as line:
        lead, store = line.lead(), await line.people()
        page = await store.changes(None, fields=FIELDS)
        assert [record.id for record in page.records] == [lead]
        contact = line.org.convert_lead(lead).contact_id
        rest = await read_pass(store, page.cursor, FIELDS)
        assert rest.live_ids() == {contact}


async def test_what_became_a_contact_is_told_through_all_steps() -> None:
    """A lead was merged into one that was converted, and its contact was merged into another."""
    async with connected() as line:
        first, second, store = line.lead(), line.lead(), await line.people()
        line.org.merge("Lead", second, [first])
        contact, kept = line.org.convert_lead(second).contact_id, line.contact()
        line.org.merge("Contact", kept, [contact])
        folded = told(await store.merged_into([kept], fields=()))
        assert folded[contact] == kept
        assert folded[first] == second
        assert folded[second] in (contact, kept), "Salesforce may let the lead refer to the survivor"
        assert set(folded) == {first, second, contact}


async def test_a_lead_that_is_gone_says_into_whom_it_went() -> None:
    async with connected() as line:
        first, second, store = line.lead(), line.lead(), await line.people()
        line.org.merge("Lead", second, [first])
        contact, kept = line.org.convert_lead(second).contact_id, line.contact()
        line.org.merge("Contact", kept, [contact])
        folded = told(await store.merged_away([first, kept], fields=()))
        assert folded.pop(contact, kept) == kept, "unless Salesforce lets the lead refer to the survivor"
        assert (folded[first], set(folded)) == (second, {first, second})


async def test_a_created_person_is_read_back_without_what_stands_for_a_company() -> None:
    async with connected(lead_company="[unknown]") as line:
        store = await line.people()
        [outcome] = await store.write([create()])
        assert outcome.stored is not None
        assert outcome.stored.fields["Company"] is None
        assert [row["Company"] for row in line.org.records("Lead")] == ["[unknown]"]


@pytest.mark.parametrize("converted", [False, True])
async def test_a_new_person_whose_key_a_contact_has_is_that_contact(converted: bool) -> None:
    async with connected(contact_when=CUSTOMERS) as line:
        store = await line.people()
        if converted:
            contact = line.org.convert_lead(line.lead(MarkMail_Id__c="k")).contact_id
        else:
            contact = line.contact(MarkMail_Id__c="k")
        [outcome] = await store.write([create("k", LastName="Customer" if converted else "Byron", Company="B")])
        assert (outcome.status, outcome.id) == (OutcomeStatus.UPDATED, contact)
        [row] = line.org.records("Contact")
        assert (row["LastName"], row["MarkMail_Id__c"]) == ("Customer" if converted else "Byron", "k")


async def test_a_new_contact_whose_key_a_lead_has_is_that_lead() -> None:
    async with connected(contact_when=CUSTOMERS) as line:
        lead, store = line.lead(MarkMail_Id__c="k"), await line.people()
        [outcome] = await store.write([create("k", LastName="Customer")])
        assert (outcome.status, outcome.id) == (OutcomeStatus.UPDATED, lead)
        assert line.org.records("Contact") == []


async def test_a_contacts_company_is_refused_and_not_lost() -> None:
    async with connected() as line:
        contact, store = line.contact(), await line.people()
        [outcome] = await store.write([Operation("u", UPDATE, contact, fields={"Company": "Acme"})])
        assert outcome.status is OutcomeStatus.FAILED
        assert "Company" in str(outcome.error)


async def test_an_id_of_another_object_is_nobody() -> None:
    async with connected() as line:
        account, store = line.org.create("Account", {"Name": "Acme"}), await line.people()
        [outcome] = await store.write([Operation("u", UPDATE, account, fields={"LastName": "x"})])
        assert outcome == Outcome("u", OutcomeStatus.MISSING, account)
        assert await store.get([account, "x"], fields=FIELDS) == {}


async def test_where_one_objects_call_fails_the_others_outcomes_stand() -> None:
    async with connected() as line:
        contact, store = line.contact(), await line.people()
        line.org.set_profile(line.org.user_id, Profile(objects={"Lead": "r"}))
        operations = [create(None), Operation("u", UPDATE, contact, fields={"LastName": "New"})]
        lead, updated = await store.write(operations)
        assert (lead.status, updated.status) == (OutcomeStatus.FAILED, OutcomeStatus.UPDATED)


async def test_where_nothing_arrives_the_write_fails_as_a_whole() -> None:
    async with connected() as line:
        contact, store = line.contact(), await line.people()
        await store.get([contact], fields=FIELDS)
        line.org.faults.fail_next(1000, status=503)
        with pytest.raises(UnavailableError):
            await store.write([create(), Operation("u", UPDATE, contact, fields={"LastName": "New"})])


async def test_a_spent_budget_stops_the_write() -> None:
    async with connected(max_calls=6) as line:
        contact, store = line.contact(), await line.people()
        operations = [create(None), Operation("u", UPDATE, contact, fields={"LastName": "New"})]
        while line.budget.left:
            await store.get([contact], fields=FIELDS)
        with pytest.raises(BudgetExceededError):
            await store.write(operations)


@pytest.mark.parametrize("accounts", ["leave", "create"])
@pytest.mark.parametrize("keys", [True, False])
async def test_no_use_takes_more_calls_than_was_said(keys: bool, accounts: str) -> None:
    org = SalesforceOrg(external_id_field=keys)
    async with connected(org, contact_when=CUSTOMERS, accounts=accounts) as line:
        store, number = await line.people(), 30
        names = ["Customer" if each % 2 else "Other" for each in range(number)]
        creates = [
            create(f"k{each}" if keys else None, LastName=name, Company=f"Works {each}")
            for each, name in enumerate(names)
        ]
        await store.get([line.contact()], fields=FIELDS)

        async def took(verb: StoreVerb, work: Awaitable[object], field: str = "") -> None:
            told = store.estimate(StoreUse(verb, number, FIELDS, field))
            before = line.budget.used
            await work
            assert 0 < line.budget.used - before <= told.most

        await took(StoreVerb.WRITE, store.write(creates))
        ids = [row["Id"] for name in ("Lead", "Contact") for row in org.records(name)][:number]
        await took(StoreVerb.GET, store.get(ids, fields=FIELDS))
        await took(StoreVerb.FIND, store.find("Email", [f"{each}@example.com" for each in ids], fields=FIELDS), "Email")
        if keys:
            await took(StoreVerb.FIND_BY_KEY, store.find_by_key([f"k{each}" for each in range(number)], fields=FIELDS))


async def test_of_a_person_who_is_both_the_contact_stands_first() -> None:
    async with connected() as line:
        contact, lead, store = line.contact(), line.lead(), await line.people()
        found = await store.find("Email", ["ada@example.com"], fields=("Email",))
        assert {record.id for record in found} == {contact, lead}
        assert [record.id for record in store.foremost(found)] == [contact]
        assert [record.id for record in store.foremost([Record(lead)])] == [lead]
        got = await line.provider.get_contact("ada@example.com")
        assert got is not None
        assert got.id == contact


async def test_a_company_is_looked_for_among_leads() -> None:
    async with connected() as line:
        line.contact()
        lead, store = line.lead(), await line.people()
        assert [record.id for record in await store.find("Company", ["Acme"], fields=())] == [lead]
        with pytest.raises(SchemaChangedError):
            await store.find("Birthdate", ["x"], fields=())


async def test_with_accounts_a_company_is_looked_for_among_both() -> None:
    async with connected(accounts="link") as line:
        account = line.org.create("Account", {"Name": "Acme"})
        contact, lead, store = line.contact(AccountId=account), line.lead(), await line.people()
        found = await store.find("Company", ["Acme"], fields=FIELDS)
        assert {record.id: record.fields["Company"] for record in found} == {contact: "Acme", lead: "Acme"}
        [outcome] = await store.write([Operation("u", UPDATE, contact, fields={"Company": "Nobody"})])
        assert isinstance(outcome.error, RecordError)
        assert outcome.error.field == "Company"


async def test_a_lead_that_is_converted_into_a_known_contact_tells_of_it() -> None:
    async with connected() as line:
        contact, lead, store = line.contact(), line.lead(), await line.people()
        line.org.convert_lead(lead, Conversion(contact_id=contact))
        assert told(await store.merged_into([contact], fields=())) == {lead: contact}


async def test_a_converted_lead_says_what_it_held_last_in_a_persons_words() -> None:
    async with connected() as line:
        lead, store = line.lead(FirstName="Ada", Company="Engines"), await line.people()
        start = (await read_pass(store, None, FIELDS)).cursor
        line.clock.tick(3600)
        contact = line.org.convert_lead(lead).contact_id
        fields = ["FirstName", "Company"]
        [told_of] = await store.merged_into([contact], fields=fields)
        assert told_of.fields == {"FirstName": "Ada", "Company": "Engines"}
        assert (await store.merged_away([lead], fields=fields))[0].fields == told_of.fields
        read = [record for record in (await read_pass(store, start, fields)).records if record.deleted]
        assert [record.fields for record in read] == [told_of.fields]


async def test_both_objects_need_the_external_id_for_either_to_be_found_by_it() -> None:
    org = SalesforceOrg()
    org.set_profile(org.user_id, Profile(hidden=frozenset({"Lead.MarkMail_Id__c"})))
    async with connected(org) as line:
        store = await line.people()
        assert not store.limits.external_key
        report = await line.provider.test_connection()
        assert [text for text in report.warnings if text.startswith("Lead has no external id field MarkMail_Id__c")]
        assert not [text for text in report.warnings if text.startswith("Contact ")]
