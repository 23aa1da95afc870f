"""Opt-outs of people who are contacts, leads, or become contacts, through the engine and over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from crmsync.errors import RejectedError
from crmsync.models.records import Operation
from crmsync.models.runs import RunOptions, RunStatus
from crmsync.providers.salesforce.objects.mappings import PERSON
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.salesforce import (
    API_USER_ID,
    Conversion,
    Profile,
    RowError,
    RunningEmulator,
    SalesforceOrg,
)
from tests.integration.emulated import connected
from tests.integration.people import ADA, OBJECTS, crm_ids, in_step, people, subscribers

pytestmark = pytest.mark.anyio


# --- consent


OPT_OUT = "HasOptedOutOfEmail"


def hide(org: SalesforceOrg, *fields: str) -> None:
    """Let field-level security hide fields from the integration's user; none shows all again."""
    org.set_profile(API_USER_ID, Profile(hidden=frozenset(fields)) if fields else None)


def opted_out(org: SalesforceOrg, email: str) -> bool:
    [row] = [row for name in ("Contact", "Lead") for row in org.records(name) if row["Email"] == email]
    return bool(row[OPT_OUT])


@pytest.mark.parametrize("people", ["contact", "lead", "lead_then_contact"])
async def test_an_opt_out_reaches_the_other_side_and_is_not_taken_back(
    emulator: RunningEmulator, org: SalesforceOrg, people: str
) -> None:
    name = {"contact": "Contact", "lead": "Lead", "lead_then_contact": "Person"}[people]
    local, [ada, bob] = subscribers(ADA, {"email": "bob@example.com", "last_name": "Bob"})
    async with connected(emulator, people=people) as app:
        await app.sync("main", name, local)
        [theirs] = await crm_ids(app, name, bob)
        local.edit(ada, opted_out=True)
        org.update(OBJECTS[str(theirs)[:3]], str(theirs), {OPT_OUT: True})
        for _ in range(2):
            await app.sync("main", name, local)
            assert [local.snapshot()[one]["opted_out"] for one in (ada, bob)] == [True, True]
            assert opted_out(org, "ada@example.com")
            assert opted_out(org, "bob@example.com")


@pytest.mark.parametrize(
    "people, hidden",
    [
        ("contact", ["Contact"]),
        ("lead", ["Lead"]),
        ("lead_then_contact", ["Contact", "Lead"]),
        ("lead_then_contact", ["Lead"]),
        ("lead_then_contact", ["Contact"]),
    ],
)
async def test_opt_outs_made_while_the_flag_was_hidden_hold_once_it_is_shown(
    emulator: RunningEmulator, org: SalesforceOrg, people: str, hidden: list[str]
) -> None:
    name = {"contact": "Contact", "lead": "Lead", "lead_then_contact": "Person"}[people]
    local, [ada, bob] = subscribers(ADA, {"email": "bob@example.com", "last_name": "Bob"})
    async with connected(emulator, people=people) as app:
        await app.sync("main", name, local)
        hide(org, *(f"{each}.{OPT_OUT}" for each in hidden))
        [theirs] = await crm_ids(app, name, bob)
        local.edit(ada, opted_out=True)
        org.update(OBJECTS[str(theirs)[:3]], str(theirs), {OPT_OUT: True})
        late = local.add({"email": "late@example.com", "last_name": "Late", "opted_out": True})
        for _ in range(2):
            report = await app.sync("main", name, local)
            [warning] = [each for each in report.warnings if each.code == "unreadable"]
            assert (warning.code, report.status) == ("unreadable", RunStatus.SUCCESS)
            assert OPT_OUT in warning.message
            assert "permission to read and edit" in warning.remedy
            assert local.snapshot()[ada]["opted_out"] is True
        connection = await app.test_connection("main")
        for each in hidden:
            [told] = [text for text in connection.warnings if text.startswith(f"{each}.{OPT_OUT} is hidden")]
            assert "Read and Edit Access" in told
        hide(org)
        for _ in range(2):
            report = await app.sync("main", name, local)
            assert report.warnings == ()
            assert [local.snapshot()[one]["opted_out"] for one in (ada, bob, late)] == [True, True, True]
            emails = ("ada@example.com", "bob@example.com", "late@example.com")
            assert [opted_out(org, email) for email in emails] == [True, True, True]


