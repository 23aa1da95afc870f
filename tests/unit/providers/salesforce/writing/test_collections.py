"""Rows through sObject Collections, a page a call: locks, lost answers, malformed calls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crmsync.errors import RejectedError, TransientError, UnavailableError
from crmsync.models.records import OutcomeStatus
from crmsync.testing.salesforce import SalesforceOrg, row_lock
from crmsync.testing.world import FakeClock
from tests.unit.providers.salesforce.writing.conftest import OpenDesk, create, keyed, update

pytestmark = pytest.mark.anyio


def sizes(calls: list[Any]) -> list[int]:
    """How many rows each call held."""
    return [len(json.loads(call.body)["records"]) for call in calls]


async def test_rows_go_200_a_page_with_one_outcome_each_in_order(open_desk: OpenDesk) -> None:
    async with open_desk(channel="collections", collections_per_call=1) as desk:
        operations = keyed(range(450))
        outcomes = await desk.store.write(operations)
    assert [outcome.op_id for outcome in outcomes] == [operation.op_id for operation in operations]
    assert {outcome.status for outcome in outcomes} == {OutcomeStatus.CREATED}
    assert sorted(sizes(desk.sent.of("PATCH", "/composite/sobjects"))) == [50, 200, 200]


async def test_locked_rows_are_sent_again_in_halves_and_then_serially(open_desk: OpenDesk) -> None:
    async with open_desk(channel="collections") as desk:
        desk.org.faults.reject(row_lock("Contact", lambda row: row["LastName"] < "Last 140", times=80))
        outcomes = await desk.store.write(keyed(range(100, 300)))
    assert all(outcome.ok for outcome in outcomes)
    assert len(desk.contacts()) == 200
    assert sizes(desk.sent.of("PATCH", "/composite/sobjects")) == [200, 20, 20, 25, 15]


async def test_the_lock_of_a_row_that_stays_is_an_error_that_may_pass(open_desk: OpenDesk) -> None:
    async with open_desk(channel="collections") as desk:
        desk.org.faults.reject(row_lock("Contact", lambda row: row["LastName"] == "Last 1"))
        outcomes = await desk.store.write(keyed(range(3)))
    assert [outcome.ok for outcome in outcomes] == [True, False, True]
    assert isinstance(outcomes[1].error, TransientError)


async def test_back_off_before_locked_rows_grows(open_desk: OpenDesk) -> None:
    async with open_desk(channel="collections", retry_wait=1.0) as desk:
        before = desk.clock.now()
        desk.org.faults.reject(row_lock("Contact", lambda _row: True))
        await desk.store.write(keyed(range(1)))
        waited = (desk.clock.now() - before).total_seconds()
    assert waited == 1 + 2 + 4 + 8


async def test_rows_of_one_account_go_together(open_desk: OpenDesk) -> None:
    async with open_desk(channel="collections") as desk:
        accounts = [desk.org.create("Account", {"Name": f"Account {n}"}) for n in range(3)]
        ids = [desk.org.create("Contact", {"LastName": f"L{n}"}) for n in range(9)]
        await desk.store.write([update(record, AccountId=accounts[n % 3]) for n, record in enumerate(ids)])
        [call] = desk.sent.of("PATCH", "/composite/sobjects")
    sent = [row["AccountId"] for row in json.loads(call.body)["records"]]
    assert sent == sorted(sent)


# --- case 28: retrying a POST create after a dropped connection makes a duplicate


async def test_case_28_a_create_whose_answer_was_lost_is_found_and_not_sent_again(open_desk: OpenDesk) -> None:
    org = SalesforceOrg(clock=(clock := FakeClock()).now, external_id_field=False)
    async with open_desk(org=org, clock=clock, channel="collections") as desk:
        org.faults.drop_next(method="POST", path="/composite/sobjects", after_commit=True)
        outcomes = await desk.store.write([create(n) for n in range(5)])
    posts = [call for call in desk.sent.of("POST", "/composite/sobjects") if call.path == "/composite/sobjects"]
    assert len(posts) == 1
    assert len(desk.contacts()) == 5
    assert {outcome.status for outcome in outcomes} == {OutcomeStatus.CREATED}
    by_id = {record["Id"]: record["Email"] for record in desk.contacts()}
    assert [by_id[outcome.id] for outcome in outcomes if outcome.id] == [f"p{n}@example.com" for n in range(5)]


async def test_case_28_a_create_that_did_not_arrive_is_sent_once_more(open_desk: OpenDesk) -> None:
    org = SalesforceOrg(clock=(clock := FakeClock()).now, external_id_field=False)
    async with open_desk(org=org, clock=clock, channel="collections") as desk:
        org.faults.drop_next(method="POST", path="/composite/sobjects")
        outcomes = await desk.store.write([create(n) for n in range(5)])
    assert all(outcome.ok for outcome in outcomes)
    assert len(desk.contacts()) == 5


async def test_case_28_what_someone_else_created_is_not_taken_for_ours(open_desk: OpenDesk) -> None:
    org = SalesforceOrg(clock=(clock := FakeClock()).now, external_id_field=False)
    async with open_desk(org=org, clock=clock, channel="collections") as desk:
        foreign = org.create("Contact", {"LastName": "Last 0", "Email": "p0@example.com"})
        org.faults.drop_next(method="POST", path="/composite/sobjects")
        [outcome] = await desk.store.write([create(0)])
    assert outcome.ok
    assert outcome.id != foreign


async def test_case_28_what_cannot_be_found_out_is_never_sent_again(open_desk: OpenDesk) -> None:
    org = SalesforceOrg(clock=(clock := FakeClock()).now, external_id_field=False)
    async with open_desk(org=org, clock=clock, channel="collections") as desk:
        org.faults.drop_next(2, method="POST", path="/composite/sobjects")
        outcomes = await desk.store.write(
            [create(0), *(update(i, Title="T") for i in [org.create("Contact", {"LastName": "X"})])]
        )
    assert isinstance(outcomes[0].error, RejectedError)
    assert outcomes[0].error.code == "answer_lost"
    assert not isinstance(outcomes[0].error, TransientError)
    assert outcomes[1].ok


async def test_an_upsert_whose_answer_was_lost_is_simply_sent_again(open_desk: OpenDesk) -> None:
    async with open_desk(channel="collections") as desk:
        desk.org.faults.drop_next(method="PATCH", path="/composite/sobjects", after_commit=True)
        outcomes = await desk.store.write(keyed(range(5)))
    assert all(outcome.ok for outcome in outcomes)
    assert len(desk.contacts()) == 5


async def test_a_write_of_which_no_call_arrived_raises(open_desk: OpenDesk) -> None:
    async with open_desk(channel="collections") as desk:
        desk.org.faults.fail_next(5, status=503, method="PATCH")
        with pytest.raises(UnavailableError):
            await desk.store.write(keyed(range(5)))
