"""The engine with its bookkeeping in real databases: what the memory repository promises holds there too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crmsync.models.mappings import ConflictPolicy, ObjectMapping, two_way
from crmsync.models.records import Side
from crmsync.models.runs import RunStatus
from crmsync.models.state import ConflictStatus, Decision
from crmsync.storage.sql import open_repository
from crmsync.testing.faults import Crash, Fault, FaultyStore, When
from crmsync.testing.world import World, world

pytestmark = pytest.mark.anyio

MAPPING = ObjectMapping(
    fields=(
        two_way("email", "Email", field_type="email"),
        two_way("name", "Name", policy=ConflictPolicy.MANUAL),
        two_way("tags", "Tags", field_type="tags"),
    )
)


@pytest.fixture(params=["sqlite", "postgresql"])
async def w(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    postgresql = request.param == "postgresql"
    url = request.getfixturevalue("postgres_url") if postgresql else f"sqlite:///{tmp_path / 'crmsync.db'}"
    async with open_repository(url) as repository, world(MAPPING, repository=repository, integration_id="db") as made:
        try:
            yield made
        finally:
            await repository.delete_integration("db")


async def test_a_crash_in_the_first_load_is_finished_without_a_duplicate(w: World) -> None:
    for number in range(30):
        w.local.add(email=f"p{number}@example.org", name=f"P{number}", tags=("new",))
    for number in range(20, 40):
        w.remote.add(Email=f"p{number}@example.org", Name=f"P{number}", Tags=("crm",))
    w.through[Side.REMOTE] = FaultyStore(w.remote, [Fault(Crash(), method="write", when=When.DURING)])
    with pytest.raises(Crash):
        await w.sync()
    w.through.clear()
    w.clock.tick(120)
    report = await w.sync()
    assert report.status is RunStatus.SUCCESS
    assert len(w.local.snapshot()) == len(w.remote.snapshot()) == 40
    both = {str(r["Email"]): r["Tags"] for r in w.remote.snapshot().values()}
    assert set(both["p25@example.org"]) == {"new", "crm"}  # type: ignore[call-overload]
    assert (await w.sync()).written == 0


async def test_a_decision_on_a_conflict_outlives_the_process_and_is_carried_out(w: World) -> None:
    local = w.local.add(email="ann@example.org", name="Ann")
    await w.sync()
    (remote,) = w.remote.snapshot()
    w.local.edit(local, name="Anna")
    w.remote.edit(remote, Name="Anne")
    assert (await w.sync()).status is RunStatus.PARTIAL
    (conflict,) = await w.repository.list_conflicts("db", statuses=(ConflictStatus.OPEN,))
    assert (conflict.local_value, conflict.remote_value) == ("Anna", "Anne")
    await w.repository.decide_conflicts("db", {conflict.id: Decision(Side.REMOTE)}, now=w.clock.now())
    await w.sync()
    assert w.local.snapshot()[local]["name"] == "Anne"
    assert (await w.sync()).status is RunStatus.SUCCESS
