"""A delete takes nothing with it that whoever deleted could not have seen."""

from __future__ import annotations

import pytest

from crmsync.errors import RejectedError
from crmsync.models.mappings import DeletePolicy, ObjectMapping, two_way
from crmsync.models.records import Operation
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
