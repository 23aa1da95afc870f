"""Companies as accounts, both ways, through the engine and over HTTP."""

from __future__ import annotations

import contextlib
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from crmsync.errors import BudgetExceededError
from crmsync.models.contacts import CRMContact
from crmsync.models.mappings import ObjectMapping, two_way
from crmsync.models.results import SyncAction
from crmsync.models.runs import RunOptions
from crmsync.models.schema import FieldType
from crmsync.service import CRMSync
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.salesforce import (
    Profile,
    RunningEmulator,
    SalesforceOrg,
    custom_field,
    running_emulator,
)
from tests.integration import emulated

pytestmark = pytest.mark.anyio

MAPPING = ObjectMapping(
    fields=(
        two_way("email", "Email", field_type=FieldType.EMAIL),
        two_way("last_name", "LastName", required=True),
        two_way("company", "Account.Name"),
    )
)


def connected(emulator: RunningEmulator, **settings: Any) -> AbstractAsyncContextManager[CRMSync]:
    return emulated.connected(emulator, {"Contact": MAPPING}, **settings)


def people(*companies: object) -> MemoryRecordStore:
    local = MemoryRecordStore("subscribers")
    for number, company in enumerate(companies):
        local.add(email=f"p{number}@example.com", last_name=f"P{number}", company=company)
    return local


def employers(org: SalesforceOrg) -> dict[str, str | None]:
    names = {row["Id"]: row["Name"] for row in org.records("Account")}
    return {row["LastName"]: names.get(row.get("AccountId") or "") for row in org.records("Contact")}


def companies(local: MemoryRecordStore) -> dict[object, object]:
    return {row["last_name"]: row.get("company") for row in local.snapshot().values()}


@pytest.mark.parametrize(
    "accounts, key, number, each", [("create", False, 40, 1), ("create", True, 450, 3), ("link", False, 40, 2)]
)
async def test_a_plan_says_in_advance_how_many_calls_companies_take_at_most(
    accounts: str, key: bool, number: int, each: int
) -> None:
    fields = [custom_field("Key__c", "Key", length=64, external_id=True, unique=True)] if key else []
    local = people(*(f"Wörks & Sons {n // each}" for n in range(number)))
    with running_emulator(custom_fields={"Account": fields}) as emulator:
        settings = {"accounts": accounts, "account_key_field": "Key__c"} if key else {"accounts": accounts}
        async with connected(emulator, **settings) as app:
            plan = await app.plan("main", "Contact", local)
            before = emulator.org.api_calls
            await app.apply(plan, local)
            assert plan.calls is not None
            assert 0 < emulator.org.api_calls - before <= plan.calls.most
            made = number // each if accounts == "create" else 0
            assert len(emulator.org.records("Account")) == made


async def test_companies_make_accounts_and_accounts_make_companies(emulator: RunningEmulator) -> None:
    org, local = emulator.org, people("Acme", "ACME ", None, "Beta")
    theirs = org.create("Account", {"Name": "Theirs"})
    org.create("Contact", {"LastName": "P9", "Email": "p9@example.com", "AccountId": theirs})
    async with connected(emulator, accounts="create") as app:
        await app.sync("main", "Contact", local)
        assert employers(org) == {"P0": "Acme", "P1": "Acme", "P2": None, "P3": "Beta", "P9": "Theirs"}
        assert companies(local)["P9"] == "Theirs"
        for _ in range(2):
            report = await app.sync("main", "Contact", local)
            assert (report.written, report.problems) == (0, ())
        assert companies(local)["P1"] == "ACME "

        [renamed] = [row["Id"] for row in org.records("Account") if row["Name"] == "Beta"]
        org.update("Account", renamed, {"Name": "Beta Ltd"})
        [first] = [key for key, row in local.snapshot().items() if row["last_name"] == "P0"]
        local.edit(first, company="theirs")
        await app.sync("main", "Contact", local)
        assert companies(local)["P3"] == "Beta Ltd"
        assert employers(org)["P0"] == "Theirs"

        local.edit(first, company=None)
        await app.sync("main", "Contact", local)
        assert employers(org)["P0"] is None
        assert len(org.records("Account")) == 3
        assert (await app.sync("main", "Contact", local)).written == 0


async def test_an_unclear_company_waits_for_the_merge_while_the_person_syncs(emulator: RunningEmulator) -> None:
    org, local = emulator.org, people("Acme")
    one, two = (org.create("Account", {"Name": "Acme"}) for _ in range(2))
    async with connected(emulator, accounts="link") as app:
        for _ in range(2):
            report = await app.sync("main", "Contact", local)
            assert employers(org) == {"P0": None}
            [problem] = report.problems
            assert (problem.field, problem.code, {each.id for each in problem.candidates}) == (
                "Account.Name",
                "ambiguous",
                {one, two},
            )
        [status] = await app.status("main")
        assert status.rejected == 1
        org.merge("Account", one, [two])
        report = await app.sync("main", "Contact", local)
        assert (employers(org), report.problems) == ({"P0": "Acme"}, ())


