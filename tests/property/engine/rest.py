"""Nobody edits any more: what a few runs then have to come to, and what the next ones must leave alone."""

from __future__ import annotations

from crmsync.models.mappings import ConflictPolicy
from crmsync.models.records import Side
from crmsync.models.runs import RunReport
from crmsync.models.state import Link
from tests.property.engine.erasures import finish_erasures
from tests.property.engine.knowledge import ACME, BETA, LOCAL
from tests.property.engine.promises import Promise
from tests.property.engine.sites import LOOK_BACK, OBJECT
from tests.property.engine.stage import Stage

ROUNDS = 2
DAYS = 3
ENOUGH = 40
"""Days of so many calls have to be enough. A run of fewer may use them up reading ahead, day after day."""
CHOSEN = Side.LOCAL
"""What people decide of the conflicts that wait for them."""


async def come_to_rest(stage: Stage) -> None:
    """Two rounds bring the sides in step; from then on nothing moves.

    Promises 1, 2, 3, 10, 11, 15 and 16; `judge` looks at what the sites hold then.
    """
    await _lift_limits(stage)
    await _days_pass(stage)
    await finish_erasures(stage)
    await _refusals(stage)
    stage.sites.strict = False
    if stage.sites.were_hidden:
        # A side that shows a field again describes itself anew, which makes the next run read everything. These sides
        # describe nothing.
        for remote in (ACME, BETA):
            await stage.run(remote, full=True)
    # What a store made of the last round's values, if it does not answer it, is known once they were read back. And
    # who is there twice waits until a delete that comes from the other CRM, or a merge, has left one of them.
    thinned = bool(stage.people.deletions or stage.people.merged)
    for _ in range(ROUNDS + (not stage.conditions.returns_stored) + thinned):
        for remote in (ACME, BETA):
            await _planned_run(stage, remote)
            await stage.decide(remote, CHOSEN)
    if stage.conditions.policy is ConflictPolicy.MANUAL:
        # What was decided in the last round is carried out, and handed on to the other CRM.
        for remote in (ACME, BETA, ACME):
            await stage.run(remote)
            await stage.decide(remote, CHOSEN)
        for remote in (ACME, BETA, ACME, BETA):
            await stage.run(remote)
    await _stillness(stage)


async def _lift_limits(stage: Stage) -> None:
    """All is readable, mapped and tried, everything late has shown, and a run may do what it has to."""
    for remote in (ACME, BETA):
        await stage.ignore(remote, ignored=False)
    for site, hidden in stage.sites.hidden.items():
        for field in sorted(hidden):
            stage.people.hide(site, field)
    if stage.mapped.narrow:
        stage.change_mapping()
    stage.calls, stage.guard = None, None
    stage.clock.tick(2 * LOOK_BACK.total_seconds())
    stage.story.append("all comes to rest")


async def _days_pass(stage: Stage) -> None:
    """Where a day has few calls, some days pass; then the limit goes, too."""
    waiting = {ACME, BETA} if stage.days.limit is not None else set()
    for _ in range(DAYS):
        if waiting:
            stage.days.turn()
        for remote in sorted(waiting):
            if await stage.run(remote) is not None:
                waiting.discard(remote)
    told = f"{waiting}: after {DAYS} days of {stage.days.limit} calls no run has ended"
    stage.hold(Promise.BUDGET, not waiting or (stage.days.limit or 0) < ENOUGH, told)
    stage.days.limit = None


async def _refusals(stage: Stage) -> None:
    """While a CRM refuses some records, each run reports these, with field and reason, and syncs the others.

    A scan that goes on where a day's calls ended does not come back to who was edited behind it: the next run does.
    """
    bad = {
        person
        for person in {edit.person for edit in stage.people.knowledge.edits} - stage.people.odd
        for fields in stage.sites.records_of(LOCAL, person).values()
        if stage.sites.refused in str(fields.get("name"))
    }
    # What waits for a person's decision is not sent, and so not refused.
    if not bad or stage.conditions.policy is ConflictPolicy.MANUAL:
        return
    for remote in (ACME, BETA):
        for _ in range(ROUNDS):
            behind = stage.conditions.scanned and remote in stage.cut
            # What was edited while the field was hidden is met when all is read again.
            report = await stage.run(remote, full=(remote, "name") in stage.sites.were_hidden)
            for person in () if behind else sorted(bad):
                _judge_refusal(stage, remote, person, report)


def _judge_refusal(stage: Stage, remote: str, person: int, report: RunReport | None) -> None:
    """The person's local name is what the CRM holds, or was reported with the field and the reason."""
    ours, theirs = (stage.sites.records_of(site, person) for site in (LOCAL, remote))
    (local_id,) = ours
    wanted = ours[local_id].get("name")
    if stage.sites.refused not in str(wanted) or [record.get("Name") for record in theirs.values()] == [wanted]:
        return
    reasons = [(p.field, p.code) for p in report.problems if p.markmail_id == local_id] if report else []
    told = stage.sites.refusal in reasons
    stage.hold(Promise.REJECTS, told, f"{remote} refuses p{person}.name {wanted!r}, and the run reports {reasons}")


async def _planned_run(stage: Stage, remote: str) -> None:
    """No more is written than was planned, unless a run begins with what was approved: a plan is of the rest."""
    stops = await stage.repository.list_stops(remote, OBJECT)
    planned, approved = (await stage.plan(remote)).writes, any(stop.approved_at for stop in stops)
    report = await stage.run(remote)
    written = report.written if report else 0
    kept = written <= planned or approved
    stage.hold(Promise.BUDGET, kept, f"{remote}: {planned} writes were planned, and {written} made")


async def _stillness(stage: Stage) -> None:
    """A third round writes nothing and moves no shadow, nor does one that reads all again, nor a new version."""
    held = stage.sites.snapshot()
    links = {remote: await stage.links(remote) for remote in (ACME, BETA)}
    for remote in (ACME, BETA):
        plan = await stage.plan(remote)
        stage.hold(Promise.CONVERGES, plan.writes == 0, f"{remote}: at rest a plan has {plan.writes} writes")
        written = await _written(stage, remote)
        stage.hold(Promise.IDEMPOTENT, written == 0, f"{remote}: the third run writes {written} records")
        moved = _moved(links[remote], await stage.links(remote))
        stage.hold(Promise.IDEMPOTENT, not moved, f"{remote}: a run without changes moved the links of {moved}")
        written = await _written(stage, remote, full=True)
        stage.hold(Promise.CURSORS, written == 0, f"{remote}: reading everything again, {written} records are written")
    stage.new_version()
    for remote in (ACME, BETA):
        written = await _written(stage, remote)
        stage.hold(Promise.NEW_VERSION, written == 0, f"{remote}: for a new version {written} records are written")
    now = stage.sites.snapshot()
    changed = [
        f"{site} {record}: {held[site].get(record)} became {now[site].get(record)}"
        for site in now
        for record in {**held[site], **now[site]}
        if held[site].get(record) != now[site].get(record)
    ]
    stage.hold(Promise.NO_ECHO, not changed, f"without an edit, {changed}")


async def _written(stage: Stage, remote: str, *, full: bool = False) -> int:
    report = await stage.run(remote, full=full)
    return report.written if report else -1


def _moved(before: list[Link], after: list[Link]) -> list[str]:
    return [link.markmail_id for link in after if link not in before]
