"""The stretch of rows that a query looks at is never too narrow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmsync.testing.salesforce import SalesforceOrg
from crmsync.testing.salesforce.soql.access import candidates
from crmsync.testing.salesforce.soql.evaluation import run
from crmsync.testing.salesforce.soql.parsing import parse
from crmsync.testing.salesforce.soql.resolving import Resolver

START = datetime(2026, 11, 24, 20, 0, 0, tzinfo=UTC)


def filled_org() -> SalesforceOrg:
    """Return an org of 24 contacts, six a second."""
    now = START
    org = SalesforceOrg(clock=lambda: now)
    for number in range(24):
        now = START + timedelta(seconds=number // 6)
        org.create("Contact", {"LastName": f"N{number}"})
    return org


ORG = filled_org()
IDS = [record["Id"] for record in ORG.records("Contact")]
SIGNS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
STAMPS = st.integers(-1, 5).map(lambda seconds: (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ"))
LEAVES = st.one_of(
    st.tuples(SIGNS, STAMPS).map(lambda pair: f"SystemModstamp {pair[0]} {pair[1]}"),
    st.tuples(SIGNS, st.sampled_from(IDS)).map(lambda pair: f"Id {pair[0]} '{pair[1]}'"),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda terms: f"({' AND '.join(terms)})"),
        st.lists(inner, min_size=2, max_size=3).map(lambda terms: f"({' OR '.join(terms)})"),
        inner.map(lambda term: f"(NOT {term})"),
    ),
    max_leaves=6,
)


def found(where: str) -> list[str]:
    """Return the ids that a filter finds, in keyset order."""
    text = f"SELECT Id FROM Contact WHERE {where} ORDER BY SystemModstamp, Id"
    result = run(text, ORG.tables, version="68.0", now=ORG.now(), include_deleted=False)
    return [row["Id"] for row in result.rows]


@given(CONDITIONS)
@settings(max_examples=150, deadline=None)
def test_a_narrowed_search_finds_what_a_whole_scan_finds(where: str) -> None:
    assert found(where) == found(f"{where} OR LastName = 'nobody'")


@pytest.mark.parametrize("last", [0, 5, 6, 22, 23])
def test_a_keyset_page_looks_only_at_what_follows_its_key(last: int) -> None:
    stamp = (START + timedelta(seconds=last // 6)).strftime("%Y-%m-%dT%H:%M:%SZ")
    query = parse(
        "SELECT Id FROM Contact WHERE SystemModstamp >= 2026-01-01T00:00:00Z AND SystemModstamp < 2027-01-01T00:00:00Z"
        f" AND (SystemModstamp > {stamp} OR (SystemModstamp = {stamp} AND Id > '{IDS[last]}'))"
    )
    looked_at = candidates(Resolver(query, ORG.tables["Contact"], ORG.tables), query.where)
    assert [row["Id"] for row in looked_at.rows] == IDS[last + 1 :]
    assert looked_at.order == ("systemmodstamp", "id")


def test_a_page_by_id_looks_only_at_the_ids_within_its_bounds() -> None:
    query = parse(f"SELECT Id FROM Contact WHERE Id > '{IDS[3]}' AND Id <= '{IDS[9]}' ORDER BY Id LIMIT 5")
    looked_at = candidates(Resolver(query, ORG.tables["Contact"], ORG.tables), query.where)
    assert looked_at.order == ("id",)
    assert {row["Id"] for row in looked_at.rows} >= set(IDS[4:10])
    assert len(list(candidates(Resolver(query, ORG.tables["Contact"], ORG.tables), query.where).rows)) <= 7


def test_by_id_a_record_that_was_removed_is_no_longer_there() -> None:
    org = SalesforceOrg()
    ids = [org.create("Contact", {"LastName": f"L{number}"}) for number in range(4)]
    org.tables["Contact"].remove(ids[2])
    org.update("Contact", ids[0], {"LastName": "Edited"})
    assert [row["Id"] for row in org.tables["Contact"].slice_of_ids(None, None)] == [ids[0], ids[1], ids[3]]
    assert [row["Id"] for row in org.tables["Contact"].slice_of_ids(ids[1], ids[3])] == [ids[1]]
