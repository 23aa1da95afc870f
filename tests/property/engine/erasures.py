"""A person asks to be erased, and nothing of them may be left: neither now nor when all has come to rest.

Whoever erases gives the e-mail and all ids that the person ever had, and erases in both CRMs. An erasure that was
struck leaves a person half erased; another one finishes it, at the latest when all comes to rest. Whoever takes an
erasure over syncs, which may bring back what it had got rid of, or erases the person as well.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import partial

import attrs

from crmsync.errors import CRMError
from crmsync.models.erasure import Person
from crmsync.models.records import OperationKind, Side
from crmsync.testing.faults import Crash
from tests.property.engine.incidents import Incident, Incidents
from tests.property.engine.knowledge import ACME, BETA, LOCAL, SITES
from tests.property.engine.promises import Promise
from tests.property.engine.run_judgement import judge_fence
from tests.property.engine.sites import OBJECT, address
from tests.property.engine.stage import LEASE_SECONDS, Stage
from tests.property.engine.telling import failed

_EVERY = 100_000


async def erase(
    stage: Stage, first: str, person: int, incident: Incident | None = None, *, by_both: bool = False
) -> None:
    """Somebody is erased, in one CRM and then in the other; the ``incident`` strikes in the first.

    ``by_both``: whoever takes over erases the person as well, and does not sync.
    """
    stage.people.set_apart(person)
    stage.people.erasing.add(person)
    for remote in (first, *({ACME, BETA} - {first})):
        erasing = _Erasing(stage, remote, person)
        if not await erasing.go(incident, _Erasing(stage, remote, person).go if by_both else None):
            return
        incident = None
    stage.people.erasing.remove(person)
    stage.people.erased[person] = len(stage.people.knowledge.edits)
    for remote in (ACME, BETA):
        await _judge_traces(stage, remote, person)


async def finish_erasures(stage: Stage) -> None:
    """What was struck is done again."""
    for person in sorted(stage.people.erasing):
        await erase(stage, ACME, person)


async def judge_erased(stage: Stage) -> None:
    """Whoever was erased is only where somebody entered them since, and in no bookkeeping.

    Left out are those whom people merged: by that a living person's records may become theirs.
    """
    people = stage.people
    for person, since in people.erased.items():
        if person in people.merged:
            continue
        entered = [edit.site for edit in people.knowledge.of(person, "") if edit.number >= since]
        for site in SITES:
            count = len(stage.sites.records_of(site, person))
            told = (
                f"p{person} was erased, entered {entered.count(site)} times at {site} since, and is there {count} times"
            )
            stage.hold(Promise.ERASED, count <= entered.count(site), told)
        for remote in (ACME, BETA):
            await _judge_traces(stage, remote, person)


@attrs.define
class _Erasing:
    """One process that erases a person in one CRM. ``before`` is what the sites held before it did anything more."""

    stage: Stage
    remote: str
    person: int
    before: dict[str, dict[str, dict[str, object]]] = attrs.field(factory=dict)

    async def go(self, incident: Incident | None = None, work: Callable[[], Awaitable[object]] | None = None) -> bool:
        """Whether it ended well. ``work`` is what another process does that takes over, if not a sync."""
        stage, remote, person = self.stage, self.remote, self.person
        incidents = Incidents(incident, stall=stage.stall, take_over=partial(self._taken, work))
        ids = _ids(stage, person)
        whole = Person(frozenset({address(person)}), ids[LOCAL], ids[remote])
        self.before, told = stage.sites.snapshot(), await stage.changes(remote)
        erased: tuple[bool, set[str]] | None = None
        error: BaseException | None = None
        stage.look(remote)
        try:
            erased = await stage.erased(remote, whole, incidents)
        except (Crash, CRMError) as stopped:
            error = stopped
        spent = error is not None and stage.refused(remote, error)
        stage.clock.tick(2 * LEASE_SECONDS)
        end = failed(error) if erased is None else f"{len(erased[1])} records"
        stage.story.append(f"{remote}: p{person} is erased{incidents.what_struck}: {end}")
        stage.count(incidents)
        by_itself = f"{remote}: the erasure of p{person} failed by itself: {end}"
        well = erased is not None and erased[0]
        excused = spent or bool(incidents.trouble or (incidents.struck and not incidents.slowed))
        stage.hold(Promise.ERASED, well or excused, by_itself)
        stage.ledger.settle(remote, well=erased is not None)
        self._judge_others()
        if incidents.taken:
            stage.counts.events["erasures taken over"] += 1
            await judge_fence(stage, remote, incidents)
        if erased is not None:
            gone = erased[1] | ids[LOCAL] | ids[remote]
            rows = [row for row in told if not gone.isdisjoint({row.markmail_id, row.crm_id})]
            keys = {(remote, row.run_id, row.side, _record_of(row.side, row.markmail_id, row.crm_id)) for row in rows}
            stage.ledger.forget(remote, gone, keys)
        return well

    async def _taken(self, work: Callable[[], Awaitable[object]] | None) -> bool:
        """What the other process does is not this one's doing."""
        self._judge_others()
        begun = await self.stage.take_over(self.remote, work)
        self.before = self.stage.sites.snapshot()
        return begun

    def _judge_others(self) -> None:
        """Nobody else goes, nor changes: but for whom people merged, since what is linked is taken for one person."""
        stage, remote, person = self.stage, self.remote, self.person
        now = stage.sites.snapshot()
        spared = {address(other) for other in {person} | stage.people.merged}
        changed = [
            record
            for site in SITES
            for record, fields in self.before[site].items()
            if now[site].get(record) != fields and spared.isdisjoint({fields.get("email"), fields.get("Email")})
        ]
        stage.hold(Promise.ERASED, not changed, f"{remote}: the erasure of p{person} changed {changed}, who are others")


