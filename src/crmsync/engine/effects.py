"""Tell from a record whether a write whose answer was lost took effect, for the history."""

from __future__ import annotations

import attrs

from crmsync.diff.directions import is_blank
from crmsync.diff.echoes import is_lossy_image
from crmsync.engine.context import RunContext
from crmsync.models.history import FieldChange, RecordChange, is_masked, tagged, untagged
from crmsync.models.records import MISSING, Fields, OperationKind, Record, Side
from crmsync.models.state import JournalEntry
from crmsync.protocols.conversion import Normaliser


def effect(ctx: RunContext, entry: JournalEntry, record: Record | None) -> RecordChange | None:
    """What the history says of a journaled write, if the target's record, as it is now, shows it.

    A field shows it by holding the value sent, or what the target makes of that. One that somebody changed since shows
    nothing, and is counted in if another one shows that the write took effect: a record is written as a whole.
    """
    change = entry.change
    if change is None:
        return None
    if change.kind is OperationKind.DELETE:
        return change if record is None else None
    if record is None:
        return None
    if entry.target is Side.REMOTE:
        change = attrs.evolve(change, crm_id=record.id)
    else:
        change = attrs.evolve(change, markmail_id=record.id)
    found = [(field.change, field.told()) for field in _fields(ctx, entry.target, change, record)]
    # Who finds the record that was to be created by its key, or its e-mail, has found it created.
    if change.kind is not OperationKind.CREATE and not any(shows for _, (shows, _) in found):
        return None
    fields = tuple(attrs.evolve(one, after=after) for one, (shows, after) in found if shows is not False)
    return attrs.evolve(change, fields=fields)


def untouched(ctx: RunContext, entry: JournalEntry, record: Record) -> Fields:
    """The fields of a journaled write that hold what they held before it, with their values."""
    if entry.change is None:
        return {}
    fields = _fields(ctx, entry.target, entry.change, record)
    return {field.change.field: field.now for field in fields if field.now is not MISSING and field.is_as_before}


def _fields(ctx: RunContext, side: Side, change: RecordChange, record: Record) -> list[_Field]:
    rules = ctx.rule.rules
    if side is Side.LOCAL:
        normals = {rule.local: rule.normal_local for rule in rules}
    else:
        normals = {rule.remote: rule.normal_remote for rule in rules}
    # On the local side we are also the other integrations of the application.
    ours = side is Side.REMOTE and bool(record.modified_by_self)
    return [
        _Field(ctx, one, record.fields.get(one.field, MISSING), normals.get(one.field, _as_it_is), ours)
        for one in change.fields
    ]


def _as_it_is(value: object) -> object:
    return value


@attrs.frozen(slots=True, eq=False)
class _Field:
    """One field of a write, and what it holds now. ``ours``: the record's last writer on this side is this sync."""

    ctx: RunContext
    change: FieldChange
    now: object
    normal: Normaliser
    ours: bool

    @property
    def is_as_before(self) -> bool:
        """Whether it holds what it held before the write."""
        return self._holds(self.change.before)

    def told(self) -> tuple[bool | None, object]:
        """Whether it shows the write (None: it cannot tell), and the value after the write, as the history keeps it."""
        after = self.change.after
        if self.now is MISSING:
            return None, after
        if self._holds(after):
            # In the form in which the target keeps it: a set that was sent as one text is held as a list, say.
            told = after if is_masked(after) else tagged(self.now)
            return (None if self.is_as_before else True), told
        if self.is_as_before:
            return False, after
        if is_masked(after):
            return None, after
        sent, now = self.normal(untagged(after)), self.normal(self.now)
        # A field that is blank although we wrote a value was left unwritten, or cleared since.
        if is_blank(now) and not is_blank(sent):
            return None, after
        image = is_lossy_image(sent, now)
        return (True if self.ours else None), (tagged(self.now) if image or self.ours else after)

    def _holds(self, kept: object) -> bool:
        if is_masked(kept):
            assert isinstance(kept, dict)
            return bool(self.ctx.digest_of(self.normal, self.now) == kept["value"])
        return bool(self.normal(self.now) == self.normal(untagged(kept)))
