"""What one side edits while the other one does not show the field waits for it to be shown."""

from __future__ import annotations

import pytest

from crmsync.models.mappings import ConflictPolicy, ObjectMapping, two_way
from crmsync.models.schema import FieldType
from crmsync.testing.world import world

pytestmark = pytest.mark.anyio

MAPPING = ObjectMapping(
    fields=(
        two_way("email", "Email", field_type=FieldType.EMAIL),
        two_way("name", "Name"),
        two_way("city", "City"),
        two_way("tags", "Tags", field_type=FieldType.TAGS),
    ),
    policy=ConflictPolicy.REMOTE_WINS,
)
PERSON: dict[str, object] = {"email": "ann@example.org", "name": "Ann", "city": "Bonn", "tags": ("a",)}
EDITED: dict[str, object] = {"name": "Anna", "tags": ("a", "b")}


@pytest.mark.parametrize("beside", [{}, {"city": "Ulm"}], ids=["alone", "with another field"])
async def test_an_edit_here_is_carried_over_once_the_crm_shows_the_field(beside: dict[str, object]) -> None:
    async with world(MAPPING) as w:
        local = w.local.add(PERSON)
        await w.sync()
        [remote] = w.remote.snapshot()
        w.remote.hide(["Name", "Tags"])
        w.local.edit(local, EDITED | beside)
        await w.sync()
        w.remote.hide([])
        await w.sync(full=True)
        held = w.remote.snapshot()[remote]
        assert (held["Name"], held["Tags"], held["City"]) == ("Anna", ("a", "b"), beside.get("city", "Bonn"))
        assert (await w.sync(full=True)).written == 0


async def test_an_edit_in_the_crm_is_carried_over_once_the_local_side_shows_the_field() -> None:
    async with world(MAPPING) as w:
        local = w.local.add(PERSON)
        await w.sync()
        [remote] = w.remote.snapshot()
        w.local.hide(["name"])
        w.remote.edit(remote, Name="Anna", City="Ulm")
        await w.sync()
        w.local.hide([])
        await w.sync(full=True)
        assert w.local.snapshot()[local] == PERSON | {"name": "Anna", "city": "Ulm"}


async def test_while_the_field_stays_hidden_nothing_is_written_and_no_link_moves() -> None:
    async with world(MAPPING) as w:
        local = w.local.add(PERSON)
        await w.sync()
        w.remote.hide(["Name"])
        w.local.edit(local, name="Anna")
        await w.sync()
        [link] = await w.repository.scan_links("acme", "Contact")
        assert (await w.sync(full=True)).written == 0
        [again] = await w.repository.scan_links("acme", "Contact")
        assert (again.local_shadow, again.remote_shadow) == (link.local_shadow, link.remote_shadow)
