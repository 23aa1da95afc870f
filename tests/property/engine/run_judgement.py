"""One run, judged when it has ended: by what it did to the sites, what it says, and what there was when it began."""

from __future__ import annotations

import attrs

from crmsync.errors import DeleteGuardError, SafetyStopError
from crmsync.models.runs import RunReport
from crmsync.testing.faults import Crash
from tests.property.engine.incidents import Incidents
from tests.property.engine.knowledge import LOCAL
from tests.property.engine.promises import Promise
from tests.property.engine.setting import Setting
from tests.property.engine.sites import LATE, OBJECT

Pairs = frozenset[tuple[str, str | None]]


@attrs.frozen
class Before:
    """What there was when a run began. ``place`` is where its story belongs.

    ``met`` are the edits that it meets for sure, if all goes well; ``approved`` the deletes that somebody approved.
    ``several`` are the persons of whom a site has more than one record; ``linked`` the pairs that were linked then, and
    ``keyed`` those that the CRM's keys say.
    """

    place: int
    run_id: str
    met: list[int]
    approved: int
    several: set[int]
    linked: Pairs
    keyed: Pairs


@attrs.frozen
class Ran:
    """A run that has ended. ``well``: nothing is left to do; ``deletes`` are those that it told the sides to make."""

    remote: str
    incidents: Incidents
    report: RunReport | None
    error: BaseException | None
    deletes: int


async def before_run(stage: Setting, remote: str) -> Before:
    """A run with this CRM is about to begin."""
    several = _several(stage, remote) - stage.people.merged
    return Before(
        len(stage.story),
        stage.ledger.run_id,
        _met(stage, remote),
        stage.approved[remote],
        several,
        await _pairs(stage, remote) if several else frozenset(),
        frozenset(stage.sites[remote].keys().items()) if several else frozenset(),
    )


async def judge_run(stage: Setting, ran: Ran, before: Before) -> None:
    """Promises 1, 11, 12, 15, 18 and 21 of one run."""
    _judge_limits(stage, ran, before)
    _judge_end(stage, ran)
    if ran.incidents.taken:
        await judge_fence(stage, ran.remote, ran.incidents)
    several = before.several & _several(stage, ran.remote) if before.several else set()
    if several:
        new = await _pairs(stage, ran.remote) - before.linked - before.keyed
        _judge_guesses(stage, ran.remote, several, new)


def _judge_limits(stage: Setting, ran: Ran, before: Before) -> None:
    remote, calls = ran.remote, ran.incidents.calls_to(ran.remote)
    stage.counts.events["stops by the delete guard"] += isinstance(ran.error, DeleteGuardError)
    if stage.guard is not None and not isinstance(ran.error, Crash):
        told = f"{remote}: the guard let {ran.deletes} deletes pass"
        stage.hold(Promise.DELETES, ran.deletes <= stage.guard + before.approved, told)
    if stage.calls is not None:
        stage.hold(Promise.BUDGET, calls <= stage.calls, f"{remote}: {calls} calls were made of {stage.calls}")
    if ran.report is not None:
        reported = ran.report.remote.api_calls
        told_right = reported == calls or (reported > calls and stage.paid_ahead and bool(ran.incidents.what_struck))
        stage.hold(Promise.BUDGET, told_right, f"{remote}: {calls} calls were made, {reported} are reported")


def _judge_end(stage: Setting, ran: Ran) -> None:
    """A run ends well unless something went wrong, and does not if it could not read a side."""
    remote, incidents, report = ran.remote, ran.incidents, ran.report
    if report is not None:
        failed = incidents.failed and ".changes" in incidents.struck
        stage.hold(Promise.REJECTS, not failed, f"{remote}: {incidents.struck}, and the run says {report.status}")
    ended = report is not None or isinstance(ran.error, SafetyStopError)
    excused = bool(incidents.struck or incidents.trouble)
    stage.hold(Promise.CONVERGES, ended or excused, f"{remote}: a run failed by itself: {ran.error}")
    if incidents.slowed and not incidents.trouble:
        stage.hold(Promise.FENCED, ended, f"{remote}: {incidents.struck}, and the run fails: {ran.error}")


async def bookkept(stage: Setting, remote: str) -> tuple[object, ...]:
    """All that a run leaves in the bookkeeping."""
    repository = stage.repository
    return (
        await repository.scan_links(remote, OBJECT),
        await repository.get_cursors(remote, OBJECT),
        await repository.list_journal(remote, OBJECT),
        await stage.conflicts(remote),
        await stage.changes(remote),
    )


async def judge_fence(stage: Setting, remote: str, incidents: Incidents) -> None:
    """A run that another process took over from, when it has ended."""
    late = incidents.late
    stage.hold(Promise.FENCED, late == 0, f"{remote}: {late} writes were sent after another process took over")
    same = await bookkept(stage, remote) == stage.left[remote]
    stage.hold(Promise.FENCED, same, f"{remote}: the bookkeeping was written to after another process took over")


def _met(stage: Setting, remote: str) -> list[int]:
    """The edits that a run with this CRM meets for sure, if all goes well."""
    now = stage.clock.now()
    settled = now - LATE if stage.conditions.late else now
    hidden = stage.sites.hidden[LOCAL] | stage.sites.hidden[remote]
    absent = stage.people.absent(LOCAL, now) | stage.people.absent(remote, settled)
    return [
        edit.number
        for edit in stage.people.knowledge.edits
        if (edit.site == LOCAL or edit.at <= settled) and edit.field not in hidden and edit.person not in absent
    ]


def _several(stage: Setting, remote: str) -> set[int]:
    """The persons of whom a site has more than one record."""
    made = {edit.person for edit in stage.people.knowledge.edits}
    return {p for p in made if any(len(stage.sites.records_of(site, p)) > 1 for site in (LOCAL, remote))}


async def _pairs(stage: Setting, remote: str) -> Pairs:
    """The pairs that are linked."""
    links = await stage.links(remote)
    return frozenset((x.markmail_id, x.crm_id) for x in links if x.local_shadow and x.remote_shadow)


def _judge_guesses(stage: Setting, remote: str, several: set[int], new: Pairs) -> None:
    """No two records that people entered are a new pair where there were several all the time, but by their key."""
    for person in several:
        entered = {edit.value for edit in stage.people.knowledge.of(person, "") if edit.site in (LOCAL, remote)}
        guessed = {(ours, theirs) for ours, theirs in new if {ours, theirs} <= entered}
        stage.hold(Promise.NO_GUESS, not guessed, f"{remote}: p{person} was linked as {sorted(map(str, guessed))}")
