"""What an undo moves in the bookkeeping, and what a crash left of it."""

from __future__ import annotations

import attrs

from crmsync.diff import Shadow
from crmsync.engine.context import RunContext, shadow_of
from crmsync.engine.effects import untouched
from crmsync.engine.tombstones import with_returned
from crmsync.models.history import RecordChange
from crmsync.models.records import Fields, OperationKind, Record, Side
from crmsync.models.state import JournalEntry, Link, LinkStatus


def shifted(ctx: RunContext, link: Link, side: Side, values: Fields) -> Link:
    """The link with the shadow of these values: the next sync finds what it knows, and carries nothing over."""
    fields = dict(Shadow.decode(shadow_of(link, side)).fields)
    for rule, tag in ctx.merger.tagged_rules:
        name, old = rule.local if side is Side.LOCAL else rule.remote, fields.get(tag)
        if name in values and old is not None:
            fields[tag] = ctx.merger.field_digest(rule, side, values[name], as_set=isinstance(old, frozenset))
    shadow = Shadow(fields=fields).encode()
    if side is Side.LOCAL:
        return attrs.evolve(link, local_shadow=shadow, local_version=None)
    return attrs.evolve(link, remote_shadow=shadow, remote_version=None)


def after_crash(
    ctx: RunContext, entry: JournalEntry, link: Link, record: Record | None, done: RecordChange | None
) -> Link | None:
    """The link of a record whose undoing was under way; None: it is to be forgotten. ``done`` is what took effect.

    What did not is as if it had not been tried. What somebody changed since then is an edit.
    """
    if entry.kind is OperationKind.CREATE:
        return link if record is None else None
    if record is None:
        return link
    if entry.kind is OperationKind.DELETE:
        if link.status is not LinkStatus.DELETED:
            return link
        if not shadow_of(link, entry.target.other):
            # Its counterpart was gone before: it is set aside as it was, and nobody comes back.
            return with_returned(link, entry.target)
        # The tombstone came first, and the record was spared: this run looks at the two again, as the pair they were.
        back = with_returned(link, entry.target)
        if not (back.local_shadow and back.remote_shadow):
            back = attrs.evolve(back, local_shadow=b"", remote_shadow=b"", last_sync_hash="")
        return attrs.evolve(back, status=LinkStatus.REJECTED)
    restored = {one.field for one in done.fields} if done else set()
    left = {name: value for name, value in untouched(ctx, entry, record).items() if name not in restored}
    return shifted(ctx, link, entry.target, left) if left else link
