"""Decide, field by field, who changed what and what each side should hold.

Pure: no I/O, no clock, no randomness. Changes are seen against each side's own shadow, so that a lossy side never looks
edited, and edits of different fields on both sides both survive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TypeAlias

import attrs

from crmsync.diff.cells import EXACT, Cell, PreparedField, cell_of, prepare
from crmsync.diff.decisions import ConflictNote, FieldDecision, Merge, rejection, rule_key
from crmsync.diff.digests import Digester, FieldDigest, Shadow, differs, field_tags, reading_of, stands, sync_hash
from crmsync.diff.layout import Layout
from crmsync.diff.policies import (
    FLOWS,
    Meeting,
    Verdict,
    decide,
    flows_to,
    is_blank,
    is_restrictive,
    writes_over,
)
from crmsync.diff.readings import Readings
from crmsync.diff.sets import Element, SetChange, local_elements, merge_sets, remote_elements
from crmsync.models.mappings import OSCILLATION, ConflictPolicy, Enforcement, OnBlank
from crmsync.models.problems import Problem
from crmsync.models.records import MISSING, Record, Side
from crmsync.protocols.conversion import Conversion, FieldRule, LossKind, RecordRule, elements_of

_Row: TypeAlias = tuple[PreparedField, object, object, FieldDigest | None, FieldDigest | None]
"""A field, what both sides hold in it, and what their shadows say of it."""

Decided = Mapping[str, Verdict]
"""People's decisions on parked conflicts, by local field name."""


