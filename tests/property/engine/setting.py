"""What a history is played in: the sites, the people, the bookkeeping and the mapping, and what is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import attrs

from crmsync.models.history import RecordChange
from crmsync.models.integrations import Integration
from crmsync.models.mappings import ObjectMapping
from crmsync.models.records import Side
from crmsync.models.state import Conflict, Link
from crmsync.protocols.repository import SyncRepository
from crmsync.testing.world import FakeClock
from tests.property.engine.days import BEGINNING, Days
from tests.property.engine.incidents import Incidents
from tests.property.engine.knowledge import ACME, BETA, LOCAL
from tests.property.engine.ledger import Ledger
from tests.property.engine.mapped import Mapped, mapping
from tests.property.engine.people import People
from tests.property.engine.promises import Counts, Promise
from tests.property.engine.sites import OBJECT, Conditions, Sites, name_at


@attrs.define
class MappingState:
    """The mapping as somebody left it. ``version`` counts changes that touch no field."""

    narrow: bool
    was_narrow: bool = False
    version: int = 0


class Setting:
    """``reached`` has the points of each run, ``at_rest`` what the sites came to.

    ``cut`` are the CRMs whose last run did not end: the next one goes on there, and does not look again at what that
    had read. ``born`` is what a CRM's record has that is created without it. ``left`` is the bookkeeping as the last
    process left it that took over from another one. ``paid_ahead``: a call is paid for, a job's three
    together, and may then not be made after all.
    """

    paid_ahead = False

    def __init__(
        self, conditions: Conditions, repository: SyncRepository, counts: Counts, clock: FakeClock | None = None
    ) -> None:
        self.conditions = conditions
        self.repository = repository
        self.counts = counts
        self.clock = clock or (FakeClock() if conditions.day is None else FakeClock(BEGINNING))
        self.days = Days(conditions.day, self.clock, counts)
        self.sites = Sites(conditions, self.clock)
        self.people = People(self.sites)
        self.mapped = MappingState(conditions.narrow)
        self.calls = conditions.calls
        self.guard: int | None = conditions.guard
        self.approved: Counter[str] = Counter()
        self.disturbed = False
        self.cut: set[str] = set()
        self.born: Mapping[str, object] = {}
        self.ledger = Ledger()
        self.at_rest: dict[str, dict[str, dict[str, object]]] = {}
        self.reached: list[Counter[str]] = []
        self.left: dict[str, tuple[object, ...]] = {}
        self.story = self.people.story
        self.story.append(f"given {conditions.model_dump_json(exclude_defaults=True)}")

    async def begin(self) -> None:
        """Make the two integrations known."""
        for name in (ACME, BETA):
            await self.repository.save_integration(Integration(id=name, provider="memory"))

    def hold(self, promise: Promise, kept: bool, story: str) -> None:
        """See `Counts.hold`."""
        self.counts.hold(promise, kept, story)

    # --- the mapping

    def change_mapping(self) -> None:
        """The city is taken out of the mapping, or put into it."""
        self.mapped.narrow = not self.mapped.narrow
        self.story.append(f"the mapping {'leaves city out' if self.mapped.narrow else 'has city'}")

    def new_version(self) -> None:
        """The mapping changes where no field is concerned."""
        self.mapped.version += 1
        self.story.append("the mapping has a new version")

    def mapping(self) -> ObjectMapping:
        """The mapping as it is now."""
        return mapping(self._mapped())

    def _mapped(self) -> Mapped:
        given, now = self.conditions, self.mapped
        return Mapped(given.policy, given.delete, given.guard, now.narrow, now.version)

    # --- what is there

    def sides(self, remote: str) -> tuple[tuple[Side, str], tuple[Side, str]]:
        """The sites that an integration is between."""
        return (Side.LOCAL, LOCAL), (Side.REMOTE, remote)

    def look(self, remote: str) -> None:
        """A run is about to begin: what of an earlier one's writes still shows?"""
        snapshot = self.sites.snapshot()
        held = {side: snapshot[name] for side, name in self.sides(remote)}
        hidden = {side: self._hidden_names(name) for side, name in self.sides(remote)}
        keyed, undeleted = self.conditions.external_key, self.people.undeleted
        self.ledger.look(remote, held, hidden, keyed=keyed, undeleted=undeleted)

    def _hidden_names(self, site: str) -> set[str]:
        """What no run reads of a site: what its administrator hides, and what the mapping leaves out."""
        unmapped = {"city"} if self.mapped.narrow else set()
        return {name_at(site, field) for field in self.sites.hidden[site] | unmapped}

    def count(self, incidents: Incidents) -> None:
        """Note what was reached, and what struck."""
        self.reached.append(incidents.reached)
        self.disturbed |= bool(incidents.struck)
        self.counts.runs += 1
        self.counts.points += incidents.reached.total()
        if incidents.struck and incidents.planned is not None:
            self.counts.incidents[incidents.planned.kind.name.lower()] += 1

    async def conflicts(self, remote: str) -> list[Conflict]:
        """Every conflict that was ever recorded."""
        return await self.repository.list_conflicts(remote, OBJECT)

    async def changes(self, remote: str) -> list[RecordChange]:
        """The whole history, newest first."""
        return await self.repository.list_changes(remote, OBJECT, limit=100_000)

    async def links(self, remote: str) -> list[Link]:
        """The links, without what counts looks at them: when they were stored, and how often they failed."""
        links = await self.repository.scan_links(remote, OBJECT)
        return [attrs.evolve(link, created_at=None, updated_at=None, attempts=0) for link in links]
