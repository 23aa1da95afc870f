"""After a crash: find out which journaled writes took effect, so that our own write is not taken for a foreign edit.

A write that took effect shows in the target: the value sent, or what the target made of it: then we are its last
writer, or the value is a cut, re-cased or rounded form of what we would send again. Its shadows are then moved as the
lost acknowledgement would have, the conflicts that it decided are recorded, and the history says what it changed, under
the run that sent it; the rest is left to the ordinary merge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from crmsync.diff import Shadow, sync_hash
from crmsync.diff.decisions import rule_key
from crmsync.diff.digests import FieldDigest, field_tags
from crmsync.diff.directions import is_blank
from crmsync.diff.echoes import is_lossy_image
from crmsync.diff.sets import merges_elements
from crmsync.engine.context import LIVE, RunContext, count_links, id_of, note_positions, shadow_of
from crmsync.engine.effects import effect
from crmsync.engine.history import fields_of
from crmsync.engine.last_words import left_behind, waiting_words
from crmsync.engine.undone import after_crash
from crmsync.models.history import RecordChange
from crmsync.models.records import MISSING, OperationKind, Record, Side
from crmsync.models.state import Acknowledgement, Conflict, JournalEntry, JournalPurpose, Link, LinkStatus

_UNLIKE_ANY = bytes(6)
"""A digest that no value has: the field will look changed."""


async def begin(ctx: RunContext) -> None:
    """What everything that writes begins with: see what is linked and read, settle what an earlier process left behind.

    First its jobs at the CRM, so that nothing is on its way any more, then its journal.
    """
    await count_links(ctx)
    await note_positions(ctx)
    ctx.erasures = await ctx.repository.count_erased(ctx.integration_id) > 0
    await ctx.remote.settle_jobs()
    await recover(ctx)


async def recover(ctx: RunContext) -> None:
    """Settle the journal that an earlier run left behind."""
    entries = await ctx.repository.list_journal(ctx.integration_id, ctx.entity_type)
    if not entries:
        return
    people = list(dict.fromkeys(entry.markmail_id for entry in entries))
    links = await ctx.links(Side.LOCAL, people)
    planned = [entry.change for entry in entries if entry.change is not None]
    fields = {side: await fields_of(ctx, side, planned) for side in Side}
    found = {
        Side.LOCAL: await ctx.local.get(people, fields=fields[Side.LOCAL]),
        Side.REMOTE: await _remotes(ctx, entries, links, fields[Side.REMOTE]),
    }
    settled = _Settled(links)
    lost = [entry for entry in entries if entry.markmail_id not in found[entry.target]]
    born = {op_id: record for side in Side for op_id, record in (await _born(ctx, side, lost, fields)).items()}
    for entry in entries:
        records = {side: found[side].get(entry.markmail_id) for side in Side}
        record = records[entry.target] or born.get(entry.op_id)
        done = effect(ctx, entry, record)
        if entry.purpose is JournalPurpose.SYNC:
            _settle(ctx, entry, records, settled)
            if record is not None and None in records.values():
                settled.conflicts |= _overwritten(ctx, entry, record)
        elif entry.purpose is JournalPurpose.UNDO and (link := settled.link(entry.markmail_id)) is not None:
            settled.put(entry.markmail_id, after_crash(ctx, entry, link, record, done))
        if done is not None and ctx.mapping.history_days:
            settled.changes.append(done)
    await _release(ctx, settled)
    await ctx.repository.acknowledge(ctx.lease.current, settled.acknowledgement(entries))


@attrs.define(slots=True, eq=False)
class _Settled:
    """What the journal comes to. ``known`` are the links as they were; of ``moved`` None is forgotten."""

    known: Mapping[str, Link]
    moved: dict[str, Link | None] = attrs.field(factory=dict)
    conflicts: dict[str, Conflict] = attrs.field(factory=dict)
    changes: list[RecordChange] = attrs.field(factory=list)

    def link(self, markmail_id: str) -> Link | None:
        """The link of a record as it is by now."""
        return self.moved[markmail_id] if markmail_id in self.moved else self.known.get(markmail_id)

    def put(self, markmail_id: str, link: Link | None) -> None:
        """Store a link, or forget it, if it is another."""
        if link != self.link(markmail_id):
            self.moved[markmail_id] = link

    def acknowledgement(self, entries: Sequence[JournalEntry]) -> Acknowledgement:
        """All of it."""
        return Acknowledgement(
            links=tuple(link for link in self.moved.values() if link is not None),
            removed_links=tuple(key for key, link in self.moved.items() if link is None),
            conflicts=tuple(self.conflicts.values()),
            done=tuple(entry.op_id for entry in entries),
            changes=tuple(self.changes),
        )


def _overwritten(ctx: RunContext, entry: JournalEntry, record: Record) -> dict[str, Conflict]:
    """What a write to a record overwrote that has no counterpart any more: it was deleted since, or became another."""
    ours = entry.target is Side.REMOTE and record.modified_by_self
    written: set[str] = set()
    for rule in ctx.rule.rules:
        name = rule.remote if entry.target is Side.REMOTE else rule.local
        sent, held = entry.sent.get(name), record.fields.get(name, MISSING)
        if sent is None or held is MISSING:
            continue
        normal = rule.normal_remote if entry.target is Side.REMOTE else rule.normal_local
        now = ctx.merger.digester.scalar(normal(held))
        if now == sent or (ours and now != entry.before.get(name)):
            written.add(rule.local)
    return {each.id: each for each in entry.conflicts if each.field in written}


async def _release(ctx: RunContext, settled: _Settled) -> None:
    """Forget who else has a record of a pair that was made: a tombstone, or who waited, as `Work.replaces` says.

    A living pair keeps it.
    """
    made = {link.crm_id: link for link in settled.moved.values() if link is not None and link.crm_id is not None}
    for crm_id, row in (await ctx.links(Side.REMOTE, list(made))).items():
        link = made[crm_id]
        if row.markmail_id == link.markmail_id or row.markmail_id in settled.moved:
            continue
        if row.status in LIVE and row.local_shadow and row.remote_shadow:
            del settled.moved[link.markmail_id]
            continue
        settled.moved[row.markmail_id] = None
        if words := waiting_words(row):
            settled.moved[link.markmail_id] = attrs.evolve(link, status=LinkStatus.REJECTED, problems=words)


def _settle(ctx: RunContext, entry: JournalEntry, records: Mapping[Side, Record | None], settled: _Settled) -> None:
    """A write of a sync: the link moves as far as it took effect."""
    local, remote, known = records[Side.LOCAL], records[Side.REMOTE], settled.known.get(entry.markmail_id)
    if local is None or remote is None:
        bereft = _bereft(ctx, entry, known, local, remote)
        if bereft is not None:
            settled.moved[entry.markmail_id] = bereft
        return
    link = settled.link(entry.markmail_id) or ctx.new_link(entry.markmail_id, remote.id, entry.target.other)
    moved, written = _recovered(ctx, attrs.evolve(link, crm_id=remote.id), entry, local, remote)
    if known is None and ctx.remote.limits.external_key and remote.key is None:
        # The crash came before the external key was written: tried again in this run, with the key.
        moved = attrs.evolve(moved, status=LinkStatus.REJECTED)
    if known is not None and _is_pair_of_another(known, remote):
        # The write was to the record that its own was folded into. What that one holds beside our write is no edit of
        # this pair's: the tombstone, which is told of again, moves the link.
        moved = attrs.evolve(moved, crm_id=known.crm_id, status=known.status)
    for left in left_behind(ctx, known, remote.id) if known is not None else ():
        settled.moved[left.markmail_id] = left
    settled.moved[entry.markmail_id] = moved
    settled.conflicts |= {conflict.id: conflict for conflict in entry.conflicts if conflict.field in written}


def _is_pair_of_another(known: Link, remote: Record) -> bool:
    """Whether a link is that of a living pair with another record of the CRM."""
    paired = known.status in LIVE and known.local_shadow and known.remote_shadow
    return bool(paired) and known.crm_id != remote.id


async def _remotes(
    ctx: RunContext, entries: Sequence[JournalEntry], links: dict[str, Link], fields: Sequence[str]
) -> dict[str, Record]:
    """The remote record of each entry, by markmail_id: by id, else by external key, else by e-mail if it is ours."""
    ids = {
        e.crm_id or (id_of(links[e.markmail_id], Side.REMOTE) if e.markmail_id in links else None): e for e in entries
    }
    by_id = await ctx.remote.get([i for i in ids if i], fields=fields)
    found = {ids[record_id].markmail_id: record for record_id, record in by_id.items() if record_id in ids}
    missing = [e.markmail_id for e in entries if e.markmail_id not in found]
    for record in await ctx.remote.find_by_key(missing, fields=fields):
        if record.key:
            found[record.key] = record
    if not ctx.remote.limits.external_key:
        found.update(await _created_by_us(ctx, [m for m in missing if m not in found]))
    return found


async def _born(
    ctx: RunContext, side: Side, entries: Sequence[JournalEntry], fields: Mapping[Side, Sequence[str]]
) -> dict[str, Record]:
    """By op_id, where a side tells no record by id or key: the one unlinked one with the e-mail that was to be created.

    For a sync only the local history needs it: the two records meet by their e-mail in this run. What an undo created
    has no counterpart to be met by.
    """
    limits, match = ctx.store(side).limits, ctx.rule.match
    name = match.local_email if side is Side.LOCAL else match.remote_email
    if limits.accepts_ids or limits.external_key or not name:
        return {}
    wanted = {
        email.casefold(): entry.op_id
        for entry in entries
        if entry.target is side and entry.kind is OperationKind.CREATE and entry.change is not None
        if side is Side.LOCAL or entry.purpose is JournalPurpose.UNDO
        for one in entry.change.fields
        if one.field == name and isinstance(email := one.after, str)
    }
    candidates: dict[str, list[Record]] = {}
    for record in await ctx.store(side).find(name, sorted(wanted), fields=fields[side]) if wanted else ():
        candidates.setdefault(str(record.fields.get(name)).casefold(), []).append(record)
    linked = await ctx.links(side, [record.id for records in candidates.values() for record in records])
    return {
        wanted[email]: records[0]
        for email, records in candidates.items()
        if email in wanted and len(records) == 1 and records[0].id not in linked
        if side is Side.LOCAL or records[0].modified_by_self
    }


async def _created_by_us(ctx: RunContext, markmail_ids: Sequence[str]) -> dict[str, Record]:
    """Without an external key: the one unlinked record with the person's e-mail that we wrote last."""
    name = ctx.rule.match.remote_email
    locals_ = await ctx.local.get(markmail_ids, fields=ctx.fields(Side.LOCAL))
    emails = {email: m for m, record in locals_.items() if (email := ctx.email(Side.LOCAL, record))}
    if not name or not emails:
        return {}
    candidates: dict[str, list[Record]] = {}
    for record in await ctx.remote.find(name, sorted(emails), fields=ctx.fields(Side.REMOTE)):
        if email := ctx.email(Side.REMOTE, record):
            candidates.setdefault(email, []).append(record)
    linked = await ctx.links(Side.REMOTE, [r.id for records in candidates.values() for r in records])
    return {
        emails[email]: records[0]
        for email, records in candidates.items()
        if email in emails and len(records) == 1 and records[0].modified_by_self and records[0].id not in linked
    }