class Merger:
    """Merges records under one compiled mapping and one integration's digest key.

    ``uncertainty`` is how far the two sides' clocks and time precisions may lie apart; within it ``newest_wins`` takes
    the tie side.
    """

    def __init__(self, rule: RecordRule, digester: Digester, *, uncertainty: timedelta = timedelta(seconds=2)) -> None:
        self.rule = rule
        self.digester = digester
        self.uncertainty = uncertainty
        tags = field_tags(rule_key(r) for r in rule.rules)
        self.tagged_rules = tuple((r, tags[rule_key(r)]) for r in rule.rules)
        self.tags = frozenset(tags.values())
        self.fields = {rule_key(r): prepare(r, tag, digester) for r, tag in self.tagged_rules}
        self.layout = Layout(self.tagged_rules)
        self.readings = Readings(rule, digester)
        # A side may give the elements of a set in another order each time.
        self._steady = not any(r.set_valued for r in rule.rules)

    def side_hash(self, side: Side, record: Record) -> bytes:
        """The hash over all mapped fields of one side's record."""
        get = record.fields.get
        if side is Side.LOCAL:
            values = ((r.normal_local, get(r.local, MISSING)) for r, _ in self.tagged_rules)
        else:
            values = ((r.normal_remote, get(r.remote, MISSING)) for r, _ in self.tagged_rules)
        return self.digester.side_hash(v if v is MISSING else normal(v) for normal, v in values)

    def unchanged(self, side: Side, record: Record, shadow: bytes) -> bool:
        """Whether the record is as it was acknowledged; then there is nothing to look at."""
        if not shadow:
            return False
        reading = self.readings.of(side, record.fields)
        if reading == reading_of(shadow):
            return True
        return not (self._steady and differs(shadow, reading)) and self._holds(side, record, shadow)

    def _holds(self, side: Side, record: Record, shadow: bytes) -> bool:
        """Whether a shadow knows every value of a record, and knows it as it is."""
        known = self.layout.read(shadow)
        values = self.readings.values(side, record.fields)
        for field, value, old in zip(self.fields.values(), values, known, strict=True):
            if value is MISSING:
                continue
            if type(old) is bytes:
                new: FieldDigest = field.local_digest(value) if side is Side.LOCAL else field.remote_digest(value)
            elif old is None:
                return False
            else:
                new = self.field_digest(field.rule, side, value, as_set=True)
            if new != old:
                return False
        return any(old is not None for old in known)

    def lone_hash(self, side: Side, record: Record) -> str:
        """``last_sync_hash`` of a record that has no counterpart: what its own side holds."""
        held = self.side_hash(side, record)
        return sync_hash(held, b"") if side is Side.LOCAL else sync_hash(b"", held)

    def edited(self, side: Side, record: Record, shadow: bytes) -> bool:
        """Whether the record holds something that was never acknowledged.

        That is a field that differs from its shadow. While the pair is not settled it is also a value in a field that
        has no shadow: the other side refused it, or it waits for a decision, so nobody there has seen it.
        """
        known = Shadow.decode(shadow)
        for rule, tag in self.tagged_rules:
            value = record.fields.get(rule.local if side is Side.LOCAL else rule.remote, MISSING)
            if value is MISSING:
                continue
            old = known.fields.get(tag)
            if old is None:
                normal = rule.normal_local(value) if side is Side.LOCAL else rule.normal_remote(value)
                if not known.settled and not is_blank(normal):
                    return True
            elif self.field_digest(rule, side, value, as_set=isinstance(old, frozenset)) != old:
                return True
        return False

    def still_true(self, side: Side, record: Record, shadow: bytes) -> bytes:
        """What of a shadow also says what this record holds: the shadow of a record that took another one's place.

        Where the two differ nothing is known, and the field meets its counterpart for the first time.
        """
        known = Shadow.decode(shadow).fields
        kept = {
            tag: old
            for r, tag in self.tagged_rules
            if (old := known.get(tag)) is not None
            and (value := record.fields.get(r.local if side is Side.LOCAL else r.remote, MISSING)) is not MISSING
            and self.field_digest(r, side, value, as_set=isinstance(old, frozenset)) == old
        }
        return Shadow(fields=kept).encode()

    def field_digest(self, rule: FieldRule, side: Side, value: object, *, as_set: bool) -> FieldDigest:
        """The digest that a shadow keeps of one field's value."""
        if as_set:
            elements = local_elements if side is Side.LOCAL else remote_elements
            return frozenset(elements(rule, self.digester, value))
        return self.digester.scalar(rule.normal_local(value) if side is Side.LOCAL else rule.normal_remote(value))

    def merge(
        self, local: Record, remote: Record, local_shadow: bytes, remote_shadow: bytes, decided: Decided | None = None
    ) -> Merge:
        """The decisions on a pair of records. Empty shadows: a first meeting, which fills blanks."""
        ours, theirs = self.readings.local(local.fields), self.readings.remote(remote.fields)
        readings = (
            self.readings.of_values(Side.LOCAL, local.fields, ours),
            self.readings.of_values(Side.REMOTE, remote.fields, theirs),
        )
        same = stands(local_shadow, readings[0]), stands(remote_shadow, readings[1])
        known = self.layout.read(local_shadow), self.layout.read(remote_shadow)
        rows: Iterable[_Row] = zip(self.fields.values(), ours, theirs, *known, strict=True)
        if same[0] or same[1]:
            rows = _not_twins(rows)
        decisions: dict[str, FieldDecision] = {}
        for field, our, their, *olds in rows:
            if our is MISSING or their is MISSING:
                continue
            if field.sets:
                decision = self._set(field.rule, our, their, *olds)
            elif type(olds[0]) is bytes and type(olds[1]) is bytes:
                changed = _changed_sides(field, (our, their), olds, same)
                # Most fields of most records end here: nothing is made before it is needed.
                if not changed:
                    continue
                decision = self._changed(Cell(field.rule, local, remote, our, their), changed, decided)
            else:
                decision = self._met(Cell(field.rule, local, remote, our, their), decided)
            if decision is not None:
                decisions[field.key] = decision
        return Merge(local, remote, decisions, known=bool(local_shadow or remote_shadow), readings=readings)

    def resembles(self, rule: FieldRule, local: Record, remote: Record) -> bool:
        """Whether one side's value is what its store could have made of the other's."""
        cell = cell_of(rule, local, remote)
        return cell is not None and any(map(cell.resembles, Side))

    def is_left_blank(self, rule: FieldRule, local: Record, remote: Record) -> bool:
        """Whether one side is blank and the mapping lets the other one differ from it."""
        if rule.on_blank is OnBlank.CLEAR:
            return False
        ours, theirs = local.fields.get(rule.local, MISSING), remote.fields.get(rule.remote, MISSING)
        return is_blank(rule.normal_local(ours)) or is_blank(rule.normal_remote(theirs))

    def carried_out(self, rule: FieldRule, local: Record, remote: Record, verdict: Verdict) -> FieldDecision | None:
        """What a person decided, whichever side changed since; None if a side does not show the field."""
        cell = cell_of(rule, local, remote)
        if cell is None:
            return None
        if cell.agrees():
            return FieldDecision(rule)
        if verdict.winner is None:
            return self._replace_both(cell, verdict.value)
        return self._overwrite(cell, verdict.winner, policy=OSCILLATION)

    def _met(self, cell: Cell, decided: Decided | None) -> FieldDecision:
        """A field of which nothing was ever acknowledged."""
        if cell.agrees():
            return FieldDecision(cell.rule)
        return self._first_meeting(cell, (decided or {}).get(cell.rule.local))

    def _changed(self, cell: Cell, changed: tuple[Side, ...], decided: Decided | None) -> FieldDecision:
        """A field that these sides changed."""
        if cell.agrees():
            return FieldDecision(cell.rule)
        if len(changed) > 1:
            return self._conflict(cell, (decided or {}).get(cell.rule.local))
        return self._flow(cell, changed[0])

    def _flow(self, cell: Cell, source: Side) -> FieldDecision:
        """Only ``source`` changed since the last sync."""
        rule, target = cell.rule, source.other
        if rule.policy is ConflictPolicy.MOST_RESTRICTIVE and not self._may_relax(cell, source):
            return self._overwrite(cell, source.other, policy=rule.policy)
        if cell.is_echo(source):
            return FieldDecision(rule)
        if writes_over(rule, target, cell.normal(target)):
            return self._write(cell, source)
        if flows_to(rule, source) is Enforcement.MIRROR:
            return self._overwrite(cell, target, policy="mirror")
        return FieldDecision(rule)

    def _may_relax(self, cell: Cell, source: Side) -> bool:
        """Whether a change of a protected flag may flow: always towards protection, away from it only by a given value.

        That the other side did not change since both agreed proves the change to be the newer evidence.
        """
        protected = is_restrictive(cell.rule, source.other, cell.normal(source.other))
        return not protected or not is_blank(cell.normal(source))

    def _first_meeting(self, cell: Cell, chosen: Verdict | None) -> FieldDecision:
        for blank in Side:
            if is_blank(cell.normal(blank)):
                if flows_to(cell.rule, blank) in (*FLOWS, Enforcement.FILL_BLANK):
                    return self._write(cell, blank.other)
                if flows_to(cell.rule, blank.other) is Enforcement.MIRROR:
                    return self._overwrite(cell, blank, policy="mirror")
                return FieldDecision(cell.rule)
        return self._conflict(cell, chosen)

    def _conflict(self, cell: Cell, chosen: Verdict | None) -> FieldDecision:
        rule = cell.rule
        if not any(writes_over(rule, side, cell.normal(side)) for side in Side):
            return FieldDecision(rule)
        verdict = decide(
            Meeting(
                rule,
                cell.local,
                cell.remote,
                cell.local_value,
                cell.remote_value,
                cell.local_normal,
                cell.remote_normal,
                self.uncertainty,
            ),
            chosen,
        )
        if verdict.winner is not None:
            return self._overwrite(cell, verdict.winner, policy=rule.policy)
        if verdict.value is MISSING:
            note = ConflictNote(rule, rule.policy, cell.local_value, cell.remote_value, parked=True)
            return FieldDecision(rule, hold=True, conflict=note)
        return self._replace_both(cell, verdict.value)

    def _overwrite(self, cell: Cell, winner: Side, *, policy: str) -> FieldDecision:
        """Write the winner's value over the other side's, if the direction allows, and note what was lost."""
        if not writes_over(cell.rule, winner.other, cell.normal(winner.other)):
            return FieldDecision(cell.rule)
        decision = self._write(cell, winner)
        written = decision.local_write is not MISSING or decision.remote_write is not MISSING
        if decision.hold or not written or is_blank(cell.normal(winner.other)):
            return decision
        note = ConflictNote(cell.rule, policy, cell.local_value, cell.remote_value, winner=winner)
        return attrs.evolve(decision, conflict=note)

    def _replace_both(self, cell: Cell, value: object) -> FieldDecision:
        """A custom policy made a value of its own, or a person gave one, in local form."""
        rule = cell.rule
        if is_blank(rule.normal_local(value)) and rule.on_blank is not OnBlank.CLEAR:
            if rule.on_blank is OnBlank.KEEP:
                return FieldDecision(rule)
            value = rule.default
        converted = rule.to_remote(value)
        if converted.rejected:
            return _rejected(rule, converted)
        if rule.required and is_blank(rule.normal_remote(converted.value)):
            return FieldDecision(rule, hold=True, problem=_required(rule, Side.REMOTE))
        local = value if rule.normal_local(value) != cell.local_normal else MISSING
        remote = converted.value if rule.normal_remote(converted.value) != cell.remote_normal else MISSING
        note = ConflictNote(rule, rule.policy, cell.local_value, cell.remote_value)
        return FieldDecision(
            rule,
            local_write=local if writes_over(rule, Side.LOCAL, cell.local_normal) else MISSING,
            remote_write=remote if writes_over(rule, Side.REMOTE, cell.remote_normal) else MISSING,
            conflict=note,
        )

    def _write(self, cell: Cell, source: Side) -> FieldDecision:
        rule, target = cell.rule, source.other
        converted = cell.converted(source)
        if rule.on_blank is not OnBlank.CLEAR and is_blank(cell.normal(source)):
            if rule.on_blank is OnBlank.KEEP:
                return FieldDecision(rule)
            converted = rule.to_remote(rule.default) if source is Side.LOCAL else rule.to_local(rule.default)
        if converted.rejected or converted.value is MISSING:
            return _rejected(rule, converted)
        normal = cell.image(target)
        if rule.required and is_blank(normal):
            return FieldDecision(rule, hold=True, problem=_required(rule, target))
        if normal == cell.normal(target):
            return FieldDecision(rule)
        if target is Side.LOCAL:
            return FieldDecision(rule, local_write=converted.value, problem=_loss(rule, converted))
        return FieldDecision(rule, remote_write=converted.value, problem=_loss(rule, converted))

    def _set(
        self,
        rule: FieldRule,
        ours: object,
        theirs: object,
        old_local: FieldDigest | None,
        old_remote: FieldDigest | None,
    ) -> FieldDecision | None:
        held_local = local_elements(rule, self.digester, ours)
        held_remote = remote_elements(rule, self.digester, theirs)
        known = isinstance(old_local, frozenset) and isinstance(old_remote, frozenset)
        if known and held_local.keys() == old_local and held_remote.keys() == old_remote:
            return None
        before_local = old_local if known and isinstance(old_local, frozenset) else frozenset[bytes]()
        before_remote = old_remote if known and isinstance(old_remote, frozenset) else frozenset[bytes]()
        to_local, to_remote = merge_sets(rule, held_local, held_remote, before_local, before_remote)
        if rule.on_blank is OnBlank.KEEP:
            to_local = to_local if held_remote else attrs.evolve(to_local, drops=frozenset())
            to_remote = to_remote if held_local else attrs.evolve(to_remote, drops=frozenset())
        rejected = next((e for c in (to_local, to_remote) for e in c.adds if e.converted.rejected), None)
        if rejected is not None:
            return _rejected(rule, rejected.converted)
        local = self._applied(rule, Side.LOCAL, ours, to_local, held_local)
        remote = self._applied(rule, Side.REMOTE, theirs, to_remote, held_remote)
        problem = _too_long(rule, rule.local, local, rule.room_local) or _too_long(
            rule, rule.remote, remote, rule.room_remote
        )
        if problem is not None:
            return FieldDecision(rule, hold=True, problem=problem)
        return FieldDecision(rule, local_write=local, remote_write=remote)

    def _applied(
        self, rule: FieldRule, side: Side, value: object, change: SetChange, held: Mapping[bytes, Element]
    ) -> object:
        """The side's value after a change, in its own form; MISSING when nothing changes."""
        if not change:
            return MISSING
        split = rule.elements_local if side is Side.LOCAL else rule.elements_remote
        dropped = {str(held[digest].value) for digest in change.drops}
        kept = [item for item in split(value) if str(item) not in dropped]
        added = [item for element in change.adds for item in split(element.converted.value)]
        join = rule.join_local if side is Side.LOCAL else rule.join_remote
        return join((*kept, *added))


