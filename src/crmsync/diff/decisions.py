"""What the merge decided: for each field that needs anything, and for the record as a whole."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

import attrs

from crmsync.models.immutable import frozen_value
from crmsync.models.problems import Problem
from crmsync.models.records import MISSING, Record, Side
from crmsync.protocols.conversion import REMEDIES, Conversion, FieldRule, LossKind

_LOCAL: Final = Side.LOCAL


@attrs.frozen(slots=True)
class ConflictNote:
    """Two different values met. ``winner`` None with ``parked`` False means that a merged value replaced both."""

    rule: FieldRule
    policy: str
    local_value: object = attrs.field(repr=False)
    remote_value: object = attrs.field(repr=False)
    winner: Side | None = None
    parked: bool = False


@frozen_value
class FieldDecision:
    """What to do about one field. MISSING as a write means "do not write this side".

    ``hold`` keeps the field's old shadows, because it is parked or could not be converted: it is looked at again.
    """

    rule: FieldRule
    local_write: object = attrs.field(default=MISSING, repr=False)
    remote_write: object = attrs.field(default=MISSING, repr=False)
    hold: bool = False
    conflict: ConflictNote | None = None
    problem: Problem | None = None
    rejects_record: bool = False


@attrs.define(slots=True, eq=False)
class Newcomer(Mapping[str, FieldDecision]):
    """The decisions on a record without a counterpart, of which none says more than what to write, or that it is blank.

    They are made when they are asked for, which is seldom. ``side`` is that of the new record, ``writes`` its values by
    name, ``sent`` their digests. ``source`` and ``target`` are the digests of all fields of either side, in the rules'
    order. ``twins``: both records hold the very same value in each field.
    """

    rules: tuple[FieldRule, ...]
    side: Side
    writes: dict[str, object] = attrs.field(repr=False)
    sent: dict[str, bytes] = attrs.field(repr=False)
    source: list[bytes] = attrs.field(repr=False)
    target: list[bytes] = attrs.field(repr=False)
    twins: bool
    _made: dict[str, FieldDecision] | None = attrs.field(default=None, init=False, repr=False)

    def __getitem__(self, key: str) -> FieldDecision:
        return self._decisions()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._decisions())

    def __len__(self) -> int:
        return len(self.writes)

    def _decisions(self) -> dict[str, FieldDecision]:
        if self._made is None:
            self._made = {}
            for rule in self.rules:
                value = self.writes.get(rule.local if self.side is _LOCAL else rule.remote, MISSING)
                if value is not MISSING:
                    local, remote = (value, MISSING) if self.side is _LOCAL else (MISSING, value)
                    self._made[rule_key(rule)] = FieldDecision(rule, local, remote)
        return self._made


@frozen_value
class Merge:
    """The decisions on one record, with the records they were made on. ``known`` False: this is a first meeting."""

    local: Record | None
    remote: Record | None
    decisions: Mapping[str, FieldDecision]
    """By the rule's local field name joined with its remote one; only fields that changed or need something."""
    known: bool = True
    readings: tuple[bytes, bytes] = (b"", b"")
    """The local and the remote record's, of a pair; empty if nobody needed them."""
    apart: AbstractSet[str] | None = None
    """Of a pair, the fields in which the records do not hold the very same value; None if nobody compared them."""
    newcomer: Newcomer | None = attrs.field(init=False, repr=False, eq=False)
    """The decisions, if they are those on a record without a counterpart of which there is no more to say."""
    held: tuple[int, int] = (0, 0)
    """How many values of the local and of the remote record are none of the blanks, of a pair."""
    unshown: Collection[Side] = ()
    """The sides that hold something new in a field that the other one does not show."""
    rejected: bool = attrs.field(init=False)
    """Whether a problem forbids to write the record at all."""
    smooth: bool = attrs.field(init=False, eq=False)
    """Whether no decision says more than what to write: nothing is held back, met a conflict or has a problem."""
    _local_writes: dict[str, object] = attrs.field(init=False, repr=False, eq=False)
    _remote_writes: dict[str, object] = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        rejected, smooth = False, True
        local: dict[str, object] = {}
        remote: dict[str, object] = {}
        plain = self.decisions if type(self.decisions) is Newcomer else None
        if plain is not None:
            local, remote = (plain.writes, remote) if plain.side is _LOCAL else (local, plain.writes)
        for decision in self.decisions.values() if plain is None else ():
            if decision.local_write is not MISSING:
                local[decision.rule.local] = decision.local_write
            if decision.remote_write is not MISSING:
                remote[decision.rule.remote] = decision.remote_write
            if decision.hold or decision.conflict is not None or decision.problem is not None:
                smooth = False
            if decision.rejects_record:
                rejected, smooth = True, False
        object.__setattr__(self, "newcomer", plain)
        object.__setattr__(self, "rejected", rejected)
        object.__setattr__(self, "smooth", smooth)
        object.__setattr__(self, "_local_writes", {} if rejected else local)
        object.__setattr__(self, "_remote_writes", {} if rejected else remote)

    def writes(self, side: Side) -> dict[str, object]:
        """The changed fields to write to a side, in its own form."""
        return self._local_writes if side is _LOCAL else self._remote_writes

    @property
    def conflicts(self) -> tuple[ConflictNote, ...]:
        """Every conflict that was met, parked or settled."""
        if self.smooth:
            return ()
        return tuple(d.conflict for d in self.decisions.values() if d.conflict)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every field that could not be converted, and is tried again."""
        if self.smooth:
            return ()
        return tuple(d.problem for d in self.decisions.values() if d.problem and d.hold)

    @property
    def accepted_losses(self) -> tuple[Problem, ...]:
        """Every field that was written with a loss that its ``on_loss`` accepts and wants to hear of."""
        if self.smooth:
            return ()
        return tuple(d.problem for d in self.decisions.values() if d.problem and not d.hold)

    @property
    def parked(self) -> bool:
        """Whether a field waits for someone's decision."""
        return not self.smooth and any(note.parked for note in self.conflicts)


def rejection(rule: FieldRule, converted: Conversion) -> Problem:
    """Why a value cannot be written to the other side."""
    if not converted.losses:
        return Problem(rule.local, "invalid", "the value has no form on the other side", REMEDIES[LossKind.INVALID])
    message = "; ".join(loss.message for loss in converted.losses)
    kind = converted.losses[0].kind
    return Problem(rule.local, kind.value, message, f"{REMEDIES[kind]}; or choose another on_loss for this field")


def held_back(rule: FieldRule, converted: Conversion) -> FieldDecision:
    """The decision on a field whose value cannot be written to the other side."""
    return FieldDecision(rule, hold=True, problem=rejection(rule, converted), rejects_record=converted.whole_record)


def rule_key(rule: FieldRule) -> str:
    """What identifies a rule within its mapping."""
    return f"{rule.local}\0{rule.remote}"
