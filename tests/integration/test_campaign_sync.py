"""Campaigns and their members, both ways, through the engine and over HTTP."""

from __future__ import annotations

from datetime import date

import pytest

from crmsync.models.mappings import MatchKeys, ObjectMapping, two_way
from crmsync.models.plans import Plan
from crmsync.models.runs import RunOptions, RunReport, RunStatus, RunWarning
from crmsync.models.schema import FieldType
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.salesforce import RunningEmulator, SalesforceOrg, custom_field, running_emulator
from tests.integration.emulated import connected

pytestmark = pytest.mark.anyio


def written(report: RunReport) -> int:
    """What a run wrote, by its own count."""
    return report.written


def foreseen(plan: Plan) -> list[RunWarning]:
    """What a plan says of the settings."""
    return [warning for warning in plan.report.warnings if warning.path.startswith("campaigns.")]


def by_name(store: MemoryRecordStore, field: str) -> dict[object, dict[str, object]]:
    return {fields.get(field): dict(fields) for fields in store.snapshot().values()}


async def test_campaigns_flow_both_ways(emulator: RunningEmulator) -> None:
    org: SalesforceOrg = emulator.org
    local = MemoryRecordStore("campaigns")
    spring = local.add(name="Spring", status="Planned", start_date=date(2026, 3, 1), sent=10)
    shared = local.add(name="Both", status="Planned")
    theirs = org.create("Campaign", {"Name": "Both", "Status": "Planned"})
    org.create("Campaign", {"Name": "Theirs", "Status": "Planned"})
    async with connected(emulator) as app:
        await app.sync("main", "Campaign", local)
        rows = {row["Name"]: row for row in org.records("Campaign")}
        assert (rows["Spring"]["StartDate"], rows["Spring"]["NumberSent"]) == ("2026-03-01", 10)
        assert sorted(map(str, by_name(local, "name"))) == sorted(map(str, rows))
        assert len(rows) == 3
        assert theirs in {row["Id"] for row in rows.values()}
        local.edit(spring, status="Completed")
        org.update("Campaign", rows["Theirs"]["Id"], {"Status": "Aborted", "Description": "Off"})
        org.update("Campaign", theirs, {"Description": "Ours too"})
        await app.sync("main", "Campaign", local)
        states = {row["Name"]: row["Status"] for row in org.records("Campaign")}
        assert (states["Spring"], states["Theirs"]) == ("Completed", "Aborted")
        assert by_name(local, "name")["Theirs"]["status"] == "Aborted"
        assert local.snapshot()[shared]["description"] == "Ours too"
        await app.sync("main", "Campaign", local)
        assert written(await app.sync("main", "Campaign", local)) == 0


async def test_statistics_go_out_and_counts_of_members_come_in() -> None:
    fields = [custom_field(f"MarkMail_{name}__c", name, "double") for name in ("Opened", "Clicked")]
    local = MemoryRecordStore("campaigns")
    spring = local.add(name="Spring", sent=10, opened=4, clicked=1, bounced=2)
    with running_emulator(custom_fields={"Campaign": fields}) as emulator:
        org = emulator.org
        async with connected(emulator) as app:
            await app.sync("main", "Campaign", local)
            [row] = org.records("Campaign")
            assert (row["NumberSent"], row["MarkMail_Opened__c"], row["MarkMail_Clicked__c"]) == (10, 4, 1)
            local.edit(spring, opened=5)
            people = [org.create("Contact", {"LastName": name}) for name in ("Ada", "Bo")]
            for person, status in zip(people, ("Sent", "Responded"), strict=True):
                org.create("CampaignMember", {"CampaignId": row["Id"], "ContactId": person, "Status": status})
            await app.sync("main", "Campaign", local)
            assert org.records("Campaign")[0]["MarkMail_Opened__c"] == 5
            held = local.snapshot()[spring]
            assert (held["contact_count"], held["response_count"], held["opened"]) == (2, 1, 5)
            assert (await app.sync("main", "Campaign", local)).written == 0


