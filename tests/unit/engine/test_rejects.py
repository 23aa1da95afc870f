"""Records that could not be synced: tried again in every run, on demand, or not at all, as a person says."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest

from crmsync.errors import ConcurrentUpdateError, ConfigurationError, NotFoundError
from crmsync.models.inbox import Reject
from crmsync.models.mappings import ConflictPolicy, DeletePolicy, ObjectMapping, two_way
from crmsync.models.records import Side
from crmsync.models.runs import RunReport, RunStatus
from crmsync.models.schema import FieldType
from crmsync.models.state import Decision, LinkStatus
from crmsync.service import CRMSync
from crmsync.testing.world import LOCAL_LIMITS, World, world
from tests.unit.engine.rules import MAPPING, Refusing, ruled

pytestmark = pytest.mark.anyio

REJECTS = (LinkStatus.REJECTED, LinkStatus.QUARANTINED, LinkStatus.IGNORED)


async def retry(w: World, ids: Sequence[str] | None = None) -> RunReport:
    report = await (await w.runner()).retry(ids)
    w.clock.tick()
    return report


async def rejects(crm: CRMSync) -> list[Reject]:
    return await crm.rejects("acme", "Contact", statuses=REJECTS)


async def test_a_reject_is_listed_with_its_reason_and_since_when_it_fails() -> None:
    async with ruled() as (w, _, crm):
        bad = w.local.add(email="bad@example.org", name="bad")
        w.local.add(email="good@example.org", name="good")
        began = w.clock.now()
        await w.sync()
        again = w.clock.now()
        await w.sync()
        (found,) = await crm.rejects("acme", "Contact")
        assert (found.markmail_id, found.crm_id, found.born, found.linked) == (bad, None, Side.LOCAL, False)
        (reason,) = found.reasons
        assert (reason.field, reason.code, reason.message) == ("Name", "rule", "refused by a rule")
        assert reason.remedy
        assert (found.status, found.attempts, found.ignored) == (LinkStatus.REJECTED, 2, False)
        assert found.failing_since == began
        assert found.last_tried_at is not None
        assert again > began
        assert await crm.reject("acme", "Contact", bad) == found


async def test_once_mended_a_reject_is_forgotten_and_fails_anew_later() -> None:
    async with ruled() as (w, rule, crm):
        local = w.local.add(email="bad@example.org", name="bad")
        await w.sync()
        rule.on = False
        await w.sync()
        assert await rejects(crm) == []
        rule.on = True
        w.local.edit(local, name="good")
        await w.sync()
        w.local.edit(local, name="bad")
        later = w.clock.now()
        await w.sync()
        (found,) = await rejects(crm)
        assert (found.failing_since, found.attempts, found.linked) == (later, 1, True)


async def test_retrying_tries_the_rejects_and_reads_nothing_else() -> None:
    async with ruled() as (w, rule, crm):
        bad = w.local.add(email="bad@example.org", name="bad")
        other = w.local.add(email="other@example.org", name="bad")
        await w.sync()
        cursors = await w.repository.get_cursors("acme", "Contact")
        w.local.add(email="new@example.org", name="new")
        rule.on = False
        report = await retry(w, [bad])
        assert (report.status, report.sync_type, report.remote.created) == (RunStatus.SUCCESS, "selected", 1)
        assert (report.local.read, report.remote.read) == (0, 0)
        assert {r["Email"] for r in w.remote.snapshot().values()} == {"bad@example.org"}
        assert [one.markmail_id for one in await rejects(crm)] == [other]
        assert await w.repository.get_cursors("acme", "Contact") == cursors
        assert (await w.repository.list_logs("acme"))[0].sync_type == "selected"
        assert (await retry(w)).remote.created == 1
        assert (await w.sync()).remote.created == 1


async def test_a_retry_that_fails_again_is_partial_and_one_that_does_not_is_a_success_whatever_else_waits() -> None:
    async with ruled() as (w, _, crm):
        bad = w.local.add(email="bad@example.org", name="bad")
        other = w.local.add(email="other@example.org", name="bad")
        await w.sync()
        failed = await retry(w, [bad])
        assert failed.status is RunStatus.PARTIAL
        assert [problem.markmail_id for problem in failed.problems] == [bad]
        w.local.edit(bad, name="good")
        assert (await retry(w, [bad])).status is RunStatus.SUCCESS
        (left,) = await rejects(crm)
        assert (left.markmail_id, left.attempts) == (other, 1)


@pytest.mark.parametrize("scanned", [False, True])
@pytest.mark.parametrize("linked", [False, True])
async def test_an_ignored_reject_is_left_alone_until_its_record_changes(scanned: bool, linked: bool) -> None:
    """Also where every run reads every record."""
    async with ruled(limits=attrs.evolve(LOCAL_LIMITS, change_feed=not scanned)) as (w, _, crm):
        local = w.local.add(email="bad@example.org", name="good" if linked else "bad")
        await w.sync()
        w.local.edit(local, name="bad")
        assert (await w.sync()).status is RunStatus.PARTIAL
        (ignored,) = await crm.ignore_rejects("acme", "Contact", [local])
        assert ignored.ignored
        before = await rejects(crm)
        for options in ({}, {"full": True}):
            report = await w.sync(**options)
            assert (report.status, report.ignored, report.problem_count) == (RunStatus.SUCCESS, 1, 0)
        assert await rejects(crm) == before
        assert (await crm.rejects("acme", "Contact")) == []
        w.local.edit(local, city="Bonn")
        report = await w.sync()
        assert (report.status, report.ignored) == (RunStatus.PARTIAL, 0)
        w.local.edit(local, name="good again")
        assert (await w.sync()).status is RunStatus.SUCCESS
        assert [r["Name"] for r in w.remote.snapshot().values()] == ["good again"]


async def test_an_ignored_reject_is_tried_again_when_the_mapping_changes() -> None:
    async with ruled() as (w, _, crm):
        local = w.local.add(email="bad@example.org", name="bad")
        await w.sync()
        await crm.ignore_rejects("acme", "Contact", [local])
        w.mapping = MAPPING.model_copy(update={"fields": MAPPING.fields[:1]})
        report = await w.sync()
        assert (report.status, report.ignored, report.remote.created) == (RunStatus.SUCCESS, 0, 1)


async def test_what_is_no_longer_ignored_is_tried_by_the_next_run() -> None:
    async with ruled() as (w, rule, crm):
        local = w.local.add(email="bad@example.org", name="bad")
        await w.sync()
        await crm.ignore_rejects("acme", "Contact", [local])
        rule.on = False
        assert (await w.sync()).remote.created == 0
        await crm.unignore_rejects("acme", "Contact", [local])
        assert (await w.sync()).remote.created == 1
        assert await rejects(crm) == []


async def test_an_ignored_reject_that_is_named_is_retried_and_all_does_not_mean_it() -> None:
    async with ruled() as (w, rule, crm):
        local = w.local.add(email="bad@example.org", name="bad")
        await w.sync()
        await crm.ignore_rejects("acme", "Contact", [local])
        rule.on = False
        assert (await retry(w)).remote.created == 0
        assert (await retry(w, [local])).remote.created == 1


@pytest.mark.parametrize("linked", [False, True])
async def test_a_deleted_record_takes_its_ignored_reject_along(linked: bool) -> None:
    mapping = MAPPING.model_copy(update={"delete_in_crm": DeletePolicy.PROPAGATE})
    async with ruled(mapping) as (w, _, crm):
        local = w.local.add(email="bad@example.org", name="good" if linked else "bad")
        await w.sync()
        w.local.edit(local, name="bad")
        await w.sync()
        await crm.ignore_rejects("acme", "Contact", [local])
        w.local.remove(local)
        report = await w.sync()
        assert (report.status, report.ignored) == (RunStatus.SUCCESS, 0)
        assert await rejects(crm) == []
        assert w.remote.snapshot() == {}


async def test_a_reject_is_named_by_either_side_s_id_and_what_is_none_is_refused() -> None:
    async with ruled() as (w, _, crm):
        local = w.local.add(email="bad@example.org", name="good")
        fine = w.local.add(email="fine@example.org", name="fine")
        await w.sync()
        w.local.edit(local, name="bad")
        await w.sync()
        (found,) = await rejects(crm)
        assert found.crm_id is not None
        assert (await crm.reject("acme", "Contact", found.crm_id)).markmail_id == local
        both = await crm.ignore_rejects("acme", "Contact", [found.crm_id, local])
        assert [one.markmail_id for one in both] == [local]
        for wrong in (fine, "nobody"):
            with pytest.raises(NotFoundError):
                await crm.ignore_rejects("acme", "Contact", [local, wrong])
            with pytest.raises(NotFoundError):
                await crm.reject("acme", "Contact", wrong)
        await crm.unignore_rejects("acme", "Contact", [local])
        with pytest.raises(NotFoundError):
            await crm.unignore_rejects("acme", "Contact", [local])
        with pytest.raises(ConfigurationError):
            await crm.rejects("acme", "Contact", statuses=[LinkStatus.SYNCED])


async def test_nothing_is_ignored_while_a_run_is_at_work() -> None:
    async with ruled() as (w, _, crm):
        local = w.local.add(email="bad@example.org", name="bad")
        await w.sync()
        runner = await w.runner()
        await runner.lease.acquire("somebody", 60)
        with pytest.raises(ConcurrentUpdateError):
            await crm.ignore_rejects("acme", "Contact", [local])
        await w.repository.release_lease(runner.lease.current)
        assert await crm.ignore_rejects("acme", "Contact", [local])


async def test_a_decision_that_frees_a_counterpart_makes_a_run_write_no_more_than_its_plan() -> None:
    """Whoever was found by the e-mail that the decision replaces is found by nothing then, and created by the next."""
    mapping = ObjectMapping(
        fields=(two_way("email", "Email", field_type=FieldType.EMAIL),), policy=ConflictPolicy.MANUAL
    )
    async with world(mapping) as w:
        first = w.local.add(email="ann@example.org")
        await w.sync()
        remote = w.remote.keys()[first]
        w.local.edit(first, email="ann@home.example.org")
        w.remote.edit(remote, Email="bob@example.org")
        await w.sync()
        second = w.local.add(email="bob@example.org")
        await w.sync()
        assert (await w.repository.links_by_local("acme", "Contact", [second]))[second].status is LinkStatus.QUARANTINED
        [conflict] = await w.repository.list_conflicts("acme", "Contact")
        await w.repository.decide_conflicts("acme", {conflict.id: Decision(Side.LOCAL)}, now=w.clock.now())
        plan = await w.plan()
        assert (await w.sync()).written == plan.writes == 1
        assert (await w.sync()).written == 1
        assert {held["Email"] for held in w.remote.snapshot().values()} == {"ann@home.example.org", "bob@example.org"}
        assert (await w.sync()).written == 0


def refused(report: RunReport) -> tuple[int, int]:
    """How many writes to the CRM were refused, and how many problems told, in a run."""
    return report.remote.rejected, report.problem_count


@pytest.mark.parametrize("scanned", [False, True])
async def test_a_reject_is_tried_once_a_run_and_counted_once_however_often_the_run_meets_it(scanned: bool) -> None:
    """It is met where it waits, and where its side shows it: edited meanwhile, or as every run reads every record."""
    async with ruled(limits=attrs.evolve(LOCAL_LIMITS, change_feed=not scanned)) as (w, _, crm):
        linked = w.local.add(email="linked@example.org", name="good")
        await w.sync()
        w.local.edit(linked, name="bad")
        w.local.add(email="lone@example.org", name="bad")
        assert refused(await w.sync()) == (2, 2)
        w.local.edit(linked, city="Bonn")
        assert refused(await w.sync()) == (2, 2)
        assert refused(await w.sync()) == (2, 2)
        assert {one.attempts for one in await rejects(crm)} == {3}
        w.local.edit(linked, name="good again")
        report = await w.sync()
        assert (report.remote.updated, *refused(report)) == (1, 1, 1)


async def test_from_scratch_a_reject_is_tried_once_too_as_if_the_two_had_never_met() -> None:
    async with ruled() as (w, rule, crm):
        ann, bob = (w.local.add(email=f"{name}@example.org", name="good", city="Bonn") for name in ("ann", "bob"))
        await w.sync()
        for each in (ann, bob):
            w.local.edit(each, name="bad")
        assert refused(await w.sync()) == (2, 2)
        await crm.ignore_rejects("acme", "Contact", [bob])
        assert refused(await w.sync(from_scratch=True)) == (1, 1)
        w.remote.edit(w.remote.keys()[ann], Name=None)
        assert refused(await w.sync(from_scratch=True)) == (1, 1)
        assert {(one.markmail_id, one.attempts) for one in await rejects(crm)} == {(ann, 3), (bob, 1)}, "bob is ignored"
        rule.on = False
        assert (await w.sync(from_scratch=True)).remote.updated == 1
        assert w.remote.snapshot()[w.remote.keys()[ann]]["Name"] == "bad", "a blank is filled"


async def test_what_both_sides_edited_and_one_refuses_is_counted_once() -> None:
    async with ruled() as (w, _, crm):
        local = w.local.add(email="ann@example.org", name="good")
        await w.sync()
        w.local.edit(local, name="bad")
        w.remote.edit(w.remote.keys()[local], City="Bonn")
        assert refused(await w.sync()) == (1, 1)
        (found,) = await rejects(crm)
        assert found.attempts == 1


async def test_a_delete_that_is_refused_is_tried_once_a_run() -> None:
    """Also where a side tells of no deletes, and every run finds out who is gone."""
    mapping = MAPPING.model_copy(update={"delete_in_crm": DeletePolicy.PROPAGATE})
    refusing = Refusing()
    limits = attrs.evolve(LOCAL_LIMITS, change_feed=False)
    async with world(mapping, remote={"reject": refusing}, local={"limits": limits}) as w:
        local = w.local.add(email="ann@example.org", name="Ann")
        await w.sync()
        w.local.remove(local)
        assert refused(await w.sync()) == (1, 1)
        assert refused(await w.sync()) == (1, 1)
        link = (await w.repository.links_by_local("acme", "Contact", [local]))[local]
        assert (link.status, link.attempts) == (LinkStatus.REJECTED, 2)
        refusing.on = False
        assert (await w.sync()).remote.deleted == 1
        assert w.remote.snapshot() == {}