def _not_twins(rows: Iterable[_Row]) -> list[_Row]:
    """The fields that one side's standing does not settle.

    Both sides held the same (their digests are equal, by one normal form), one of them is as it was, and both hold the
    same now: then the other one is as it was, too. So of a record that one side edited, the other side's record says
    which fields changed, and nothing needs to be digested.
    """
    return [
        row
        for row in rows
        if type(row[1]) is not type(row[2])
        or row[1] != row[2]
        or row[3] != row[4]
        or type(row[3]) is not bytes
        or not row[0].alike
        or type(row[1]) not in EXACT
    ]


def _changed_sides(
    field: PreparedField, values: tuple[object, object], olds: Sequence[object], same: tuple[bool, bool]
) -> tuple[Side, ...]:
    if field.alike and olds[0] == olds[1] and same[0] != same[1]:
        ours, theirs = field.rule.normal_local(values[0]), field.rule.normal_local(values[1])
        # As above, and a comparison of texts is one of their digests; of numbers it is not (1 and True).
        if type(ours) is str and type(theirs) is str:
            if ours == theirs:
                return ()
            return (Side.REMOTE,) if same[0] else (Side.LOCAL,)
    local = not same[0] and field.local_digest(values[0]) != olds[0]
    remote = not same[1] and field.remote_digest(values[1]) != olds[1]
    if local:
        return (Side.LOCAL, Side.REMOTE) if remote else (Side.LOCAL,)
    return (Side.REMOTE,) if remote else ()


