"""Ranges of ids: every record is in one of them, and about as many in each wherever the records were made."""

from __future__ import annotations

import bisect
import functools
import random
import re

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.providers.salesforce.cursor import IdRange
from crmsync.providers.salesforce.loading.cutting import Share, divided, joined, shares
from crmsync.testing.record_subject import read_pass
from crmsync.testing.salesforce.ids import make_id
from tests.unit.providers.salesforce.conftest import Connect, answer
from tests.unit.providers.salesforce.loading.filled import FIELDS, everybody, filled, names
from tests.unit.providers.salesforce.writing.conftest import OpenDesk

IDS = st.builds(
    make_id,
    st.just("003"),
    st.integers(0, 62**9 - 1),
    instance=st.text(st.sampled_from("0123456789ABCZabcz"), min_size=3, max_size=3),
)


def ranges_with(one: str, ranges: list[IdRange]) -> int:
    """How many ranges hold an id."""
    return sum((each.after or "") < one and (each.until is None or one <= each.until) for each in ranges)


@given(st.lists(IDS, min_size=2, max_size=60, unique=True), st.integers(2, 9))
def test_every_id_is_in_exactly_one_range(ids: list[str], parts: int) -> None:
    ranges = divided(min(ids), max(ids), parts)
    assert 1 <= len(ranges) <= parts
    assert all(ranges_with(one, list(ranges)) == 1 for one in ids)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30), st.integers(1, 9))
def test_neighbours_are_joined_without_losing_a_record(sizes: list[int], most: int) -> None:
    bounds = [None, *(make_id("003", place) for place in range(1, len(sizes))), None]
    found = [Share(IdRange(bounds[place], bounds[place + 1]), size) for place, size in enumerate(sizes)]
    kept = joined(found, most)
    assert 1 <= len(kept) <= most
    assert sum(each.records for each in kept) == sum(sizes)
    assert all(each.records for each in kept) or len(kept) == 1
    assert (kept[0].part.after, kept[-1].part.until) == (None, None)
    assert [each.part.until for each in kept[:-1]] == [each.part.after for each in kept[1:]]


@pytest.mark.anyio
@pytest.mark.parametrize("living", [True, False])
async def test_the_jobs_have_about_as_many_records_each_in_an_org_that_was_moved(
    living: bool, open_desk: OpenDesk
) -> None:
    """Its ids are in three places far from one another; some of what was there first is deleted."""
    given = filled(0)
    org = given["org"]
    for number in range(100):
        if number in (10, 70):
            org.table("Contact").serial += 62**8
        org.create("Contact", {"LastName": f"Last {number}"})
    gone = set() if living else set(range(10, 30))
    for row in org.records("Contact"):
        if int(row["LastName"].removeprefix("Last ")) in gone:
            org.delete("Contact", row["Id"])
    given["clock"].tick(3600)
    async with open_desk(**given, bulk_read_ranges=5) as desk:
        full = await read_pass(desk.store, None, FIELDS)
    assert names(full.records) == [name for name in everybody(100) if int(name.removeprefix("Last ")) not in gone]
    assert full.complete_scan
    sizes = [len(job.rows) for job in org.bulk.query.values()]
    assert len(sizes) <= 5
    assert max(sizes) <= 2 * len(full.records) / 5


INSTANCE = 62**9
"""The ids of an instance, of which the org has some."""
SKEWED = {
    "nine in ten were made in one instance, the others in five": [
        *range(3 * INSTANCE, 3 * INSTANCE + 9_000),
        *(number * INSTANCE + place for number in (1, 2, 7, 20, 50) for place in range(200)),
    ],
    "nine in ten were imported at once, the others over years": [
        *range(4 * 10**8, 4 * 10**8 + 450_000, 5),
        *random.Random(1).sample(range(10**9), 10_000),
    ],
    "few are older than the instance": [1, 2, *range(7 * INSTANCE, 7 * INSTANCE + 10_000)],
}


@pytest.mark.anyio
@pytest.mark.parametrize("case", SKEWED)
async def test_ids_that_are_dense_in_one_place_are_cut_there(case: str, connect: Connect) -> None:
    """No range has twice its share; every id is in one; and the cuts take fewer calls than reading by queries would."""
    ids = _ids(case)

    async def respond(request: httpx2.Request) -> httpx2.Response:
        asked = request.url.params["q"]
        after, until = (re.search(rf"Id {sign} '(\w{{15}})", asked) for sign in (">", "<="))
        held = ids[
            bisect.bisect_right(ids, after[1]) if after else 0 : bisect.bisect_right(ids, until[1]) if until else None
        ]
        if "COUNT" in asked:
            return answer(body={"totalSize": len(held), "done": True, "records": []})
        skip = int(asked.partition(" OFFSET ")[2] or 0)
        assert skip <= 2000
        edge = (held[::-1] if "DESC" in asked else held)[skip : skip + 1]
        return answer(body={"totalSize": len(edge), "done": True, "records": [{"Id": one} for one in edge]})

    async with connect(respond) as line:
        found = await shares(line.client, "Contact", None, 5, len(ids))
        calls = len(line.script.requests)
    assert sum(each.records for each in found) == len(ids)
    assert (found[0].part.after, found[-1].part.until) == (None, None)
    assert [each.part.until for each in found[:-1]] == [each.part.after for each in found[1:]]
    assert 2 <= len(found) <= 5
    assert max(each.records for each in found) <= 2 * len(ids) / 5
    assert calls <= 50


@functools.cache
def _ids(case: str) -> list[str]:
    return sorted({"003" + _digits(number) for number in SKEWED[case]})


def _digits(number: int) -> str:
    digits = ""
    for _ in range(12):
        number, rest = divmod(number, 62)
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[rest] + digits
    return digits
