"""After all is judged: the last run that wrote is undone, and each site looked at.

The undo may itself be struck. Whatever that leaves, it is tried again, perhaps after a sync, and all is then as if
nothing had gone wrong.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import TypeVar

import attrs
from pydantic import BaseModel, ConfigDict

from crmsync.models.history import RecordChange, untagged
from crmsync.models.records import OperationKind, Side
from crmsync.models.runs import RunReport
from tests.property.engine.incidents import Incident, Incidents
from tests.property.engine.judgement import judge_history
from tests.property.engine.knowledge import ACME, BETA
from tests.property.engine.ledger import Effect, plain
from tests.property.engine.promises import Promise
from tests.property.engine.sites import REMOTE_NAMES
from tests.property.engine.stage import Stage

T = TypeVar("T")
Values = Mapping[str, tuple[object, object]]


class Undoing(BaseModel):
    """Which run is undone, and what goes wrong meanwhile.

    ``back`` is how many that wrote came after it. ``run``: a sync comes before an undo that was struck is tried again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    back: int = 0
    incident: Incident | None = None
    run: bool = False


@attrs.frozen
class _Undone:
    """What an undo came to. Syncs in between, if ``synced``, ``changed`` these records."""

    report: RunReport | None
    changed: frozenset[str] = frozenset()
    synced: bool = False

    def spared(self) -> set[tuple[str | None, str | None]]:
        """The CRM's records and their fields that it left as they are, because they look edited."""
        problems = self.report.problems if self.report else ()
        return {(p.crm_id, p.field) for p in problems if (p.side, p.code) == (Side.REMOTE, "changed_since")}


async def take_back(stage: Stage, undoing: Undoing | None = None) -> None:
    """What still is as the run left it is as it was before the run; nothing else changed; a plan repeats nothing."""
    undoing = undoing or Undoing()
    changes = [change for remote in (ACME, BETA) for change in await stage.changes(remote)]
    told = {change.run_id for change in changes}
    wrote = {effect.run_id: effect.remote for effect in reversed(stage.ledger.effects) if effect.run_id in told}
    if not wrote:
        return
    run_id, remote = list(wrote.items())[: undoing.back + 1][-1]
    effects = [effect for effect in stage.ledger.effects if effect.run_id == run_id]
    links = await stage.links(remote)
    # A record that another pair's was merged into may be that one's now: then the undo leaves it, and says so.
    pairs = {(change.markmail_id, change.crm_id) for change in changes if change.run_id == run_id}
    whose = {link.crm_id for link in links if (link.markmail_id, link.crm_id) in pairs}
    before = stage.sites.snapshot()
    deleted = any(effect.kind is OperationKind.DELETE for effect in effects)
    doubtful = await _doubtful(stage, remote, run_id, changes)
    undone = await _undo(stage, remote, run_id, undoing, still=not deleted and not stage.people.odd)
    doubtful &= undone.spared()
    now = stage.sites.snapshot()
    for side, site in stage.sides(remote):
        linked = {link.markmail_id for link in links} if side is Side.LOCAL else whose
        records = {effect.record for effect in effects if effect.side is side}
        for record in sorted(records & linked):
            those = [effect for effect in effects if (effect.side, effect.record) == (side, record)]
            left = {field for one, field in doubtful if one == record}
            those = _as_born(stage, _as_shown(stage, those, changes), changes)
            _judge_record(stage, those, before[site].get(record), now[site].get(record), left=left)
        changed = [r for r in {**before[site], **now[site]} if before[site].get(r) != now[site].get(r)]
        # What was deleted comes back under a new id, once.
        back = [r for r in now[site] if r not in before[site]]
        gone = {effect.record for effect in effects if effect.side is side and effect.kind is OperationKind.DELETE}
        # A sync meets what came back as a new record, and gives it a counterpart.
        once = len(back) <= len(gone) or undone.synced
        stage.hold(Promise.UNDO, once, f"{remote}: of {gone} at {site} {back} came back")
        # What the run wrote is taken back where it went meanwhile.
        theirs = records | undone.changed | {stage.people.heir(record) for record in records}
        others = [r for r in changed if r not in theirs and not (deleted and r not in before[site])]
        stage.hold(
            Promise.UNDO, not others, f"{remote}: the undo changed {others} at {site}, which the run did not write"
        )
    # Where one of several candidates goes, another one may be met.
    if not deleted and not stage.people.odd:
        plan = await stage.plan(remote)
        stage.hold(Promise.UNDO, plan.writes == 0, f"{remote}: after the undo a plan has {plan.writes} writes")
    await judge_history(stage, remote)