def _rejected(rule: FieldRule, converted: Conversion) -> FieldDecision:
    return FieldDecision(rule, hold=True, problem=rejection(rule, converted), rejects_record=converted.whole_record)


def _loss(rule: FieldRule, converted: Conversion) -> Problem | None:
    """A loss that ``on_loss`` accepts and wants reported; `ACCEPT` compiles to conversions without losses."""
    # A loss of precision lies below what either side compares by: it is no news at each write.
    loss = next((loss for loss in converted.losses if loss.kind is not LossKind.PRECISION), None)
    if loss is None:
        return None
    return Problem(rule.local, f"{loss.kind}_accepted", loss.message)


def _too_long(rule: FieldRule, name: str, value: object, room: int | None) -> Problem | None:
    """A set that fits element by element may be too long as a whole; none of them is dropped for it."""
    if value is MISSING or not room:
        return None
    length = len(value) if isinstance(value, str) else sum(len(str(each)) + 1 for each in elements_of(value)) - 1
    if length <= room:
        return None
    message = f"{length} characters in all, {name} holds {room}"
    return Problem(rule.local, LossKind.TRUNCATED.value, message, "take elements away, or give the field more room")


def _required(rule: FieldRule, target: Side) -> Problem:
    name = rule.remote if target is Side.REMOTE else rule.local
    return Problem(rule.local, "required", f"{name} must not be blank", "fill it, or give the field mapping a default")
