"""Accounts and their contacts in one call, where that costs no more calls than collections."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.errors import DuplicateError, RejectedError
from crmsync.models.records import OutcomeStatus
from crmsync.providers.salesforce.accounts.graphs import MAX_GRAPHS, MAX_NODES, Company, fits, packed, worthwhile
from crmsync.providers.salesforce.writing.rows import Row, Verb
from crmsync.testing.salesforce import (
    DuplicateRule,
    SalesforceOrg,
    custom_field,
    required_when,
    row_lock,
    validation_rule,
)
from crmsync.testing.world import FakeClock
from tests.unit.providers.salesforce.accounts.conftest import OpenLinked, accounts, person
from tests.unit.providers.salesforce.writing.conftest import update

anyio_test = pytest.mark.anyio


def row(verb: Verb = Verb.UPSERT, **values: object) -> Row:
    return Row(0, "op", verb, "key k", "", None, {"MarkMail_Id__c": "k", **values})


def companies(sizes: Sequence[int]) -> list[Company]:
    return [Company(f"c{n}", f"C{n}", [row()] * size) for n, size in enumerate(sizes)]


@given(st.lists(st.integers(1, MAX_NODES - 1), max_size=300))
def test_no_payload_exceeds_the_limits_and_none_is_left_out(sizes: list[int]) -> None:
    given_ = companies(sizes)
    calls = packed(given_)
    assert [company for call in calls for company in call] == given_
    assert all(0 < len(call) <= MAX_GRAPHS for call in calls)
    assert all(sum(company.nodes for company in call) <= MAX_NODES for call in calls)


@pytest.mark.parametrize(
    "sizes, accounts_, rows, expected",
    [
        ([1], 1, 1, True),
        ([3] * 75, 75, 225, True),
        ([1] * 200, 200, 200, False),
        ([1] * 150, 150, 150, False),
        ([1], 2, 200, False),
        ([1], 1, 100, True),
        ([5] * 30, 30, 190, True),
        ([6] * 33, 33, 198, False),
        ([], 1, 1, False),
        ([1] * 150, 150, 2000, False),
    ],
)
def test_graphs_are_taken_where_they_take_fewer_calls_and_one_where_it_takes_no_more(
    sizes: list[int], accounts_: int, rows: int, *, expected: bool
) -> None:
    assert worthwhile(companies(sizes), accounts=accounts_, rows=rows, together=1) is expected


def test_graphs_are_no_gain_where_several_collections_go_in_a_call() -> None:
    made = companies([3] * 150)
    assert worthwhile(made, accounts=150, rows=450, together=1)
    assert not worthwhile(made, accounts=150, rows=450, together=5)


@pytest.mark.parametrize(
    "company, expected",
    [
        (Company("a", "A", [row()]), True),
        (Company("a", "A", [row(Verb.UPDATE)]), True),
        (Company("a", "A", [row(Verb.INSERT)]), False),
        (Company("a", "A", [row(LastName="@{account.id}")]), False),
        (Company("a", "@{account.id}", [row()]), False),
        (Company("a", "A", [row(AccountId="@{account.id}")]), True),
        (Company("a", "A", [row()] * MAX_NODES), False),
    ],
)
def test_what_reads_as_a_reference_or_cannot_be_sent_again_is_no_graph(company: Company, *, expected: bool) -> None:
    assert fits(company) is expected


@anyio_test
async def test_accounts_and_contacts_go_in_one_call_which_counts_once(open_linked: OpenLinked) -> None:
    score = custom_field("Score__c", "Score", "double", scale=4)
    clock = FakeClock()
    org = SalesforceOrg(clock=clock.now, custom_fields={"Contact": [score]})
    async with open_linked(org=org, clock=clock) as desk:
        before = desk.org.create("Contact", {"LastName": "Old"})
        spent = desk.budget.used
        outcomes = await desk.store.write(
            [
                person(1, "Acme", Score__c=Decimal("1.2500")),
                person("o'/ü?", "Acme"),
                update(before, Title="Dr", **{"Account.Name": "Bëta & Söhne"}),
            ]
        )
        assert [o.status for o in outcomes] == [OutcomeStatus.CREATED, OutcomeStatus.CREATED, OutcomeStatus.UPDATED]
        assert all(outcome.id and outcome.stored for outcome in outcomes)
        assert accounts(desk.org) == {"Acme": ["Last 1", "Last o'/ü?"], "Bëta & Söhne": ["Old"]}
        posts = [call for call in desk.sent.calls if call.method in ("POST", "PATCH")]
        assert [call.path for call in posts] == ["/composite/graph"]
        # The look-up of names, the graph, and the reading back with the user's id before it.
        assert desk.budget.used - spent == 4
    sent = json.loads(posts[0].body)["graphs"]
    assert [[node["referenceId"] for node in graph["compositeRequest"]] for graph in sent] == [
        ["account", "r0", "r1"],
        ["account", "r2"],
    ]
    assert sent[0]["compositeRequest"][0]["method"] == "POST"
    assert sent[0]["compositeRequest"][1]["url"].endswith("/sobjects/Contact/MarkMail_Id__c/key-1")
    assert sent[1]["compositeRequest"][1]["url"].endswith(f"/sobjects/Contact/{before}")
    assert sent[1]["compositeRequest"][1]["body"]["AccountId"] == "@{account.id}"
    assert {row["MarkMail_Id__c"]: row.get("Score__c") for row in org.records("Contact")}["key-1"] == 1.25


@anyio_test
async def test_with_a_key_the_account_is_upserted(open_linked: OpenLinked) -> None:
    async with open_linked(keyed=True) as desk:
        await desk.store.write([person(1, "Acme")])
        [call] = desk.sent.of("POST", "/composite/graph")
        node = json.loads(call.body)["graphs"][0]["compositeRequest"][0]
        [account] = desk.org.records("Account")
        assert node["method"] == "PATCH"
        assert node["url"].endswith(f"/sobjects/Account/MarkMail_Key__c/{account['MarkMail_Key__c']}")


@anyio_test
async def test_a_refused_contact_is_refused_alone_and_no_account_is_left_over_in_between(
    open_linked: OpenLinked,
) -> None:
    async with open_linked() as desk:
        bad = validation_rule("Contact", lambda row: row["LastName"] == "Last 2", "Never two.")
        desk.org.faults.reject(bad)
        outcomes = await desk.store.write([person(1, "Acme"), person(2, "Acme"), person(3, "Beta")])
        assert [outcome.ok for outcome in outcomes] == [True, False, True]
        assert "Never two." in str(outcomes[1].error)
        assert accounts(desk.org) == {"Acme": ["Last 1"], "Beta": ["Last 3"]}


@anyio_test
async def test_a_company_whose_only_contact_is_refused_gets_no_account(open_linked: OpenLinked) -> None:
    """For a validation rule or a duplicate rule; nor by the attempts that follow, until the contact comes."""
    clock = FakeClock()
    org = SalesforceOrg(clock=clock.now)
    twin = org.create("Contact", {"LastName": "Smith"})
    org.rules.duplicates.append(DuplicateRule(object_name="Contact", fields=["LastName"]))
    org.rules.validation.append(required_when("Contact", "Phone"))
    async with open_linked(org=org, clock=clock) as desk:
        for _ in range(2):
            refused = [person(1, "Acme"), person(2, "Beta", LastName="Smith", Phone="1")]
            outcomes = await desk.store.write(refused)
            assert [type(outcome.error) for outcome in outcomes] == [RejectedError, DuplicateError]
            assert isinstance(outcomes[1].error, DuplicateError)
            assert outcomes[1].error.existing_id == twin
            assert org.records("Account") == []
        [outcome] = await desk.store.write([person(1, "Acme", Phone="1")])
        assert outcome.ok
        assert accounts(org) == {"Acme": ["Last 1"]}


@anyio_test
@pytest.mark.parametrize("bad", [1, 2, 3])
async def test_a_company_is_made_if_one_of_its_contacts_comes(open_linked: OpenLinked, bad: int) -> None:
    async with open_linked() as desk:
        desk.org.rules.validation.append(required_when("Contact", "Phone"))
        people = [person(n, "Acme", Phone=None if n < bad else "1") for n in range(3)]
        outcomes = await desk.store.write([*people, person(9, "Beta", Phone="1")])
        assert [outcome.ok for outcome in outcomes] == [n >= bad for n in range(3)] + [True]
        came = [f"Last {n}" for n in range(bad, 3)]
        assert accounts(desk.org) == ({"Acme": came} if came else {}) | {"Beta": ["Last 9"]}


@anyio_test
async def test_a_contact_that_is_gone_gets_no_account_made(open_linked: OpenLinked) -> None:
    async with open_linked() as desk:
        gone = desk.org.create("Contact", {"LastName": "Gone"})
        desk.org.delete("Contact", gone)
        [outcome] = await desk.store.write([update(gone, **{"Account.Name": "Acme"})])
        assert outcome.status is OutcomeStatus.MISSING
        assert desk.org.records("Account") == []


@anyio_test
async def test_a_contact_that_may_be_sent_again_is_sent_by_itself(open_linked: OpenLinked) -> None:
    async with open_linked() as desk:
        desk.org.faults.reject(row_lock("Contact", lambda row: row["LastName"] == "Last 1", times=1))
        outcomes = await desk.store.write([person(1, "Acme"), person(2, "Acme")])
        assert [outcome.ok for outcome in outcomes] == [True, True]
        assert accounts(desk.org) == {"Acme": ["Last 1", "Last 2"]}


@anyio_test
async def test_after_too_many_failed_graphs_the_rest_is_done_all_the_same(open_linked: OpenLinked) -> None:
    """ "Composite Graph Limits": more than 14 failures halt what is left of the request."""
    async with open_linked() as desk:
        desk.org.rules.validation.append(required_when("Contact", "Phone"))
        people = [person(n, f"Company {n}", Phone=None if n < 20 else "1") for n in range(40)]
        outcomes = await desk.store.write(people)
        assert [outcome.ok for outcome in outcomes] == [n >= 20 for n in range(40)]
        assert accounts(desk.org) == {f"Company {n}": [f"Last {n}"] for n in range(20, 40)}


@anyio_test
async def test_the_duplicate_header_goes_with_every_node(open_linked: OpenLinked) -> None:
    clock = FakeClock()
    org = SalesforceOrg(clock=clock.now)
    org.create("Contact", {"LastName": "Smith"})
    org.rules.duplicates.append(DuplicateRule(object_name="Contact", fields=["LastName"]))
    async with open_linked(org=org, clock=clock, allow_duplicates=True) as desk:
        [outcome] = await desk.store.write([person(1, "Acme", LastName="Smith")])
        assert outcome.ok
        assert [call.path for call in desk.sent.calls if call.method == "POST"] == ["/composite/graph"]


@anyio_test
@pytest.mark.parametrize("status, code", [(400, "JSON_PARSER_ERROR"), (404, "NOT_FOUND")])
async def test_an_org_that_takes_no_graphs_gets_collections(open_linked: OpenLinked, status: int, code: str) -> None:
    async with open_linked() as desk:
        body = [{"errorCode": code, "message": "no"}]
        desk.org.faults.fail_next(3, status=status, body=body, path="/composite/graph")
        [outcome] = await desk.store.write([person(1, "Acme")])
        assert outcome.ok
        assert accounts(desk.org) == {"Acme": ["Last 1"]}


@anyio_test
async def test_many_companies_take_collections_and_no_call_a_company(open_linked: OpenLinked) -> None:
    async with open_linked() as desk:
        outcomes = await desk.store.write([person(n, f"Company {n}") for n in range(1_000)])
        assert all(outcome.ok for outcome in outcomes)
        posts = [call.path.partition("?")[0] for call in desk.sent.calls if call.method in ("POST", "PATCH")]
        assert posts == ["/composite/sobjects", "/composite", "/composite"], "a page ahead, then five pages a call"
        # As many names and ids a query as fit into a URI.
        assert len(desk.sent.calls) < 30
        assert len(desk.org.records("Account")) == 1_000


@anyio_test
async def test_an_older_version_of_the_api_has_no_graphs(open_linked: OpenLinked) -> None:
    async with open_linked(api_version="49.0") as desk:
        [outcome] = await desk.store.write([person(1, "Acme")])
        assert outcome.ok
        assert accounts(desk.org) == {"Acme": ["Last 1"]}
        assert not desk.sent.of("POST", "/composite/graph")