@pytest.mark.parametrize("page_size", [None, 1])
@pytest.mark.parametrize("seen", [True, False])
async def test_a_lead_that_opted_out_and_was_converted_into_a_contact_stays_opted_out(
    emulator: RunningEmulator, org: SalesforceOrg, page_size: int | None, seen: bool
) -> None:
    """Salesforce fills only blanks of an existing contact, and a flag is never blank; whether a run saw it or not."""
    options = RunOptions(page_size=page_size)
    local, [ada] = subscribers(ADA)
    async with people(emulator) as app:
        await app.sync("main", "Person", local, options=options)
        [lead] = await crm_ids(app, "Person", ada)
        if seen:
            local.edit(ada, opted_out=True)
            await app.sync("main", "Person", local, options=options)
        else:
            org.update("Lead", str(lead), {OPT_OUT: True})
        contact = org.create("Contact", {"LastName": "King", "Email": "ada@king.example"})
        org.convert_lead(str(lead), Conversion(contact_id=contact))
        await app.sync("main", "Person", local, options=options)
        assert await crm_ids(app, "Person", ada) == [contact]
        assert local.snapshot()[ada]["opted_out"] is True
        assert [row[OPT_OUT] for row in org.records("Contact")] == [True]
        assert await in_step(app, local, options)


@pytest.mark.parametrize(
    "linked", ["before", "with the conversion", "by a later run", "by the first run", "by a first run that takes a job"]
)
async def test_an_opt_out_of_a_lead_that_was_never_linked_comes_over_with_its_contact(
    emulator: RunningEmulator, org: SalesforceOrg, linked: str
) -> None:
    """No link leads from the lead to a person here, but the contact that it was converted into is one."""
    king = {"email": "ada@king.example", "last_name": "King", "opted_out": False}
    local, _ = subscribers({"email": "bob@example.com", "last_name": "B"})
    born_there = PERSON.model_copy(update={"create_in_local": linked == "with the conversion"})
    if linked == "before" or "first run" in linked:
        local.add(king)
    first_read = "bulk" if linked.endswith("job") else "rest"

    async def sync() -> None:
        await app.sync("main", "Person", local)

    settings: dict[str, Any] = {"people": "lead_then_contact", "first_read": first_read}
    async with connected(emulator, {"Person": born_there}, **settings) as app:
        if linked in ("with the conversion", "by a later run"):
            await sync()
        contact = org.create("Contact", {"LastName": "King", "Email": "ada@king.example"})
        if linked == "before":
            await sync()
        org.advance(60)
        lead = org.create("Lead", {"LastName": "K", "Email": "a@other.example", "Company": "X", OPT_OUT: True})
        org.convert_lead(lead, Conversion(contact_id=contact))
        await sync()
        if linked == "by a later run":
            local.add(king)
            await sync()
        held = [row for row in local.snapshot().values() if row["email"] == "ada@king.example"]
        assert [row["opted_out"] for row in held] == [True]
        assert opted_out(org, "ada@king.example")
        assert await in_step(app, local, RunOptions())


async def test_an_opt_out_of_a_converted_lead_that_both_sides_refuse_is_tried_again_by_every_run(
    emulator: RunningEmulator, org: SalesforceOrg
) -> None:
    """Hours later too, when the lead is not among what has changed any more."""
    refusing = True

    def refused_here(operation: Operation) -> RejectedError | None:
        return RejectedError("locked") if refusing and operation.fields.get("opted_out") else None

    def refused_there(name: str, row: Mapping[str, Any]) -> RowError | None:
        wrong = refusing and name == "Contact" and row[OPT_OUT]
        return RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", "locked", (OPT_OUT,)) if wrong else None

    local = MemoryRecordStore("subscribers", reject=refused_here)
    king = local.add({"email": "ada@king.example", "last_name": "King", "opted_out": False})
    contact = org.create("Contact", {"LastName": "King", "Email": "ada@king.example"})
    async with people(emulator) as app:
        await app.sync("main", "Person", local)
        org.faults.reject(refused_there)
        org.advance(60)
        lead = org.create("Lead", {"LastName": "K", "Email": "a@other.example", "Company": "X", OPT_OUT: True})
        org.convert_lead(lead, Conversion(contact_id=contact))
        for _ in range(3):
            report = await app.sync("main", "Person", local)
            assert "opt_out_waits" in {problem.code for problem in report.problems}
            assert not opted_out(org, "ada@king.example")
            org.advance(7200)
        [reject] = await app.rejects("main", "Person")
        assert (reject.markmail_id, reject.crm_id) == (king, contact)
        refusing = False
        await app.sync("main", "Person", local)
        assert local.snapshot()[king]["opted_out"] is True
        assert opted_out(org, "ada@king.example")
        assert await app.rejects("main", "Person") == []
        assert await in_step(app, local, RunOptions())
