"""A record that took another one's place: what it holds is an edit of that one, or its own."""

from __future__ import annotations

import pytest

from crmsync.models.mappings import ConflictPolicy, FieldMapping, ObjectMapping, two_way
from crmsync.models.records import Side
from crmsync.models.schema import FieldType
from crmsync.testing.faults import Crash, Fault, FaultyStore, When
from crmsync.testing.world import World, world

pytestmark = pytest.mark.anyio

EMAIL = two_way("email", "Email", field_type=FieldType.EMAIL)
NAME = two_way("name", "Name")
TAGS = two_way("tags", "Tags", field_type=FieldType.TAGS)
CONSENT = two_way("opted_out", "OptedOut", field_type=FieldType.BOOLEAN, policy=ConflictPolicy.MOST_RESTRICTIVE)
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


@pytest.mark.parametrize("when", [When.BEFORE, When.AFTER])
@pytest.mark.parametrize("name", ["ANN", "Anna"])
async def test_what_a_survivor_has_of_its_own_is_no_edit_after_a_crash_either(when: When, name: str) -> None:
    """Whether the local name was written to it or not: it wins, as it had without the crash.

    The CRM stores it in another form: what it made of the write, before nobody could note that, is no edit either.
    """
    async with world(mapped(NAME), remote={"lossy": {"Name": lambda name: str(name).upper()}}) as w:
        local, lead = await linked(w, Name="ANN")
        w.local.edit(local, name=name)
        survivor = converted(w, lead, Email=ANN, Name="A. Winter")
        w.through[Side.REMOTE] = FaultyStore(w.remote, [Fault(Crash(), method="write", when=when)])
        with pytest.raises(Crash):
            await w.sync()
        w.through.clear()
        w.clock.tick(120)
        report = await w.sync()
        held = w.local.snapshot()[local]["name"], w.remote.snapshot()[survivor]["Name"]
        assert held == (name, name.upper())
        assert report.written == (when is When.BEFORE)
        assert (await w.repository.links_by_local("acme", "Contact", [local]))[local].crm_id == survivor
        assert (await w.sync(full=True)).written == 0


async def test_a_tag_that_was_taken_from_a_lead_before_its_conversion_does_not_come_back() -> None:
    async with world(mapped(TAGS)) as w:
        local, lead = await linked(w, Tags=("vip", "news"))
        w.remote.edit(lead, Tags=("news",))
        contact = converted(w, lead, Email=ANN, Tags=("news",))
        await w.sync()
        assert w.local.snapshot()[local]["tags"] == w.remote.snapshot()[contact]["Tags"] == ("news",)


async def test_an_edit_here_survives_that_a_lead_opted_out_and_was_converted() -> None:
    """Its last words say nothing of the other fields, so these are still to be compared with its contact's."""
    async with world(mapped(NAME, CONSENT)) as w:
        local, lead = await linked(w, Name="Ann", OptedOut=False)
        w.local.edit(local, name="Anna")
        w.remote.edit(lead, OptedOut=True)
        contact = converted(w, lead, Email=ANN, Name="Ann", OptedOut=True)
        await w.sync()
        assert w.local.snapshot()[local] == {"email": ANN, "name": "Anna", "opted_out": True}
        assert w.remote.snapshot()[contact] == {"Email": ANN, "Name": "Anna", "OptedOut": True}


async def test_a_plan_holds_what_a_lead_said_last_and_what_its_contact_gets() -> None:
    """The opt-out goes to the local record, and the contact gets the local id and a name: the run makes two writes."""
    async with world(mapped(NAME, CONSENT)) as w:
        local, lead = await linked(w, Name="Ann", OptedOut=False)
        w.local.edit(local, name="Anna")
        w.remote.edit(lead, OptedOut=True)
        contact = converted(w, lead, Email=ANN, Name="Ann", OptedOut=True)
        plan = await w.plan()
        written = [(write.side, dict(write.fields)) for record in plan.records for write in record.writes]
        assert written == [(Side.LOCAL, {"opted_out": True}), (Side.REMOTE, {"Name": "Anna"})]
        report = await w.apply(plan)
        assert (report.local.updated, report.remote.updated) == (1, 1)
        assert w.local.snapshot()[local]["opted_out"] is True
        assert w.remote.snapshot()[contact]["Name"] == "Anna"
        assert (await w.sync()).written == 0


async def test_a_plan_holds_what_the_contact_gets_though_it_stands_pages_after_what_the_lead_said() -> None:
    """The lead was converted and that contact merged: each of the three comes on a page of its own."""
    async with world(mapped(NAME, CONSENT)) as w:
        local, lead = await linked(w, Name="Ann", OptedOut=False)
        w.remote.edit(lead, OptedOut=True)
        contact = converted(w, lead, Email=ANN, Name="Ann", OptedOut=True)
        survivor = converted(w, contact, Email=ANN, Name="Ann", OptedOut=True)
        plan = await w.plan(page_size=1)
        assert [(write.side, record.crm_id) for record in plan.records for write in record.writes] == [
            (Side.LOCAL, lead),
            (Side.REMOTE, survivor),
        ]
        report = await w.sync(page_size=1)
        assert (report.local.updated, report.remote.updated) == (1, 1)
        assert w.local.snapshot()[local]["opted_out"] is True


@pytest.mark.parametrize("page", [None, 1])
async def test_who_opts_in_here_again_is_not_opted_out_by_what_the_lead_had_said_before(page: int | None) -> None:
    """Both sides had agreed on the opt-out, so the opt-in is the later word; the lead's conversion is no news of it."""
    async with world(mapped(CONSENT)) as w:
        local, lead = await linked(w, OptedOut=True)
        w.local.edit(local, opted_out=False)
        contact = converted(w, lead, Email=ANN, OptedOut=True)
        report = await w.sync(page_size=page)
        assert (report.problems, report.local.deleted) == ((), 0)
        assert w.local.snapshot()[local]["opted_out"] is False
        assert w.remote.snapshot() == {contact: {"Email": ANN, "OptedOut": False}}
        assert (await w.sync()).written == 0