async def test_members_flow_both_ways_with_their_addresses(emulator: RunningEmulator) -> None:
    org: SalesforceOrg = emulator.org
    campaign = org.create("Campaign", {"Name": "Spring"})
    ada = org.create("Contact", {"LastName": "Ada", "Email": "ada@example.com"})
    bob = org.create("Lead", {"LastName": "Bob", "Company": "Acme", "Email": "bob@example.com"})
    org.create("CampaignMember", {"CampaignId": campaign, "LeadId": bob})
    local = MemoryRecordStore("list_members")
    ours = local.add(crm_campaign_id=campaign, crm_contact_id=ada, status="Sent")
    async with connected(emulator) as app:
        await app.sync("main", "CampaignMember", local)
        members = {row["Email"]: row for row in org.records("CampaignMember")}
        assert set(members) == {"ada@example.com", "bob@example.com"}
        await app.sync("main", "CampaignMember", local)
        assert local.snapshot()[ours]["contact_email"] == "ada@example.com"
        assert by_name(local, "lead_email")["bob@example.com"]["campaign_name"] == "Spring"
        org.update("CampaignMember", members["bob@example.com"]["Id"], {"Status": "Responded"})
        local.edit(ours, status="Responded")
        await app.sync("main", "CampaignMember", local)
        assert by_name(local, "lead_email")["bob@example.com"]["responded"] is True
        assert {row["Status"] for row in org.records("CampaignMember")} == {"Responded"}
        # A copy of a person's value does not move the member's stamp, but the person's own stamp is followed.
        org.update("Contact", ada, {"Email": "ada@new.example"})
        await app.sync("main", "CampaignMember", local)
        assert local.snapshot()[ours]["contact_email"] == "ada@new.example"
        assert written(await app.sync("main", "CampaignMember", local)) == 0


async def test_statuses_are_read(emulator: RunningEmulator) -> None:
    emulator.org.create("Campaign", {"Name": "Spring"})
    local = MemoryRecordStore("list_member_statuses")
    async with connected(emulator) as app:
        await app.sync("main", "CampaignMemberStatus", local)
    assert {label: fields["responded"] for label, fields in by_name(local, "label").items()} == {
        "Sent": False,
        "Responded": True,
    }


async def test_statuses_can_be_written_by_a_mapping_of_ones_own(emulator: RunningEmulator) -> None:
    """One that is added here is added to the campaign, and what is changed there comes here."""
    campaign = emulator.org.create("Campaign", {"Name": "Spring"})
    local = MemoryRecordStore("list_member_statuses")
    ours = local.add(crm_campaign_id=campaign, label="Opened", responded=True)
    fields = (
        two_way("crm_campaign_id", "CampaignId", field_type=FieldType.REFERENCE, required=True),
        two_way("label", "Label", required=True),
        two_way("responded", "HasResponded", field_type=FieldType.BOOLEAN),
    )
    mapping = ObjectMapping(
        local_object="list_member_statuses", fields=fields, match=MatchKeys(local_email="", remote_email="")
    )
    async with connected(emulator, {"CampaignMemberStatus": mapping}) as app:
        assert (await app.sync("main", "CampaignMemberStatus", local)).status is RunStatus.SUCCESS
        statuses = {row["Label"]: row for row in emulator.org.records("CampaignMemberStatus")}
        assert sorted(statuses) == ["Opened", "Responded", "Sent"]
        assert statuses["Opened"]["HasResponded"] is True
        emulator.org.update("CampaignMemberStatus", statuses["Opened"]["Id"], {"HasResponded": False})
        await app.sync("main", "CampaignMemberStatus", local)
        assert local.snapshot()[ours]["responded"] is False
        assert (await app.sync("main", "CampaignMemberStatus", local)).written == 0


async def test_members_name_their_list_and_person_by_our_own_ids(emulator: RunningEmulator) -> None:
    """The bookkeeping knows which of the CRM's records these are."""
    org: SalesforceOrg = emulator.org
    people, lists, members = (MemoryRecordStore(name) for name in ("subscribers", "campaigns", "list_members"))
    ada = people.add(email="ada@example.org", last_name="Lovelace")
    news = lists.add(name="News", status="Planned")
    members.add(list_id=news, subscriber_id=ada, status="Sent")
    fields = (
        two_way("list_id", "CampaignId", field_type=FieldType.REFERENCE, references="Campaign", required=True),
        two_way("subscriber_id", "ContactId", field_type=FieldType.REFERENCE, references="Contact"),
        two_way("status", "Status"),
    )
    mapping = ObjectMapping(
        local_object="list_members", fields=fields, match=MatchKeys(local_email="", remote_email="")
    )
    async with connected(emulator) as app:
        await app.change_mapping("main", "CampaignMember", mapping)
        await app.sync("main", "Contact", people)
        await app.sync("main", "Campaign", lists)
        assert (await app.sync("main", "CampaignMember", members)).status is RunStatus.SUCCESS
        [member] = org.records("CampaignMember")
        [contact], [campaign] = org.records("Contact"), org.records("Campaign")
        assert (member["ContactId"], member["CampaignId"]) == (contact["Id"], campaign["Id"])

        grace = org.create("Contact", {"LastName": "Hopper"})
        org.create("CampaignMember", {"ContactId": grace, "CampaignId": campaign["Id"]})
        await app.sync("main", "Contact", people)
        await app.sync("main", "CampaignMember", members)
    [hopper] = (record_id for record_id, row in people.snapshot().items() if row["last_name"] == "Hopper")
    assert {row["subscriber_id"] for row in members.snapshot().values()} == {ada, hopper}
    assert {row["list_id"] for row in members.snapshot().values()} == {news}


