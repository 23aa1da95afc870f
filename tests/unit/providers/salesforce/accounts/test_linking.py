"""A contact's company decides which account it belongs to."""

from __future__ import annotations

import anyio
import pytest

from crmsync.errors import AccessDeniedError, ConflictError, RejectedError, UnavailableError
from crmsync.models.records import MISSING, OperationKind, OutcomeStatus
from crmsync.providers.salesforce.accounts.names import key_of
from crmsync.testing.salesforce import Profile, SalesforceOrg, required_when, row_fault
from crmsync.testing.world import FakeClock
from tests.unit.providers.salesforce.accounts.conftest import ACCOUNT_KEY, OpenLinked, accounts, person
from tests.unit.providers.salesforce.objects.conftest import Connect, connect
from tests.unit.providers.salesforce.writing.conftest import OpenDesk, update

__all__ = ["connect"]

pytestmark = pytest.mark.anyio

NAME = "Account.Name"


async def test_without_the_setting_the_company_cannot_be_written(open_desk: OpenDesk) -> None:
    async with open_desk(parents={"fields": [NAME]}) as desk:
        [outcome] = await desk.store.write([person(1, "Acme")])
        assert isinstance(outcome.error, RejectedError)
        assert desk.org.records("Account") == []


@pytest.mark.parametrize("written", ["Acme Inc.", "ACME  inc.", "  acme inc.\t"])
async def test_the_account_of_the_name_is_linked_whatever_its_case_and_white_space(
    open_linked: OpenLinked, written: str
) -> None:
    async with open_linked(accounts="link") as desk:
        acme = desk.org.create("Account", {"Name": "Acme Inc."})
        desk.org.create("Account", {"Name": "Acme"})
        [outcome] = await desk.store.write([person(1, written)])
        assert (outcome.status, outcome.unwritten) == (OutcomeStatus.CREATED, ())
        assert desk.contacts()[0]["AccountId"] == acme
        assert outcome.stored is not None
        assert outcome.stored.fields[NAME] == "Acme Inc."


async def test_a_name_of_several_accounts_is_reported_with_them_and_the_rest_is_written(
    open_linked: OpenLinked,
) -> None:
    async with open_linked() as desk:
        twins = sorted(desk.org.create("Account", {"Name": name}) for name in ("Acme", "ACME"))
        other = desk.org.create("Account", {"Name": "Other"})
        before = desk.org.create("Contact", {"LastName": "Old", "AccountId": other})
        made, changed, only = await desk.store.write(
            [person(1, "Acme"), update(before, Title="Dr", **{NAME: "Acme"}), update(before, **{NAME: "acme"})]
        )
        assert (made.status, changed.status, only.status) == (
            OutcomeStatus.CREATED,
            OutcomeStatus.UPDATED,
            OutcomeStatus.FAILED,
        )
        for error in (*made.unwritten, *changed.unwritten, only.error):
            assert isinstance(error, ConflictError)
            assert (error.field, error.code, list(error.candidates)) == (NAME, "ambiguous", twins)
            assert "2 accounts have this name: " + ", ".join(twins) in error.message
        row = desk.org.get("Contact", before)
        assert row is not None
        assert (row["Title"], row["AccountId"]) == ("Dr", other)
        assert len(desk.org.records("Account")) == 3


async def test_link_makes_no_account_and_says_which_name_has_none(open_linked: OpenLinked) -> None:
    async with open_linked(accounts="link") as desk:
        [outcome] = await desk.store.write([person(1, "Nobody's")])
        assert outcome.ok
        [error] = outcome.unwritten
        assert (error.code, error.field) == ("no_account", NAME)
        assert 'accounts = "create"' in error.message
        assert "Nobody" not in error.message
        assert desk.org.records("Account") == []


async def test_a_missing_account_is_made_once_for_all_spellings_in_all_batches(open_linked: OpenLinked) -> None:
    async with open_linked() as desk:
        first = await desk.store.write([person(1, "Acme"), person(2, "ACME"), person(3, " acme "), person(4, "Beta")])
        second = await desk.store.write([person(5, "aCmE"), person(6, "Gamma")])
        assert all(outcome.ok and not outcome.unwritten for outcome in (*first, *second))
        assert accounts(desk.org) == {
            "Acme": ["Last 1", "Last 2", "Last 3", "Last 5"],
            "Beta": ["Last 4"],
            "Gamma": ["Last 6"],
        }


