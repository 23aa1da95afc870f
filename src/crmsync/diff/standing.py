"""How one record stands to what was acknowledged of its side: the questions that need no counterpart."""

from __future__ import annotations

from typing import Final

from crmsync.diff.cells import prepare
from crmsync.diff.decisions import rule_key
from crmsync.diff.digests import Digester, FieldDigest, Shadow, differs, field_tags, reading_of, sync_hash
from crmsync.diff.directions import is_blank
from crmsync.diff.layout import Layout
from crmsync.diff.readings import Readings
from crmsync.diff.sets import local_elements, remote_elements
from crmsync.models.records import MISSING, Fields, Record, Side
from crmsync.protocols.conversion import FieldRule, RecordRule

_LOCAL: Final = Side.LOCAL


class Standing:
    """Knows single records under one compiled mapping and one integration's digest key."""

    def __init__(self, rule: RecordRule, digester: Digester) -> None:
        self.rule = rule
        self.digester = digester
        tags = field_tags(rule_key(r) for r in rule.rules)
        self.tagged_rules = tuple((r, tags[rule_key(r)]) for r in rule.rules)
        self.tags = frozenset(tags.values())
        self.fields = {rule_key(r): prepare(r, tag, digester) for r, tag in self.tagged_rules}
        single = [each for each in self.fields.values() if not each.sets]
        self._by_local = {each.rule.local: each.local_digest for each in single}
        self._by_remote = {each.rule.remote: each.remote_digest for each in single}
        self.layout = Layout(self.tagged_rules)
        self.readings = Readings(rule, digester)
        # A side may give the elements of a set in another order each time.
        self._steady = not any(r.set_valued for r in rule.rules)

    def digests(self, side: Side, fields: Fields) -> dict[str, bytes]:
        """Digests of values of a side, by their names. Sets are left out: they are digested element by element."""
        known = self._by_local if side is _LOCAL else self._by_remote
        return {name: known[name](value) for name, value in fields.items() if name in known}

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
        readings = self.readings.local if side is _LOCAL else self.readings.remote
        reading = readings.of(record.fields)
        if reading == reading_of(shadow):
            return True
        return not (self._steady and differs(shadow, reading)) and self._holds(side, record, shadow)

    def _holds(self, side: Side, record: Record, shadow: bytes) -> bool:
        """Whether a shadow knows every value of a record, and knows it as it is."""
        known = self.layout.read(shadow)
        values = self.readings.side(side).values(record.fields)
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

    def held(self, rule: FieldRule, side: Side, value: object, shadow: bytes) -> bool:
        """Whether a shadow says that a single-valued field of a side held this value."""
        old = Shadow.decode(shadow).fields.get(self.fields[rule_key(rule)].tag)
        return old is not None and self.field_digest(rule, side, value, as_set=False) == old

    def succeeded(self, side: Side, record: Record, shadow: bytes, last: Fields) -> bytes:
        """The shadow of a record that took the place of another one, which held ``last`` as far as that is known.

        What the record holds is old where it is what the shadow says, and an edit where it is what the other one held
        last. Anything else is another record's own: nothing is known, and the field meets its counterpart for the
        first time.
        """
        known = Shadow.decode(shadow).fields
        kept: dict[bytes, FieldDigest] = {}
        for rule, tag in self.tagged_rules:
            name = rule.local if side is Side.LOCAL else rule.remote
            old, value = known.get(tag), record.fields.get(name, MISSING)
            if old is None or value is MISSING:
                continue
            as_set = isinstance(old, frozenset)
            now = self.field_digest(rule, side, value, as_set=as_set)
            if now == old or (name in last and now == self.field_digest(rule, side, last[name], as_set=as_set)):
                kept[tag] = old
        return Shadow(fields=kept).encode()

    def field_digest(self, rule: FieldRule, side: Side, value: object, *, as_set: bool) -> FieldDigest:
        """The digest that a shadow keeps of one field's value."""
        if as_set:
            elements = local_elements if side is Side.LOCAL else remote_elements
            return frozenset(elements(rule, self.digester, value))
        return self.digester.scalar(rule.normal_local(value) if side is Side.LOCAL else rule.normal_remote(value))
