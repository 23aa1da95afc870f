"""The overwrite guard: what a wrong mapping, a swapped column or a wrong match would do is stopped early."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.errors import OverwriteGuardError
from crmsync.models.mappings import ConflictPolicy, FieldMapping, ObjectMapping, two_way
from crmsync.models.records import Side, StoreLimits
from crmsync.models.runs import RunStatus
from crmsync.models.schema import FieldType
from crmsync.testing.world import World, world

pytestmark = pytest.mark.anyio

EMAIL = two_way("email", "Email", field_type=FieldType.EMAIL)
FIRST = two_way("first", "First")
LAST = two_way("last", "Last")
CITY = two_way("city", "City")
FIELDS = (EMAIL, FIRST, LAST, CITY)
PEOPLE = 100


def mapped(*fields: FieldMapping, **options: Any) -> ObjectMapping:
    return ObjectMapping(fields=fields or FIELDS, **options)


def person(number: int) -> dict[str, object]:
    return {
        "email": f"p{number}@example.org",
        "first": f"First {number}",
        "last": f"Last {number}",
        "city": f"City {number}",
    }


def grow(w: World, people: int = PEOPLE) -> list[str]:
    return [w.local.add(person(number), id=str(number)) for number in range(people)]


async def test_two_swapped_columns_stop_the_run_before_the_page_is_written() -> None:
    async with world(mapped()) as w:
        ids = grow(w)
        await w.sync()
        before = w.remote.snapshot()
        for number, record_id in enumerate(ids):
            w.local.edit(record_id, first=f"Last {number}", last=f"First {number}")
        with pytest.raises(OverwriteGuardError) as stopped:
            await w.sync()
        assert w.remote.snapshot() == before
        error = stopped.value
        assert (error.planned, error.limit, error.scope) == (200, 100, "remote")
        assert error.fields == (("First", 100), ("Last", 100))
        assert set(error.examples) <= set(before)
        assert "First 100, Last 100" in error.message
        assert "City 1" not in error.message
        (log, _) = await w.repository.list_logs("acme")
        assert log.error_details["report"]["status"] == RunStatus.STOPPED
        report = await w.sync(allow_overwrites=200)
        assert (report.remote.updated, report.remote.overwritten) == (100, 200)


async def test_pages_before_the_limit_stay_and_the_run_stops_at_the_page_that_passes_it() -> None:
    async with world(mapped(overwrite_guard_share=0.1)) as w:
        ids = grow(w, 200)
        await w.sync()
        for record_id in ids:
            w.local.edit(record_id, first="X")
        with pytest.raises(OverwriteGuardError) as stopped:
            await w.sync(page_size=30)
        assert stopped.value.planned == 120
        assert sum(row["First"] == "X" for row in w.remote.snapshot().values()) == 90
        with pytest.raises(OverwriteGuardError):
            await w.sync(page_size=30)
        report = await w.sync(allow_overwrites=1000)
        assert {row["First"] for row in w.remote.snapshot().values()} == {"X"}
        assert report.remote.overwritten < 200, "what was acknowledged before the stop is not written again"


@pytest.mark.parametrize("people", [4, 10])
async def test_two_data_sets_with_the_same_keys_are_not_poured_into_each_other(people: int) -> None:
    """A second local data set, whose rows are 0, 1, 2 as well, meets the first one's records by their external key."""
    async with world(mapped()) as first:
        grow(first, people)
        await first.sync()
        before = first.remote.snapshot()
        async with world(mapped(), clock=first.clock, integration_id="second") as second:
            second.remote = first.remote
            for number in range(people):
                second.local.add(person(number + 500), id=str(number))
            ours = second.local.snapshot()
            with pytest.raises(OverwriteGuardError) as stopped:
                await second.sync()
            assert stopped.value.scope == "meeting"
            assert "a key field of its own" in stopped.value.message
            assert first.remote.snapshot() == before
            assert second.local.snapshot() == ours


async def test_people_whose_addresses_changed_while_their_links_were_lost_are_the_same_people() -> None:
    """Half of those that meet by their key have another e-mail: bookkeeping that begins anew goes on with them."""
    async with world(mapped()) as w:
        ids = grow(w, 20)
        await w.sync()
        for number in ids[::2]:
            w.local.edit(number, email=f"new{number}@example.org")
        async with world(mapped(), clock=w.clock) as anew:
            anew.local, anew.remote = w.local, w.remote
            await anew.sync()
        assert {row["Email"] for row in w.remote.snapshot().values()} == {
            row["email"] for row in w.local.snapshot().values()
        }


async def test_one_wrong_column_of_a_first_load_is_stopped_though_the_others_agree() -> None:
    """The CRM's city is mapped to the local last name."""
    wrong = (EMAIL, FIRST, two_way("last", "City"), two_way("a", "A"), two_way("b", "B"), two_way("c", "C"))
    async with world(mapped(*wrong)) as w:
        for number in range(30):
            extra = {"a": "1", "b": "2", "c": "3"}
            w.local.add({**person(number), **extra})
            row = {name.title(): value for name, value in {**person(number), **extra}.items()}
            w.remote.add(row)
        with pytest.raises(OverwriteGuardError) as stopped:
            await w.sync()
        assert stopped.value.fields == (("last", 30),)


async def test_a_mapping_that_is_changed_to_a_wrong_column_is_stopped() -> None:
    async with world(mapped(EMAIL, FIRST, CITY)) as w:
        for number in range(30):
            w.remote.add({name.title(): value for name, value in person(number).items()})
        await w.sync()
        for record_id, row in w.local.snapshot().items():
            w.local.edit(record_id, last=f"{row['first']} family")
        w.mapping = mapped(EMAIL, FIRST, CITY, two_way("last", "Last"))
        with pytest.raises(OverwriteGuardError) as stopped:
            await w.sync()
        assert stopped.value.fields == (("last", 30),)


