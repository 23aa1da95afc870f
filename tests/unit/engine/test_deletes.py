"""A delete takes nothing with it that whoever deleted could not have seen."""

from __future__ import annotations

import pytest

from crmsync.errors import RejectedError
from crmsync.models.mappings import DeletePolicy, ObjectMapping, two_way
from crmsync.models.records import Operation, OperationKind, StoreLimits
from crmsync.models.runs import RunStatus
from crmsync.models.schema import FieldType
from crmsync.testing.world import world

pytestmark = pytest.mark.anyio

MAPPING = ObjectMapping(
    fields=(two_way("email", "Email", field_type=FieldType.EMAIL), two_way("name", "Name"), two_way("city", "City")),
    delete_in_local=DeletePolicy.PROPAGATE,
)


def reject(operation: Operation) -> RejectedError | None:
    bad = operation.fields.get("Name") == "bad"
    return RejectedError("no bad names", code="rule", field="Name") if bad else None


async def test_a_value_that_the_crm_never_took_survives_the_delete_of_its_record_there() -> None:
    async with world(MAPPING, remote={"reject": reject}) as w:
        local = w.local.add(email="ann@example.org", name="bad", city="Bonn")
        remote = w.remote.add(Email="ann@example.org", City="Bonn")
        assert (await w.sync()).remote.rejected == 1
        w.remote.remove(remote)
        await w.sync()
        assert w.local.snapshot()[local]["name"] == "bad"


async def test_a_rejected_value_that_was_cleared_does_not_keep_a_deleted_record() -> None:
    async with world(MAPPING, remote={"reject": reject}) as w:
        local = w.local.add(email="ann@example.org", name="bad", city="Bonn")
        remote = w.remote.add(Email="ann@example.org", City="Bonn")
        await w.sync()
        w.local.edit(local, name=None)
        w.remote.remove(remote)
        await w.sync()
        assert w.local.snapshot() == {}


async def test_a_plan_under_another_mapping_counts_each_delete_once() -> None:
    """The pass of the CRM meets pairs whose local record is gone, the local one misses them: a run knows by then."""
    limits = StoreLimits(accepts_ids=True, change_feed=False)
    async with world(MAPPING, local={"limits": limits}) as w:
        people = [w.local.add(email=f"p{number}@example.org") for number in range(6)]
        await w.sync()
        for one in people[:2]:
            w.local.remove(one)
        changed = {"delete_in_crm": DeletePolicy.PROPAGATE, "delete_guard_count": 3, "delete_guard_share": 0.0}
        w.mapping = MAPPING.model_copy(update=changed)
        plan = await w.plan()
        writes = [(record.markmail_id, write.kind) for record in plan.records for write in record.writes]
        assert sorted(writes) == sorted((one, OperationKind.DELETE) for one in people[:2])
        assert plan.report.status is RunStatus.SUCCESS, "no guard would stop it"
        assert (await w.apply(plan)).remote.deleted == 2


async def test_a_plan_under_another_mapping_counts_a_pair_that_is_only_forgotten_once() -> None:
    async with world(MAPPING, local={"limits": StoreLimits(accepts_ids=True, change_feed=False)}) as w:
        gone = w.local.add(email="ann@example.org")
        await w.sync()
        w.local.remove(gone)
        w.mapping = MAPPING.model_copy(update={"delete_in_crm": DeletePolicy.ARCHIVE, "remote_archive_field": "City"})
        plan = await w.plan()
        assert [record.markmail_id for record in plan.records] == [gone]


async def test_a_plan_knows_that_a_twin_is_gone_by_the_time_the_other_is_looked_at() -> None:
    """Two local records of one address are told apart by nobody; of one that is left alone, a counterpart is made."""
    async with world(MAPPING) as w:
        first = w.local.add(email="ann@example.org", name="Ann")
        await w.sync()
        w.clock.tick(60)
        w.local.add(email="ann@example.org", name="Ann B.")
        w.remote.remove(w.remote.keys()[first])
        plan = await w.plan()
        assert (await w.sync()).written == plan.writes == 2
        assert [held["name"] for held in w.local.snapshot().values()] == ["Ann B."]
        assert [held["Name"] for held in w.remote.snapshot().values()] == ["Ann B."]