async def test_batches_at_the_same_time_make_no_account_twice(open_linked: OpenLinked) -> None:
    async with open_linked() as desk, anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(desk.store.write, [person(number, f"Company {number % 2}")])
    assert {name: len(people) for name, people in accounts(desk.org).items()} == {"Company 0": 3, "Company 1": 3}


@pytest.mark.parametrize("kind", [OperationKind.CREATE, OperationKind.UPDATE])
@pytest.mark.parametrize("blank", [None, "", "  "])
async def test_a_cleared_company_takes_the_contact_out_of_its_account(
    open_linked: OpenLinked, kind: OperationKind, blank: str | None
) -> None:
    async with open_linked() as desk:
        acme = desk.org.create("Account", {"Name": "Acme"})
        before = desk.org.create("Contact", {"LastName": "Old", "AccountId": acme})
        operation = person(1, blank) if kind is OperationKind.CREATE else update(before, **{NAME: blank})
        [outcome] = await desk.store.write([operation])
        assert outcome.ok
        row = desk.org.get("Contact", outcome.id or "")
        assert row is not None
        assert row.get("AccountId") is None
        assert accounts(desk.org)["Acme"] == ([] if kind is OperationKind.UPDATE else ["Old"])


async def test_a_company_that_is_not_asked_for_stays(open_linked: OpenLinked) -> None:
    async with open_linked() as desk:
        acme = desk.org.create("Account", {"Name": "Acme"})
        before = desk.org.create("Contact", {"LastName": "Old", "AccountId": acme})
        outcomes = await desk.store.write([update(before, Title="Dr"), update(before, **{"Title": "X", NAME: MISSING})])
        assert all(outcome.ok for outcome in outcomes)
        assert accounts(desk.org) == {"Acme": ["Old"]}
        assert not [call for call in desk.sent.of("GET", "/query") if "FROM+Account" in call.path]


async def test_two_processes_with_a_key_make_one_account_where_both_miss_it(open_linked: OpenLinked) -> None:
    clock = FakeClock()
    org = SalesforceOrg(clock=clock.now, custom_fields={"Account": [ACCOUNT_KEY]})
    async with (
        open_linked(keyed=True, org=org, clock=clock) as one,
        open_linked(keyed=True, org=org, clock=clock) as two,
        anyio.create_task_group() as group,
    ):
        group.start_soon(one.store.write, [person(1, "Acme", key=False)])
        group.start_soon(two.store.write, [person(2, "ACME", key=False)])
    assert len(org.records("Account")) == 1
    assert sum(map(len, accounts(org).values())) == 2


async def test_an_account_that_was_renamed_is_found_by_its_key_and_keeps_its_new_name(open_linked: OpenLinked) -> None:
    clock = FakeClock()
    org = SalesforceOrg(clock=clock.now, custom_fields={"Account": [ACCOUNT_KEY]})
    async with open_linked(keyed=True, org=org, clock=clock) as desk:
        await desk.store.write([person(1, "Acme")])
    [account] = org.records("Account")
    org.update("Account", account["Id"], {"Name": "Acme Global"})
    async with open_linked(keyed=True, org=org, clock=clock) as desk:
        [outcome] = await desk.store.write([person(2, "Acme")])
        assert outcome.stored is not None
        assert outcome.stored.fields[NAME] == "Acme Global"
    assert accounts(org) == {"Acme Global": ["Last 1", "Last 2"]}


async def test_among_accounts_of_one_name_the_one_with_our_key_is_meant(open_linked: OpenLinked) -> None:
    async with open_linked(keyed=True) as desk:
        await desk.store.write([person(1, "Acme")])
        [ours] = desk.org.records("Account")
    clock = FakeClock(desk.clock.now())
    desk.org.create("Account", {"Name": "Acme"})
    async with open_linked(keyed=True, org=desk.org, clock=clock) as again:
        [outcome] = await again.store.write([person(2, "Acme")])
        assert outcome.unwritten == ()
        assert {row["AccountId"] for row in again.contacts()} == {ours["Id"]}


