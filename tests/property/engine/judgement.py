"""The promises, judged from outside: by what people wrote, and what the sites hold in the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crmsync.engine.context import ASIDE, id_of, shadow_of
from crmsync.models.history import RecordChange, untagged
from crmsync.models.records import OperationKind, Side
from tests.property.engine.erasures import judge_erased
from tests.property.engine.knowledge import ACME, BETA, CONVERSION, LOCAL, SITES, Edit
from tests.property.engine.ledger import untold
from tests.property.engine.people import Deletion
from tests.property.engine.promises import Promise
from tests.property.engine.sites import LOSSES, OBJECT, REMOTE_NAMES, SCALARS, name_at
from tests.property.engine.stage import Stage

CRMS = (ACME, BETA)
CAUSES = {
    OperationKind.CREATE: {"created", "undo"},
    OperationKind.UPDATE: {"synced", "first_meeting", "conflict", "undo"},
    OperationKind.DELETE: {"deleted", "undo"},
}
"""Why the history says that something was written. Nothing is archived here."""


async def judge(stage: Stage) -> None:
    """Every person, after `come_to_rest`. Promises 1, 4 to 7, 12 to 14, 17, 19, 22 and 23."""
    knowledge, people = stage.people.knowledge, stage.people
    recorded = {(c.field, c.markmail_id) for remote in CRMS for c in await stage.conflicts(remote)}
    for person in sorted({edit.person for edit in knowledge.edits}):
        _judge_count(stage, person)
        if person in people.odd or not knowledge.of(person, ""):
            continue
        for field in SCALARS:
            _judge_origin(stage, person, field)
            if not _meets_anew(stage, person, field) and not (field == "city" and stage.mapped.was_narrow):
                _judge_value(stage, person, field, recorded)
        _judge_tags(stage, person)
        _judge_consent(stage, person)
    judge_returned(stage)
    _judge_spared(stage)
    await judge_erased(stage)
    for remote in CRMS:
        await judge_history(stage, remote)
        await _judge_links(stage, remote)


def _meets_anew(stage: Stage, person: int, field: str) -> bool:
    """Whether a field may have met the others for the first time after all had held it.

    What of a converted person came back later may be none that a tombstone names, and a conversion may leave out what
    is hidden, as a crash leaves unsaid what it was when it is settled. And nobody can tell after a crash that a record
    was made by us, once somebody made another one of it, or, without a key, edited it.
    """
    hidden = any(hidden == field for _, hidden in stage.sites.were_hidden)
    ours = [edit.field for edit in _edits_of_what_we_made(stage, person)]
    if stage.disturbed and (hidden or CONVERSION in ours or (ours and not stage.conditions.external_key)):
        return True
    converted = bool(stage.people.knowledge.of(person, CONVERSION))
    return converted and (hidden or person in stage.people.returned)


def _edits_of_what_we_made(stage: Stage, person: int) -> list[Edit]:
    entered = {edit.site for edit in stage.people.knowledge.of(person, "")}
    edits = (edit for edit in stage.people.knowledge.edits if edit.person == person)
    return [edit for edit in edits if edit.site in CRMS and edit.site not in entered]


async def _judge_links(stage: Stage, remote: str) -> None:
    """Links keep shadows of records that are there: none of one that is deleted, or was folded into another one.

    What of a pair that was set aside goes later is heard only from a side that tells its deletes.
    """
    held = {side: stage.sites[site].snapshot() for side, site in stage.sides(remote)}
    for link in await stage.repository.scan_links(remote, OBJECT):
        if stage.conditions.scanned and link.status in ASIDE:
            continue
        gone = [
            f"{id_of(link, side)}" for side in Side if shadow_of(link, side) and id_of(link, side) not in held[side]
        ]
        told = (
            f"{remote}: at rest the link of {link.markmail_id} and {link.crm_id} ({link.status}) has shadows of {gone}"
        )
        stage.hold(Promise.BOOKKEPT, not gone, told)
    left = [(entry.target, entry.kind) for entry in await stage.repository.list_journal(remote, OBJECT)]
    stage.hold(Promise.BOOKKEPT, not left, f"{remote}: at rest these are in the journal: {left}")


async def judge_history(stage: Stage, remote: str) -> None:
    """Every write of a site is told under its run, with what was there and why; nothing is told that no site saw.

    What was there is what the run had read: somebody may have edited it since, or it may not have shown yet.
    """
    changes = await stage.changes(remote)
    told: dict[tuple[str, str, Side, str], list[RecordChange]] = {}
    for change in changes:
        record = change.markmail_id if change.side is Side.LOCAL else change.crm_id
        told.setdefault((remote, change.run_id, change.side, record or ""), []).append(change)
        unsaid = [one.field for one in change.fields if one.cause.partition(":")[0] not in CAUSES[change.kind]]
        told_why = f"{remote}: a {change.kind} at the {change.side} side has another's cause: {change.fields}"
        stage.hold(Promise.HISTORY, not unsaid, told_why)
    effects = [effect for effect in stage.ledger.effects if effect.remote == remote]
    for effect in effects:
        if effect.known:
            late = _may_be_outdated(stage, effect.run_id, effect.side)
            lacking = untold(effect, told.get(effect.key, []), _loss_at(stage, remote, effect.side), late=late)
            story = f"{remote}: a {effect.kind} at the {effect.side} side is not told: {', '.join(lacking)}"
            stage.hold(Promise.HISTORY, not lacking, story)
    seen = {effect.key for effect in effects}
    for key, those in told.items():
        excused = those[0].kind is OperationKind.DELETE or _may_be_outdated(stage, those[0].run_id, those[0].side)
        claimed = key not in seen and not excused and not _written_by_somebody(stage, those)
        stage.hold(Promise.HISTORY, not claimed, f"{remote}: the history tells of {those}, which no site saw")


def _written_by_somebody(stage: Stage, changes: Sequence[RecordChange]) -> bool:
    """Whether people wrote there what a run that was cut was about to write: nobody can tell who was first.

    No value is written twice, but that a field is blank, or that a person is out; a tag may be taken away twice.
    """
    return all(
        any(
            name_at(edit.site, edit.field) == one.field and (edit.field == "tags" or edit.value == untagged(one.after))
            for site in (LOCAL if change.side is Side.LOCAL else change.integration_id,)
            for edit in stage.people.knowledge.edits
            if edit.site == site and edit.field in REMOTE_NAMES
            if {change.markmail_id, change.crm_id} & stage.sites.records_of(site, edit.person).keys()
        )
        for change in changes
        for one in change.fields
    )


def _may_be_outdated(stage: Stage, run_id: str, side: Side) -> bool:
    return run_id in stage.ledger.overtaken or (stage.conditions.late and side is Side.REMOTE)


def _loss_at(stage: Stage, remote: str, side: Side) -> Callable[[str, object], object]:
    fields = {remote_name: field for field, remote_name in REMOTE_NAMES.items()}
    if (remote, side) != (ACME, Side.REMOTE):
        return lambda _name, value: value
    return lambda name, value: _lossy(stage, fields.get(name, name), value)


def _judge_count(stage: Stage, person: int) -> None:
    """As many records of a person at a site as were entered there, or one that was brought.

    Whoever is merged into a person brings their own records along, that have this one's e-mail from then on. From the
    recycle bin may come one for each that was entered elsewhere.
    """
    joined = {person} | (stage.people.merged if person in stage.people.merged else set())
    entered = [edit for one in joined for edit in stage.people.knowledge.of(one, "")]
    made = {site: sum(e.site == site for e in entered) for site in SITES}
    for site in SITES:
        count = len(stage.sites.records_of(site, person))
        elsewhere = sum(number for other, number in made.items() if other != site)
        brought = elsewhere if person in stage.people.returned else len(joined) * min(elsewhere, 1)
        stage.hold(Promise.CRASH_SAFE, count <= made[site] + brought, f"p{person} is {count} times at {site}")
        if person not in stage.people.odd and any(made.values()):
            stage.hold(Promise.DELETES, count == 1, f"p{person} is missing at {site}, and nobody deleted anything")


def judge_returned(stage: Stage) -> None:
    """Who was deleted does not come back, not even for a while.

    Left out are those whom people merged: the record of another one, that nobody deleted, has their e-mail since.
    """
    for deletion in stage.people.deletions:
        site, person = deletion.site, deletion.person
        again = any(edit.number >= deletion.number for edit in stage.people.knowledge.of(person, ""))
        # If the link was lost, nobody can tell that a record of the CRM was made for one that is gone: without a key,
        # or where that was gone, too, when the crash was settled.
        unknown = not stage.conditions.external_key or person in stage.people.returned
        lost = stage.disturbed and site == LOCAL and unknown
        excused = again or lost or deletion.back or person in stage.people.merged
        if deletion.entered and not excused:
            gone = not stage.sites.records_of(site, person)
            stage.hold(Promise.DELETES, gone, f"p{person} was deleted at {site} and came back")


def _judge_spared(stage: Stage) -> None:
    """Who holds an edit that the deleter had not seen stays.

    Left out are those whom people merged, and edits of a record that a conversion made, and no run had seen: nobody can
    tell them from what the conversion filled.
    """
    for deletion in stage.people.deletions:
        site, person = deletion.site, deletion.person
        if (
            person in stage.people.merged | stage.people.erased.keys()
            or sum(d.person == person for d in stage.people.deletions) > 1
        ):
            continue
        converted = any(edit.site == site for edit in stage.people.knowledge.of(person, CONVERSION))
        for edit in stage.people.knowledge.edits:
            unseen = edit.number in deletion.unseen or edit.number >= deletion.number
            # Nobody can tell that a field was edited which was hidden, or not mapped when the pair was last in step.
            unseen_field = any((place, edit.field) in stage.sites.were_hidden for place in (edit.site, LOCAL))
            unseen_field |= converted and (site, edit.field) in stage.sites.were_hidden
            unknown = edit.anew or unseen_field or (edit.field == "city" and stage.mapped.was_narrow)
            replaced = any(edit.number in other.saw_surely for other in stage.people.knowledge.of(person, edit.field))
            if unknown or replaced or _lost_before(stage, edit, deletion):
                continue
            if edit.person == person and edit.site != site and edit.field in SCALARS and edit.value and unseen:
                spared = bool(stage.sites.records_of(edit.site, person))
                told = f"p{person}.{edit.field} was set to {edit.value} at {edit.site}, unseen by who deleted at {site}"
                stage.hold(Promise.NO_LOST_UPDATE, spared, f"{told}; the record is gone")


def _lost_before(stage: Stage, edit: Edit, deletion: Deletion) -> bool:
    """Whether another edit, made without seeing this one, may have been preferred to it, and was nothing new.

    Who deleted saw that one, or it set what the deleted record held anyway.
    """
    return any(
        (rival.number in deletion.seen or rival.value == deletion.held.get(edit.field))
        and rival.number not in edit.saw_surely
        and edit.number not in rival.saw_surely
        for rival in stage.people.knowledge.of(edit.person, edit.field)
        if rival is not edit
    )


def _judge_origin(stage: Stage, person: int, field: str) -> None:
    """What a site holds is what somebody wrote, in the form that the site gives it; of the same type as elsewhere."""
    edits = stage.people.knowledge.of(person, field)
    held = {site: _held(stage, site, person, field) for site in SITES}
    for site in SITES:
        known = [None, *(_form(stage, edit, site) for edit in edits)]
        if tells_nothing_of_ours(stage, person) or _meets_anew(stage, person, field):
            known += [_form(stage, edit, ACME) for edit in edits]
        kept = _stripped(held[site]) in known
        stage.hold(Promise.NO_INVENTION, kept, f"p{person}.{field} is {held[site]!r} at {site}; nobody wrote that")
    ours, theirs = held[LOCAL], held[BETA]
    same = type(ours) is type(theirs) or None in (ours, theirs)
    stage.hold(Promise.ROUND_TRIP, same, f"p{person}.{field} is {ours!r} at {LOCAL} and {theirs!r} at {BETA}")
    same = _stripped(held[ACME]) in {_lossy(stage, field, ours), _stripped(ours)}
    agree = same and _stripped(ours) == _stripped(theirs)
    stage.hold(Promise.CONVERGES, agree, f"p{person}.{field} differs: {held}")


def _judge_value(stage: Stage, person: int, field: str, recorded: set[tuple[str, str]]) -> None:
    """All hold an edit that nobody who saw it replaced; what lost against another has a record."""
    held = {site: _stripped(_held(stage, site, person, field)) for site in SITES}
    standing = stage.people.knowledge.may_stand(person, field, late=stage.conditions.late)
    allowed = [_forms(stage, edit) for edit in standing] or [dict.fromkeys(SITES)]
    if tells_nothing_of_ours(stage, person):
        # It meets what was edited since as somebody else's would.
        forms = {edit.number: _form(stage, edit, ACME) for edit in stage.people.knowledge.of(person, field)}
        changed = (e for e in stage.people.knowledge.of(person, field) if forms[e.number] != _stripped(e.value))
        allowed += [dict.fromkeys(SITES, forms[edit.number]) for edit in (*standing, *changed)]
    if len(standing) == 1 and standing[0].site in CRMS:
        (other,) = {*CRMS} - {standing[0].site}
        passed = held[other] == allowed[0][other]
        told = f"p{person}.{field} was set to {standing[0].value!r} at {standing[0].site}"
        stage.hold(Promise.PASSES_ON, passed, f"{told} and is {held[other]!r} at {other}")
    stage.hold(Promise.NO_LOST_UPDATE, held in allowed, f"p{person}.{field} is {held}, allowed: {allowed}")
    rivals = [e for e in stage.people.knowledge.in_conflict(person, field) if e.value is not None]
    for one in rivals:
        # Who reads everything anew may be shown the record as it was before an edit that shows late.
        if stage.conditions.late and one.site in CRMS:
            continue
        if held != _forms(stage, one) and any(not _alike(stage, one, other) for other in rivals):
            (local_id,) = stage.sites.records_of(LOCAL, person)
            told = f"p{person}.{field}: {one.value!r} of {one.site} was overwritten without a record"
            stage.hold(Promise.CONFLICTS_RECORDED, (field, local_id) in recorded, told)


def _judge_tags(stage: Stage, person: int) -> None:
    """All have what somebody added, and nobody took away.

    A set is written as a whole, so where a CRM shows edits late, one that did not show yet may be written over by what
    somebody else did to the same set.
    """
    edits = stage.people.knowledge.of(person, "tags")
    added = {str(e.value)[1:] for e in edits if str(e.value).startswith("+")}
    removed = {str(e.value)[1:]: e for e in edits if str(e.value).startswith("-")}
    wanted = added - removed.keys()
    hidden = {str(e.value)[1:] for e in edits if stage.conditions.late and e.site in CRMS and _has_rival(e, edits)}
    unsure = {tag for tag, edit in removed.items() if edit.anew} | hidden
    for site in SITES:
        value = _held(stage, site, person, "tags")
        held = set(value) if isinstance(value, tuple) else set()
        told = f"p{person} at {site} has tags {sorted(held)}, not {sorted(wanted)}"
        stage.hold(Promise.NO_LOST_UPDATE, wanted - hidden <= held <= wanted | unsure, told)


def _has_rival(edit: Edit, others: Sequence[Edit]) -> bool:
    return any(other.site != edit.site and other.number not in edit.saw_surely for other in others)


def _judge_consent(stage: Stage, person: int) -> None:
    """All agree; somebody's opt-out that no later edit saw stands."""
    edits = stage.people.knowledge.of(person, "opted_out")
    held = {site: bool(_held(stage, site, person, "opted_out")) for site in SITES}
    stage.hold(Promise.CONVERGES, len({*held.values()}) == 1, f"p{person}.opted_out differs: {held}")
    if len(edits) <= len(SITES) and len({e.site for e in edits}) == len(edits):
        unseen = [e for e in stage.people.knowledge.in_conflict(person, "opted_out") if e.value is True]
        told = f"p{person} opted out at {[e.site for e in unseen]} and is not out"
        stage.hold(Promise.CONSENT, not unseen or all(held.values()), told)


