"""Erase a person, and take nobody in again who was erased."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence

from crmsync.engine.context import RunContext, id_of
from crmsync.engine.recovery import begin
from crmsync.engine.writing import write
from crmsync.errors import RecordError
from crmsync.models.erasure import FoundPerson, ObjectErasure, Person, PersonIds, RecordErasure
from crmsync.models.records import Operation, OperationKind, Record, Side
from crmsync.models.state import LinkStatus

_SCAN = 1000


async def without_erased(ctx: RunContext, side: Side, strangers: Sequence[Record]) -> list[Record]:
    """Those who may be taken in: nobody whose e-mail, id or external key is that of somebody who was erased."""
    if not ctx.erasures or not strangers:
        return list(strangers)
    marks = {record.id: _marks_of(ctx, side, record) for record in strangers}
    known = await ctx.repository.erased_among(ctx.integration_id, set().union(*marks.values()))
    welcome = [record for record in strangers if known.isdisjoint(marks[record.id])]
    ctx.tally.sides[side].erased += len(strangers) - len(welcome)
    return welcome


async def erase_person(ctx: RunContext, person: Person, sides: Collection[Side]) -> ObjectErasure:
    """Delete a person's records on these sides, forget everything about them, and keep marks of them.

    A record that its side does not delete is reported; the bookkeeping forgets it all the same. To be called again
    then, with the ids reported.
    """
    await begin(ctx)
    found = await find_person(ctx, person)
    folded = await _folded(ctx, found.ids.crm_ids) | await _left_behind(ctx, found.ids.markmail_ids)
    erased = [outcome for side in Side if side in sides for outcome in await _deleted(ctx, side, found.ids.of(side))]
    ids = PersonIds(found.ids.markmail_ids, found.ids.crm_ids | folded)
    marks = ctx.marks.records(ctx.entity_type, ids) | {ctx.marks.email(email) for email in found.emails}
    now = ctx.clock.now()
    rows = await ctx.repository.erase_person(ctx.lease.current, ids, marks, now=now)
    return ObjectErasure(ctx.entity_type, rows, tuple(erased), len(marks), now)


async def _folded(ctx: RunContext, crm_ids: Collection[str]) -> frozenset[str]:
    """The CRM's records that were folded into a person's: they are gone, and all that is kept is that.

    One that a local record was linked to is left out: that may be somebody else, whom the merge left alone.
    """
    records = await ctx.remote.merged_into(sorted(crm_ids), fields=ctx.fields(Side.REMOTE))
    links = await ctx.links(Side.REMOTE, [record.id for record in records])
    return frozenset(
        each for each, link in links.items() if link.markmail_id in (ctx.heard_id(each), ctx.gone_id(each))
    )


async def _left_behind(ctx: RunContext, markmail_ids: Collection[str]) -> frozenset[str]:
    """The CRM's records that a person's were linked to before: they are gone, and it is kept that they were heard."""
    left: set[str] = set()
    after = ""
    while links := await ctx.repository.scan_links(
        ctx.integration_id, ctx.entity_type, statuses=(LinkStatus.UNLINKED,), after=after, limit=_SCAN
    ):
        after = links[-1].markmail_id
        theirs = [link for link in links if any(one.id in markmail_ids for one in link.candidates)]
        left.update(link.crm_id for link in theirs if link.crm_id and ctx.is_memory(link))
    return frozenset(left)


async def find_person(ctx: RunContext, person: Person) -> FoundPerson:
    """A person's records on both sides.

    They are those with the e-mails or the ids given, those with their other e-mails, and what either is linked to.
    """
    ids = {Side.LOCAL: set(person.markmail_ids), Side.REMOTE: set(person.crm_ids)}
    records: dict[Side, dict[str, Record]] = {Side.LOCAL: {}, Side.REMOTE: {}}
    emails, asked = set[str]().union(*map(_spellings, person.emails)), set[str]()
    # One e-mail leads to a record, that to its counterpart, that to another e-mail: until nothing new is found.
    while True:
        before = (len(ids[Side.LOCAL]), len(ids[Side.REMOTE]), len(emails))
        for side in Side:
            for record in await _look_up(ctx, side, ids[side] - records[side].keys(), emails - asked):
                records[side][record.id] = record
                ids[side].add(record.id)
            for link in (await ctx.links(side, sorted(ids[side]))).values():
                ids[side.other] |= {found for found in [id_of(link, side.other)] if found}
        asked |= emails
        for side in Side:
            for record in records[side].values():
                emails |= _spellings(ctx.spelled_email(side, record))
        if before == (len(ids[Side.LOCAL]), len(ids[Side.REMOTE]), len(emails)):
            break
    found = PersonIds(frozenset(ids[Side.LOCAL]), frozenset(ids[Side.REMOTE]))
    known = {side: tuple(records[side].values()) for side in Side}
    return FoundPerson(found, known, frozenset(email.casefold() for email in emails))


async def find_related(ctx: RunContext, person: PersonIds, people: Collection[str]) -> Person:
    """The records of another object that refer to a person: a membership, an activity.

    ``people`` are the CRM's objects of people. A field refers to them if the CRM says so.
    """
    schema = await ctx.remote.describe()
    ids: dict[Side, set[str]] = {Side.LOCAL: set(), Side.REMOTE: set()}
    for rule in ctx.rule.rules:
        field = schema.field(rule.remote)
        if field is None or not set(field.reference_to) & set(people):
            continue
        # The local field may hold the CRM's id of the person, or its own.
        wanted = {Side.LOCAL: person.markmail_ids | person.crm_ids, Side.REMOTE: person.crm_ids}
        for side, name in ((Side.LOCAL, rule.local), (Side.REMOTE, rule.remote)):
            found = await ctx.store(side).find(name, sorted(wanted[side]), fields=(name,)) if wanted[side] else ()
            ids[side] |= {record.id for record in found}
    return Person(markmail_ids=frozenset(ids[Side.LOCAL]), crm_ids=frozenset(ids[Side.REMOTE]))


async def _look_up(ctx: RunContext, side: Side, ids: Collection[str], emails: Collection[str]) -> list[Record]:
    store, fields = ctx.store(side), ctx.fields(side)
    found = list((await store.get(sorted(ids), fields=fields)).values()) if ids else []
    name = ctx.rule.match.local_email if side is Side.LOCAL else ctx.rule.match.remote_email
    if name and emails:
        found += await store.find(name, sorted(emails), fields=fields)
    return found


async def _deleted(ctx: RunContext, side: Side, ids: Collection[str]) -> list[RecordErasure]:
    operations = [Operation(uuid.uuid4().hex, OperationKind.DELETE, record_id) for record_id in sorted(ids)]
    outcomes = await write(ctx, side, operations)
    erased = []
    for operation in operations:
        outcome = outcomes[operation.op_id]
        ctx.tally.sides[side].count_outcome(outcome)
        code = outcome.error.code if isinstance(outcome.error, RecordError) else "unavailable"
        erased.append(RecordErasure(side, operation.id or "", outcome.status, "" if outcome.ok else code))
    return erased


def _spellings(email: str | None) -> set[str]:
    """An e-mail as it is written and as it identifies: a side may tell what stands in its place by its case."""
    stripped = (email or "").strip()
    return {stripped, stripped.casefold()} if stripped else set()


def _marks_of(ctx: RunContext, side: Side, record: Record) -> set[bytes]:
    marks = {ctx.marks.record(ctx.entity_type, side, record.id)}
    if record.key:
        # The external key is the local side's id.
        marks.add(ctx.marks.record(ctx.entity_type, Side.LOCAL, record.key))
    if email := ctx.email(side, record):
        marks.add(ctx.marks.email(email))
    return marks
