"""A page is planned while the page before is written: as if it were planned afterwards, and nothing is asked twice."""

from __future__ import annotations

import random
from collections.abc import Sequence

import anyio.lowlevel
import pytest

from crmsync.engine.foresight import ForeseeingStore, Foresight
from crmsync.engine.metering import MeteredStore
from crmsync.engine.tally import SideTally
from crmsync.models.mappings import ObjectMapping, two_way
from crmsync.models.records import Operation, OperationKind, Outcome, Record, Side
from crmsync.models.schema import FieldType
from crmsync.models.state import Acknowledgement, Link
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.world import LOCAL_LIMITS, REMOTE_LIMITS, FakeClock, World, world

pytestmark = pytest.mark.anyio

CONTACT = ObjectMapping(fields=(two_way("email", "Email", field_type=FieldType.EMAIL), two_way("name", "Name")))


class SlowStore(MemoryRecordStore):
    """Notes when it is asked, and takes its time to write."""

    log: list[str]

    async def find(self, field: str, values: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        self.log += [f"find {value}" for value in values]
        return await super().find(field, values, fields=fields)

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        outcomes = await super().write(operations)
        self.log += [f"written {operation.fields.get('email', operation.id)}" for operation in operations]
        return outcomes


def slow_local(w: World) -> SlowStore:
    w.local = store = SlowStore("people", clock=w.clock, limits=LOCAL_LIMITS)
    store.log = []
    return store


async def test_the_next_three_pages_are_looked_up_while_a_page_is_written_and_each_value_once() -> None:
    async with world(CONTACT) as w:
        local = slow_local(w)
        for number in range(5):
            w.remote.add(Email=f"p{number}@example.org")
        await w.sync(page_size=1)
        log = [line for line in local.log if "p" in line]
        assert len(local.snapshot()) == 5
    assert log.index("find p1@example.org") < log.index("written p0@example.org")
    assert log.index("find p3@example.org") < log.index("written p0@example.org")
    assert log.index("find p4@example.org") > log.index("written p0@example.org")
    assert sorted(line for line in log if line.startswith("find")) == [f"find p{n}@example.org" for n in range(5)]


async def test_a_run_of_limited_calls_looks_up_nothing_in_advance() -> None:
    async with world(CONTACT) as w:
        local = slow_local(w)
        w.budget.limit = 1000
        for number in range(2):
            w.remote.add(Email=f"p{number}@example.org")
        await w.sync(page_size=1)
    assert local.log.index("find p1@example.org") > local.log.index("written p0@example.org")


async def test_two_records_that_match_one_on_two_pages_are_not_both_linked_to_it() -> None:
    async with world(CONTACT) as w:
        slow_local(w)
        ann = w.local.add(email="ann@example.org")
        first = w.remote.add(Email="ann@example.org", Name="Ann")
        second = w.remote.add(Email="lee@example.org", key=ann)
        await w.sync(page_size=1)
        links = await w.repository.links_by_remote(w.integration_id, w.entity_type, [first, second])
        assert links[first].markmail_id == ann
        assert [problem.code for problem in links[second].problems] == ["already_linked"]


@pytest.mark.parametrize("seed", range(40))
async def test_what_stands_is_what_would_be_found_now(seed: int) -> None:
    """After any writes: nothing that they touched is answered from before, and what they left alone is not asked."""
    chance = random.Random(seed)
    store = MemoryRecordStore("Contact", clock=FakeClock(), limits=REMOTE_LIMITS, id_prefix="003")
    emails = [f"p{number}@example.org" for number in range(8)]
    ids = [store.add(Email=chance.choice(emails), Name=str(number)) for number in range(6)]
    keys = [f"m{number}" for number in range(4)]
    foresight = Foresight()
    ahead = ForeseeingStore(MeteredStore(store, SideTally()), Side.REMOTE, foresight)
    asked = (chance.sample([*ids, "003none"], 4), chance.sample(emails, 4), chance.sample(keys, 2))
    before = await answers(ahead, *asked)
    for number in range(chance.randrange(4)):
        operation = write(chance, number, ids, emails, keys)
        for outcome in await store.write([operation]):
            foresight.note_write(Side.REMOTE, operation, outcome)
    stands = foresight.stands()
    now = await answers(store, *asked)
    assert await answers(ahead, *asked) == now
    assert not stands or before == now


async def answers(
    store: MemoryRecordStore | ForeseeingStore, ids: Sequence[str], emails: Sequence[str], keys: Sequence[str]
) -> list[dict[str, tuple[object, ...]]]:
    found = (
        (await store.get(ids, fields=["Email", "Name"])).values(),
        await store.find("Email", [email.upper() for email in emails], fields=["Email", "Name"]),
        await store.find_by_key(keys, fields=["Email", "Name"]),
    )
    return [{r.id: (r.key, r.fields["Email"], r.fields.get("Name")) for r in records} for records in found]


def write(
    chance: random.Random, number: int, ids: Sequence[str], emails: Sequence[str], keys: Sequence[str]
) -> Operation:
    kind = chance.choice(list(OperationKind))
    fields = {"Email": chance.choice(emails)} if chance.random() < 0.7 else {"Name": "New"}
    if kind is OperationKind.CREATE:
        return Operation(f"o{number}", kind, None, key=chance.choice(keys), fields={"Name": "Made", **fields})
    return Operation(f"o{number}", kind, chance.choice(ids), fields={} if kind is OperationKind.DELETE else fields)


async def test_links_that_were_stored_or_dropped_meanwhile_are_asked_for_again() -> None:
    links = {name: Link("test", "Contact", name, f"003{name}") for name in ("a", "b", "c")}
    asked: list[str] = []

    async def find(ids: Sequence[str]) -> dict[str, Link]:
        asked.extend(ids)
        return {name: link for name, link in links.items() if name in ids}

    foresight = Foresight()
    await foresight.links(Side.LOCAL, ["a", "b", "c", "d", "e"], find)
    assert foresight.stands()
    made = Link("test", "Contact", "d", "003d")
    foresight.note_acknowledged(Acknowledgement(links=(made,), removed_links=("a",)))
    foresight.note_links([Link("test", "Contact", "other", "003b")])
    links = {**links, "d": made}
    assert not foresight.stands()
    asked.clear()
    found = await foresight.links(Side.LOCAL, ["a", "b", "c", "d", "e"], find)
    assert asked == ["a", "b", "d"]
    assert found == links
