"""Whatever the pages' sizes, and whoever edits, adds and deletes between them: a first load and the pass after it show
the org as it is, whichever way it goes, through however many jobs, and however often its connection or a job is lost.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import anyio
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from crmsync.engine import RunBudget
from crmsync.models.records import Record
from crmsync.protocols.provider import ProviderContext
from crmsync.protocols.records import RecordStore
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.testing.salesforce import DEFAULT_TOKEN, SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport
from crmsync.testing.world import FakeClock

LOOK_BACK = 600
EVENTS = st.one_of(
    st.tuples(st.sampled_from(["edit", "delete", "late"]), st.integers(0, 30)),
    st.tuples(st.sampled_from(["undelete", "lose a job"]), st.integers(0, 30)),
    st.tuples(st.sampled_from(["add", "reconnect", "lose jobs", "fail a job", "break"]), st.just(0)),
)
STEPS = st.lists(st.tuples(st.integers(1, 7), st.lists(EVENTS, max_size=2)), max_size=12)


class World:
    """An org, a connection to it, and what a reader has been shown."""

    def __init__(self, count: int, page_records: int, way: str, ranges: int | None) -> None:
        self.clock = FakeClock()
        self.org = SalesforceOrg(clock=self.clock.now)
        self.org.bulk.set_options(page_records=page_records)
        self.shown: dict[str, Record] = {}
        self._way = way
        self._ranges = ranges
        self._edits = 0
        self.born = {self.org.create("Contact", {"LastName": f"Born {number}"}) for number in range(count)}
        self.clock.tick(2 * LOOK_BACK)

    async def connect(self, stack: AsyncExitStack) -> RecordStore:
        """A new connection; another process would open it."""
        settings = {
            "instance_url": "https://acme.my.salesforce.com",
            "look_back_seconds": LOOK_BACK,
            "retry_wait": 0,
            "first_read": self._way,
            "bulk_read_ranges": self._ranges,
        }
        opened = SalesforceProviderFactory(InProcessTransport(self.org)).open(
            settings, {"access_token": SecretStr(DEFAULT_TOKEN)}, ProviderContext(self.clock, RunBudget())
        )
        return await (await stack.enter_async_context(opened)).records("Contact")

    def happen(self, event: str, which: int) -> None:
        """Somebody does something in the org, or something breaks."""
        self.clock.tick(1)
        ids = sorted(row["Id"] for row in self.org.records("Contact"))
        self._edits += 1
        if event == "add":
            self.org.create("Contact", {"LastName": f"Added {self._edits}"})
        elif event == "lose jobs":
            self.org.bulk.query.clear()
        elif event == "lose a job" and (jobs := list(self.org.bulk.query)):
            del self.org.bulk.query[jobs[which % len(jobs)]]
        elif event == "fail a job":
            self.org.faults.bulk.fail_next()
        elif event == "undelete" and (gone := sorted(self._gone())):
            self.org.undelete("Contact", gone[which % len(gone)])
        elif event == "break":
            self.org.faults.fail_next(2, status=503, path=lambda _, path: "/quer" in path)
        elif ids and event == "delete":
            self.org.delete("Contact", ids[which % len(ids)])
        elif ids and event in ("edit", "late"):
            # A late one is stamped now, and commits while the load goes on or after it.
            self.org.faults.commit_late(LOOK_BACK / 2 if event == "late" else 0)
            self.org.update("Contact", ids[which % len(ids)], {"LastName": f"Edited {self._edits}"})
            self.org.faults.commit_late(0)

    def _gone(self) -> set[str]:
        """Those in the recycle bin."""
        return {key for key, row in self.org.table("Contact").rows.items() if row.get("IsDeleted")}

    async def read(self, store: RecordStore, cursor: str | None, size: int) -> tuple[str | None, bool, bool]:
        """Show the reader a page; the position, whether there is more, and whether all was seen."""
        page = await store.changes(cursor, fields=["LastName"], limit=size)
        assert len(page.records) <= size or not page.has_more
        self.shown.update((record.id, record) for record in page.records)
        return page.cursor, page.has_more, page.complete_scan

    def check(self) -> None:
        """The reader knows every living record as it is, and no deleted one as living."""
        living = {row["Id"]: row["LastName"] for row in self.org.records("Contact")}
        assert {
            key: record.fields.get("LastName") for key, record in self.shown.items() if not record.deleted
        } == living


async def _history(world: World, steps: list[tuple[int, list[tuple[str, int]]]], last_size: int) -> None:
    async with AsyncExitStack() as stack:
        store = await world.connect(stack)
        cursor, more = None, True
        plan: list[Any] = list(steps)
        while more:
            size, events = plan.pop(0) if plan else (last_size, [])
            cursor, more, _ = await world.read(store, cursor, size)
            for event, which in events:
                if event == "reconnect":
                    store = await world.connect(stack)
                else:
                    world.happen(event, which)
        still_there = {row["Id"] for row in world.org.records("Contact")} & world.born
        assert still_there <= set(world.shown), "a load leaves out nothing that is there throughout"
        world.clock.tick(LOOK_BACK)
        more = True
        while more:
            cursor, more, complete = await world.read(store, cursor, last_size)
            assert not complete
        world.check()


@given(
    count=st.integers(0, 25),
    page_records=st.integers(1, 9),
    way=st.sampled_from([("bulk", 1), ("bulk", 3), ("bulk", 8), ("rest", None)]),
    steps=STEPS,
    last_size=st.integers(1, 9),
)
def test_a_first_load_and_the_pass_after_it_show_the_org_as_it_is(
    count: int,
    page_records: int,
    way: tuple[str, int | None],
    steps: list[tuple[int, list[tuple[str, int]]]],
    last_size: int,
) -> None:
    anyio.run(_history, World(count, page_records, *way), steps, last_size)