def _bereft(
    ctx: RunContext, entry: JournalEntry, known: Link | None, local: Record | None, remote: Record | None
) -> Link | None:
    """The link of a record that we created and whose source was deleted since; None if this is no such case.

    Without it the created record would look new, and bring back what was deleted. The deletion is met later, as of any
    linked pair. What was sent stands in the survivor's shadow, so that an edit of it still beats the delete, as does
    one of what was not sent: the shadow is that of a pair which is not settled.
    """
    written = remote if entry.target is Side.REMOTE else local
    linked = known is not None and (known.local_shadow or known.remote_shadow)
    crm_id = remote.id if remote is not None else entry.crm_id
    if entry.kind is not OperationKind.CREATE or written is None or linked or crm_id is None:
        return None
    tags = field_tags(rule_key(rule) for rule in ctx.rule.rules)
    sent: dict[bytes, FieldDigest] = {
        tags[rule_key(rule)]: digest
        for rule in ctx.rule.rules
        if (digest := entry.sent.get(rule.remote if entry.target is Side.REMOTE else rule.local)) is not None
    }
    shadows = {entry.target: Shadow(fields=sent, settled=False).encode(), entry.target.other: Shadow().encode()}
    link = ctx.new_link(entry.markmail_id, crm_id, entry.target.other)
    # Tried again in this run, although the side that deleted it may have told so long ago.
    return attrs.evolve(
        link, status=LinkStatus.REJECTED, local_shadow=shadows[Side.LOCAL], remote_shadow=shadows[Side.REMOTE]
    )


