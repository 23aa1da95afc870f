"""Records through a mapping, both ways, and two mappings compared on them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest

from crmsync import CRMSync, ObjectMapping, Vault
from crmsync.errors import ConfigurationError, MappingError, NotFoundError
from crmsync.models.history import MASK
from crmsync.models.mappings import FieldMapping
from crmsync.models.previews import FieldFate, FieldPreview, RecordPreview
from crmsync.models.records import Side
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.salesforce import DEFAULT_TOKEN, RunningEmulator, running_emulator

pytestmark = pytest.mark.anyio


def field(local: str, remote: str, **options: Any) -> FieldMapping:
    return FieldMapping.model_validate({"markmail_field": local, "crm_field": remote, **options})


CONTACT = ObjectMapping(
    fields=(
        field("email", "Email", field_type="email"),
        field("last_name", "LastName", required=True),
        field("title", "Title", default="none", to_crm="fill_blank"),
        field("city", "MailingCity", never_clear=True),
        field("born", "Birthdate"),
        field("source", "LeadSource", sync_direction="from_crm"),
        field("secret", "Department", sensitive=True),
    )
)


@attrs.frozen
class Site:
    """A facade with one integration of an emulated org, and a local side."""

    crm: CRMSync
    emulator: RunningEmulator
    local: MemoryRecordStore

    async def preview(self, **options: Any) -> RecordPreview:
        return await self.crm.preview_record("acme", "Contact", self.local, **options)


@pytest.fixture(scope="module")
def emulator() -> Any:
    with running_emulator() as running:
        yield running


@pytest.fixture
async def site(emulator: RunningEmulator) -> AsyncIterator[Site]:
    for contact in emulator.org.records("Contact"):
        emulator.org.delete("Contact", contact["Id"])
    async with CRMSync.open("memory://", vault=Vault.from_key(Vault.generate_key())) as crm:
        await crm.add_integration(
            "acme",
            provider="salesforce",
            settings={"instance_url": emulator.url, "allow_insecure_loopback": True},
            credentials={"access_token": DEFAULT_TOKEN},
            mappings={"Contact": CONTACT},
        )
        yield Site(crm, emulator, MemoryRecordStore())


def fates(previews: tuple[FieldPreview, ...]) -> dict[str, FieldFate]:
    return {each.target: each.fate for each in previews}


async def test_a_linked_record_shows_both_sides_and_why_what_is_not_written(site: Site) -> None:
    ours = site.local.add(email="ada@example.org", last_name="King", title="x", city="London", secret="hunter2")
    await site.crm.sync("acme", "Contact", site.local)
    [theirs] = site.emulator.org.records("Contact")
    site.local.edit(ours, title="y", city=None, born="yesterday", last_name="Lovelace")
    for named in ({"record_id": ours}, {"record_id": theirs["Id"]}, {"email": "ADA@example.org"}):
        made = await site.preview(**named)
        assert (made.markmail_id, made.crm_id, made.round_trip) == (ours, theirs["Id"], False)
        assert fates(made.to_crm) == {
            "Email": FieldFate.SAME,
            "LastName": FieldFate.WRITTEN,
            "Title": FieldFate.KEPT,
            "MailingCity": FieldFate.KEPT,
            "Birthdate": FieldFate.REJECTED,
            "LeadSource": FieldFate.OFF,
            "Department": FieldFate.SAME,
        }
        by_name = {each.target: each for each in made.to_crm}
        assert (by_name["LastName"].value, by_name["LastName"].held) == ("Lovelace", "King")
        assert by_name["Birthdate"].why == "not a date (YYYY-MM-DD)"
        assert by_name["Title"].why == "only blanks are filled"
        assert by_name["Department"].value == by_name["Department"].held == MASK
        assert fates(made.to_local)["last_name"] is FieldFate.WRITTEN
    assert "hunter2" not in repr(made)
    assert (await site.crm.plan("acme", "Contact", site.local)).writes == 1, "nothing was written by looking"


async def test_a_record_that_is_on_one_side_only_goes_there_and_back(site: Site) -> None:
    made = await site.preview(fields={"email": "new@example.org", "last_name": "New", "secret": "hunter2"})
    assert made.round_trip
    by_name = {each.target: each for each in made.to_crm}
    assert (by_name["Title"].fate, by_name["Title"].converted) == (FieldFate.WRITTEN, "none")
    assert "default" in by_name["Title"].why
    back = {each.target: each for each in made.to_local}
    assert (back["last_name"].fate, back["last_name"].value) == (FieldFate.SAME, "New")
    assert back["source"].fate is FieldFate.NOT_SHOWN
    lacking = await site.preview(fields={"email": "new@example.org"})
    assert fates(lacking.to_crm)["LastName"] is FieldFate.REJECTED
    there = await site.preview(fields={"Email": "n@example.org", "LeadSource": "Web"}, side=Side.REMOTE)
    assert {each.target: each.converted for each in there.to_local}["source"] == "Web"
    assert (there.markmail_id, there.crm_id) == (None, "")


async def test_a_record_without_a_link_meets_the_one_with_its_address(site: Site) -> None:
    ours = site.local.add(email="ada@example.org", last_name="King")
    theirs = site.emulator.org.create("Contact", {"Email": "ada@example.org", "LastName": "Byron"})
    made = await site.preview(record_id=ours)
    assert (made.crm_id, made.round_trip) == (theirs, False)
    assert {each.target: each.held for each in made.to_crm}["LastName"] == "Byron"
    site.emulator.org.update("Contact", theirs, {"MailingCity": "London", "Title": "Countess"})
    met = {each.target: each for each in (await site.preview(record_id=ours)).to_crm}
    assert (met["MailingCity"].fate, met["Title"].fate) == (FieldFate.KEPT, FieldFate.KEPT)
    assert (await site.preview(record_id=theirs)).markmail_id == ours


async def test_another_mapping_can_be_tried_before_it_is_stored(site: Site) -> None:
    ours = site.local.add(email="ada@example.org", last_name="King")
    wider = ObjectMapping(fields=(*CONTACT.fields, field("last_name", "AssistantName", to_crm="propagate")))
    with pytest.raises(MappingError):
        await site.preview(record_id=ours, mapping=wider)
    one_way = field("last_name", "AssistantName", sync_direction="to_crm")
    made = await site.preview(record_id=ours, mapping=ObjectMapping(fields=(*CONTACT.fields, one_way)))
    assert {each.target: each.converted for each in made.to_crm}["AssistantName"] == "King"


async def test_a_record_must_be_named_in_one_way_and_be_there(site: Site) -> None:
    for named in ({}, {"record_id": "1", "email": "a@b"}):
        with pytest.raises(ConfigurationError):
            await site.preview(**named)
    for nobody in ({"record_id": "no such"}, {"record_id": "003000000000001AAA"}, {"email": "nobody@example.org"}):
        with pytest.raises(NotFoundError):
            await site.preview(**nobody)
    site.local.add(email="two@example.org")
    site.local.add(email="two@example.org")
    with pytest.raises(ConfigurationError, match="2 records of the local side"):
        await site.preview(email="two@example.org")


async def test_two_mappings_differ_in_the_fields_that_come_out_differently(site: Site) -> None:
    for number in range(5):
        site.local.add(email=f"p{number}@example.org", last_name=f"Person {number}", title="T" * number, city="x")
    await site.crm.sync("acme", "Contact", site.local)
    mapped = {each.markmail_field: each for each in CONTACT.fields}
    changed = ObjectMapping(
        fields=(
            *(mapped[name] for name in ("email", "last_name", "born", "source", "secret")),
            field("title", "Title", default="none"),
            field("city", "Department", sync_direction="to_crm", value_map={"x": "y"}),
        )
    )
    changed = changed.model_copy(update={"fields": tuple(f for f in changed.fields if f.markmail_field != "secret")})
    made = await site.crm.diff_mappings("acme", "Contact", site.local, CONTACT, changed, sample=3)
    assert made.compared == {Side.LOCAL: 3, Side.REMOTE: 3}
    assert made.by_field() == {(Side.LOCAL, "city"): 3, (Side.REMOTE, "Department"): 3, (Side.REMOTE, "MailingCity"): 3}
    department = next(f for r in made.records for f in r.fields if f.field == "Department")
    assert (department.before, department.after, department.before_why) == (None, "y", "")
    gone = next(f for r in made.records for f in r.fields if f.field == "MailingCity")
    assert (gone.before, gone.after_why) == ("x", "it is not mapped")
    same = await site.crm.diff_mappings("acme", "Contact", site.local, CONTACT, CONTACT)
    assert (same.records, same.changes, same.compared[Side.REMOTE]) == ((), (), 5)


async def test_before_the_first_sync_local_records_are_compared(site: Site) -> None:
    site.local.add(email="ada@example.org", last_name="King", title="x")
    shorter = ObjectMapping(fields=CONTACT.fields[:2])
    made = await site.crm.diff_mappings("acme", "Contact", site.local, CONTACT, shorter)
    assert made.compared == {Side.LOCAL: 0, Side.REMOTE: 1}
    assert made.by_field() == {(Side.REMOTE, "Title"): 1}