async def test_two_runs_cut_short_make_no_account_twice(emulator: RunningEmulator) -> None:
    """The budget ends the first run between the accounts and their contacts."""
    org, local = emulator.org, people(*(f"Company {n % 150}" for n in range(300)))
    async with connected(emulator, accounts="create") as app:
        for calls in range(5, 40, 3):
            with contextlib.suppress(BudgetExceededError):
                await app.sync("main", "Contact", local, options=RunOptions(max_calls=calls))
        await app.sync("main", "Contact", local)
        assert len(org.records("Account")) == 150
        assert employers(org) == {f"P{n}": f"Company {n % 150}" for n in range(300)}


async def test_a_hidden_account_stops_the_run_with_the_remedy(emulator: RunningEmulator) -> None:
    emulator.org.set_profile(emulator.org.user_id, Profile(objects={"Account": ""}))
    async with connected(emulator, accounts="create") as app:
        with pytest.raises(Exception, match="grant read access to it"):
            await app.sync("main", "Contact", people("Acme"))
        report = await app.test_connection("main")
        assert any("needs the object Account" in warning for warning in report.warnings)
        assert emulator.org.records("Contact") == []


@pytest.mark.parametrize(
    "profile, said",
    [
        (Profile(objects={"Account": "r"}), "grant create access to Account"),
        (Profile(read_only=["Contact.AccountId"]), "Contact.AccountId cannot be written"),
        (None, "no external id field Missing__c"),
    ],
)
async def test_the_test_of_a_connection_says_what_is_missing(
    emulator: RunningEmulator, profile: Profile | None, said: str
) -> None:
    emulator.org.set_profile(emulator.org.user_id, profile)
    async with connected(emulator, accounts="create", account_key_field="Missing__c") as app:
        assert [warning for warning in (await app.test_connection("main")).warnings if said in warning]


@pytest.mark.parametrize(
    "accounts, key, warned", [("create", None, True), ("create", "Key__c", False), ("link", None, False)]
)
async def test_who_lets_accounts_be_made_without_a_key_learns_what_that_means(
    accounts: str, key: str | None, warned: bool
) -> None:
    fields = [custom_field("Key__c", "Key", length=64, external_id=True, unique=True)]
    with running_emulator(custom_fields={"Account": fields}) as emulator:
        async with connected(emulator, accounts=accounts, account_key_field=key) as app:
            said = [
                warning for warning in (await app.test_connection("main")).warnings if "one account twice" in warning
            ]
            plan = await app.plan("main", "Contact", people("Acme"))
            emulator.org.reset_counters()
            schema = await app.fields("main", "Contact")
            calls = emulator.org.api_calls
            described = await app.describe("main", "Contact")
            assert (described.schema, emulator.org.api_calls) == (schema, 2 * calls)
            report = await app.sync("main", "Contact", people("Acme"))
        without = ObjectMapping(fields=MAPPING.fields[:2])
        async with emulated.connected(emulator, {"Contact": without}, accounts=accounts, account_key_field=key) as app:
            assert (await app.plan("main", "Contact", people("Acme"))).report.warnings == ()
            assert (await app.describe("main", "Contact")).warnings == ()
    assert len(said) == warned
    assert all("name it in account_key_field" in warning for warning in said)
    for warnings in (plan.report.warnings, report.warnings, described.warnings):
        assert [(each.path, each.code) for each in warnings] == [("account_key_field", "unkeyed_accounts")] * warned


async def test_the_verbs_link_accounts_too_and_warn_of_unclear_names(emulator: RunningEmulator) -> None:
    org = emulator.org
    for _ in range(2):
        org.create("Account", {"Name": "Twice"})
    async with connected(emulator, accounts="create") as app, app.provider("main") as provider:
        made = await provider.sync_contact(CRMContact(email="a@example.com", last_name="A", company="Acme"))
        unclear = await provider.sync_contact(CRMContact(email="b@example.com", last_name="B", company="Twice"))
        assert (made.action, made.warnings) == (SyncAction.CREATED, ())
        assert unclear.action is SyncAction.CREATED
        assert "2 accounts have this name" in unclear.warnings[0]
        found = await provider.get_contact("a@example.com")
        assert found is not None
        assert found.company == "Acme"
    assert employers(org) == {"A": "Acme", "B": None}
