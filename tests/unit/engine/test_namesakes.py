"""Two applications keep their ids in one key field, and a few of their people clash: none is overwritten."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from crmsync.errors import ConflictError
from crmsync.models.mappings import FieldMapping, ObjectMapping, two_way
from crmsync.models.runs import RunStatus
from crmsync.models.schema import FieldType
from crmsync.models.state import LinkStatus
from crmsync.testing.world import World, world

pytestmark = pytest.mark.anyio

EMAIL = two_way("email", "Email", field_type=FieldType.EMAIL)
NAME = two_way("name", "Name")
OUT = two_way("out", "Out", field_type=FieldType.BOOLEAN)
CITY = two_way("city", "City")
BUYER = {"email": "buyer@example.org", "name": "Bea Buyer", "out": False, "city": "Berlin"}
MEMBER = {"email": "member@example.com", "name": "Max Member", "out": False, "city": "Berlin"}


@asynccontextmanager
async def shop_and_forum(*fields: FieldMapping) -> AsyncIterator[tuple[World, World]]:
    """Two applications whose person 7 is another one; the shop's is in the CRM."""
    mapping = ObjectMapping(fields=fields or (EMAIL, NAME, OUT))
    names = [field.markmail_field for field in mapping.fields]
    async with world(mapping) as shop, world(mapping, clock=shop.clock, integration_id="forum") as forum:
        forum.remote = shop.remote
        shop.local.add({name: BUYER[name] for name in names}, id="7")
        forum.local.add({name: MEMBER[name] for name in names}, id="7")
        await shop.sync()
        yield shop, forum


async def waiting(w: World) -> list[str]:
    """The local ids of those that wait as somebody else, in the CRM or here."""
    links = await w.repository.scan_links(w.integration_id, w.entity_type, limit=100)
    assert {link.status for link in links if link.problems} <= {LinkStatus.QUARANTINED}
    return [link.markmail_id for link in links if [problem.code for problem in link.problems] == ["other_person"]]


async def in_step(w: World, email: object) -> bool:
    """Whether the two records with the key 7 are one person with this e-mail."""
    remote = w.remote.snapshot()[w.remote.keys()["7"]]
    return w.local.snapshot()["7"]["email"] == email == remote["Email"]


@pytest.mark.parametrize("fields", [(EMAIL,), (EMAIL, NAME), (EMAIL, OUT), (EMAIL, NAME, OUT)])
async def test_a_key_that_belongs_to_somebody_else_overwrites_nothing(fields: tuple[FieldMapping, ...]) -> None:
    async with shop_and_forum(*fields) as (shop, forum):
        forum.local.add(email="new@example.com", id="8")
        ours, theirs = forum.local.snapshot(), shop.remote.snapshot()
        report = await forum.sync()
        assert report.status is RunStatus.PARTIAL
        assert "7" in await waiting(forum)
        assert forum.local.snapshot() == ours
        assert theirs.items() <= shop.remote.snapshot().items()
        assert shop.remote.keys().get("8"), "the others go on"
        assert (await shop.sync()).problem_count == 0


async def test_those_who_clash_one_by_one_stop_no_run_and_are_looked_at_again_in_each() -> None:
    async with shop_and_forum() as (shop, forum):
        for number in range(10, 20):
            shop.local.add(email=f"buyer{number}@example.org", name=f"Buyer {number}", id=str(number))
            await shop.sync()
            forum.local.add(email=f"member{number}@example.com", name=f"Member {number}", id=str(number))
            await forum.sync()
        assert {str(number) for number in (7, *range(10, 20))} <= set(await waiting(forum))
        assert not [row for row in shop.remote.snapshot().values() if str(row["Email"]).startswith("member")]


async def test_once_the_addresses_agree_the_two_are_one_person() -> None:
    async with shop_and_forum() as (_, forum):
        await forum.sync()
        forum.local.edit("7", email="buyer@example.org")
        await forum.sync()
        assert await waiting(forum) == []
        assert await in_step(forum, "buyer@example.org")


async def test_whoever_knows_better_links_the_two_or_goes_by_the_keys() -> None:
    async with shop_and_forum() as (_, forum):
        await forum.sync()
        await (await forum.runner()).link("7", forum.remote.keys()["7"])
        assert await in_step(forum, forum.local.snapshot()["7"]["email"])
    async with shop_and_forum() as (_, forum):
        await forum.sync(allow_overwrites=10)
        assert await waiting(forum) == []
        assert await in_step(forum, forum.local.snapshot()["7"]["email"])


@pytest.mark.parametrize("fields", [(EMAIL, NAME), (EMAIL, NAME, CITY), (EMAIL, NAME, OUT, CITY)])
async def test_somebody_with_a_new_address_is_the_same_person_where_half_of_the_rest_is_alike(
    fields: tuple[FieldMapping, ...],
) -> None:
    """The links are lost, and the address has changed since; with a city, the name has too."""
    async with shop_and_forum(*fields) as (shop, _):
        shop.local.edit("7", email="bea@example.net", name="Bea Baker" if CITY in fields else BUYER["name"])
        async with world(shop.mapping, clock=shop.clock) as anew:
            anew.local, anew.remote = shop.local, shop.remote
            assert (await anew.sync()).status is RunStatus.SUCCESS
            assert await in_step(anew, "bea@example.net")


async def test_no_counterpart_of_its_own_is_made_under_somebody_elses_key() -> None:
    async with shop_and_forum() as (shop, forum):
        await forum.sync()
        before = shop.remote.snapshot(), shop.remote.keys()
        for markmail_id in await waiting(forum):
            with pytest.raises(ConflictError, match="a key field of its own"):
                await (await forum.runner()).create_anew(markmail_id)
        assert (shop.remote.snapshot(), shop.remote.keys()) == before


async def test_a_dry_run_plans_nothing_for_somebody_else() -> None:
    async with shop_and_forum() as (_, forum):
        plan = await forum.plan()
        assert [record.writes for record in plan.records if record.markmail_id == "7"] == [()]
        report = await forum.apply(plan)
        assert report.written == 0
        assert "7" in await waiting(forum)
