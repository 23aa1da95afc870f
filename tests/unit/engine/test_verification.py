"""Both sides compared without believing cursors or shadows, and put right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import attrs
import pytest

from crmsync.diff import Digester, Merge, Merger, SideResult, settle
from crmsync.errors import SafetyStopError
from crmsync.models.mappings import ConflictPolicy, DeletePolicy, ObjectMapping, SyncDirection, two_way
from crmsync.models.records import ChangePage, Operation, Outcome, Record, Side
from crmsync.models.schema import FieldType
from crmsync.models.state import Acknowledgement, ConflictStatus, LinkStatus
from crmsync.models.verification import Drift, DriftKind, VerifyOptions, VerifyReport
from crmsync.protocols.records import RecordStore
from crmsync.testing.faults import FaultyStore
from crmsync.testing.world import LOCAL_LIMITS, World, world

pytestmark = pytest.mark.anyio

MAPPING = ObjectMapping(
    fields=(
        two_way("email", "Email", field_type=FieldType.EMAIL),
        two_way("name", "Name", policy=ConflictPolicy.REMOTE_WINS),
        two_way("tags", "Tags__c", field_type=FieldType.MULTI_PICKLIST),
        two_way("note", "Note", policy=ConflictPolicy.MANUAL),
        two_way("title", "Title", sync_direction=SyncDirection.TO_CRM),
    )
)


async def verify(w: World, **options: object) -> VerifyReport:
    report = await (await w.runner()).verify(VerifyOptions.model_validate(options))
    w.clock.tick()
    return report


async def grown(w: World, people: int = 3) -> dict[str, str]:
    """Synced people; the CRM's id by the local one."""
    for n in range(people):
        w.local.add(email=f"p{n}@example.org", name=f"P {n}", tags=("a",))
    await w.sync()
    await w.sync()
    return dict(w.remote.keys())


async def believe(w: World, markmail_id: str) -> None:
    """What a lost update leaves behind: shadows of what both sides hold now, although they differ."""
    runner = await w.runner()
    merger = Merger(runner.rule, Digester(runner.digest_key))
    link = (await w.repository.links_by_local("acme", "Contact", [markmail_id]))[markmail_id]
    local = (await w.local.get([markmail_id], fields=runner.rule.local_fields))[markmail_id]
    remote = (await w.remote.get([link.crm_id or ""], fields=runner.rule.remote_fields))[link.crm_id or ""]
    shadows = settle(merger, Merge(local, remote, {}), (b"", b""), SideResult(), SideResult())
    held = attrs.evolve(link, local_shadow=shadows[0], remote_shadow=shadows[1])
    lease = await w.repository.acquire_lease("acme", "Contact", "test", now=w.clock.now(), ttl=timedelta(seconds=1))
    await w.repository.acknowledge(lease, Acknowledgement(links=(held,)))
    await w.repository.release_lease(lease)


class Keyless(FaultyStore):
    """A store of which one record has lost its external key; notes the keys that are written to it."""

    def __init__(self, store: RecordStore, record_id: str) -> None:
        super().__init__(store, [])
        self.record_id = record_id
        self.written: list[str | None] = []

    def _less(self, record: Record) -> Record:
        return attrs.evolve(record, key=None) if record.id == self.record_id else record

    async def changes(self, cursor: str | None, *, fields: Sequence[str], limit: int | None = None) -> ChangePage:
        page = await super().changes(cursor, fields=fields, limit=limit)
        return attrs.evolve(page, records=tuple(map(self._less, page.records)))

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        return {name: self._less(record) for name, record in (await super().get(ids, fields=fields)).items()}

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        self.written += [operation.key for operation in operations]
        return await super().write(operations)


async def test_sides_in_step_are_consistent() -> None:
    async with world(MAPPING) as w:
        await grown(w, 7)
        report = await verify(w)
    assert report.consistent
    assert (report.pairs, report.fields, report.findings, report.repaired) == (7, 5, (), None)


