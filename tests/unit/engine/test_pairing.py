"""Links that a person makes and separates, and merging anew from scratch."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from crmsync.errors import ConflictError, NotFoundError, RecordError, RejectedError
from crmsync.models.mappings import ConflictPolicy, ObjectMapping, SyncDirection, two_way
from crmsync.models.records import Operation, Outcome, OutcomeStatus, Side
from crmsync.models.runs import RunReport, RunStatus
from crmsync.models.schema import FieldType
from crmsync.models.state import ConflictStatus, Link, LinkStatus
from crmsync.protocols.records import RecordStore
from crmsync.testing.faults import Crash, Fault, FaultyStore, When
from crmsync.testing.world import World, world

pytestmark = pytest.mark.anyio

MAPPING = ObjectMapping(
    fields=(
        two_way("email", "Email", field_type=FieldType.EMAIL),
        two_way("name", "Name", policy=ConflictPolicy.REMOTE_WINS),
        two_way("note", "Note", policy=ConflictPolicy.MANUAL),
    )
)


async def link(w: World, markmail_id: str, crm_id: str) -> RunReport:
    report = await (await w.runner()).link(markmail_id, crm_id)
    w.clock.tick()
    return report


class Refusing(FaultyStore):
    """A side that lets nobody change one of its records."""

    def __init__(self, store: RecordStore, record_id: str) -> None:
        super().__init__(store)
        self._record_id = record_id

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        allowed = iter(await super().write([op for op in operations if op.id != self._record_id]))
        refusal = RejectedError("nobody may change it", code="locked")
        return [
            next(allowed) if op.id != self._record_id else Outcome(op.op_id, OutcomeStatus.FAILED, error=refusal)
            for op in operations
        ]


async def stored(w: World, markmail_id: str) -> Link | None:
    return (await w.repository.links_by_local("acme", "Contact", [markmail_id])).get(markmail_id)


async def strangers(w: World) -> tuple[str, str]:
    """Two records that nothing but a person can bring together."""
    return w.local.add(email="ada@home.example", name="A. Lovelace"), w.remote.add(
        Email="ada@work.example", Name="Ada King"
    )


async def test_linked_by_hand_two_records_merge_at_once_under_the_policies() -> None:
    async with world(MAPPING) as w:
        ours, theirs = await strangers(w)
        report = await link(w, ours, theirs)
        assert w.local.snapshot()[ours]["name"] == "Ada King"
        assert w.remote.keys() == {ours: theirs}
        assert report.linked == 1
        assert (await w.sync()).written == 0
        assert len(w.local.snapshot()) == len(w.remote.snapshot()) == 1


async def test_a_record_that_is_linked_to_another_must_be_separated_first() -> None:
    async with world(MAPPING) as w:
        ours, theirs = await strangers(w)
        await link(w, ours, theirs)
        other = w.remote.add(Email="other@example.org", Name="Other")
        with pytest.raises(ConflictError, match="separate these two first") as raised:
            await link(w, ours, other)
        assert raised.value.candidates == (theirs, ours)


@pytest.mark.parametrize("missing", ["local", "remote"])
async def test_a_record_that_is_not_there_cannot_be_linked(missing: str) -> None:
    async with world(MAPPING) as w:
        ours, theirs = await strangers(w)
        given = ("nobody", theirs) if missing == "local" else (ours, "003nobody")
        with pytest.raises(RecordError, match="has no record") as raised:
            await link(w, *given)
        assert raised.value.code == "missing"


async def test_separated_records_live_on_without_each_other() -> None:
    async with world(MAPPING) as w:
        ours = w.local.add(email="ada@example.org", name="Ada")
        await w.sync()
        (theirs,) = w.remote.snapshot()
        apart = await (await w.runner()).unlink(ours)
        assert (apart.status, apart.crm_id) == (LinkStatus.UNLINKED, theirs)
        w.local.edit(ours, name="Ada L.")
        w.remote.edit(theirs, Name="Ada K.")
        assert (await w.sync(full=True)).written == 0
        assert w.local.snapshot()[ours]["name"] == "Ada L."
        assert w.remote.snapshot()[theirs]["Name"] == "Ada K."


async def test_a_separated_record_does_not_wait_for_a_decision_any_more() -> None:
    async with world(MAPPING) as w:
        ours = w.local.add(email="ada@example.org", note="tea")
        await w.sync()
        (theirs,) = w.remote.snapshot()
        w.local.edit(ours, note="milk")
        w.remote.edit(theirs, Note="sugar")
        assert (await w.sync()).conflicts_open == 1
        await (await w.runner()).unlink(ours)
        assert await w.repository.list_conflicts("acme", statuses=(ConflictStatus.OPEN,)) == []
        assert (await w.sync()).conflicts_open == 0


async def test_what_is_not_linked_cannot_be_separated() -> None:
    async with world(MAPPING) as w:
        with pytest.raises(NotFoundError, match="is not linked"):
            await (await w.runner()).unlink("nobody")


async def test_relinked_to_another_record_the_first_counterpart_stays_set_aside() -> None:
    """Neither a second local record for the one left alone, nor a second link."""
    async with world(MAPPING) as w:
        ours = w.local.add(email="ada@example.org", name="Ada")
        await w.sync()
        (first,) = w.remote.snapshot()
        second = w.remote.add(Email="ada@elsewhere.example", Name="Ada Byron")
        await (await w.runner()).unlink(ours)
        await link(w, ours, second)
        w.remote.edit(first, Name="Somebody")
        report = await w.sync(full=True)
        assert report.local.created == report.remote.created == 0
        assert w.local.snapshot()[ours]["name"] == "Ada Byron"
        by_remote = await w.repository.links_by_remote("acme", "Contact", [first, second])
        assert by_remote[first].status is LinkStatus.UNLINKED
        assert by_remote[second].markmail_id == ours


async def test_relinked_from_another_record_the_first_local_one_stays_set_aside() -> None:
    async with world(MAPPING) as w:
        first = w.local.add(email="ada@example.org", name="Ada")
        await w.sync()
        (theirs,) = w.remote.snapshot()
        second = w.local.add(email="ada@elsewhere.example", name="Ada Byron")
        await (await w.runner()).unlink(first)
        await link(w, second, theirs)
        w.local.edit(first, name="Somebody")
        report = await w.sync(full=True)
        assert report.local.created == report.remote.created == 0
        alone = await stored(w, first)
        assert alone is not None
        assert (alone.status, alone.crm_id) == (LinkStatus.UNLINKED, None)


async def separated(w: World) -> tuple[str, str, str, str]:
    """Two pairs that a person has separated: the local ids, and the CRM's."""
    first = w.local.add(email="ada@example.org", name="Ada")
    second = w.local.add(email="bob@example.org", name="Bob")
    await w.sync()
    theirs = w.remote.keys()
    for markmail_id in (first, second):
        await (await w.runner()).unlink(markmail_id)
    return first, second, theirs[first], theirs[second]


