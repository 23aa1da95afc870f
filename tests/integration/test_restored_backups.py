"""What the next syncs do after an older backup was restored: edits, and syncs of them, came after it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from crmsync.models.backups import RestoreOptions
from crmsync.models.mappings import ConflictPolicy, ObjectMapping, two_way
from crmsync.models.records import Operation, Outcome, Side
from crmsync.models.runs import RunStatus
from crmsync.protocols.records import RecordStore
from crmsync.security.vault import Vault
from crmsync.service.backups import back_up, restore
from crmsync.storage.sql import open_repository, schema
from crmsync.storage.sql.maintenance import open_maintenance
from crmsync.testing.faults import FaultyStore
from crmsync.testing.world import World, world

pytestmark = pytest.mark.anyio

VAULT = Vault.from_key(Vault.generate_key())
MAPPING = ObjectMapping(
    fields=(
        two_way("email", "Email", field_type="email"),
        two_way("name", "Name"),
        two_way("city", "City", policy=ConflictPolicy.LOCAL_WINS),
    )
)


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'crmsync.db'}"
        return
    place = sa.make_url(request.getfixturevalue("postgres_url")).update_query_dict({"table_prefix": "restored_"})
    yield place.render_as_string(hide_password=False)
    async with open_maintenance(place.render_as_string(hide_password=False)) as database:
        await database.downgrade(schema.BASE)


async def bring_back(url: str, place: Path) -> None:
    async with open_maintenance(url) as database:
        await restore(database, VAULT, str(place), RestoreOptions(replace=True, pause=False))


async def keep(url: str, place: Path) -> None:
    async with open_maintenance(url) as database:
        await back_up(database, VAULT, str(place))


class KeepsABackup(FaultyStore):
    """Makes a backup while a write is on its way."""

    def __init__(self, store: RecordStore, keep: Callable[[], Awaitable[None]]) -> None:
        super().__init__(store)
        self._keep = keep

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        await self._keep()
        return await super().write(operations)


def person(w: World, email: str) -> tuple[str, str]:
    """The ids of the one person with this address on both sides."""
    [local] = [key for key, record in w.local.snapshot().items() if record["email"] == email]
    [remote] = [key for key, record in w.remote.snapshot().items() if record["Email"] == email]
    return local, remote


async def test_what_happened_since_the_backup_is_neither_lost_nor_done_twice(url: str, tmp_path: Path) -> None:
    async with open_repository(url) as repository, world(MAPPING, repository=repository) as w:
        for name in ("ann", "bob", "cid", "dan", "eve"):
            w.local.add(email=f"{name}@x.org", name=name, city="old")
        await w.sync()
        await keep(url, tmp_path / "backup")

        w.local.edit(person(w, "ann@x.org")[0], name="Ann 1")  # synced, and left alone
        w.remote.edit(person(w, "bob@x.org")[1], Name="Bob 1")  # synced, and edited again below
        w.local.edit(person(w, "cid@x.org")[0], city="new")  # synced; the other field is edited below
        w.local.add(email="new@x.org", name="made here", city="old")  # synced
        w.remote.add(Email="crm@x.org", Name="made there", City="old")  # synced
        await w.sync()
        await w.sync()
        w.clock.tick(7200)
        w.remote.edit(person(w, "bob@x.org")[1], Name="Bob 2")
        w.remote.edit(person(w, "cid@x.org")[1], Name="Cid 2")
        w.local.edit(person(w, "dan@x.org")[0], name="Dan 2")
        expected = len(w.local.snapshot())

        await bring_back(url, tmp_path / "backup")
        w.clock.tick()
        for _ in range(2):
            report = await w.sync()
        assert report.status is RunStatus.SUCCESS
        assert report.written == 0
        assert len(w.local.snapshot()) == len(w.remote.snapshot()) == expected
        people = {str(r["email"]): (r["name"], r["city"]) for r in w.local.snapshot().values()}
        assert people == {str(r["Email"]): (r["Name"], r["City"]) for r in w.remote.snapshot().values()}
        assert people["ann@x.org"] == ("Ann 1", "old")
        assert people["bob@x.org"] == ("Bob 2", "old")
        assert people["cid@x.org"] == ("Cid 2", "new")
        assert people["dan@x.org"] == ("Dan 2", "old")
        assert {"new@x.org", "crm@x.org"} <= people.keys()


async def test_a_newer_edit_that_a_policy_overwrites_has_its_conflict(url: str, tmp_path: Path) -> None:
    """The field is local_wins. The backup knows neither the edit that was synced nor the newer one in the CRM: to it
    both sides changed, so the policy decides and the value that loses is kept for a person to look at."""
    async with open_repository(url) as repository, world(MAPPING, repository=repository) as w:
        w.local.add(email="ann@x.org", name="Ann", city="old")
        await w.sync()
        await keep(url, tmp_path / "backup")
        local, remote = person(w, "ann@x.org")
        w.local.edit(local, city="synced")
        await w.sync()
        w.remote.edit(remote, City="newer")
        await bring_back(url, tmp_path / "backup")
        await w.sync()
        assert w.remote.snapshot()[remote]["City"] == w.local.snapshot()[local]["city"] == "synced"
        [conflict] = await repository.list_conflicts("acme")
        assert (conflict.field, conflict.local_value, conflict.remote_value) == ("city", "synced", "newer")


async def test_a_write_that_was_under_way_at_the_moment_of_the_backup_is_looked_at(url: str, tmp_path: Path) -> None:
    """The journal of the backup says that nobody knows; by now the write took effect, and somebody edited after it."""
    async with open_repository(url) as repository, world(MAPPING, repository=repository) as w:
        w.local.add(email="ann@x.org", name="Ann", city="old")
        await w.sync()
        local, remote = person(w, "ann@x.org")
        w.local.edit(local, name="Ann 1")
        w.through[Side.REMOTE] = KeepsABackup(w.remote, partial(keep, url, tmp_path / "backup"))
        await w.sync()
        w.through.clear()
        w.remote.edit(remote, Name="Ann 2")
        await bring_back(url, tmp_path / "backup")
        assert await repository.list_journal("acme", "Contact") != []
        w.clock.tick(3600)
        await w.sync()
        assert (await w.sync()).written == 0
        names = {w.local.snapshot()[local]["name"], w.remote.snapshot()[remote]["Name"]}
        kept = {conflict.remote_value for conflict in await repository.list_conflicts("acme")}
        assert names == {"Ann 2"} or "Ann 2" in kept