async def test_a_first_load_of_two_systems_that_mostly_agree_goes_through() -> None:
    async with world(mapped()) as w:
        grow(w, 200)
        for number in range(200):
            row = {name.title(): value for name, value in person(number).items()}
            w.remote.add({**row, "City": f"Town {number}"} if number % 5 < 2 else row)
        report = await w.sync()
        assert report.local.overwritten + report.remote.overwritten == 80
        assert (await w.sync()).written == 0


async def test_creates_and_filled_blanks_are_not_overwrites() -> None:
    async with world(mapped(overwrite_guard_count=0, overwrite_guard_share=0)) as w:
        ids = [w.local.add(email=f"p{n}@example.org") for n in range(PEOPLE)]
        report = await w.sync()
        for record_id in ids:
            w.local.edit(record_id, first="Ann", last="Lee", city="Bonn")
        report = await w.sync()
        assert (report.remote.updated, report.remote.overwritten) == (PEOPLE, 0)


async def test_tags_that_are_added_are_no_overwrite_and_tags_that_go_are() -> None:
    tags = two_way("tags", "Tags", field_type=FieldType.TAGS)
    async with world(mapped(EMAIL, tags, overwrite_guard_count=0, overwrite_guard_share=0)) as w:
        record_id = w.local.add(email="ann@example.org", tags=("a", "b"))
        await w.sync()
        w.local.edit(record_id, tags=("a", "b", "c"))
        assert (await w.sync()).remote.updated == 1
        w.local.edit(record_id, tags=("a",))
        with pytest.raises(OverwriteGuardError):
            await w.sync()


async def test_an_opt_out_of_everybody_is_never_held_back() -> None:
    opted = two_way("opted_out", "OptedOut", field_type=FieldType.BOOLEAN, policy=ConflictPolicy.MOST_RESTRICTIVE)
    async with world(mapped(EMAIL, opted, overwrite_guard_count=0, overwrite_guard_share=0)) as w:
        ids = [w.local.add(email=f"p{n}@example.org", opted_out=False) for n in range(5)]
        await w.sync()
        for record_id in ids:
            w.local.edit(record_id, opted_out=True)
        assert (await w.sync()).remote.updated == 5
        w.local.edit(ids[0], opted_out=False)
        with pytest.raises(OverwriteGuardError):
            await w.sync()


async def test_clearing_a_column_of_everybody_is_stopped() -> None:
    limits = StoreLimits(accepts_ids=True, change_feed=False)
    async with world(mapped(overwrite_guard_share=0.2), local={"limits": limits}) as w:
        ids = grow(w, 200)
        await w.sync()
        for record_id in ids:
            w.local.edit(record_id, city=None)
        with pytest.raises(OverwriteGuardError, match="City 200"):
            await w.sync()
        assert None not in {row["City"] for row in w.remote.snapshot().values()}


async def test_a_score_of_everybody_that_is_reckoned_anew_each_night_goes_through() -> None:
    async with world(mapped()) as w:
        ids = grow(w, 500)
        await w.sync()
        for record_id in ids:
            w.local.edit(record_id, city="another")
        assert (await w.sync()).remote.overwritten == 500


async def test_the_local_side_is_guarded_as_well() -> None:
    async with world(mapped()) as w:
        grow(w)
        await w.sync()
        before = w.local.snapshot()
        for record_id in w.remote.snapshot():
            w.remote.edit(record_id, First="X", Last="X")
        with pytest.raises(OverwriteGuardError) as stopped:
            await w.sync()
        assert stopped.value.scope == "local"
        assert w.local.snapshot() == before


async def test_a_plan_says_that_a_guard_would_stop_the_run() -> None:
    async with world(mapped()) as w:
        ids = grow(w)
        await w.sync()
        for record_id in ids:
            w.local.edit(record_id, first="X", last="X")
        plan = await w.plan()
        assert plan.report.would_stop is not None
        assert "200 non-blank values of the CRM" in plan.report.would_stop
        assert plan.report.remote.overwritten == 200
        assert len(plan.records) == PEOPLE
        with pytest.raises(OverwriteGuardError):
            await w.apply(plan)
        assert (await w.apply(plan, allow_overwrites=200)).remote.updated == PEOPLE


async def test_raising_the_guard_after_a_stop_does_not_read_everything_anew() -> None:
    async with world(mapped()) as w:
        ids = grow(w)
        w.clock.tick()
        await w.sync()
        for record_id in ids[:60]:
            w.local.edit(record_id, first="X", last="X")
        with pytest.raises(OverwriteGuardError):
            await w.sync()
        w.mapping = mapped(overwrite_guard_count=120)
        report = await w.sync()
        assert (report.local.read, report.sync_type) == (60, "incremental")
        assert report.remote.overwritten == 120


@pytest.mark.parametrize("side", list(Side))
async def test_a_normal_day_is_far_from_the_limit(side: Side) -> None:
    async with world(mapped()) as w:
        ids = grow(w)
        await w.sync()
        store = w.local if side is Side.LOCAL else w.remote
        chosen = ids if side is Side.LOCAL else list(w.remote.snapshot())
        for record_id in chosen[:40]:
            store.edit(record_id, {"city" if side is Side.LOCAL else "City": "Berlin"})
        assert (await w.sync()).written == 40
