"""The merge of set-valued fields: additions and removals of both sides are carried over, element by element.

With add and del taken against each side's own shadow::

    L' = (L - (delR - addL)) + addR        R' = (R - (delL - addR)) + addL

Only elements that the rule owns are added or removed; the others are left where they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from crmsync.diff.decisions import ConflictNote, FieldDecision, held_back
from crmsync.diff.digests import Digester, FieldDigest
from crmsync.models.mappings import OSCILLATION, ConflictPolicy, Enforcement, OnBlank
from crmsync.models.problems import Problem
from crmsync.models.records import MISSING, Side
from crmsync.protocols.conversion import Conversion, FieldRule, LossKind, elements_of


def merges_elements(rule: FieldRule) -> bool:
    """Whether a field is merged element by element; its shadow then holds one digest for each element."""
    return rule.set_valued and rule.policy is ConflictPolicy.SET_MERGE


@attrs.frozen(slots=True)
class Element:
    """One owned element of one side: as that side writes it, and the digests of both sides' normal forms of it."""

    value: object = attrs.field(repr=False)
    local: bytes
    remote: bytes
    converted: Conversion = attrs.field(repr=False)
    """What it is on the other side."""


def element_digest(digester: Digester, normal: object) -> bytes:
    """The digest of the single element that a normal form holds."""
    return digester.scalar(next(iter(normal), None) if isinstance(normal, frozenset) else normal)


def local_elements(rule: FieldRule, digester: Digester, value: object) -> dict[bytes, Element]:
    """The owned elements of a local value, by their local digest, in order."""
    found: dict[bytes, Element] = {}
    for item in rule.elements_local(value):
        if rule.owns(str(item)):
            converted = rule.to_remote((item,))
            local = element_digest(digester, rule.normal_local((item,)))
            remote = element_digest(digester, rule.normal_remote(converted.value))
            found.setdefault(local, Element(item, local, remote, converted))
    return found


def remote_elements(rule: FieldRule, digester: Digester, value: object) -> dict[bytes, Element]:
    """The owned elements of a remote value, by their remote digest, in order."""
    found: dict[bytes, Element] = {}
    for item in rule.elements_remote(value):
        converted = rule.to_local((item,))
        names = rule.elements_local(converted.value) or (item,)
        if rule.owns(str(names[0])):
            remote = element_digest(digester, rule.normal_remote((item,)))
            local = element_digest(digester, rule.normal_local(converted.value))
            found.setdefault(remote, Element(item, local, remote, converted))
    return found


@attrs.frozen(slots=True)
class SetChange:
    """What one side should gain and lose. ``adds`` are the other side's elements, not yet converted."""

    adds: tuple[Element, ...]
    drops: frozenset[bytes]
    """By the digest of the side that loses them."""

    def __bool__(self) -> bool:
        return bool(self.adds or self.drops)


def merge_sets(
    rule: FieldRule,
    ours: Mapping[bytes, Element],
    theirs: Mapping[bytes, Element],
    old_local: frozenset[bytes],
    old_remote: frozenset[bytes],
) -> tuple[SetChange, SetChange]:
    """What the local and the remote side should gain and lose, as the directions allow."""
    added_local = {e.remote for e in ours.values() if e.local not in old_local}
    added_remote = {e.local for e in theirs.values() if e.remote not in old_remote}
    gone_local = old_local - ours.keys()
    gone_remote = old_remote - theirs.keys()
    to_local = SetChange(
        tuple(e for e in theirs.values() if e.remote not in old_remote and e.local not in ours),
        frozenset(e.local for e in ours.values() if e.remote in gone_remote and e.remote not in added_local),
    )
    to_remote = SetChange(
        tuple(e for e in ours.values() if e.local not in old_local and e.remote not in theirs),
        frozenset(e.remote for e in theirs.values() if e.local in gone_local and e.local not in added_remote),
    )
    return _enforced(rule, Side.LOCAL, to_local, theirs, ours), _enforced(rule, Side.REMOTE, to_remote, ours, theirs)


_NOTHING = SetChange((), frozenset())


def _enforced(
    rule: FieldRule, target: Side, change: SetChange, source: Mapping[bytes, Element], held: Mapping[bytes, Element]
) -> SetChange:
    enforcement, reverse = (rule.from_crm, rule.to_crm) if target is Side.LOCAL else (rule.to_crm, rule.from_crm)
    if enforcement is Enforcement.MIRROR and reverse is Enforcement.OFF:
        return _alike(target, source, held)
    return _allowed(enforcement, change, held)


def _allowed(enforcement: Enforcement, change: SetChange, held: Mapping[bytes, Element]) -> SetChange:
    if enforcement is Enforcement.FILL_BLANK and held:
        return _NOTHING
    if enforcement in (Enforcement.OFF, Enforcement.CREATE_ONLY):
        return _NOTHING
    return change