def _record_of(side: Side, markmail_id: str, crm_id: str | None) -> str:
    return markmail_id if side is Side.LOCAL else crm_id or ""


def _ids(stage: Stage, person: int) -> dict[str, frozenset[str]]:
    """All ids that a person ever had at each site, by who entered, brought or converted them.

    Who has named them once goes on to: the ledger forgets who brought an erased person.
    """
    ids = {site: stage.people.named.setdefault((person, site), set()) for site in SITES}
    for edit in stage.people.knowledge.of(person, ""):
        ids[edit.site].add(str(edit.value))
    for whose, site, record in stage.people.converted:
        if whose == person:
            ids[site].add(record)
    for effect in stage.ledger.effects:
        site = LOCAL if effect.side is Side.LOCAL else effect.remote
        email = effect.left.get("email" if site == LOCAL else "Email")
        if effect.kind is OperationKind.CREATE and email == address(person):
            ids[site].add(effect.record)
    return {site: frozenset(those) for site, those in ids.items()}


async def _judge_traces(stage: Stage, remote: str, person: int) -> None:
    """No row of an integration's bookkeeping names the person."""
    ids = _ids(stage, person)
    names = ids[LOCAL] | ids[remote]
    if person not in stage.people.merged:
        names |= {address(person)}
    for kind, rows in (await _bookkept(stage, remote)).items():
        found = [row for row in map(repr, rows) if any(name in row for name in names)]
        stage.hold(Promise.ERASED, not found, f"{remote}: p{person} was erased, and the {kind} have {found}")


async def _bookkept(stage: Stage, remote: str) -> dict[str, Collection[object]]:
    repository = stage.repository
    return {
        "links": await repository.scan_links(remote, OBJECT),
        "conflicts": await repository.list_conflicts(remote, OBJECT),
        "changes": await repository.list_changes(remote, OBJECT, limit=_EVERY),
        "journal": await repository.list_journal(remote, OBJECT),
        "jobs": await repository.list_remote_jobs(remote, OBJECT),
        "logs": await repository.list_logs(remote, limit=_EVERY),
        "stops": await repository.stopped_records(remote, OBJECT, 0),
    }