async def test_a_change_that_a_feed_never_showed_is_found_and_repaired() -> None:
    """The cursor has passed it; nothing but a comparison can tell."""
    async with world(MAPPING) as w:
        ids = await grown(w)
        ours, theirs = next(iter(ids.items()))
        w.remote.edit(theirs, Name="Changed", modified_at=w.clock.now() - timedelta(days=1))
        assert (await w.sync()).written == 0
        report = await verify(w)
        assert report.findings == (Drift(kind=DriftKind.UNSYNCED, markmail_id=ours, crm_id=theirs, field="name"),)
        assert report.by_field == {"name": {DriftKind.UNSYNCED: 1}}
        repaired = await verify(w, repair=True)
        assert repaired.repaired is not None
        assert repaired.repaired.written == 1
        assert w.local.snapshot()[ours]["name"] == "Changed"
        assert (await verify(w)).consistent


async def test_values_that_differ_although_nobody_is_known_to_have_changed_them_are_merged_by_the_policies() -> None:
    async with world(MAPPING) as w:
        ids = await grown(w)
        ours, theirs = next(iter(ids.items()))
        w.remote.edit(theirs, Name="Somebody else", Tags__c=("a", "b"))
        await believe(w, ours)
        assert (await w.sync(full=True)).written == 0
        report = await verify(w)
        assert report.counts == {DriftKind.DIVERGED: 2}
        assert report.by_field == {"name": {DriftKind.DIVERGED: 1}, "tags": {DriftKind.DIVERGED: 1}}
        await verify(w, repair=True)
        assert w.local.snapshot()[ours]["name"] == "Somebody else"
        assert w.local.snapshot()[ours]["tags"] == ("a", "b")
        assert (await verify(w)).consistent
        assert (await w.sync()).written == 0


async def waiting(w: World) -> tuple[str, str]:
    """The ids of a pair of which a note waits for a decision."""
    ours, theirs = next(iter((await grown(w)).items()))
    w.local.edit(ours, note="tea")
    w.remote.edit(theirs, Note="coffee")
    await w.sync()
    return ours, theirs


async def test_a_difference_that_waits_for_a_decision_is_no_news() -> None:
    async with world(MAPPING) as w:
        await waiting(w)
        report = await verify(w)
        assert (report.consistent, report.pairs, report.waiting) == (True, 3, 1)


async def test_of_a_record_that_waits_in_one_field_the_others_are_compared_and_repaired() -> None:
    async with world(MAPPING) as w:
        ours, theirs = await waiting(w)
        w.remote.edit(theirs, Name="Changed", modified_at=w.clock.now() - timedelta(days=1))
        assert (await w.sync()).written == 0
        report = await verify(w)
        assert report.findings == (Drift(kind=DriftKind.UNSYNCED, markmail_id=ours, crm_id=theirs, field="name"),)
        await verify(w, repair=True)
        assert (w.local.snapshot()[ours]["name"], w.local.snapshot()[ours]["note"]) == ("Changed", "tea")
        assert w.remote.snapshot()[theirs]["Note"] == "coffee"
        (conflict,) = await w.repository.list_conflicts("acme", statuses=tuple(ConflictStatus))
        assert conflict.status is ConflictStatus.OPEN, "it waits as it did"
        assert (await verify(w)).consistent


async def test_what_a_side_made_of_a_value_is_no_fault() -> None:
    async with world(MAPPING, remote={"lossy": {"Name": lambda value: str(value)[:5]}}) as w:
        w.local.add(email="ada@example.org", name="Ada Lovelace")
        await w.sync()
        report = await verify(w)
    assert report.consistent
    assert report.represented == 1


async def test_an_edit_on_the_target_of_a_one_way_field_is_allowed() -> None:
    async with world(MAPPING) as w:
        ids = await grown(w)
        w.remote.edit(next(iter(ids.values())), Title="Countess")
        await w.sync()
        assert (await verify(w)).consistent