def _recovered(
    ctx: RunContext, link: Link, entry: JournalEntry, local: Record, remote: Record
) -> tuple[Link, set[str]]:
    """The link with the shadows of those fields whose write took effect, and their local names."""
    effective: set[str] = set()
    digester, target = ctx.merger.digester, entry.target
    shadows = {side: Shadow.decode(shadow_of(link, side)) for side in Side}
    fields: dict[Side, dict[bytes, FieldDigest]] = {side: dict(shadow.fields) for side, shadow in shadows.items()}
    tags = field_tags(rule_key(rule) for rule in ctx.rule.rules)
    written = remote if target is Side.REMOTE else local
    for rule in ctx.rule.rules:
        name = rule.remote if target is Side.REMOTE else rule.local
        sent = entry.sent.get(name)
        ours, theirs = local.fields.get(rule.local, MISSING), remote.fields.get(rule.remote, MISSING)
        if sent is None or ours is MISSING or theirs is MISSING or merges_elements(rule):
            continue
        tag = tags[rule_key(rule)]
        now = {
            Side.LOCAL: digester.scalar(rule.normal_local(ours)),
            Side.REMOTE: digester.scalar(rule.normal_remote(theirs)),
        }
        if target is Side.REMOTE:
            again, stored = rule.normal_remote(rule.to_remote(ours).value), rule.normal_remote(theirs)
        else:
            again, stored = rule.normal_local(rule.to_local(theirs).value), rule.normal_local(ours)
        same_source = digester.scalar(again) == sent
        # On the local side we are also the other integrations of the application.
        ours_alone = target is Side.REMOTE and written.modified_by_self
        by_us = ours_alone or (same_source and is_lossy_image(again, stored))
        # A field that is blank although we wrote a value was left unwritten.
        by_us = by_us and (is_blank(again) or not is_blank(stored))
        if now[target] != sent and (not by_us or now[target] in (fields[target].get(tag), entry.before.get(name))):
            continue
        effective.add(rule.local)
        fields[target][tag] = now[target]
        source = target.other
        if same_source:
            fields[source][tag] = now[source]
        else:
            fields[source][tag] = _UNLIKE_ANY
    blobs = {side: Shadow(fields=fields[side]).encode() for side in Side}
    status = LinkStatus.REJECTED if link.problems else LinkStatus.SYNCED
    moved = attrs.evolve(
        link,
        status=status if link.status is not LinkStatus.CONFLICT else link.status,
        local_shadow=blobs[Side.LOCAL],
        remote_shadow=blobs[Side.REMOTE],
        last_sync_hash=sync_hash(blobs[Side.LOCAL], blobs[Side.REMOTE]),
    )
    return moved, effective