async def test_the_external_key_leaves_the_record_that_it_was_linked_to_before() -> None:
    """Also where the one that is linked now carries another's, and that one is linked to the first then."""
    async with world(MAPPING) as w:
        first, second, one, two = await separated(w)
        report = await link(w, first, two)
        assert (report.problems, w.remote.keys()) == ((), {first: two})
        report = await link(w, second, one)
        assert (report.problems, w.remote.keys()) == ((), {first: two, second: one})
        assert (await w.sync(full=True)).written == 0


@pytest.mark.parametrize("strike", [1, 2])
async def test_a_crash_while_the_key_moves_leaves_it_to_the_next_run(strike: int) -> None:
    async with world(MAPPING) as w:
        first, _, _, two = await separated(w)
        w.through[Side.REMOTE] = FaultyStore(w.remote, [Fault(Crash(), call=strike, method="write")])
        with pytest.raises(Crash):
            await link(w, first, two)
        w.through.clear()
        w.clock.tick(120)
        await w.sync()
        assert w.remote.keys() == {first: two}
        assert (await w.sync()).written == 0


async def test_a_key_that_an_unknown_record_carries_is_left_and_told_in_every_run() -> None:
    """It may be another application's."""
    async with world(MAPPING) as w:
        ours, theirs = await strangers(w)
        other = w.remote.add(key=ours, Email="other@example.com", Name="Other")
        await link(w, ours, theirs)
        for _ in range(2):
            report = await w.sync()
            assert [p.code for p in report.problems if p.markmail_id == ours] == ["duplicate"]
        assert w.remote.keys() == {ours: other}
        w.remote.remove(other)
        await w.sync()
        assert w.remote.keys() == {ours: theirs}
        assert (await w.sync()).status is RunStatus.SUCCESS


async def test_a_key_that_cannot_be_taken_back_is_told() -> None:
    async with world(MAPPING) as w:
        first, _, one, two = await separated(w)
        w.through[Side.REMOTE] = Refusing(w.remote, one)
        report = await link(w, first, two)
        assert [problem.code for problem in report.problems] == ["key_kept", "duplicate"]
        w.through.clear()
        await w.sync()
        assert w.remote.keys()[first] == two


async def test_a_crash_while_linking_leaves_a_pair_that_the_next_run_merges() -> None:
    async with world(MAPPING) as w:
        ours, theirs = await strangers(w)
        w.through[Side.LOCAL] = FaultyStore(w.local, [Fault(Crash(), method="write", when=When.BEFORE)])
        with pytest.raises(Crash):
            await link(w, ours, theirs)
        w.through.clear()
        w.clock.tick(120)
        await w.sync()
        assert w.local.snapshot()[ours]["name"] == "Ada King"
        found = await stored(w, ours)
        assert found is not None
        assert (found.status, found.crm_id) == (LinkStatus.SYNCED, theirs)
        assert (await w.sync()).written == 0


async def test_a_quarantined_record_is_linked_to_the_candidate_that_was_chosen() -> None:
    async with world(MAPPING) as w:
        first = w.remote.add(Email="ada@example.org", Name="One")
        w.remote.add(Email="ada@example.org", Name="Two")
        ours = w.local.add(email="ada@example.org", name="Ada")
        await w.sync()
        found = await stored(w, ours)
        assert found is not None
        assert found.status is LinkStatus.QUARANTINED
        await link(w, ours, first)
        assert w.local.snapshot()[ours]["name"] == "One"
        assert (await stored(w, ours) or found).status is LinkStatus.SYNCED


async def test_from_scratch_linked_records_meet_as_if_for_the_first_time() -> None:
    """An edit on the target of a one-way field stays, until the two meet anew under the field's policy."""
    title = two_way("title", "Title", sync_direction=SyncDirection.TO_CRM, policy=ConflictPolicy.LOCAL_WINS)
    mapping = MAPPING.model_copy(update={"fields": (*MAPPING.fields, title)})
    async with world(mapping) as w:
        w.local.add(email="ada@example.org", title="Countess")
        await w.sync()
        (theirs,) = w.remote.snapshot()
        w.remote.edit(theirs, Title="Miss")
        await w.sync()
        assert (await w.sync(full=True)).written == 0
        assert w.remote.snapshot()[theirs]["Title"] == "Miss"
        assert (await w.plan(from_scratch=True)).writes == 1
        await w.sync(from_scratch=True)
        assert w.remote.snapshot()[theirs]["Title"] == "Countess"
        assert (await w.sync(from_scratch=True)).written == 0