def _held(stage: Stage, site: str, person: int, field: str) -> object:
    (fields,) = stage.sites.records_of(site, person).values()
    return fields.get(name_at(site, field))


def tells_nothing_of_ours(stage: Stage, person: int) -> bool:
    """Whether the first CRM's own form of our value may pass for an edit, and so reach the others.

    It did not say what it made of the value, and by the time that this is read somebody else wrote the record last,
    brought it back, or made another one of it; or the field was edited again elsewhere, so that there is nothing left
    here which it resembles (the documentation of ``read_back`` says so).
    """
    if stage.conditions.returns_stored:
        return False
    edits = [edit for edit in stage.people.knowledge.edits if edit.person == person]
    touched = any(edit.site == ACME for edit in edits) or len({edit.field for edit in edits}) < len(edits)
    return touched or person in stage.people.returned


def _forms(stage: Stage, edit: Edit) -> dict[str, object]:
    """What an edit looks like at each site."""
    return {site: _form(stage, edit, site) for site in SITES}


def _form(stage: Stage, edit: Edit, site: str) -> object:
    return _lossy(stage, edit.field, edit.value) if site == ACME else _stripped(edit.value)


def _lossy(stage: Stage, field: str, value: object) -> object:
    loss = LOSSES[stage.conditions.loss].get(field)
    return _stripped(loss(value) if loss and value is not None else value)


def _alike(stage: Stage, one: Edit, other: Edit) -> bool:
    return any(_form(stage, one, site) == _form(stage, other, site) for site in SITES)


def _stripped(value: object) -> object:
    return (value.strip() or None) if isinstance(value, str) else value