@pytest.mark.parametrize("feeds", [True, False])
async def test_records_that_are_gone_or_were_never_seen_are_found(*, feeds: bool) -> None:
    ours = {"limits": attrs.evolve(LOCAL_LIMITS, change_feed=feeds)}
    async with world(MAPPING, local=ours) as w:
        ids = await grown(w, 5)
        (a, first), (_, second), (c, third), *_ = ids.items()
        w.local.remove(a)
        w.remote.remove(second)
        w.local.remove(c)
        w.remote.remove(third)
        born = w.local.add(email="new@example.org", name="New")
        arrived = w.remote.add(Email="other@example.org", Name="Other")
        report = await verify(w)
        assert dict(report.counts) == dict.fromkeys(
            (
                DriftKind.MISSING_LOCAL,
                DriftKind.MISSING_REMOTE,
                DriftKind.MISSING_BOTH,
                DriftKind.UNLINKED_LOCAL,
                DriftKind.UNLINKED_REMOTE,
            ),
            1,
        )
        found = {(one.kind, one.markmail_id, one.crm_id) for one in report.findings}
        assert (DriftKind.MISSING_LOCAL, a, first) in found
        assert (DriftKind.UNLINKED_LOCAL, born, None) in found
        assert (DriftKind.UNLINKED_REMOTE, None, arrived) in found

        await verify(w, repair=True)
        counts = await w.repository.count_links("acme", "Contact")
        assert (counts[LinkStatus.DELETED], counts[LinkStatus.SYNCED]) == (3, 4)
        assert (await verify(w)).consistent
        assert (await w.sync()).written == 0


async def test_a_repair_deletes_no_more_than_the_guard_allows() -> None:
    guarded = MAPPING.model_copy(
        update={"delete_in_crm": DeletePolicy.PROPAGATE, "delete_guard_count": 1, "delete_guard_share": 0.0}
    )
    async with world(guarded) as w:
        ids = await grown(w, 5)
        for one in list(ids)[:3]:
            w.local.remove(one)
        with pytest.raises(SafetyStopError):
            await verify(w, repair=True)
        assert len(w.remote.snapshot()) == 5


async def test_a_key_that_the_crm_lost_is_written_again() -> None:
    async with world(MAPPING) as w:
        ids = await grown(w)
        ours, theirs = next(iter(ids.items()))
        keyless = Keyless(w.remote, theirs)
        w.through[Side.REMOTE] = keyless
        report = await verify(w)
        assert report.findings == (Drift(kind=DriftKind.KEY, markmail_id=ours, crm_id=theirs),)
        await verify(w, repair=True)
        assert keyless.written == [ours]


async def test_a_sample_compares_its_share_of_the_pairs_and_the_same_ones_for_the_same_seed() -> None:
    async with world(MAPPING) as w:
        await grown(w, 300)
        report = await verify(w, sample=0.2)
        assert 30 < report.pairs < 100
        assert (await verify(w, sample=0.2)).pairs == report.pairs
        w.local.add(email="new@example.org", name="New")
        assert (await verify(w, sample=1.0)).pairs == 300
        assert (await verify(w, sample=1.0)).consistent, "a sample does not look for what is not linked"


async def test_comparing_leaves_everything_as_it_was_and_hinders_no_run() -> None:
    async with world(MAPPING) as w:
        ids = await grown(w)
        w.remote.edit(next(iter(ids.values())), Name="Changed")
        before = (w.local.snapshot(), w.remote.snapshot())
        lease = await w.repository.acquire_lease("acme", "Contact", "run", now=w.clock.now(), ttl=timedelta(minutes=1))
        assert not (await verify(w)).consistent
        await w.repository.release_lease(lease)
        assert before == (w.local.snapshot(), w.remote.snapshot())
        assert (await w.sync()).written == 1


class Behind(FaultyStore):
    """A store whose pages still show what somebody mends at this moment."""

    async def changes(self, cursor: str | None, *, fields: Sequence[str], limit: int | None = None) -> ChangePage:
        page = await super().changes(cursor, fields=fields, limit=limit)
        records = (attrs.evolve(one, fields={**one.fields, "Name": "Old"}) for one in page.records)
        return attrs.evolve(page, records=tuple(records))


async def test_what_is_no_longer_so_at_a_second_look_is_not_reported() -> None:
    async with world(MAPPING) as w:
        await grown(w)
        w.through[Side.REMOTE] = Behind(w.remote, [])
        report = await verify(w)
        assert (report.consistent, report.pairs) == (True, 3)


async def test_single_findings_are_listed_up_to_a_limit_and_all_are_counted() -> None:
    async with world(MAPPING) as w:
        ids = await grown(w, 5)
        for theirs in ids.values():
            w.remote.edit(theirs, Name="Changed")
        report = await verify(w, keep=2)
        assert (len(report.findings), report.counts) == (2, {DriftKind.UNSYNCED: 5})