def _alike(target: Side, source: Mapping[bytes, Element], held: Mapping[bytes, Element]) -> SetChange:
    """What makes a side hold what the other one does."""
    wanted = {e.local if target is Side.LOCAL else e.remote: e for e in source.values()}
    return SetChange(
        tuple(e for digest, e in wanted.items() if digest not in held), frozenset(held.keys() - wanted.keys())
    )


def merge_set_field(
    rule: FieldRule,
    digester: Digester,
    ours: object,
    theirs: object,
    old_local: FieldDigest | None,
    old_remote: FieldDigest | None,
) -> FieldDecision | None:
    """The decision on a set-valued field of a pair; None if nobody changed what was acknowledged by these digests."""
    held_local = local_elements(rule, digester, ours)
    held_remote = remote_elements(rule, digester, theirs)
    known = isinstance(old_local, frozenset) and isinstance(old_remote, frozenset)
    if known and held_local.keys() == old_local and held_remote.keys() == old_remote:
        return None
    before_local = old_local if known and isinstance(old_local, frozenset) else frozenset[bytes]()
    before_remote = old_remote if known and isinstance(old_remote, frozenset) else frozenset[bytes]()
    changes = merge_sets(rule, held_local, held_remote, before_local, before_remote)
    return _decision(rule, (ours, theirs), (held_local, held_remote), changes, (held_remote, held_local))


def decided_set(
    rule: FieldRule, digester: Digester, ours: object, theirs: object, winner: Side | None, value: object
) -> FieldDecision:
    """What a person decided on a set-valued field: its owned elements are to be the winner's, or those of a value."""
    held_local = local_elements(rule, digester, ours)
    held_remote = remote_elements(rule, digester, theirs)
    from_local, from_remote = held_local, held_remote
    if winner is None:
        from_local = local_elements(rule, digester, value)
        from_remote = remote_elements(rule, digester, rule.to_remote(value).value)
    to_local, to_remote = _NOTHING, _NOTHING
    if winner is not Side.LOCAL:
        to_local = _allowed(rule.from_crm, _alike(Side.LOCAL, from_remote, held_local), held_local)
    if winner is not Side.REMOTE:
        to_remote = _allowed(rule.to_crm, _alike(Side.REMOTE, from_local, held_remote), held_remote)
    held, sources = (held_local, held_remote), (from_remote, from_local)
    decision = _decision(rule, (ours, theirs), held, (to_local, to_remote), sources)
    if decision.hold or decision.local_write is decision.remote_write is MISSING:
        return decision
    return attrs.evolve(decision, conflict=ConflictNote(rule, OSCILLATION, ours, theirs, winner=winner))


def _decision(
    rule: FieldRule,
    values: tuple[object, object],
    held: tuple[Mapping[bytes, Element], Mapping[bytes, Element]],
    changes: tuple[SetChange, SetChange],
    sources: tuple[Mapping[bytes, Element], Mapping[bytes, Element]],
) -> FieldDecision:
    """The writes that change both sides, the local one first; ``sources`` is what each of them is to get."""
    to_local, to_remote = changes
    if rule.on_blank is OnBlank.KEEP:
        to_local = to_local if sources[0] else attrs.evolve(to_local, drops=frozenset())
        to_remote = to_remote if sources[1] else attrs.evolve(to_remote, drops=frozenset())
    rejected = next((e for c in (to_local, to_remote) for e in c.adds if e.converted.rejected), None)
    if rejected is not None:
        return held_back(rule, rejected.converted)
    local = _applied(rule, Side.LOCAL, values[0], to_local, held[0])
    remote = _applied(rule, Side.REMOTE, values[1], to_remote, held[1])
    problem = _too_long(rule, rule.local, local, rule.room_local) or _too_long(
        rule, rule.remote, remote, rule.room_remote
    )
    if problem is not None:
        return FieldDecision(rule, hold=True, problem=problem)
    return FieldDecision(rule, local_write=local, remote_write=remote)


def _applied(rule: FieldRule, side: Side, value: object, change: SetChange, held: Mapping[bytes, Element]) -> object:
    """The side's value after a change, in its own form; MISSING when nothing changes."""
    if not change:
        return MISSING
    split = rule.elements_local if side is Side.LOCAL else rule.elements_remote
    dropped = {str(held[digest].value) for digest in change.drops}
    kept = [item for item in split(value) if str(item) not in dropped]
    added = [item for element in change.adds for item in split(element.converted.value)]
    join = rule.join_local if side is Side.LOCAL else rule.join_remote
    return join((*kept, *added))


def _too_long(rule: FieldRule, name: str, value: object, room: int | None) -> Problem | None:
    """A set that fits element by element may be too long as a whole; none of them is dropped for it."""
    if value is MISSING or not room:
        return None
    length = len(value) if isinstance(value, str) else sum(len(str(each)) + 1 for each in elements_of(value)) - 1
    if length <= room:
        return None
    message = f"{length} characters in all, {name} holds {room}"
    return Problem(rule.local, LossKind.TRUNCATED.value, message, "take elements away, or give the field more room")