async def test_a_key_field_that_the_org_has_not_is_done_without(open_linked: OpenLinked) -> None:
    async with open_linked(account_key_field="Missing__c") as desk:
        [outcome] = await desk.store.write([person(1, "Acme")])
        assert outcome.ok
        assert accounts(desk.org) == {"Acme": ["Last 1"]}


async def test_an_account_that_is_a_person_is_nobodys_company(open_linked: OpenLinked) -> None:
    clock = FakeClock()
    org = SalesforceOrg(clock=clock.now, person_accounts=True)
    org.create("Account", {"FirstName": "Ada", "LastName": "Lovelace"})
    async with open_linked(org=org, clock=clock, accounts="link") as desk:
        [outcome] = await desk.store.write([person(1, "Ada Lovelace")])
        assert [error.code for error in outcome.unwritten] == ["no_account"]


async def test_an_account_that_is_refused_leaves_its_contacts_without_one(open_linked: OpenLinked) -> None:
    async with open_linked() as desk:
        desk.org.rules.validation.append(required_when("Account", "Phone", message="A phone is needed."))
        outcomes = await desk.store.write([person(1, "Acme"), person(2, "Acme"), person(3, None)])
        assert [outcome.status for outcome in outcomes] == [OutcomeStatus.CREATED] * 3
        errors = [error for outcome in outcomes for error in outcome.unwritten]
        assert [(error.code, error.field) for error in errors] == [("FIELD_CUSTOM_VALIDATION_EXCEPTION", NAME)] * 2
        assert "A phone is needed." in errors[0].message


async def test_a_duplicate_that_a_rule_knows_is_a_candidate(open_linked: OpenLinked) -> None:
    async with open_linked() as desk:
        there = desk.org.create("Account", {"Name": "Acme, Inc."})
        message = f"duplicate value found: Name duplicates value on record with id: {there}"
        desk.org.faults.reject(row_fault("Account", lambda row: row["Id"] != there, "DUPLICATE_VALUE", message))
        [outcome] = await desk.store.write([person(1, "Acme")])
        [error] = outcome.unwritten
        assert isinstance(error, ConflictError)
        assert (error.code, error.candidates) == ("DUPLICATE_VALUE", (there,))


async def test_accounts_that_are_hidden_are_a_clear_finding_before_anything_is_read(open_linked: OpenLinked) -> None:
    clock = FakeClock()
    for profile, what in (
        (Profile(objects={"Account": ""}), "the object Account, which is hidden"),
        (Profile(hidden=["Contact.AccountId"]), "Contact.AccountId"),
        (Profile(hidden=["Account.Name"]), "Account.Name"),
    ):
        org = SalesforceOrg(clock=clock.now)
        org.set_profile(org.user_id, profile)
        with pytest.raises(AccessDeniedError, match=what):
            async with open_linked(org=org, clock=clock):
                pass


async def test_who_may_not_create_accounts_still_links_those_there_are(open_linked: OpenLinked) -> None:
    clock = FakeClock()
    org = SalesforceOrg(clock=clock.now)
    org.create("Account", {"Name": "Acme"})
    org.set_profile(org.user_id, Profile(objects={"Account": "r"}))
    async with open_linked(org=org, clock=clock) as desk:
        linked, left = await desk.store.write([person(1, "Acme"), person(2, "Beta")])
        assert linked.unwritten == ()
        [error] = left.unwritten
        assert "may not create accounts" in error.message
        assert accounts(org) == {"Acme": ["Last 1"]}


