"""Tags that are campaigns: read with people, followed when they change, written for many at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from crmsync.errors import AccessDeniedError, ConfigurationError, CursorExpiredError, RejectedError, SchemaChangedError
from crmsync.models.records import MISSING, Operation, OperationKind, Outcome, OutcomeStatus
from crmsync.models.schema import FieldType
from crmsync.protocols.records import RecordStore, SupportsForesight, SupportsJobs, SupportsMerges, SupportsPrecedence
from crmsync.providers.salesforce.records import SalesforceRecordStore
from crmsync.testing.record_subject import read_pass
from crmsync.testing.salesforce import API_USER_ID, Profile, row_fault
from tests.unit.providers.salesforce.objects.conftest import Connect, Connection, connect

__all__ = ["connect"]

pytestmark = pytest.mark.anyio

FIELD = "CampaignTags"
SETTINGS = {"tags": {"news": "News", "vip": "VIP customers"}}


async def contacts(it: Connection) -> RecordStore:
    for name in SETTINGS["tags"].values():
        if name not in {row["Name"] for row in it.org.records("Campaign")}:
            it.org.create("Campaign", {"Name": name})
    return await it.provider.records("Contact")


def campaign(it: Connection, name: str) -> str:
    [found] = [row["Id"] for row in it.org.records("Campaign") if row["Name"] == name]
    return str(found)


def join(it: Connection, person: str, name: str) -> str:
    field = "LeadId" if person.startswith("00Q") else "ContactId"
    return it.org.create("CampaignMember", {"CampaignId": campaign(it, name), field: person})


def memberships(it: Connection) -> dict[str, set[str]]:
    """By campaign name: the e-mails of its members."""
    names = {row["Id"]: row["Name"] for row in it.org.records("Campaign")}
    found: dict[str, set[str]] = {name: set() for name in names.values()}
    for row in it.org.records("CampaignMember"):
        found[names[row["CampaignId"]]].add(row["Email"])
    return found


def change(person: str, tags: object, **fields: object) -> Operation:
    return Operation(f"op {person} {tags}", OperationKind.UPDATE, person, fields={FIELD: tags, **fields})


def create(number: int, tags: object) -> Operation:
    fields = {"LastName": f"Last {number}", "Email": f"p{number}@example.com", FIELD: tags}
    return Operation(f"op {number}", OperationKind.CREATE, None, key=f"key-{number}", fields=fields)


def statuses(outcomes: Any) -> list[OutcomeStatus]:
    return [outcome.status for outcome in outcomes]


async def test_the_field_has_the_tags_as_its_only_options(connect: Connect) -> None:
    async with connect(campaigns=SETTINGS) as it:
        store = await contacts(it)
        field = (await store.describe()).field(FIELD)
        assert field is not None
        assert (field.type, field.options, field.restricted) == (FieldType.MULTI_PICKLIST, ("news", "vip"), True)
        assert isinstance(store, RecordStore)
        assert isinstance(store, SupportsJobs)
        assert isinstance(store, SupportsMerges)
        assert isinstance(await it.provider.records("Account"), SalesforceRecordStore)


async def test_without_tags_nothing_is_looked_up(connect: Connect) -> None:
    async with connect() as it:
        store = await it.provider.records("Contact")
        assert isinstance(store, SalesforceRecordStore)
        assert (await store.describe()).field(FIELD) is None
        assert [call.path for call in it.sent.calls if call.path != "/services/data"] == ["/sobjects/Contact/describe"]


@pytest.mark.parametrize(
    "tags, said",
    [
        ({"a": "Nothing"}, "campaigns.tags.a: there is no such campaign"),
        ({"a": "7015e0000009999AAA"}, "campaigns.tags.a: there is no such campaign"),
        ({"a": "Twice"}, "campaigns.tags.a: 2 campaigns have this name; give the id"),
        ({"a": "Once", "b": "Once"}, "campaigns.tags.b: another tag stands for this campaign already"),
    ],
)
async def test_a_campaign_that_is_not_clear_stops_before_anything_is_read(
    connect: Connect, tags: dict[str, str], said: str
) -> None:
    async with connect(campaigns={"tags": tags}) as it:
        for name in ("Once", "Twice", "Twice"):
            it.org.create("Campaign", {"Name": name})
        with pytest.raises(ConfigurationError, match=said):
            await it.provider.records("Contact")
        assert [warning for warning in (await it.provider.test_connection()).warnings if said in warning]


async def test_a_campaign_can_be_named_by_its_id_whatever_it_is_called(connect: Connect) -> None:
    async with connect(org={}) as first:
        key = first.org.create("Campaign", {"Name": "Renamed often"})
    async with connect(campaigns={"tags": {"news": key}}) as it:
        assert it.org.create("Campaign", {"Name": "Renamed often"}) == key
        store = await it.provider.records("Contact")
        await store.write([create(1, ("news",))])
        assert memberships(it) == {"Renamed often": {"p1@example.com"}}


async def test_hidden_campaigns_are_a_clear_finding(connect: Connect) -> None:
    async with connect(campaigns=SETTINGS) as it:
        it.org.set_profile(it.org.user_id, Profile(objects={"CampaignMember": ""}))
        with pytest.raises(AccessDeniedError, match="Marketing User"):
            await contacts(it)


async def test_who_may_not_change_members_reads_them(connect: Connect) -> None:
    async with connect(campaigns=SETTINGS) as it:
        it.org.set_profile(it.org.user_id, Profile(objects={"CampaignMember": "r"}))
        field = (await (await contacts(it)).describe()).field(FIELD)
        assert field is not None
        assert not field.createable
        assert not field.updateable


async def test_tags_are_read_by_every_way(connect: Connect) -> None:
    async with connect(campaigns=SETTINGS) as it:
        store = await contacts(it)
        one, two, none = (it.contact(n, MarkMail_Id__c=f"k{n}") for n in range(3))
        other = it.org.create("Campaign", {"Name": "Not a tag"})
        join(it, one, "News")
        join(it, one, "VIP customers")
        join(it, two, "VIP customers")
        it.org.create("CampaignMember", {"CampaignId": other, "ContactId": none})
        expected = {one: ("news", "vip"), two: ("vip",), none: None}
        fields = ("Email", FIELD)
        read = (await read_pass(store, None, fields, limit=2)).newest()
        found = [*await store.find("Email", [f"p{n}@example.com" for n in range(3)], fields=fields)]
        keyed = [*await store.find_by_key(["k0", "k1", "k2"], fields=fields)]
        by_id = await store.get([one, two, none], fields=fields)
        for records in (read.values(), found, keyed, by_id.values()):
            assert {record.id: record.fields[FIELD] for record in records} == expected
            assert all(record.fields["Email"] for record in records)
        assert FIELD not in (await store.get([one], fields=("Email",)))[one].fields
        with pytest.raises(SchemaChangedError):
            await store.find(FIELD, ["news"], fields=())


async def test_leads_have_tags_too(connect: Connect) -> None:
    async with connect(campaigns=SETTINGS) as it:
        await contacts(it)
        person = it.lead(1)
        join(it, person, "News")
        store = await it.provider.records("Lead")
        assert (await store.get([person], fields=(FIELD,)))[person].fields == {FIELD: ("news",)}
        [outcome] = await store.write([change(person, ("vip",))])
        assert outcome.ok
        assert memberships(it)["VIP customers"] == {"p1@example.com"}
        assert memberships(it)["News"] == set()


async def test_who_joins_or_leaves_in_salesforce_is_met_by_the_next_pass(connect: Connect) -> None:
    async with connect(campaigns=SETTINGS, look_back_seconds=0, safety_seconds=0) as it:
        store = await contacts(it)
        people = [it.contact(n) for n in range(5)]
        member = join(it, people[0], "News")
        it.clock.tick(120)
        first = await read_pass(store, None, (FIELD,))
        it.clock.tick(120)
        quiet = await read_pass(store, first.cursor, (FIELD,))
        assert quiet.newest() == {}
        it.org.delete("CampaignMember", member)
        for person in people[2:]:
            join(it, person, "VIP customers")
        it.clock.tick(120)
        after = await read_pass(store, quiet.cursor, (FIELD,), limit=2)
        tags = {key: record.fields[FIELD] for key, record in after.newest().items()}
        assert tags == {people[0]: None, **dict.fromkeys(people[2:], ("vip",))}
        it.clock.tick(120)
        assert (await read_pass(store, after.cursor, (FIELD,))).newest() == {}


@pytest.mark.parametrize("changes", ["query", "get_updated"])
@pytest.mark.parametrize("people", ["contact", "lead_then_contact"])
async def test_who_joins_in_a_long_transaction_is_met_once_it_ends(connect: Connect, changes: str, people: str) -> None:
    async with connect(campaigns=SETTINGS, changes=changes, people=people) as it:
        await contacts(it)
        store = await it.provider.records("Person" if people == "lead_then_contact" else "Contact")
        person = it.contact(1)
        it.clock.tick(3600)
        first = await read_pass(store, None, (FIELD,))
        it.org.faults.commit_late(7200, lambda object_name, _row: object_name == "CampaignMember")
        join(it, person, "News")
        it.clock.tick(3600)
        waiting = await read_pass(store, first.cursor, (FIELD,))
        assert waiting.newest() == {}
        it.clock.tick(3601)
        after = await read_pass(store, waiting.cursor, (FIELD,))
        assert {key: record.fields[FIELD] for key, record in after.newest().items()} == {person: ("news",)}


async def test_a_complete_scan_is_one_with_tags_too_and_old_positions_ask_for_one(connect: Connect) -> None:
    async with connect(campaigns=SETTINGS) as it:
        store = await contacts(it)
        it.contact(1)
        page = await store.changes(None, fields=(FIELD,))
        assert (page.complete_scan, page.has_more, len(page.records)) == (True, False, 1)
    async with connect() as plain:
        cursor = (await (await contacts(plain)).changes(None, fields=())).cursor
    async with connect(campaigns=SETTINGS) as it:
        store = await contacts(it)
        with pytest.raises(CursorExpiredError):
            await store.changes(cursor, fields=(FIELD,))


async def test_tags_are_added_and_taken_away_and_the_rest_is_written(connect: Connect) -> None:
    async with connect(campaigns={**SETTINGS, "member_status": "Responded"}) as it:
        store = await contacts(it)
        one, two, three = (it.contact(n) for n in range(3))
        join(it, one, "News")
        join(it, two, "News")
        operations = [
            change(one, ("vip",), Title="Dr"),
            change(two, None),
            change(three, MISSING, Title="Prof"),
            create(9, ("news", "vip")),
        ]
        outcomes = await store.write(operations)
        assert statuses(outcomes) == [*[OutcomeStatus.UPDATED] * 3, OutcomeStatus.CREATED]
        assert memberships(it) == {
            "News": {"p9@example.com"},
            "VIP customers": {"p0@example.com", "p9@example.com"},
        }
        assert {row["Status"] for row in it.org.records("CampaignMember")} == {"Responded"}
        assert [row.get("Title") for row in it.org.records("Contact")][:3] == ["Dr", None, "Prof"]
        again = await store.write([change(one, ("vip",))])
        assert statuses(again) == [OutcomeStatus.UPDATED]
        assert len(it.org.records("CampaignMember")) == 3


async def test_two_operations_on_one_person_end_with_the_later_one(connect: Connect) -> None:
    async with connect(campaigns=SETTINGS) as it:
        store, person = await contacts(it), it.contact(1)
        await store.write([change(person, ("news",)), change(person, ("vip",))])
        assert memberships(it) == {"News": set(), "VIP customers": {"p1@example.com"}}


async def test_a_person_who_is_refused_joins_nothing(connect: Connect) -> None:
    async with connect(campaigns=SETTINGS) as it:
        store = await contacts(it)
        bad = Operation("bad", OperationKind.CREATE, None, key="k", fields={"Email": "x", FIELD: ("news",)})
        outcomes = await store.write([bad, create(1, ("news",))])
        assert statuses(outcomes) == [OutcomeStatus.FAILED, OutcomeStatus.CREATED]
        assert memberships(it)["News"] == {"p1@example.com"}


async def test_a_membership_that_is_refused_leaves_the_field_unwritten_and_nobody_else_behind(
    connect: Connect,
) -> None:
    async with connect(campaigns=SETTINGS) as it:
        store = await contacts(it)
        one, two = it.contact(1), it.contact(2)
        refusal = row_fault(
            "CampaignMember", lambda row: row["ContactId"] == one, "INSUFFICIENT_ACCESS_OR_READONLY", "no"
        )
        it.org.faults.reject(refusal)
        mixed, alone, good = await store.write(
            [change(one, ("news",), Title="Dr"), change(one, ("news", "vip")), change(two, ("news",))]
        )
        assert statuses([mixed, alone, good]) == [OutcomeStatus.UPDATED, OutcomeStatus.FAILED, OutcomeStatus.UPDATED]
        for error in (*mixed.unwritten, alone.error):
            assert isinstance(error, RejectedError)
            assert (error.field, error.code) == (FIELD, "INSUFFICIENT_ACCESS_OR_READONLY")
        assert good.unwritten == ()
        assert memberships(it)["News"] == {"p2@example.com"}


async def test_a_person_who_is_gone_is_missing_or_refused_and_hinders_nobody(connect: Connect) -> None:
    async with connect(campaigns=SETTINGS) as it:
        store = await contacts(it)
        gone, there = it.contact(1), it.contact(2)
        it.org.delete("Contact", gone)
        outcomes = await store.write([change(gone, ("news",), Title="Dr"), change(there, ("news",))])
        assert statuses(outcomes) == [OutcomeStatus.MISSING, OutcomeStatus.UPDATED]
        [alone] = await store.write([change(gone, ("news",))])
        assert alone.status is OutcomeStatus.FAILED


async def test_somebody_else_who_was_faster_is_no_failure(connect: Connect) -> None:
    async with connect(campaigns=SETTINGS) as it:
        store, person = await contacts(it), it.contact(1)
        it.sent.before("POST", "/composite/sobjects", lambda: join(it, person, "News"))
        [outcome] = await store.write([change(person, ("news",))])
        assert outcome == Outcome(outcome.op_id, OutcomeStatus.UPDATED, person)
        assert memberships(it)["News"] == {"p1@example.com"}


async def test_calls_grow_with_pages_and_not_with_people(connect: Connect) -> None:
    async with connect(campaigns=SETTINGS) as it:
        store = await contacts(it)
        people = [it.contact(n) for n in range(400)]
        for person in people[:200]:
            join(it, person, "News")
        before = len(it.sent.calls)
        wanted: Mapping[str, tuple[str, ...]] = {
            person: ("vip",) if number % 2 else ("news", "vip") for number, person in enumerate(people)
        }
        outcomes = await store.write([change(person, tags) for person, tags in wanted.items()])
        assert all(outcome.ok and not outcome.unwritten for outcome in outcomes)
        # One query for who is a member; of 500 who join 200 go ahead and the others in one call; 100 leave.
        assert len(it.sent.calls) - before == 1 + 2 + 1
        assert {name: len(people) for name, people in memberships(it).items()} == {"News": 200, "VIP customers": 400}
        before = len(it.sent.calls)
        read = await store.get(people, fields=(FIELD,))
        assert {key: record.fields[FIELD] for key, record in read.items()} == dict(wanted)
        assert len(it.sent.calls) - before <= 3


async def test_people_who_are_contacts_or_leads_have_tags_as_either(connect: Connect) -> None:
    async with connect(campaigns=SETTINGS, people="lead_then_contact") as it:
        await contacts(it)
        store = await it.provider.records("Person")
        contact, lead = it.contact(1), it.lead(2)
        join(it, contact, "News")
        outcomes = await store.write([change(contact, ("vip",)), change(lead, ("news",)), create(3, ("vip",))])
        assert all(outcome.ok and not outcome.unwritten for outcome in outcomes)
        assert memberships(it) == {
            "News": {"p2@example.com"},
            "VIP customers": {"p1@example.com", "p3@example.com"},
        }
        read = (await read_pass(store, None, (FIELD,))).newest()
        assert {read[contact].fields[FIELD], read[lead].fields[FIELD]} == {("vip",), ("news",)}
        assert isinstance(store, SupportsPrecedence)
        assert [record.id for record in store.foremost(list(read.values()))] == [contact]


async def test_nobody_joins_a_campaign_that_lacks_the_status_of_new_members(connect: Connect) -> None:
    """Salesforce would give them the default; the other campaigns are joined, and the test of a connection says it."""
    async with connect(campaigns={**SETTINGS, "member_status": "Invited"}) as it:
        store, person = await contacts(it), it.contact(1)
        it.org.create("CampaignMemberStatus", {"CampaignId": campaign(it, "News"), "Label": "Invited"})
        [outcome] = await store.write([change(person, ("news", "vip"), Title="Dr")])
        assert [(error.code, error.field) for error in outcome.unwritten] == [("unknown_status", FIELD)]
        assert memberships(it) == {"News": {"p1@example.com"}, "VIP customers": set()}
        [warning] = (await it.provider.test_connection()).warnings
        assert warning.startswith(
            "campaigns.tags.vip: nobody joins as 'Invited': the campaign has no such member status"
        )


async def test_the_status_of_new_members_is_made_where_the_settings_say_so(connect: Connect) -> None:
    given = {**SETTINGS, "member_status": "Invited", "create_member_statuses": True}
    async with connect(campaigns=given) as it:
        store, person = await contacts(it), it.contact(1)
        assert (await it.provider.test_connection()).warnings == ()
        assert isinstance(store, SupportsForesight)
        [warning] = await store.foresee([change(person, ("news", "vip"))])
        assert (warning.code, "'Invited' in 2 campaign(s)" in warning.message) == ("creates_member_statuses", True)
        assert not await store.foresee([change(person, None), change(person, ())])
        [outcome] = await store.write([change(person, ("news", "vip"))])
        assert (outcome.ok, outcome.unwritten) == (True, ())
        assert memberships(it) == {"News": {"p1@example.com"}, "VIP customers": {"p1@example.com"}}
        assert {row["Status"] for row in it.org.records("CampaignMember")} == {"Invited"}


async def test_nobody_joins_where_the_status_may_not_be_made(connect: Connect) -> None:
    given = {**SETTINGS, "member_status": "Invited", "create_member_statuses": True}
    async with connect(campaigns=given) as it:
        it.org.set_profile(API_USER_ID, Profile(objects={"CampaignMemberStatus": "r"}))
        store, person = await contacts(it), it.contact(1)
        [outcome] = await store.write([change(person, ("news",), Title="Dr")])
        assert [(error.code, error.field) for error in outcome.unwritten] == [("unknown_status", FIELD)]
        assert all("may not create it" in warning for warning in (await it.provider.test_connection()).warnings)
        assert memberships(it) == {"News": set(), "VIP customers": set()}
