"""Tasks and e-mails."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from crmsync.testing.salesforce import RowError, SalesforceOrg

pytestmark = pytest.mark.anyio

DATA = "/services/data/v68.0"


def row(org: SalesforceOrg, object_name: str, record_id: str) -> dict[str, Any]:
    """A record that is there."""
    found = org.get(object_name, record_id)
    assert found is not None
    return found


@pytest.fixture
def contact(org: SalesforceOrg) -> str:
    account = org.create("Account", {"Name": "Acme"})
    return org.create("Contact", {"LastName": "Ada", "Email": "ada@example.com", "AccountId": account})


def test_a_task_derives_its_state(org: SalesforceOrg, contact: str) -> None:
    task = org.create("Task", {"Subject": "Call", "WhoId": contact, "Priority": "High"})
    fresh = row(org, "Task", task)
    assert (fresh["Status"], fresh["TaskSubtype"], fresh["IsClosed"], fresh["IsHighPriority"]) == (
        ("Not Started", "Task", False, True)
    )
    assert fresh["AccountId"] == row(org, "Contact", contact)["AccountId"]
    org.update("Task", task, {"Status": "Completed", "Priority": "Low"})
    done = row(org, "Task", task)
    assert (done["IsClosed"], done["IsHighPriority"]) == (True, False)
    assert done["CompletedDateTime"] == "2026-11-24T20:34:26.000+0000"
    org.update("Task", task, {"Status": "In Progress", "WhoId": None})
    again = row(org, "Task", task)
    assert (again["IsClosed"], again["CompletedDateTime"], again["AccountId"]) == (False, None, None)


def test_a_task_is_about_a_contact_or_a_lead_and_an_account_or_a_campaign(org: SalesforceOrg, contact: str) -> None:
    lead = org.create("Lead", {"LastName": "Bo", "Company": "Bolts"})
    campaign = org.create("Campaign", {"Name": "Spring"})
    account = org.create("Account", {"Name": "Apex"})
    assert row(org, "Task", org.create("Task", {"WhoId": lead, "WhatId": campaign}))["AccountId"] is None
    assert row(org, "Task", org.create("Task", {"WhoId": contact, "WhatId": account}))["AccountId"] == account
    with pytest.raises(RowError, match="id value of incorrect type"):
        org.create("Task", {"WhoId": account})


@pytest.mark.parametrize(
    "values,code",
    [
        ({"TaskSubtype": "Sing"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ({"Subject": "x" * 256}, "STRING_TOO_LONG"),
        ({"IsClosed": True}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"Status": None, "Subject": "no default given up"}, None),
    ],
)
def test_tasks_refuse_what_they_cannot_hold(org: SalesforceOrg, values: dict[str, Any], code: str | None) -> None:
    if code is None:
        assert row(org, "Task", org.create("Task", values))["Status"] == "Not Started"
        return
    with pytest.raises(RowError) as caught:
        org.create("Task", values)
    assert caught.value.code == code


def test_tasks_go_and_come_back_with_the_person(org: SalesforceOrg, contact: str) -> None:
    task = org.create("Task", {"WhoId": contact})
    account = row(org, "Contact", contact)["AccountId"]
    org.delete("Account", account)
    assert (org.records("Contact"), org.records("Task")) == ([], [])
    org.undelete("Account", account)
    assert [one["Id"] for one in org.records("Task")] == [task]


def email(**more: Any) -> dict[str, Any]:
    """The values of a sent message."""
    sent = {"Subject": "Hello", "Status": "3", "MessageDate": "2026-11-20T10:00:00Z", "TextBody": "Dear Ada"}
    return {**sent, **more}


def test_a_sent_message_makes_its_task_and_relations(org: SalesforceOrg, contact: str) -> None:
    campaign = org.create("Campaign", {"Name": "Spring"})
    message = org.create("EmailMessage", email(ToIds=[contact], RelatedToId=campaign))
    (relation,) = org.records("EmailMessageRelation")
    assert (relation["RelationId"], relation["RelationType"], relation["RelationAddress"]) == (
        (contact, "ToAddress", "ada@example.com")
    )
    assert (relation["EmailMessageId"], relation["RelationObjectType"]) == (message, "Contact")
    (task,) = org.records("Task")
    assert row(org, "EmailMessage", message)["ActivityId"] == task["Id"]
    names = ("Subject", "Status", "IsClosed", "TaskSubtype", "ActivityDate", "WhoId", "WhatId", "Description")
    assert tuple(task[name] for name in names) == (
        ("Email: Hello", "Completed", True, "Email", "2026-11-20", contact, campaign, "Dear Ada")
    )


def test_a_sent_message_hardly_changes(org: SalesforceOrg) -> None:
    message = org.create("EmailMessage", email())
    with pytest.raises(RowError, match="INSUFFICIENT_ACCESS_OR_READONLY"):
        org.update("EmailMessage", message, {"Subject": "Hi"})
    org.update("EmailMessage", message, {"IsExternallyVisible": True})
    assert row(org, "EmailMessage", message)["IsExternallyVisible"] is True
    received = org.create("EmailMessage", email(Status="0", Incoming=True))
    org.update("EmailMessage", received, {"Status": "1"})
    with pytest.raises(RowError, match="INSUFFICIENT_ACCESS_OR_READONLY"):
        org.update("EmailMessage", received, {"Status": "2"})


def test_a_draft_changes_freely_and_has_no_task(org: SalesforceOrg, contact: str) -> None:
    lead = org.create("Lead", {"LastName": "Bo", "Company": "Bolts"})
    draft = org.create("EmailMessage", email(Status="5", ToIds=[contact]))
    assert org.records("Task") == []
    org.update("EmailMessage", draft, {"ToIds": [lead], "CcIds": [contact], "Subject": "Hi", "Status": "3"})
    shown = {(one["RelationType"], one["RelationId"]) for one in org.records("EmailMessageRelation")}
    assert shown == {("ToAddress", lead), ("CcAddress", contact)}
    assert [one["Subject"] for one in org.records("Task")] == ["Email: Hi"]


def test_a_message_that_is_refused_leaves_nothing(org: SalesforceOrg) -> None:
    with pytest.raises(RowError, match="INVALID_CROSS_REFERENCE_KEY"):
        org.create("EmailMessage", email(ToIds=["003000000000001AAA"]))
    with pytest.raises(RowError, match="FIELD_INTEGRITY_EXCEPTION"):
        org.create("EmailMessage", email(ActivityId=org.create("Task", {})))
    assert org.records("EmailMessage") == []


async def test_messages_are_logged_over_rest(client: httpx2.AsyncClient, contact: str) -> None:
    made = await client.post(f"{DATA}/sobjects/EmailMessage", json=email(ToIds=[contact]))
    assert made.status_code == 201
    url = f"{DATA}/sobjects/EmailMessage/{made.json()['id']}"
    assert (await client.get(url)).json()["Status"] == "3"
    query = {"q": "SELECT Id FROM EmailMessageRelation"}
    (relation,) = (await client.get(f"{DATA}/query", params=query)).json()["records"]
    shown = (await client.get(f"{DATA}/sobjects/EmailMessageRelation/{relation['Id']}")).json()
    assert shown["RelationId"] == contact
    wrong = await client.post(f"{DATA}/sobjects/EmailMessage", json=email(ToIds=contact))
    assert wrong.json()[0]["errorCode"] == "JSON_PARSER_ERROR"
    refused = await client.patch(url, json={"Subject": "Hi"})
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "INSUFFICIENT_ACCESS_OR_READONLY")
