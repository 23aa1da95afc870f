"""What the demo begins with, and the edits of its working day."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from crmsync.cli.demo.edits import Pair, make_day
from crmsync.cli.demo.local import CsvTable, LocalSide, SqliteTable
from crmsync.cli.demo.people import Pool, make_people, make_pools
from crmsync.cli.demo.population import make_population
from crmsync.cli.demo.scenario import lost_edits


@pytest.fixture(scope="module")
def pools() -> list[Pool]:
    return make_pools(1)


def test_the_same_seed_makes_the_same_people_and_another_others(pools: list[Pool]) -> None:
    assert make_population(300, 1, pools) == make_population(300, 1, make_pools(1))
    assert make_population(300, 1, pools) != make_population(300, 2, pools)


def test_people_are_spread_over_both_sides_as_promised(pools: list[Pool]) -> None:
    there = make_population(1000, 1, pools)
    here = {row["email"].lower() for row in there.subscribers}
    crm = {contact["Email"].lower() for contact in there.contacts}
    assert len(here - crm) == pytest.approx(450, abs=5)
    assert len(crm - here) == pytest.approx(250, abs=5)
    assert len(here & crm) == pytest.approx(300, abs=5)


def test_bad_rows_and_doubles_are_planted_and_known(pools: list[Pool]) -> None:
    there = make_population(1000, 1, pools)
    by_id = {row["id"]: row for row in there.subscribers}
    assert len(by_id) == len(there.subscribers)
    assert there.spoilt
    assert all("@" not in by_id[id_]["email"] or len(by_id[id_]["last_name"]) > 80 for id_ in there.spoilt)
    here = Counter(row["email"].lower() for row in there.subscribers)
    crm = Counter(contact["Email"].lower() for contact in there.contacts)
    assert there.doubled == {email for counted in (here, crm) for email, times in counted.items() if times > 1}
    assert there.excused(None, next(iter(there.doubled)).upper())


def test_names_come_from_many_scripts_and_emails_are_ascii_and_unique(pools: list[Pool]) -> None:
    people = make_people(500, pools, random.Random(1))
    assert len({person.email for person in people}) == 500
    assert all(person.email.isascii() for person in people)
    assert sum(not person.last_name.isascii() for person in people) > 50


def test_a_day_touches_each_pair_in_one_way_but_for_those_meant_to_be_edited_twice() -> None:
    pairs = [Pair(f"l{n}", f"r{n}") for n in range(1000)]
    day = make_day(pairs, seed=1)
    assert day == make_day(pairs, seed=1)
    clashes = {pair.local_id for pair in day.clashes}
    assert all("phone" in day.local[pair.local_id] and "Phone" in day.remote[pair.remote_id] for pair in day.clashes)
    apart = {pair.local_id for pair in day.apart}
    edited_there = {pair.local_id for pair in day.edited_there}
    assert apart <= day.local.keys() & edited_there
    gone = {pair.local_id for pair in (*day.deleted_here, *day.deleted_there)}
    assert gone
    assert not gone & (day.local.keys() | edited_there | clashes)


def test_an_edit_that_did_not_survive_is_found() -> None:
    pairs = [Pair(f"l{n}", f"r{n}") for n in range(300)]
    day = make_day(pairs, seed=1)
    untouched = {pair.local_id: {"phone": None, "company": None, "opted_out": 0} for pair in pairs}
    expected = {pair.local_id for pair in (*day.deleted_here, *day.deleted_there, *day.edited_there, *day.opted_out)}
    clashes = {pair.local_id for pair in day.clashes}
    assert set(lost_edits(day, untouched)) == expected | (day.local.keys() - clashes)


def test_a_day_whose_edits_all_survived_has_lost_none() -> None:
    pairs = [Pair(f"l{n}", f"r{n}") for n in range(300)]
    day = make_day(pairs, seed=1)
    gone = {pair.local_id for pair in (*day.deleted_here, *day.deleted_there)}
    rows: dict[str, dict[str, object]] = {
        pair.local_id: {"opted_out": "true", **day.local.get(pair.local_id, {})}
        for pair in pairs
        if pair.local_id not in gone
    }
    for pair in day.edited_there:
        rows[pair.local_id]["company"] = day.remote[pair.remote_id]["MarkMail_Company__c"]
    assert list(lost_edits(day, rows)) == []


@pytest.mark.parametrize("kind", [SqliteTable, CsvTable])
def test_the_local_side_is_edited_behind_the_syncs_back(
    kind: type[SqliteTable | CsvTable], tmp_path: Path, pools: list[Pool]
) -> None:
    table: LocalSide = kind(tmp_path)
    rows = make_population(30, 1, pools).subscribers
    table.fill(rows[:-1])
    table.add(rows[-1:])
    ids = [row["id"] for row in rows]
    table.edit({ids[0]: {"phone": "+41 1"}})
    table.delete({ids[1]})
    held = table.rows()
    assert set(held) == set(ids) - {ids[1]}
    assert held[ids[0]]["phone"] == "+41 1"
    assert held[ids[2]]["email"] == rows[2]["email"]
