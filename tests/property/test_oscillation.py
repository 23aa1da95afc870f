"""Whatever two idempotent normalisers make of a field, and whoever edits meanwhile: when people rest, writing ends."""

from __future__ import annotations

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from crmsync.models.mappings import ObjectMapping, two_way
from crmsync.models.schema import FieldType
from crmsync.models.state import ConflictStatus
from crmsync.testing.world import World, world

FIELDS = (
    two_way("email", "Email", field_type=FieldType.EMAIL),
    two_way("code", "Code"),
    two_way("city", "City"),
)
KEYS = 3
REST = 16
styles = st.lists(st.integers(0, 3), min_size=KEYS, max_size=KEYS)
"""For each of the things that a code may name: which of four spellings a side insists on (3: none)."""
edits = st.lists(st.tuples(st.booleans(), st.integers(0, KEYS - 1), st.integers(0, 3)), max_size=6)


def spelled(key: int, style: int) -> str:
    return f"{'abcd'[style]}-{key}"


def normalised(styles: list[int], value: object) -> object:
    """The value in a side's spelling."""
    key = int(str(value)[-1])
    return value if styles[key] > 2 else spelled(key, styles[key])


def rewrite(w: World, local: str, remote: str, ours: list[int], theirs: list[int]) -> None:
    """What both sides do some time after a run."""
    held, code = w.remote.snapshot()[remote]["Code"], w.local.snapshot()[local]["code"]
    if (wanted := normalised(theirs, held)) != held:
        w.remote.edit(remote, Code=wanted)
    if (wanted := normalised(ours, code)) != code:
        w.local.edit(local, code=wanted)


async def play(ours: list[int], theirs: list[int], made: list[tuple[bool, int, int]]) -> None:
    async with world(ObjectMapping(fields=FIELDS)) as w:
        local = w.local.add(email="ann@example.org", code=spelled(0, 3), city="Bonn")
        await w.sync()
        (remote,) = w.remote.snapshot()
        for here, key, style in made:
            if here:
                w.local.edit(local, code=spelled(key, style))
            else:
                w.remote.edit(remote, Code=spelled(key, style))
            await w.sync()
            rewrite(w, local, remote, ours, theirs)
        reports = []
        for _ in range(REST):
            reports.append(await w.sync())
            rewrite(w, local, remote, ours, theirs)
        assert [report.written for report in reports[-4:]] == [0] * 4
        w.local.edit(local, city="Cologne")
        await w.sync()
        assert w.remote.snapshot()[remote]["City"] == "Cologne", "the other fields go on"
        waiting = await w.repository.list_conflicts("acme", statuses=(ConflictStatus.OPEN,))
        assert {conflict.policy for conflict in waiting} <= {"oscillation"}
        if not waiting:
            assert w.remote.snapshot()[remote]["Code"] == w.local.snapshot()[local]["code"]


@given(ours=styles, theirs=styles, made=edits)
@settings(max_examples=60, deadline=None)
def test_writing_ends_when_people_rest(ours: list[int], theirs: list[int], made: list[tuple[bool, int, int]]) -> None:
    anyio.run(play, ours, theirs, made)
