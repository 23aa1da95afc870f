"""Faults that users of other sync systems reported, each a test of ours, on the real engine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import attrs
import pytest

from crmsync.errors import DeleteGuardError, RateLimitedError, RejectedError, UnavailableError
from crmsync.models.mappings import (
    ConflictPolicy,
    DeletePolicy,
    Enforcement,
    FieldMapping,
    ObjectMapping,
    SyncDirection,
    two_way,
)
from crmsync.models.records import ChangePage, Operation, Side, StoreLimits
from crmsync.models.runs import RunStatus
from crmsync.models.schema import FieldType
from crmsync.models.state import ConflictStatus, Decision, LinkStatus
from crmsync.testing.faults import Crash, Fault, FaultyStore, When
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.world import LOCAL_LIMITS, REMOTE_LIMITS, World, world

pytestmark = pytest.mark.anyio

EMAIL = two_way("email", "Email", field_type=FieldType.EMAIL)
NAME = two_way("name", "Name")
CITY = two_way("city", "City")
TAGS = two_way("tags", "Tags", field_type=FieldType.TAGS)
OPT_OUT = two_way("opted_out", "OptedOut", field_type=FieldType.BOOLEAN, policy=ConflictPolicy.MOST_RESTRICTIVE)
CONTACT = ObjectMapping(fields=(EMAIL, NAME, CITY, TAGS, OPT_OUT))


def mapped(*fields: FieldMapping, **options: object) -> ObjectMapping:
    return ObjectMapping(fields=(EMAIL, *fields), **options)


async def linked(w: World, **values: object) -> tuple[str, str]:
    """One person on both sides; the local and the remote id."""
    fields = {"email": "ann@example.org", "name": "Ann", "city": "Bonn", **values}
    local = w.local.add(fields)
    await w.sync()
    (remote,) = w.remote.snapshot()
    return local, remote


def value(w: World, side: Side, record_id: str, field: str) -> object:
    return (w.local if side is Side.LOCAL else w.remote).snapshot()[record_id][field]


async def test_case_01_the_sides_do_not_swap_values_in_a_conflict() -> None:
    """Whoever wins, both sides end with the one value, and stay so."""
    async with world(mapped(NAME, policy=ConflictPolicy.REMOTE_WINS)) as w:
        local, remote = await linked(w)
        w.local.edit(local, name="Local")
        w.remote.edit(remote, Name="Remote")
        await w.sync()
        assert value(w, Side.LOCAL, local, "name") == value(w, Side.REMOTE, remote, "Name") == "Remote"
        assert (await w.sync()).written == 0


async def test_case_02_a_page_without_changes_does_not_end_the_pass() -> None:
    """Pages full of tombstones that were never ours are followed by the page with the change."""
    async with world(mapped(NAME), remote={"limits": StoreLimits(external_key=True, read_page=2)}) as w:
        await linked(w)
        for number in range(6):
            w.clock.tick(1)
            w.remote.remove(w.remote.add(Email=f"gone{number}@example.org"))
        w.clock.tick(1)
        w.remote.add(Email="new@example.org", Name="New")
        await w.sync()
        assert "new@example.org" in {r["email"] for r in w.local.snapshot().values()}


@pytest.mark.parametrize("given", [0, False, ""])
async def test_case_03_zero_false_and_empty_are_values(given: object) -> None:
    kinds = {int: FieldType.INTEGER, bool: FieldType.BOOLEAN, str: FieldType.TEXT}
    async with world(mapped(two_way("extra", "Extra", field_type=kinds[type(given)]))) as w:
        local, remote = await linked(w, extra={int: 7, bool: True, str: "x"}[type(given)])
        w.local.edit(local, extra=given)
        await w.sync()
        assert value(w, Side.REMOTE, remote, "Extra") in (given, None if given == "" else given)
        assert value(w, Side.LOCAL, local, "extra") == given


async def test_case_04_a_change_pulled_from_one_crm_reaches_the_other_and_does_not_come_back() -> None:
    async with world(mapped(NAME)) as a:
        local, remote = await linked(a)
        other = MemoryRecordStore("Contact", clock=a.clock, limits=REMOTE_LIMITS, id_prefix="00B")
        async with world(mapped(NAME), clock=a.clock, integration_id="second") as b:
            b.local, b.remote = a.local, other
            await b.sync()
            (twin,) = other.snapshot()
            a.remote.edit(remote, Name="From A")
            await a.sync()
            report = await b.sync()
            assert report.remote.updated == 1
            assert value(b, Side.REMOTE, twin, "Name") == "From A"
            assert (await a.sync()).written == 0
            assert (await b.sync()).written == 0
            assert value(a, Side.LOCAL, local, "name") == "From A"


@pytest.mark.parametrize("policy", [*list(DeletePolicy)[:2], DeletePolicy.PROPAGATE])
async def test_case_05_a_locally_deleted_contact_is_not_created_again(policy: DeletePolicy) -> None:
    async with world(mapped(NAME, delete_in_crm=policy)) as w:
        local, remote = await linked(w)
        w.local.remove(local)
        await w.sync()
        if remote in w.remote.snapshot():
            w.remote.edit(remote, Name="Edited later")
        await w.sync()
        await w.sync(full=True)
        assert w.local.snapshot() == {}
        assert (remote in w.remote.snapshot()) is (policy is not DeletePolicy.PROPAGATE)


@pytest.mark.parametrize("side", list(Side))
async def test_case_06_a_cleared_field_propagates(side: Side) -> None:
    async with world(mapped(CITY)) as w:
        local, remote = await linked(w)
        if side is Side.LOCAL:
            w.local.edit(local, city=None)
        else:
            w.remote.edit(remote, City=None)
        await w.sync()
        assert value(w, Side.LOCAL, local, "city") is None
        assert value(w, Side.REMOTE, remote, "City") is None


async def test_case_07_a_one_way_field_is_never_wiped_on_its_source_side() -> None:
    to_crm = two_way("score", "Score", sync_direction=SyncDirection.TO_CRM)
    from_crm = two_way("owner", "Owner", sync_direction=SyncDirection.FROM_CRM)
    async with world(mapped(to_crm, from_crm)) as w:
        local, remote = await linked(w, score="9")
        w.remote.edit(remote, Owner="Bob", Score=None)
        await w.sync()
        w.local.edit(local, owner=None)
        await w.sync()
        assert value(w, Side.LOCAL, local, "score") == "9"
        assert value(w, Side.REMOTE, remote, "Owner") == "Bob"


async def test_case_08_the_same_person_twice_in_one_batch_makes_no_second_remote_record() -> None:
    """Both are quarantined, each with the other as the candidate; nothing is created until someone decides."""
    async with world(mapped(NAME)) as w:
        first = w.local.add(email="ann@example.org", name="Ann")
        second = w.local.add(email="ANN@example.org", name="Ann B.")
        report = await w.sync()
        assert w.remote.snapshot() == {}
        assert {p.code for p in report.problems} == {"duplicate"}
        w.local.edit(second, email="annb@example.org")
        report = await w.sync()
        assert len(w.remote.snapshot()) == 2
        assert report.status is RunStatus.SUCCESS
        assert first in set(w.remote.keys())


@pytest.mark.parametrize("when", list(When))
@pytest.mark.parametrize("external_key", [True, False])
async def test_case_09_a_crash_between_create_and_link_makes_no_duplicate(when: When, external_key: bool) -> None:
    limits = StoreLimits(external_key=external_key)
    async with world(mapped(NAME), remote={"limits": limits}) as w:
        for number in range(6):
            w.local.add(email=f"p{number}@example.org", name=f"P{number}")
        w.through[Side.REMOTE] = FaultyStore(w.remote, [Fault(Crash(), method="write", when=when)])
        with pytest.raises(Crash):
            await w.sync()
        w.through.clear()
        w.clock.tick(120)
        await w.sync()
        emails = [str(r["Email"]) for r in w.remote.snapshot().values()]
        assert sorted(emails) == [f"p{n}@example.org" for n in range(6)]
        assert (await w.sync()).written == 0


@pytest.mark.parametrize("when", list(When))
@pytest.mark.parametrize("side", list(Side))
async def test_a_crash_while_people_are_taken_over_leaves_no_record_without_its_key(when: When, side: Side) -> None:
    async with world(mapped(NAME)) as w:
        for number in range(6):
            w.remote.add(Email=f"p{number}@example.org", Name=f"P{number}")
        store = w.local if side is Side.LOCAL else w.remote
        w.through[side] = FaultyStore(store, [Fault(Crash(), method="write", when=when)])
        with pytest.raises(Crash):
            await w.sync()
        w.through.clear()
        w.clock.tick(120)
        report = await w.sync()
        assert report.status is RunStatus.SUCCESS
        records = (await w.remote.get(list(w.remote.snapshot()), fields=("Email",))).values()
        assert sorted(str(one.key) for one in records) == sorted(w.local.snapshot())
        assert len(w.local.snapshot()) == 6
        assert (await w.sync()).written == 0


async def test_case_10_a_run_after_a_long_pause_goes_on_from_its_cursor() -> None:
    """Only what changed is read, however late the run."""
    async with world(mapped(NAME)) as w:
        for number in range(30):
            w.local.add(email=f"p{number}@example.org", name="P")
        await w.sync()
        w.clock.tick(86_400)
        await w.sync()
        w.clock.tick(86_400)
        (remote, *_) = w.remote.snapshot()
        w.remote.edit(remote, Name="New")
        report = await w.sync()
        assert report.remote.read == 1
        assert report.local.updated == 1


async def test_case_11_two_quick_local_edits_both_arrive_and_the_last_one_stays() -> None:
    async with world(mapped(NAME)) as w:
        local, remote = await linked(w)
        w.local.edit(local, name="First")
        await w.sync()
        w.local.edit(local, name="Second")
        await w.sync()
        await w.sync()
        assert value(w, Side.LOCAL, local, "name") == value(w, Side.REMOTE, remote, "Name") == "Second"


async def test_case_11_a_record_deleted_before_its_first_sync_does_not_come_back() -> None:
    async with world(mapped(NAME)) as w:
        w.local.remove(w.local.add(email="ann@example.org", name="Ann"))
        await w.sync()
        assert w.remote.snapshot() == {}
        assert w.local.snapshot() == {}


async def test_case_12_a_newly_mapped_field_is_back_filled() -> None:
    async with world(mapped(NAME)) as w:
        _, remote = await linked(w, city="Bonn")
        w.clock.tick(86_400)
        await w.sync()
        w.mapping = mapped(NAME, CITY)
        report = await w.sync()
        assert report.remote.updated == 1
        assert value(w, Side.REMOTE, remote, "City") == "Bonn"
        assert (await w.sync()).written == 0


async def test_case_13_two_crm_records_with_one_email_are_quarantined_with_both_as_candidates() -> None:
    async with world(mapped(NAME)) as w:
        one = w.remote.add(Email="ann@example.org", Name="One")
        two = w.remote.add(Email="ann@example.org", Name="Two")
        local = w.local.add(email="ann@example.org", name="Ann")
        report = await w.sync()
        assert report.written == 0
        assert report.status is RunStatus.PARTIAL
        by_record = {p.markmail_id: set(p.candidates) for p in report.problems}
        assert by_record[local] == {one, two}
        w.remote.remove(two)
        report = await w.sync()
        assert report.status is RunStatus.SUCCESS
        assert w.remote.keys()[local] == one


async def test_case_14_a_delete_is_decided_for_each_record_of_a_batch() -> None:
    """One record was edited on the other side and is spared; its neighbour in the batch is deleted."""
    async with world(mapped(NAME, delete_in_crm=DeletePolicy.PROPAGATE)) as w:
        kept, gone = (w.local.add(email=f"p{n}@example.org", name="P") for n in range(2))
        await w.sync()
        remote = w.remote.keys()
        w.local.remove(kept)
        w.local.remove(gone)
        w.remote.edit(remote[kept], Name="Edited")
        report = await w.sync()
        assert set(w.remote.snapshot()) == {remote[kept]}
        assert report.remote.deleted == 1
        assert w.local.snapshot() == {}


async def test_case_15_a_value_that_the_crm_cuts_never_comes_back_over_the_original() -> None:
    async with world(mapped(NAME), remote={"lossy": {"Name": lambda v: v[:6] if isinstance(v, str) else v}}) as w:
        local, remote = await linked(w, name="Bartholomew")
        for _ in range(3):
            assert (await w.sync()).written == 0
        w.remote.edit(remote, City="touched")
        await w.sync()
        assert value(w, Side.LOCAL, local, "name") == "Bartholomew"
        assert value(w, Side.REMOTE, remote, "Name") == "Bartho"


@pytest.mark.parametrize("page", [1, 3, 50])
async def test_case_16_more_records_share_one_timestamp_than_fit_a_page(page: int) -> None:
    limits = StoreLimits(external_key=True, read_page=page)
    async with world(mapped(NAME), remote={"limits": limits}, local={"limits": LOCAL_LIMITS}) as w:
        for number in range(20):
            w.remote.add(Email=f"p{number}@example.org", Name="P")
        await w.sync()
        assert len(w.local.snapshot()) == 20
        for remote in w.remote.snapshot():
            w.remote.edit(remote, Name="Q")
        await w.sync()
        assert {r["name"] for r in w.local.snapshot().values()} == {"Q"}


async def test_case_17_a_change_that_becomes_visible_late_is_not_missed() -> None:
    late = timedelta(minutes=4)
    async with world(mapped(NAME), remote={"late": late}) as w:
        w.clock.tick(600)
        local, _ = await linked(w)
        w.clock.tick(600)
        await w.sync()
        (remote,) = w.remote.snapshot()
        w.remote.edit(remote, Name="Late")
        w.clock.tick(30)
        await w.sync()
        w.clock.tick(300)
        await w.sync()
        assert value(w, Side.LOCAL, local, "name") == "Late"


@pytest.mark.parametrize("name", ["O'Brien", 'say "hi"', "back\\slash", "100 %", "emoji 🙂", "שלום"])
async def test_case_18_quotes_and_other_scripts_arrive_as_they_are(name: str) -> None:
    async with world(mapped(NAME)) as w:
        local, remote = await linked(w, name=name, email="o'brien@example.org")
        w.remote.edit(remote, Name=f"{name}!")
        await w.sync()
        assert value(w, Side.LOCAL, local, "name") == f"{name}!"
        assert (await w.sync()).written == 0


async def test_case_19_fields_outside_the_mapping_and_their_order_change_nothing() -> None:
    async with world(mapped(NAME)) as w:
        local, _ = await linked(w)
        w.local.edit(local, opened_last="yesterday", name="Ann")
        report = await w.sync()
        assert report.written == 0
        assert report.local.unchanged == 1


async def test_case_20_an_incomplete_scan_deletes_nothing() -> None:
    """A store without a change feed that cannot vouch for its scan never makes records look deleted."""

    class Partial(FaultyStore):
        async def changes(self, cursor: str | None, *, fields: Sequence[str], limit: int | None = None) -> ChangePage:
            page = await super().changes(cursor, fields=fields, limit=limit)
            return attrs.evolve(page, records=page.records[:1], complete_scan=False)

    limits = StoreLimits(accepts_ids=True, change_feed=False)
    mapping = mapped(NAME, delete_in_crm=DeletePolicy.PROPAGATE)
    async with world(mapping, local={"limits": limits}) as w:
        for number in range(5):
            w.local.add(email=f"p{number}@example.org", name="P")
        await w.sync()
        w.through[Side.LOCAL] = Partial(w.local)
        report = await w.sync()
        assert report.remote.deleted == 0
        assert len(w.remote.snapshot()) == 5


async def test_a_complete_scan_finds_what_was_deleted() -> None:
    limits = StoreLimits(accepts_ids=True, change_feed=False)
    mapping = mapped(NAME, delete_in_crm=DeletePolicy.PROPAGATE)
    async with world(mapping, local={"limits": limits}) as w:
        ids = [w.local.add(email=f"p{n}@example.org", name="P") for n in range(5)]
        await w.sync()
        w.local.remove(ids[2])
        report = await w.sync()
        assert report.remote.deleted == 1
        assert len(w.remote.snapshot()) == 4


async def test_case_21_a_row_that_failed_is_sent_again_although_its_source_did_not_change() -> None:
    refusing = {"on": True}

    def reject(operation: Operation) -> RejectedError | None:
        bad = refusing["on"] and operation.fields.get("Name") == "Bad"
        return RejectedError("no bad names", code="rule", field="Name") if bad else None

    async with world(mapped(NAME), remote={"reject": reject}) as w:
        w.local.add(email="good@example.org", name="Good")
        w.local.add(email="bad@example.org", name="Bad")
        for _ in range(2):
            report = await w.sync()
            assert report.remote.rejected == 1
            assert [(p.code, p.field) for p in report.problems] == [("rule", "Name")]
        refusing["on"] = False
        report = await w.sync()
        assert report.remote.created == 1
        assert report.status is RunStatus.SUCCESS


async def test_case_22_one_success_does_not_make_the_batch_a_success() -> None:
    def reject(operation: Operation) -> RejectedError | None:
        return RejectedError("no", code="rule") if str(operation.fields.get("Name")).startswith("Bad") else None

    async with world(mapped(NAME), remote={"reject": reject}) as w:
        for number in range(10):
            w.local.add(email=f"p{number}@example.org", name=f"{'Bad' if number % 3 else 'Good'} {number}")
        report = await w.sync()
        counts = await w.repository.count_links("acme", "Contact")
        assert (report.remote.created, report.remote.rejected) == (4, 6)
        assert (counts[LinkStatus.SYNCED], counts[LinkStatus.REJECTED]) == (4, 6)


async def test_case_23_one_remote_record_is_never_linked_to_two_local_ones() -> None:
    async with world(mapped(NAME)) as w:
        first, remote = await linked(w)
        second = w.local.add(email="ann@example.org", name="Another Ann")
        for _ in range(3):
            await w.sync()
        assert value(w, Side.REMOTE, remote, "Name") == "Ann"
        assert len(w.remote.snapshot()) == 1
        links = await w.repository.links_by_local("acme", "Contact", [first, second])
        assert links[first].crm_id == remote
        assert links[second].status is LinkStatus.QUARANTINED


async def test_case_24_every_record_of_a_batch_is_recognised_as_an_echo() -> None:
    async with world(mapped(NAME)) as w:
        for number in range(25):
            w.local.add(email=f"p{number}@example.org", name="P")
        await w.sync()
        report = await w.sync()
        assert report.written == 0
        assert report.remote.read == report.remote.unchanged == 25
        assert report.remote.echoes_dropped == 25


async def test_case_25_a_rate_limit_is_not_reported_as_a_finished_sync() -> None:
    async with world(mapped(NAME)) as w:
        await linked(w)
        w.through[Side.REMOTE] = FaultyStore(w.remote, [Fault(RateLimitedError("slow down"), method="changes")])
        with pytest.raises(RateLimitedError):
            await w.sync()
        logs = await w.repository.list_logs("acme")
        assert logs[0].error_details["report"]["status"] == "failed"


@pytest.mark.parametrize("newer", list(Side))
async def test_case_27_an_opt_out_in_the_crm_opts_the_person_out_whatever_the_times(newer: Side) -> None:
    async with world(mapped(OPT_OUT, NAME)) as w:
        local, remote = await linked(w, opted_out=False)
        for side in (newer.other, newer):
            w.clock.tick(30)
            if side is Side.LOCAL:
                w.local.edit(local, opted_out=None)
            else:
                w.remote.edit(remote, OptedOut=True)
        await w.sync()
        assert value(w, Side.LOCAL, local, "opted_out") is True
        assert value(w, Side.REMOTE, remote, "OptedOut") is True


async def test_edits_of_different_fields_on_both_sides_both_survive() -> None:
    async with world(mapped(NAME, CITY)) as w:
        local, remote = await linked(w)
        w.local.edit(local, name="New name")
        w.remote.edit(remote, City="New city")
        report = await w.sync()
        assert value(w, Side.REMOTE, remote, "Name") == "New name"
        assert value(w, Side.LOCAL, local, "city") == "New city"
        assert report.local.conflicts == report.remote.conflicts == 0


async def test_the_delete_guard_stops_the_run_before_anything_is_deleted() -> None:
    async with world(mapped(NAME, delete_in_crm=DeletePolicy.PROPAGATE, delete_guard_count=3)) as w:
        ids = [w.local.add(email=f"p{n}@example.org", name="P") for n in range(10)]
        await w.sync()
        for record_id in ids[:4]:
            w.local.remove(record_id)
        with pytest.raises(DeleteGuardError):
            await w.sync()
        assert len(w.remote.snapshot()) == 10
        report = await w.sync(allow_deletes=4)
        assert report.remote.deleted == 4


async def test_deletes_that_the_guard_held_back_are_found_again_by_a_store_that_is_scanned() -> None:
    limits = StoreLimits(accepts_ids=True, change_feed=False)
    mapping = mapped(NAME, delete_in_crm=DeletePolicy.PROPAGATE, delete_guard_count=1)
    async with world(mapping, local={"limits": limits}) as w:
        ids = [w.local.add(email=f"p{n}@example.org", name="P") for n in range(5)]
        await w.sync()
        for record_id in ids[:3]:
            w.local.remove(record_id)
        before = await w.repository.get_cursors("acme", "Contact")
        with pytest.raises(DeleteGuardError):
            await w.sync()
        assert (await w.repository.get_cursors("acme", "Contact")).local == before.local
        assert (await w.sync(allow_deletes=3)).remote.deleted == 3


async def test_a_parked_conflict_waits_and_is_then_carried_out_as_decided() -> None:
    name = two_way("name", "Name", policy=ConflictPolicy.MANUAL)
    async with world(mapped(name, CITY)) as w:
        local, remote = await linked(w)
        w.local.edit(local, name="Ours", city="Köln")
        w.remote.edit(remote, Name="Theirs")
        report = await w.sync()
        assert report.status is RunStatus.PARTIAL
        assert value(w, Side.REMOTE, remote, "City") == "Köln"
        (conflict,) = await w.repository.list_conflicts("acme", statuses=(ConflictStatus.OPEN,))
        assert (conflict.local_value, conflict.remote_value) == ("Ours", "Theirs")
        await w.sync()
        assert len(await w.repository.list_conflicts("acme")) == 1
        await w.repository.decide_conflicts("acme", {conflict.id: Decision(Side.LOCAL)}, now=w.clock.now())
        report = await w.sync()
        assert value(w, Side.REMOTE, remote, "Name") == "Ours"
        assert report.status is RunStatus.SUCCESS
        assert await w.repository.list_conflicts("acme", statuses=(ConflictStatus.OPEN, ConflictStatus.DECIDED)) == []


async def test_a_failed_write_call_leaves_the_run_failed_and_the_next_one_finishes_it() -> None:
    async with world(mapped(NAME)) as w:
        for number in range(4):
            w.local.add(email=f"p{number}@example.org", name="P")
        fault = Fault(UnavailableError("gone"), method="write", when=When.AFTER)
        w.through[Side.REMOTE] = FaultyStore(w.remote, [fault])
        with pytest.raises(UnavailableError):
            await w.sync()
        w.through.clear()
        await w.sync()
        assert len(w.remote.snapshot()) == 4
        assert (await w.sync()).written == 0


async def test_a_plan_writes_nothing_and_applying_it_writes_exactly_it() -> None:
    async with world(CONTACT) as w:
        w.local.add(email="a@example.org", name="A", tags=("x",))
        w.remote.add(Email="b@example.org", Name="B")
        plan = await w.plan()
        assert plan.writes == 3  # one create on each side, and the external key of the one born in the CRM
        assert len(w.local.snapshot()) == len(w.remote.snapshot()) == 1
        late = w.local.add(email="c@example.org", name="C")
        report = await w.apply(plan)
        assert report.written == plan.writes
        assert "c@example.org" not in {r["Email"] for r in w.remote.snapshot().values()}
        report = await w.sync()
        assert report.remote.created == 1
        assert late in w.local.snapshot()


async def test_a_record_that_changed_after_the_plan_is_left_for_the_next_run() -> None:
    async with world(CONTACT) as w:
        local, remote = await linked(w)
        w.local.edit(local, name="Planned")
        plan = await w.plan()
        w.local.edit(local, name="Changed since")
        report = await w.apply(plan)
        assert report.written == 0
        assert [p.code for p in report.problems] == ["stale"]
        await w.sync()
        assert value(w, Side.REMOTE, remote, "Name") == "Changed since"


async def test_merged_records_in_the_crm_re_point_the_link() -> None:
    async with world(mapped(NAME)) as w:
        local, remote = await linked(w)
        winner = w.remote.add(Email="ann@work.example.org", Name="Ann W.")
        w.remote.remove(remote, merged_into=winner)
        await w.sync()
        links = await w.repository.links_by_local("acme", "Contact", [local])
        assert links[local].crm_id == winner
        assert (await w.sync()).written == 0


async def test_an_undeleted_record_is_linked_again() -> None:
    async with world(mapped(NAME)) as w:
        local, remote = await linked(w)
        w.remote.remove(remote)
        await w.sync()
        assert (await w.repository.links_by_local("acme", "Contact", [local]))[local].status is LinkStatus.DELETED
        w.remote.add(id=remote, Email="ann@example.org", Name="Back")
        await w.sync()
        assert (await w.repository.links_by_local("acme", "Contact", [local]))[local].status is LinkStatus.SYNCED


@pytest.mark.parametrize("page", [None, 1])
async def test_a_record_that_was_merged_twice_between_two_runs_keeps_its_link(page: int | None) -> None:
    """A was merged into B, and B into C: the link of A follows to C."""
    async with world(mapped(NAME)) as w:
        local, first = await linked(w)
        second = w.remote.add(Email="ann@example.org", Name="Ann")
        w.remote.remove(first, merged_into=second)
        third = w.remote.add(Email="ann@example.org", Name="Anna")
        w.remote.remove(second, merged_into=third)
        assert (await w.sync(page_size=page)).status is RunStatus.SUCCESS
        assert value(w, Side.LOCAL, local, "name") == "Anna"
        assert (await w.repository.links_by_local("acme", "Contact", [local]))[local].crm_id == third


@pytest.mark.parametrize("page", [None, 1])
async def test_a_person_who_was_deleted_here_and_converted_there_stays_deleted(page: int | None) -> None:
    """Whether the new record is read before the tombstone of the old one or after it."""
    async with world(mapped(NAME)) as w:
        local, lead = await linked(w)
        w.local.remove(local)
        w.remote.remove(lead, merged_into=w.remote.add(Email="ann@example.org", Name="Ann"))
        await w.sync(page_size=page)
        await w.sync(page_size=page)
        assert w.local.snapshot() == {}


async def test_an_edit_made_here_while_the_record_was_merged_there_reaches_the_survivor() -> None:
    """The survivor still says what the loser said: only this side changed, however new the survivor is."""
    async with world(mapped(NAME)) as w:
        local, remote = await linked(w)
        w.local.edit(local, name="Ann B.")
        w.clock.tick(60)
        survivor = w.remote.add(Email="ann@work.example.org", Name="Ann")
        w.remote.remove(remote, merged_into=survivor)
        report = await w.sync()
        assert value(w, Side.REMOTE, survivor, "Name") == value(w, Side.LOCAL, local, "name") == "Ann B."
        assert report.remote.conflicts == 0


async def test_a_plan_re_points_the_link_of_a_merged_record() -> None:
    async with world(mapped(NAME, delete_in_local=DeletePolicy.PROPAGATE)) as w:
        local, remote = await linked(w)
        survivor = w.remote.add(Email="ann@work.example.org", Name="Ann W.")
        w.remote.remove(remote, merged_into=survivor)
        await w.apply(await w.plan())
        link = (await w.repository.links_by_local("acme", "Contact", [local]))[local]
        assert (link.crm_id, link.status) == (survivor, LinkStatus.SYNCED)
        assert value(w, Side.LOCAL, local, "name") == "Ann W."
        assert (await w.sync()).written == 0


async def test_a_reject_whose_record_was_merged_meanwhile_follows_and_is_no_delete() -> None:
    async with world(mapped(NAME, delete_in_local=DeletePolicy.PROPAGATE)) as w:
        local, remote = await linked(w)
        [link] = (await w.repository.links_by_local("acme", "Contact", [local])).values()
        await w.sync()
        survivor = w.remote.add(Email="ann@work.example.org", Name="Ann")
        w.remote.remove(remote, merged_into=survivor)
        plan = await w.plan()
        w.local.edit(local, name="Changed since")
        assert [p.code for p in (await w.apply(plan)).problems] == ["stale"]
        await w.sync()
        assert value(w, Side.REMOTE, survivor, "Name") == "Changed since"
        assert set(w.local.snapshot()) == {local}
        assert link.crm_id == remote


@pytest.mark.parametrize("page", [None, 1])
async def test_an_opt_out_that_only_the_loser_of_a_merge_has_reaches_both_sides(page: int | None) -> None:
    """No run has seen it, and the survivor does not have it."""
    async with world(mapped(NAME, OPT_OUT)) as w:
        local, remote = await linked(w)
        w.remote.edit(remote, OptedOut=True)
        survivor = w.remote.add(Email="ann@example.org", Name="Ann W.", OptedOut=False)
        w.remote.remove(remote, merged_into=survivor)
        await w.sync(page_size=page)
        assert value(w, Side.LOCAL, local, "opted_out") is True
        assert value(w, Side.REMOTE, survivor, "OptedOut") is True
        assert (await w.repository.links_by_local("acme", "Contact", [local]))[local].crm_id == survivor
        assert (await w.sync(page_size=page)).written == 0
        w.local.edit(local, opted_out=False)
        await w.sync(page_size=page)
        assert value(w, Side.REMOTE, survivor, "OptedOut") is False, "a later opt-in holds, although the loser is read"


async def test_an_opt_out_of_a_loser_comes_over_where_its_survivor_is_another_persons() -> None:
    async with world(mapped(NAME, OPT_OUT)) as w:
        local, remote = await linked(w)
        other = w.local.add(email="bob@example.org", name="Bob", opted_out=False)
        await w.sync()
        survivor = (await w.repository.links_by_local("acme", "Contact", [other]))[other].crm_id or ""
        w.remote.edit(remote, OptedOut=True)
        w.remote.remove(remote, merged_into=survivor)
        await w.sync()
        assert value(w, Side.LOCAL, local, "opted_out") is True
        assert value(w, Side.REMOTE, survivor, "OptedOut") is False


async def subscribed(w: World) -> tuple[str, str]:
    """A linked pair that has not opted out."""
    local = w.local.add(email="ann@example.org", name="Ann", opted_out=False)
    await w.sync()
    return local, (await w.repository.links_by_local("acme", "Contact", [local]))[local].crm_id or ""


async def never_linked(w: World, survivor: str) -> None:
    """Somebody in the CRM who opted out, whom nobody here had, is merged into this record."""
    loser = w.remote.add(Email="a@old.example.org", Name="A. Old", OptedOut=True)
    w.remote.remove(loser, merged_into=survivor)


@pytest.mark.parametrize("page", [None, 1])
async def test_an_opt_out_of_a_loser_that_was_never_linked_reaches_both_sides_of_its_survivor(page: int | None) -> None:
    async with world(mapped(NAME, OPT_OUT)) as w:
        local, remote = await subscribed(w)
        await never_linked(w, remote)
        await w.sync(page_size=page)
        assert value(w, Side.LOCAL, local, "opted_out") is True
        assert value(w, Side.REMOTE, remote, "OptedOut") is True
        [conflict] = await w.repository.list_conflicts("acme", "Contact")
        assert (conflict.field, conflict.local_value, conflict.remote_value) == ("opted_out", False, False)
        assert (await w.sync(page_size=page)).written == 0
        for side, opted_out in ((Side.LOCAL, False), (Side.REMOTE, True), (Side.REMOTE, False)):
            if side is Side.LOCAL:
                w.local.edit(local, opted_out=opted_out)
            else:
                w.remote.edit(remote, OptedOut=opted_out)
            await w.sync(page_size=page)
            held = value(w, Side.LOCAL, local, "opted_out"), value(w, Side.REMOTE, remote, "OptedOut")
            assert held == (opted_out, opted_out), "a later word holds, although the tombstone is read again"


async def test_who_opts_in_again_is_not_opted_out_by_a_tombstone_that_said_nothing_new() -> None:
    async with world(mapped(NAME, OPT_OUT)) as w:
        local, remote = await subscribed(w)
        w.local.edit(local, opted_out=True)
        await w.sync()
        await never_linked(w, remote)
        await w.sync()
        w.local.edit(local, opted_out=False)
        await w.sync()
        assert value(w, Side.LOCAL, local, "opted_out") is False
        assert value(w, Side.REMOTE, remote, "OptedOut") is False


async def test_a_plan_gives_both_sides_the_opt_out_of_a_loser_that_was_never_linked() -> None:
    async with world(mapped(NAME, OPT_OUT)) as w:
        local, remote = await subscribed(w)
        await never_linked(w, remote)
        plan = await w.plan()
        [planned] = plan.records
        assert {write.side: write.fields for write in planned.writes} == {
            Side.LOCAL: {"opted_out": True},
            Side.REMOTE: {"OptedOut": True},
        }
        assert value(w, Side.LOCAL, local, "opted_out") is False
        await w.apply(plan)
        assert value(w, Side.LOCAL, local, "opted_out") is True
        assert value(w, Side.REMOTE, remote, "OptedOut") is True
        assert (await w.sync()).written == 0


async def test_an_opt_out_that_the_mapping_may_not_write_is_not_written() -> None:
    one_way = OPT_OUT.model_copy(update={"to_crm": Enforcement.OFF})
    async with world(mapped(NAME, one_way)) as w:
        local, remote = await subscribed(w)
        w.remote.edit(remote, OptedOut=False)
        await never_linked(w, remote)
        await w.sync()
        assert value(w, Side.LOCAL, local, "opted_out") is True
        assert value(w, Side.REMOTE, remote, "OptedOut") is False


async def test_a_plan_holds_the_opt_out_of_a_loser_and_the_run_after_it_gives_it_to_the_survivor() -> None:
    async with world(mapped(NAME, OPT_OUT)) as w:
        local, remote = await linked(w)
        w.remote.edit(remote, OptedOut=True)
        survivor = w.remote.add(Email="ann@example.org", Name="Ann", OptedOut=False)
        w.remote.remove(remote, merged_into=survivor)
        await w.apply(await w.plan())
        await w.sync()
        assert value(w, Side.LOCAL, local, "opted_out") is True
        assert value(w, Side.REMOTE, survivor, "OptedOut") is True


@pytest.mark.parametrize("chain", [1, 2])
async def test_a_read_from_the_start_follows_merges_and_takes_none_for_a_delete(chain: int) -> None:
    """A pass over everything shows no tombstones, and the survivor is linked or not."""
    limits = StoreLimits(external_key=True, change_feed=False)
    async with world(mapped(NAME, delete_in_local=DeletePolicy.PROPAGATE), remote={"limits": limits}) as w:
        local, remote = await linked(w)
        other = w.local.add(email="bob@example.org", name="Bob")
        await w.sync()
        kept = next(key for key in w.remote.snapshot() if key != remote)
        between = w.remote.add(Email="ann@work.example.org", Name="Ann") if chain > 1 else kept
        w.remote.remove(remote, merged_into=between)
        if chain > 1:
            w.remote.remove(between, merged_into=kept)
        report = await w.sync()
        assert [problem.code for problem in report.problems] == ["merged"]
        links = await w.repository.links_by_local("acme", "Contact", [local, other])
        assert [links[one].status for one in (local, other)] == [LinkStatus.UNLINKED, LinkStatus.SYNCED]
        assert set(w.local.snapshot()) == {local, other}
        assert (await w.sync()).written == 0


async def test_a_read_from_the_start_still_tells_a_delete() -> None:
    limits = StoreLimits(external_key=True, change_feed=False)
    async with world(mapped(NAME, delete_in_local=DeletePolicy.PROPAGATE), remote={"limits": limits}) as w:
        _, remote = await linked(w)
        w.remote.remove(remote)
        await w.sync()
        assert w.local.snapshot() == {}