async def _undo(stage: Stage, remote: str, run_id: str, undoing: Undoing, *, still: bool) -> _Undone:
    """Undo a run, and once more if that was struck.

    A sync comes where another process takes over, or before the undo is tried again. ``still``: it leaves the sites as
    they are. Where one of two candidates goes with the undo, it meets the other.
    """
    changed: set[str] = set()

    async def noted(sync: Awaitable[T]) -> T:
        left = stage.sites.snapshot()
        answer = await sync
        now = stage.sites.snapshot()
        changed.update(
            one for site in now for one in {**left[site], **now[site]} if now[site].get(one) != left[site].get(one)
        )
        if still:
            stage.hold(Promise.UNDO, not changed, f"{remote}: the sync after a struck undo changed {sorted(changed)}")
        return answer

    incidents = Incidents(undoing.incident, stall=stage.stall, take_over=lambda: noted(stage.take_over(remote)))
    report = await stage.undo(remote, run_id, incidents)
    if not incidents.struck:
        return _Undone(report)
    if undoing.run:
        await noted(stage.run(remote))
    report = await stage.undo(remote, run_id)
    return _Undone(report, frozenset(changed), undoing.run or incidents.taken)


async def _doubtful(
    stage: Stage, remote: str, run_id: str, changes: Sequence[RecordChange]
) -> set[tuple[str | None, str | None]]:
    """The records and fields in which the first CRM's own form of what a run sent looks like an edit.

    It did not answer what it made of that, so the history has what was sent; and somebody else wrote the record last.
    Nobody can tell that they wrote another field.
    """
    if remote != ACME or stage.conditions.returns_stored:
        return set()
    those = [change for change in changes if (change.run_id, change.side) == (run_id, Side.REMOTE)]
    records = await stage.sites[ACME].get([change.crm_id or "" for change in those], fields=list(REMOTE_NAMES.values()))
    return {
        (record.id, one.field)
        for change in those
        if (record := records.get(change.crm_id or "")) is not None and not record.modified_by_self
        for one in change.fields
        if plain(untagged(one.after)) != plain(record.fields.get(one.field))
    }


def _as_shown(stage: Stage, effects: list[Effect], changes: Sequence[RecordChange]) -> list[Effect]:
    """The effects with what the run was shown of a CRM before it wrote: an edit that shows late was there already.

    Nobody who writes over it can know of it, nor put it back. The history has what was shown.
    """
    if not stage.conditions.late or effects[0].side is Side.LOCAL:
        return effects
    seen = {
        one.field: untagged(one.before)
        for change in reversed(changes)
        if (change.run_id, change.side, change.crm_id) == (effects[0].run_id, Side.REMOTE, effects[0].record)
        for one in change.fields
    }
    return [
        attrs.evolve(effect, fields={name: (seen.get(name, old), new) for name, (old, new) in effect.fields.items()})
        for effect in effects
    ]


def _as_born(stage: Stage, effects: list[Effect], changes: Sequence[RecordChange]) -> list[Effect]:
    """The effects with what a record has that is created without it, where the run sent that: the history knows."""
    first = effects[0]
    sent = {
        one.field: (None, untagged(one.after))
        for change in changes
        if (change.run_id, change.side, change.crm_id) == (first.run_id, Side.REMOTE, first.record)
        for one in change.fields
        if first.kind is OperationKind.CREATE and one.field in stage.born
    }
    return [attrs.evolve(first, fields={**sent, **first.fields}), *effects[1:]]


def _judge_record(
    stage: Stage,
    effects: list[Effect],
    before: Mapping[str, object] | None,
    now: Mapping[str, object] | None,
    *,
    left: Collection[str | None],
) -> None:
    """A record that the run wrote, perhaps more than once. The fields ``left`` looked edited and were reported."""
    if before is None or any(effect.kind is OperationKind.DELETE for effect in effects):
        return
    told = f"{effects[0].remote}: {effects[0].record} at the {effects[0].side} side"
    as_left: dict[str, tuple[object, object]] = {}
    for effect in effects:
        for name, (old, new) in effect.fields.items():
            as_left[name] = (as_left[name][0] if name in as_left else old, new)
    still = {
        name: old for name, (old, new) in as_left.items() if name not in left and plain(before.get(name)) == plain(new)
    }
    if effects[0].kind is OperationKind.CREATE:
        kept = now is not None
        stage.hold(
            Promise.UNDO, kept is (len(still) < len(as_left)), f"{told} was created, and is {now} after the undo"
        )
        return
    wanted = {name: plain(still.get(name, value)) for name, value in before.items()}
    held = now and {name: plain(now.get(name)) for name in wanted}
    stage.hold(Promise.UNDO, held == wanted, f"{told} is {held} after the undo, not {wanted}")
