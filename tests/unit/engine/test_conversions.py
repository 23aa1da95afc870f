"""A record that took another one's place: what it holds is an edit of that one, or its own."""

from __future__ import annotations

import pytest

from crmsync.models.mappings import ConflictPolicy, FieldMapping, ObjectMapping, two_way
from crmsync.models.schema import FieldType
from crmsync.testing.world import World, world

pytestmark = pytest.mark.anyio

EMAIL = two_way("email", "Email", field_type=FieldType.EMAIL)
NAME = two_way("name", "Name")
TAGS = two_way("tags", "Tags", field_type=FieldType.TAGS)
ANN = "ann@example.org"


def mapped(*fields: FieldMapping) -> ObjectMapping:
    """The local side wins every conflict, and where two records meet."""
    return ObjectMapping(fields=(EMAIL, *fields), policy=ConflictPolicy.LOCAL_WINS)


async def linked(w: World, **fields: object) -> tuple[str, str]:
    """A lead that is linked to a local record."""
    lead = w.remote.add({"Email": ANN, **fields})
    await w.sync()
    [local] = w.local.snapshot()
    return local, lead


def converted(w: World, lead: str, **fields: object) -> str:
    """The contact that the lead became."""
    contact = w.remote.add(fields)
    w.remote.remove(lead, merged_into=contact)
    return contact


@pytest.mark.parametrize("page", [None, 1])
async def test_an_edit_of_a_lead_that_was_converted_before_a_run_saw_it_reaches_the_local_record(
    page: int | None,
) -> None:
    """Only the CRM changed, so there is nothing that the local side could win."""
    async with world(mapped(NAME)) as w:
        local, lead = await linked(w, Name="Ann")
        w.remote.edit(lead, Name="Anna")
        contact = converted(w, lead, Email=ANN, Name="Anna")
        report = await w.sync(page_size=page)
        assert w.local.snapshot()[local]["name"] == w.remote.snapshot()[contact]["Name"] == "Anna"
        assert report.remote.conflicts == 0


async def test_an_edit_on_both_sides_of_a_conversion_is_a_conflict_under_the_policy() -> None:
    async with world(mapped(NAME)) as w:
        local, lead = await linked(w, Name="Ann")
        w.local.edit(local, name="Ann B.")
        w.remote.edit(lead, Name="Anna")
        contact = converted(w, lead, Email=ANN, Name="Anna")
        report = await w.sync()
        assert w.local.snapshot()[local]["name"] == w.remote.snapshot()[contact]["Name"] == "Ann B."
        assert report.remote.conflicts == 1


async def test_what_the_survivor_of_a_merge_had_of_its_own_is_no_edit_of_the_loser() -> None:
    async with world(mapped(NAME)) as w:
        local, lead = await linked(w, Name="Ann")
        w.remote.edit(lead, Name="Anna")
        survivor = converted(w, lead, Email=ANN, Name="A. Winter")
        await w.sync()
        assert w.local.snapshot()[local]["name"] == w.remote.snapshot()[survivor]["Name"] == "Ann"


async def test_a_tag_that_was_taken_from_a_lead_before_its_conversion_does_not_come_back() -> None:
    async with world(mapped(TAGS)) as w:
        local, lead = await linked(w, Tags=("vip", "news"))
        w.remote.edit(lead, Tags=("news",))
        contact = converted(w, lead, Email=ANN, Tags=("news",))
        await w.sync()
        assert w.local.snapshot()[local]["tags"] == w.remote.snapshot()[contact]["Tags"] == ("news",)
