"""Changes of people's consent are handed to whoever writes them down."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import attrs
import pytest

from crmsync.errors import RejectedError
from crmsync.models.consents import ConsentChange
from crmsync.models.mappings import ConflictPolicy, ObjectMapping, two_way
from crmsync.models.records import Operation, OperationKind, Side
from crmsync.models.schema import FieldType
from crmsync.testing.world import World, world

pytestmark = pytest.mark.anyio

MAPPING = ObjectMapping(
    fields=(
        two_way("email", "Email", field_type=FieldType.EMAIL),
        two_way("out", "OptOut", field_type=FieldType.BOOLEAN, policy=ConflictPolicy.MOST_RESTRICTIVE),
        two_way("name", "Name"),
    )
)


@attrs.define
class Log:
    changes: list[ConsentChange] = attrs.field(factory=list)

    async def note(self, changes: Sequence[ConsentChange]) -> None:
        self.changes += changes


async def sync(w: World, log: Log) -> None:
    await attrs.evolve(await w.runner(), consents=log).sync()
    w.clock.tick()


async def test_an_opt_out_that_is_carried_over_is_noted_and_nothing_else() -> None:
    log = Log()
    async with world(MAPPING) as w:
        ann = w.local.add(email="ann@example.org", out=False, name="Ann")
        await sync(w, log)
        assert log.changes == []
        w.remote.edit(w.remote.keys()[ann], OptOut=True, Name="Anne")
        await sync(w, log)
        assert log.changes == [ConsentChange(ann, Side.LOCAL, "out", restricts=True)]
        await sync(w, log)
        assert len(log.changes) == 1
        w.local.edit(ann, out=False)
        await sync(w, log)
        assert log.changes[1:] == [ConsentChange(ann, Side.REMOTE, "OptOut", restricts=False)]


async def test_what_a_side_refuses_is_no_change() -> None:
    def reject(operation: Operation) -> RejectedError | None:
        return RejectedError("no", code="rule") if operation.kind is OperationKind.UPDATE else None

    log = Log()
    async with world(MAPPING, remote={"reject": reject}) as w:
        ann = w.local.add(email="ann@example.org", out=False)
        await sync(w, log)
        w.local.edit(ann, out=True)
        await sync(w, log)
        assert log.changes == []


async def test_an_opt_out_that_a_side_does_not_report_yet_is_not_overwritten_by_an_opt_in() -> None:
    """The changes of the CRM show the record as it was between two edits, of which the later one is the opt-out."""
    async with world(MAPPING, remote={"late": timedelta(minutes=5)}) as w:
        ann = w.local.add(email="ann@example.org", name="Ann")
        await w.sync()
        kept = w.remote.keys()[ann]
        w.remote.edit(kept, Name="Anna")
        w.clock.tick(200)
        w.remote.edit(kept, OptOut=True)
        w.clock.tick(200)
        w.local.edit(ann, out=False)
        await w.sync()
        assert w.local.snapshot()[ann]["name"] == "Anna"
        assert w.remote.snapshot()[kept]["OptOut"] is w.local.snapshot()[ann]["out"] is True