async def test_account_id_and_company_exclude_each_other(open_linked: OpenLinked) -> None:
    async with open_linked() as desk:
        acme = desk.org.create("Account", {"Name": "Acme"})
        [outcome] = await desk.store.write([person(1, "Beta", AccountId=acme)])
        assert [error.code for error in outcome.unwritten] == ["account_twice"]
        assert accounts(desk.org) == {"Acme": ["Last 1"]}


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("contact_key", [False, True])
@pytest.mark.parametrize("path", ["/composite/graph", "/composite/sobjects", "/query"])
@pytest.mark.parametrize("after_commit", [False, True])
async def test_a_lost_answer_makes_nothing_twice(
    open_linked: OpenLinked, path: str, *, keyed: bool, contact_key: bool, after_commit: bool
) -> None:
    async with open_linked(keyed=keyed) as desk:
        desk.org.faults.drop_next(after_commit=after_commit, path=path)
        outcomes = await desk.store.write([person(n, f"Company {n % 2}", key=contact_key) for n in range(4)])
        assert all(outcome.ok and not outcome.unwritten for outcome in outcomes)
        assert accounts(desk.org) == {"Company 0": ["Last 0", "Last 2"], "Company 1": ["Last 1", "Last 3"]}


async def test_what_a_failed_write_left_behind_is_found_by_the_next(open_linked: OpenLinked) -> None:
    """The accounts were made, and the process ended before their contacts were."""
    async with open_linked() as desk:
        people = [person(n, f"Company {n % 2}", key=False) for n in range(4)]
        desk.org.faults.fail_next(
            20, path=lambda _, path: path.endswith("/composite/sobjects") and bool(accounts(desk.org))
        )
        assert not any(outcome.ok for outcome in await desk.store.write(people))
        assert accounts(desk.org) == {"Company 0": [], "Company 1": []}
        desk.org.clear_faults()
    async with open_linked(org=desk.org) as again:
        outcomes = await again.store.write(people)
        assert all(outcome.ok and not outcome.unwritten for outcome in outcomes)
        assert accounts(desk.org) == {"Company 0": ["Last 0", "Last 2"], "Company 1": ["Last 1", "Last 3"]}


@pytest.mark.parametrize("gone", ["deleted", "merged"])
async def test_an_account_that_goes_after_it_was_found_does_not_make_its_contact_look_deleted(
    open_linked: OpenLinked, gone: str
) -> None:
    async with open_linked() as desk:
        acme, other = (desk.org.create("Account", {"Name": name}) for name in ("Acme", "Other"))
        before = desk.org.create("Contact", {"LastName": "Old"})
        await desk.store.write([person(1, "Acme")])
        if gone == "merged":
            desk.org.merge("Account", other, [acme])
        else:
            desk.org.delete("Account", acme)
        [outcome] = await desk.store.write([update(before, Title="Dr", **{NAME: "Acme"})])
        assert isinstance(outcome.error, UnavailableError)
        [again] = await desk.store.write([update(before, Title="Dr", **{NAME: "Acme"})])
        assert (again.status, again.unwritten) == (OutcomeStatus.UPDATED, ())
        row = desk.org.get("Contact", before)
        assert row is not None
        assert (row["Title"], row["AccountId"] != acme) == ("Dr", True)


async def test_a_contact_that_is_gone_is_missing_also_with_a_company(open_linked: OpenLinked) -> None:
    async with open_linked() as desk:
        desk.org.create("Account", {"Name": "Acme"})
        before = desk.org.create("Contact", {"LastName": "Old"})
        desk.org.delete("Contact", before)
        [outcome] = await desk.store.write([update(before, Title="Dr", **{NAME: "Acme"})])
        assert outcome.status is OutcomeStatus.MISSING


async def test_another_process_that_makes_the_account_first_is_met_by_the_key(connect: Connect) -> None:
    """It comes between the look-up, in which there is none, and the call that makes it."""
    org = {"custom_fields": {"Account": [ACCOUNT_KEY]}}
    async with connect(org=org, accounts="create", account_key_field=ACCOUNT_KEY.name) as it:
        store = await it.provider.records("Contact")
        theirs = {"Name": "ACME", ACCOUNT_KEY.name: key_of("acme")}
        it.sent.before("POST", "/composite/graph", lambda: it.org.create("Account", theirs))
        [outcome] = await store.write([person(1, "Acme")])
        assert outcome.ok
        assert [len(people) for people in accounts(it.org).values()] == [1]