@pytest.mark.parametrize("create, code", [(True, "creates_member_statuses"), (False, "lacks_member_statuses")])
async def test_a_plan_tells_which_statuses_campaigns_lack_and_what_becomes_of_them(
    emulator: RunningEmulator, create: bool, code: str
) -> None:
    """Of new members and of those that are there; what is made then comes here with the other statuses."""
    org: SalesforceOrg = emulator.org
    spring, summer = (org.create("Campaign", {"Name": name}) for name in ("Spring", "Summer"))
    ada = org.create("Contact", {"LastName": "Ada"})
    local = MemoryRecordStore("list_members")
    ours = local.add(crm_campaign_id=spring, crm_contact_id=ada, status="Sent")
    async with connected(emulator, campaigns={"create_member_statuses": create}) as app:
        assert not foreseen(await app.plan("main", "CampaignMember", local))
        await app.sync("main", "CampaignMember", local)
        local.edit(ours, status="Opened")
        local.add(crm_campaign_id=summer, crm_contact_id=ada, status="opened ")
        before = org.api_calls
        plan = await app.plan("main", "CampaignMember", local)
        assert plan.report.remote.api_calls == org.api_calls - before
        [warning] = foreseen(plan)
        assert (warning.path, warning.code) == ("campaigns.create_member_statuses", code)
        assert "in 2 campaign(s)" in warning.message
        assert len(org.records("CampaignMemberStatus")) == 4
        previewed = await app.preview_mapping(
            "main", "CampaignMember", SalesforceProviderFactory().default_mappings()["CampaignMember"], local
        )
        assert [each.code for each in foreseen(previewed.plan)] == [code]
        before = org.api_calls
        assert plan.calls is not None
        report = await app.apply(plan, local)
        assert org.api_calls - before <= plan.calls.most
        held = {row["Status"].casefold() for row in org.records("CampaignMember")}
        assert held == ({"opened"} if create else {"sent"})
        assert [problem.code for problem in report.problems] == ([] if create else ["unknown_status"] * 2)
        statuses = MemoryRecordStore("list_member_statuses")
        await app.sync("main", "CampaignMemberStatus", statuses)
    labels = [str(fields["label"]).strip() for fields in statuses.snapshot().values()]
    assert sum(label.casefold() == "opened" for label in labels) == (2 if create else 0)


async def test_a_plan_is_made_with_the_calls_it_has(emulator: RunningEmulator) -> None:
    """What it would warn of is looked up with what is left."""
    org: SalesforceOrg = emulator.org
    campaign = org.create("Campaign", {"Name": "Spring"})
    ada = org.create("Contact", {"LastName": "Ada"})
    local = MemoryRecordStore("list_members")
    local.add(crm_campaign_id=campaign, crm_contact_id=ada, status="Opened")
    async with connected(emulator) as app:
        whole = [await app.plan("main", "CampaignMember", local) for _ in range(2)][1]
        options = RunOptions(max_calls=whole.reading_calls - 1)
        plan = await app.plan("main", "CampaignMember", local, options=options)
    assert (len(foreseen(whole)), foreseen(plan)) == (1, [])
    assert plan.writes == whole.writes == 1


@pytest.mark.parametrize("read_back", [True, False])
async def test_a_status_that_its_campaign_lacks_is_a_reject_until_the_campaign_has_it(
    emulator: RunningEmulator, read_back: bool
) -> None:
    """The member keeps what it has, and what else was changed arrives."""
    org: SalesforceOrg = emulator.org
    campaign = org.create("Campaign", {"Name": "Spring"})
    ada = org.create("Contact", {"LastName": "Ada", "Email": "ada@example.com"})
    local = MemoryRecordStore("list_members")
    ours = local.add(crm_campaign_id=campaign, crm_contact_id=ada, status="Responded")
    async with connected(emulator, read_back=read_back) as app:
        await app.sync("main", "CampaignMember", local)
        local.edit(ours, status="Opened twice")
        for _ in range(2):
            report = await app.sync("main", "CampaignMember", local)
            assert [(problem.code, problem.field) for problem in report.problems] == [("unknown_status", "Status")]
            assert [row["Status"] for row in org.records("CampaignMember")] == ["Responded"]
            assert local.snapshot()[ours]["status"] == "Opened twice"
        org.create("CampaignMemberStatus", {"CampaignId": campaign, "Label": "Opened twice"})
        await app.sync("main", "CampaignMember", local)
        assert [row["Status"] for row in org.records("CampaignMember")] == ["Opened twice"]
        assert not (await app.sync("main", "CampaignMember", local)).problems
