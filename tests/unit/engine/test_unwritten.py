"""A side that leaves one field of a record as it is: the rest goes on, and the field is tried again until it fits."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest

from crmsync.errors import ConflictError, RecordError
from crmsync.models.candidates import Candidate
from crmsync.models.mappings import ConflictPolicy, ObjectMapping, two_way
from crmsync.models.records import Operation, OperationKind, Side
from crmsync.models.schema import FieldType
from crmsync.models.state import ConflictStatus, LinkStatus
from crmsync.testing.faults import Crash, Fault, FaultyStore, When
from crmsync.testing.world import World, world

pytestmark = pytest.mark.anyio

MAPPING = ObjectMapping(
    fields=(
        two_way("email", "Email", field_type=FieldType.EMAIL),
        two_way("name", "Name"),
        two_way("company", "Company", policy=ConflictPolicy.LOCAL_WINS),
    )
)


TWO = (Candidate(id="c1", side=Side.REMOTE), Candidate(id="c2", side=Side.REMOTE))
"""Companies of the CRM."""


@attrs.define
class Registry:
    """Leaves companies unwritten while ``unclear``."""

    unclear: bool = True

    def __call__(self, operation: Operation) -> Sequence[RecordError]:
        if not self.unclear or not operation.fields.get("Company"):
            return ()
        return [ConflictError("two companies have this name", field="Company", candidates=("c1", "c2"))]


async def link_of(w: World) -> tuple[LinkStatus, tuple[Candidate, ...], list[str]]:
    links = await w.repository.scan_links("acme", "Contact", statuses=tuple(LinkStatus), after="", limit=10)
    [link] = links
    return link.status, link.candidates, [problem.path for problem in link.problems]


@pytest.mark.parametrize("known", [False, True], ids=["create", "update"])
async def test_the_rest_is_written_and_the_field_is_reported_until_it_is_written(*, known: bool) -> None:
    registry = Registry(unclear=not known)
    async with world(MAPPING, remote={"leave": registry}) as w:
        person = w.local.add({"email": "a@example.org", "name": "A", "company": "Old" if known else "Acme"})
        if known:
            await w.sync()
            registry.unclear = True
            w.local.edit(person, {"name": "B", "company": "Acme"})
        for _ in range(2):
            report = await w.sync()
            [there] = w.remote.snapshot().values()
            assert there["Name"] == ("B" if known else "A")
            assert there.get("Company") == ("Old" if known else None)
            assert [(each.field, each.code, each.candidates) for each in report.problems] == [
                ("Company", "ambiguous", TWO)
            ]
            assert await link_of(w) == (LinkStatus.REJECTED, TWO, ["Company"])
        registry.unclear = False
        await w.sync()
        [there] = w.remote.snapshot().values()
        assert there["Company"] == "Acme"
        assert await link_of(w) == (LinkStatus.SYNCED, (), [])
        assert not (await w.plan()).records


async def test_a_foreign_edit_meanwhile_is_a_conflict_and_not_undone() -> None:
    registry = Registry()
    async with world(MAPPING, remote={"leave": registry}) as w:
        w.local.add({"email": "a@example.org", "name": "A", "company": "Acme"})
        await w.sync()
        [there] = w.remote.snapshot()
        w.remote.edit(there, {"Company": "Chosen by hand"})
        await w.sync()
        conflicts = await w.repository.list_conflicts("acme", "Contact", statuses=tuple(ConflictStatus), limit=9)
        assert conflicts == []
        registry.unclear = False
        await w.sync()
        [conflict] = await w.repository.list_conflicts("acme", "Contact", statuses=tuple(ConflictStatus), limit=9)
        assert (conflict.remote_value, conflict.winner) == ("Chosen by hand", Side.LOCAL)
        assert w.remote.snapshot()[there]["Company"] == "Acme"


@pytest.mark.parametrize("kind", [OperationKind.CREATE, OperationKind.UPDATE])
async def test_a_crash_before_the_answer_does_not_make_it_look_written(kind: OperationKind) -> None:
    registry = Registry(unclear=kind is OperationKind.CREATE)
    async with world(MAPPING, remote={"leave": registry}) as w:
        person = w.local.add({"email": "a@example.org", "name": "A", "company": "Acme"})
        if kind is OperationKind.UPDATE:
            await w.sync()
            registry.unclear = True
            w.local.edit(person, {"name": "B", "company": "Other"})
        w.through[Side.REMOTE] = FaultyStore(w.remote, [Fault(Crash(), method="write", when=When.AFTER)])
        with pytest.raises(Crash):
            await w.sync()
        w.through.clear()
        w.clock.tick(3600)
        report = await w.sync()
        assert [problem.field for problem in report.problems] == ["Company"]
        registry.unclear = False
        await w.sync()
        [there] = w.remote.snapshot().values()
        assert there["Company"] == ("Acme" if kind is OperationKind.CREATE else "Other")
