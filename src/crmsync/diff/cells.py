"""One field of one pair of records, while it is decided upon; and what of a field is the same for all records."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Final

import attrs

from crmsync.diff.decisions import FieldDecision, rule_key
from crmsync.diff.digests import Digester
from crmsync.diff.directions import flows_to
from crmsync.diff.echoes import is_lossy_image
from crmsync.diff.sets import merges_elements
from crmsync.models.mappings import Enforcement
from crmsync.models.records import MISSING, Record, Side
from crmsync.protocols.conversion import Conversion, FieldRule

# Asked for several times of each changed field, and an enumeration takes six times as long to look into as a module.
_LOCAL: Final = Side.LOCAL

EXACT: Final = frozenset({str, int, bool, type(None), dt.date})
"""Types of which equal values also have equal texts: not a float (0.0 and -0.0), a Decimal (1.0 and 1.00), a time."""


def exactly_equal(ours: object, theirs: object) -> bool:
    """Whether nothing can tell two values apart; False wherever that is not sure."""
    return type(ours) in EXACT and type(ours) is type(theirs) and ours == theirs


@attrs.frozen(slots=True)
class PreparedField:
    """What the merge of a field needs that does not depend on the record.

    ``alike``: both sides compare their values by one and the same form. ``sets``: the field is merged by elements.
    ``writes_local`` and ``writes_remote``: the mapping writes that side at all. ``agreed`` is the decision that nothing
    is to be done.
    """

    rule: FieldRule
    tag: bytes
    local_digest: Callable[[object], bytes]
    remote_digest: Callable[[object], bytes]
    key: str = attrs.field(init=False)
    alike: bool = attrs.field(init=False)
    sets: bool = attrs.field(init=False)
    writes_local: bool = attrs.field(init=False)
    writes_remote: bool = attrs.field(init=False)
    agreed: FieldDecision = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "key", rule_key(self.rule))
        object.__setattr__(self, "sets", merges_elements(self.rule))
        object.__setattr__(self, "alike", not self.sets and self.rule.normal_local is self.rule.normal_remote)
        object.__setattr__(self, "writes_local", self.rule.from_crm is not Enforcement.OFF)
        object.__setattr__(self, "writes_remote", self.rule.to_crm is not Enforcement.OFF)
        object.__setattr__(self, "agreed", FieldDecision(self.rule))


def prepare(rule: FieldRule, tag: bytes, digester: Digester) -> PreparedField:
    """Prepare a rule for many records."""
    return PreparedField(rule, tag, digester.after(rule.normal_local), digester.after(rule.normal_remote))


@attrs.define(slots=True, eq=False)
class Cell:
    """Both values of one field, their normal forms, and what each is on the other side, converted at most once."""

    rule: FieldRule
    local: Record
    remote: Record
    local_value: object
    remote_value: object
    local_normal: object
    remote_normal: object
    _to_remote: Conversion | None = attrs.field(default=None, init=False)
    _to_local: Conversion | None = attrs.field(default=None, init=False)
    _remote_image: object = attrs.field(default=MISSING, init=False)
    _local_image: object = attrs.field(default=MISSING, init=False)

    def value(self, side: Side) -> object:
        """What a side holds."""
        return self.local_value if side is _LOCAL else self.remote_value

    def normal(self, side: Side) -> object:
        """The normal form of what a side holds."""
        return self.local_normal if side is _LOCAL else self.remote_normal

    def converted(self, source: Side) -> Conversion:
        """The source's value in the other side's form."""
        return self._local_converted() if source is _LOCAL else self._remote_converted()

    def _local_converted(self) -> Conversion:
        if self._to_remote is None:
            self._to_remote = self.rule.to_remote(self.local_value)
        return self._to_remote

    def _remote_converted(self) -> Conversion:
        if self._to_local is None:
            self._to_local = self.rule.to_local(self.remote_value)
        return self._to_local

    def image(self, target: Side) -> object:
        """The normal form that the other side's value has on the target."""
        return self._image_of_remote() if target is _LOCAL else self._image_of_local()

    def _image_of_local(self) -> object:
        if self._remote_image is MISSING:
            self._remote_image = self.rule.normal_remote(self._local_converted().value)
        return self._remote_image

    def _image_of_remote(self) -> object:
        if self._local_image is MISSING:
            self._local_image = self.rule.normal_local(self._remote_converted().value)
        return self._local_image

    def agrees(self) -> bool:
        """Whether the values are the same after conversion, in either direction."""
        return self._image_of_local() == self.remote_normal or self._image_of_remote() == self.local_normal

    def is_echo(self, source: Side) -> bool:
        """Whether the source's new value is our own last write, as its store mangled it.

        What is never written there is none: our write of other fields may have changed what a formula makes of them.
        Nor is anything of the local side's: another integration may have written it, by whom a CRM's edit that looks
        alike (another case, fewer decimals) has come.
        """
        if source is _LOCAL or self.remote.modified_by_self is not True:
            return False
        return flows_to(self.rule, source) is not Enforcement.OFF and self.resembles(source)

    def resembles(self, target: Side) -> bool:
        """Whether the target's value is what its store could have made of the other's."""
        return is_lossy_image(self.image(target), self.normal(target))


def cell_of(rule: FieldRule, local: Record, remote: Record) -> Cell | None:
    """One field of two records; None if one of them does not show it."""
    ours, theirs = local.fields.get(rule.local, MISSING), remote.fields.get(rule.remote, MISSING)
    if ours is MISSING or theirs is MISSING:
        return None
    return Cell(rule, local, remote, ours, theirs, rule.normal_local(ours), rule.normal_remote(theirs))
