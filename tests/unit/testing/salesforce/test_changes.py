"""Who changed what and when: stamps, ties, the recycle bin, merges, and the replication feeds."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

import attrs
import httpx2
import pytest

from crmsync.testing.salesforce import API_USER_ID, OTHER_USER_ID, RowError, SalesforceOrg, make_id
from crmsync.testing.salesforce.transport import InProcessTransport

pytestmark = pytest.mark.anyio

CONTACT = "/services/data/v68.0/sobjects/Contact"


def record(org: SalesforceOrg, record_id: str, object_name: str = "Contact") -> dict[str, Any]:
    """Return a record that is there."""
    found = org.get(object_name, record_id)
    assert found is not None
    return found


async def test_stamps_have_whole_seconds_so_ties_happen(org: SalesforceOrg) -> None:
    first, second = (org.create("Contact", {"LastName": name}) for name in "AB")
    stamps = {record(org, record_id)["SystemModstamp"] for record_id in (first, second)}
    assert stamps == {"2026-11-24T20:34:26.000+0000"}


async def test_an_update_that_changes_nothing_moves_the_stamps(org: SalesforceOrg) -> None:
    record_id = org.create("Contact", {"LastName": "Ng"})
    org.advance(5)
    org.update("Contact", record_id, {"LastName": "Ng"})
    after = record(org, record_id)
    assert after["CreatedDate"] == "2026-11-24T20:34:26.000+0000"
    assert after["LastModifiedDate"] == after["SystemModstamp"] == "2026-11-24T20:34:31.000+0000"


async def test_a_change_names_its_user_by_python_or_by_token() -> None:
    third = make_id("005", 77)
    org = SalesforceOrg(users={"00Dx!third": third})
    record_id = org.create("Contact", {"LastName": "Ng"})
    assert record(org, record_id)["CreatedById"] == record(org, record_id)["LastModifiedById"] == OTHER_USER_ID
    async with httpx2.AsyncClient(transport=InProcessTransport(org), base_url="http://org.example") as caller:
        for token, user_id in ((org.access_token, API_USER_ID), ("00Dx!third", third)):
            headers = {"Authorization": f"Bearer {token}"}
            await caller.patch(f"{CONTACT}/{record_id}", json={"FirstName": "Li"}, headers=headers)
            assert record(org, record_id)["LastModifiedById"] == user_id
    assert record(org, third, "User")["IsActive"] is True


async def test_a_delete_moves_the_stamp_and_an_undelete_brings_the_record_back(org: SalesforceOrg) -> None:
    record_id = org.create("Contact", {"LastName": "Ng", "MarkMail_Id__c": "m1"})
    org.advance(1)
    org.delete("Contact", record_id)
    gone = record(org, record_id)
    assert (gone["IsDeleted"], gone["SystemModstamp"]) == (True, "2026-11-24T20:34:27.000+0000")
    org.advance(1)
    org.undelete("Contact", record_id)
    back = record(org, record_id)
    assert (back["IsDeleted"], back["MarkMail_Id__c"]) == (False, "m1")
    assert back["SystemModstamp"] == "2026-11-24T20:34:28.000+0000"
    with pytest.raises(RowError, match="UNDELETE_FAILED"):
        org.undelete("Contact", record_id)


async def test_a_merge_leaves_the_masters_id_on_the_loser_and_moves_its_children(org: SalesforceOrg) -> None:
    master, loser = (org.create("Account", {"Name": name}) for name in ("Acme", "ACME Inc."))
    child = org.create("Contact", {"LastName": "Ng", "AccountId": loser})
    org.merge("Account", master, [loser], {"Site": "North"})
    assert record(org, loser, "Account")["IsDeleted"] is True
    assert record(org, loser, "Account")["MasterRecordId"] == master
    assert record(org, master, "Account")["Site"] == "North"
    assert record(org, child)["AccountId"] == master


async def test_a_merge_that_fails_changes_nothing(org: SalesforceOrg) -> None:
    master, loser = (org.create("Contact", {"LastName": name}) for name in "AB")
    with pytest.raises(RowError, match="STRING_TOO_LONG"):
        org.merge("Contact", master, [loser], {"FirstName": "x" * 41})
    assert record(org, loser)["IsDeleted"] is False
    assert record(org, loser)["MasterRecordId"] is None


async def feed(client: httpx2.AsyncClient, name: str, start: str, end: str) -> httpx2.Response:
    """Ask a replication feed."""
    return await client.get(f"{CONTACT}/{name}/", params={"start": start, "end": end})


async def test_the_updated_feed_has_the_ids_changed_in_the_stretch(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    early, changed, gone = (org.create("Contact", {"LastName": name}) for name in "ABC")
    org.advance(120)
    org.update("Contact", changed, {"LastName": "D"})
    org.delete("Contact", gone)
    later = await feed(client, "updated", "2026-11-24T20:36:00+00:00", "2026-11-24T20:40:00Z")
    assert later.json() == {"ids": [changed], "latestDateCovered": "2026-11-24T20:36:26.000+0000"}
    sooner = await feed(client, "updated", "2026-11-24T20:34:00Z", "2026-11-24T20:36:00Z")
    assert sooner.json() == {"ids": [early], "latestDateCovered": "2026-11-24T20:36:00.000+0000"}


async def test_the_feeds_ignore_seconds(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    record_id = org.create("Contact", {"LastName": "A"})
    with_seconds = await feed(client, "updated", "2026-11-24T20:34:59Z", "2026-11-24T20:35:59Z")
    assert with_seconds.json()["ids"] == [record_id]
    same_minute = await feed(client, "updated", "2026-11-24T20:34:00Z", "2026-11-24T20:34:59Z")
    assert same_minute.status_code == 400


async def test_the_deleted_feed_tells_when_until_the_bin_is_emptied(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    kept, gone, back = (org.create("Contact", {"LastName": name}) for name in "ABC")
    for record_id in (gone, back):
        org.delete("Contact", record_id)
    org.undelete("Contact", back)
    stretch = ("2026-11-24T20:00:00Z", "2026-11-24T21:00:00Z")
    assert (await feed(client, "deleted", *stretch)).json() == {
        "deletedRecords": [{"deletedDate": "2026-11-24T20:34:26.000+0000", "id": gone}],
        "earliestDateAvailable": "2025-11-24T20:34:26.000+0000",
        "latestDateCovered": "2026-11-24T20:34:26.000+0000",
    }
    org.advance(60)
    org.empty_recycle_bin()
    emptied = (await feed(client, "deleted", *stretch)).json()
    assert emptied["deletedRecords"] == []
    assert emptied["earliestDateAvailable"] == "2026-11-24T20:35:26.000+0000"
    assert [row["Id"] for row in org.records("Contact", deleted=True)] == [kept, back]


@pytest.mark.parametrize("name,days", [("updated", 30), ("deleted", 15)])
async def test_the_feeds_reach_back_a_bounded_time(
    client: httpx2.AsyncClient, org: SalesforceOrg, name: str, days: int
) -> None:
    def before(time: timedelta) -> str:
        return (org.now() - time).isoformat(timespec="seconds")

    within = await feed(client, name, before(timedelta(days=days, minutes=-2)), before(timedelta()))
    beyond = await feed(client, name, before(timedelta(days=days, minutes=2)), before(timedelta()))
    assert within.status_code == 200
    assert (beyond.status_code, beyond.json()[0]["errorCode"]) == (400, "INVALID_REPLICATION_DATE")


@pytest.mark.parametrize(
    "start,end",
    [
        ("2026-11-24T21:00:00Z", "2026-11-24T20:00:00Z"),
        ("2026-11-24", "2026-11-25"),
        ("2026-11-24T20:00:00", "2026-11-24T21:00:00"),
        ("2026-11-24T20:00:00 00:00", "2026-11-24T21:00:00Z"),
    ],
)
async def test_a_stretch_that_is_none_is_refused(client: httpx2.AsyncClient, start: str, end: str) -> None:
    response = await feed(client, "updated", start, end)
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, "INVALID_REPLICATION_DATE")


async def test_an_end_in_the_future_is_taken_and_covered_until_now(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    """As in "Get a List of Updated Records Within a Given Timeframe", REST API Developer Guide, by more than a day."""
    record_id = org.create("Contact", {"LastName": "A"})
    for name in ("updated", "deleted"):
        ahead = await feed(client, name, "2026-11-24T00:00:00Z", "2026-11-26T00:00:00Z")
        assert ahead.json()["latestDateCovered"] == "2026-11-24T20:34:26.000+0000"
    assert (await feed(client, "updated", "2026-11-24T00:00:00Z", "2026-11-26T00:00:00Z")).json()["ids"] == [record_id]


@pytest.mark.parametrize("name", ["updated", "deleted"])
async def test_the_feeds_of_an_object_that_cannot_be_replicated_are_refused(
    client: httpx2.AsyncClient, org: SalesforceOrg, name: str
) -> None:
    table = org.table("Contact")
    table.definition = attrs.evolve(table.definition, replicateable=False)
    refused = await feed(client, name, "2026-11-24T20:00:00Z", "2026-11-24T20:30:00Z")
    assert refused.status_code == 400
    [error] = refused.json()
    assert (error["errorCode"], error["message"]) == ("INVALID_TYPE", "sObject type Contact is not replicable")


async def test_a_watcher_is_told_of_every_committed_change_with_the_record_before_and_after(org: SalesforceOrg) -> None:
    told: list[tuple[str, dict[str, Any] | None, dict[str, Any]]] = []
    org.watch(lambda *change: told.append(change))
    record_id = org.create("Contact", {"LastName": "Ng"})
    org.update("Contact", record_id, {"LastName": "Li"}, by=API_USER_ID)
    org.delete("Contact", record_id)
    assert [(name, before and before["LastName"], after["LastName"]) for name, before, after in told] == [
        ("Contact", None, "Ng"),
        ("Contact", "Ng", "Li"),
        ("Contact", "Li", "Li"),
    ]
    assert [after["LastModifiedById"] for _, _, after in told] == [OTHER_USER_ID, API_USER_ID, OTHER_USER_ID]
    assert [after["IsDeleted"] for _, _, after in told] == [False, False, True]


async def test_what_is_rolled_back_is_told_to_no_watcher_and_a_transaction_s_changes_of_a_record_are_told_as_one(
    org: SalesforceOrg,
) -> None:
    told: list[tuple[object, object]] = []
    org.watch(lambda _name, before, after: told.append((before and before["Title"], after["Title"])))
    with org.transaction():
        record_id = org.create("Contact", {"LastName": "Ng", "Title": "Dr"})
        org.update("Contact", record_id, {"Title": "Prof"})
    assert told == [(None, "Prof")]
    with suppress(RowError), org.transaction():
        org.update("Contact", record_id, {"Title": "Sir"})
        org.create("Contact", {})
    assert record(org, record_id)["Title"] == "Prof"
    assert told == [(None, "Prof")]
