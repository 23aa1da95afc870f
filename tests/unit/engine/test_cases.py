"""Faults that users of other sync systems reported, each a test of ours, on the real engine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import attrs
import pytest

from crmsync.errors import RateLimitedError, RejectedError
from crmsync.models.candidates import Candidate
from crmsync.models.mappings import ConflictPolicy, DeletePolicy, SyncDirection, two_way
from crmsync.models.records import ChangePage, Operation, Side, StoreLimits
from crmsync.models.runs import RunStatus
from crmsync.models.schema import FieldType
from crmsync.models.state import LinkStatus
from crmsync.testing.faults import Crash, Fault, FaultyStore, When
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.world import LOCAL_LIMITS, REMOTE_LIMITS, world
from tests.unit.engine.people import CITY, NAME, OPT_OUT, linked, mapped, value

pytestmark = pytest.mark.anyio


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
        by_record = {p.crm_id or p.markmail_id: set(p.candidates) for p in report.problems}
        ours = Candidate(id=local, side=Side.LOCAL)
        first, second = (Candidate(id=each, side=Side.REMOTE) for each in (one, two))
        assert by_record == {local: {first, second}, one: {ours, second}, two: {ours, first}}
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
