"""The next page is read while one is worked on: what that one writes must not look undone on the next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import anyio.lowlevel
import pytest

from crmsync.models.mappings import ObjectMapping, two_way
from crmsync.models.records import ChangePage, Operation, Outcome
from crmsync.models.schema import FieldType
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.world import REMOTE_LIMITS, FakeClock, world

pytestmark = pytest.mark.anyio

CONTACT = ObjectMapping(
    fields=(two_way("email", "Email", field_type=FieldType.EMAIL), two_way("name", "Name"), two_way("city", "City"))
)


class BusyStore(MemoryRecordStore):
    """Somebody edits ``busy`` after the first page of a pass was read: it comes again on a later page."""

    busy = ""

    async def changes(self, cursor: str | None, *, fields: Sequence[str], limit: int | None = None) -> ChangePage:
        page = await super().changes(cursor, fields=fields, limit=limit)
        if self.busy and page.has_more:
            self.edit(self.busy, City="Rome", modified_at=self._clock.now() + timedelta(seconds=5))
            self.busy = ""
        return page

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        for _ in range(100):  # time for what reads ahead
            await anyio.lowlevel.checkpoint()
        return await super().write(operations)


@pytest.mark.parametrize("between", range(5))
async def test_a_record_edited_between_two_pages_keeps_the_local_edit_of_another_field(between: int) -> None:
    """However many pages later it comes again: some were read before ours was written."""
    clock = FakeClock()
    async with world(CONTACT, clock=clock) as w:
        w.remote = crm = BusyStore("Contact", clock=clock, limits=REMOTE_LIMITS, id_prefix="003")
        ann, bob = crm.add(Email="ann@example.org", Name="Ann"), crm.add(Email="bob@example.org")
        others = [crm.add(Email=f"p{number}@example.org") for number in range(between)]
        await w.sync()
        local = {record["email"]: id_ for id_, record in w.local.snapshot().items()}["ann@example.org"]
        crm.edit(ann, City="Bonn")
        for seconds, other in enumerate(others, 1):
            crm.edit(other, City="Bonn", modified_at=clock.now() + timedelta(seconds=seconds))
        crm.edit(bob, City="Bonn", modified_at=clock.now() + timedelta(seconds=10))
        w.local.edit(local, name="Ann Lee")
        crm.busy = ann
        await w.sync(page_size=1)
        assert (w.local.snapshot()[local]["name"], crm.snapshot()[ann]["Name"]) == ("Ann Lee", "Ann Lee")
        await w.sync()  # where our write came first, the edit is of this run
        assert w.local.snapshot()[local] == {"email": "ann@example.org", "name": "Ann Lee", "city": "Rome"}
        assert crm.snapshot()[ann] == {"Email": "ann@example.org", "Name": "Ann Lee", "City": "Rome"}


async def test_a_converted_record_keeps_the_local_edit_of_its_person() -> None:
    """The merge is on one page, the record that it leads to on the next."""
    async with world(CONTACT) as w:
        local = w.local.add(email="ann@example.org", name="Ann")
        await w.sync()
        (lead,) = w.remote.snapshot()
        contact = w.remote.add(w.remote.snapshot()[lead])
        w.remote.remove(lead, merged_into=contact)
        w.local.edit(local, city="Bonn")
        w.clock.tick(1200)
        await w.sync(page_size=1)
        assert w.local.snapshot()[local]["city"] == "Bonn"
        assert w.remote.snapshot()[contact]["City"] == "Bonn"
        assert (await w.sync()).written == 0
