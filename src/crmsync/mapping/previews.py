"""Records through compiled mappings, field by field, with the reason wherever a value is not simply written.

A record is looked at as if it alone had changed: what both sides changed is settled by policies, and not shown here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs

from crmsync.models.history import MASK
from crmsync.models.mappings import Enforcement, OnBlank
from crmsync.models.previews import FieldDifference, FieldFate, FieldPreview, RecordDifference, RecordPreview
from crmsync.models.records import MISSING, Fields, Record, Side
from crmsync.protocols.conversion import Conversion, Expansion, FieldRule, Normaliser, RecordRule

_BLANKS: Final[tuple[object, ...]] = (None, frozenset[object]())


def preview_record(
    rule: RecordRule, object_name: str, local: Record | None, remote: Record | None, *, linked: bool = True
) -> RecordPreview:
    """A record both ways. Where one side has none, the way back starts from what the other's becomes.

    One of the two is given. ``linked`` False: two that are given meet for the first time.
    """
    theirs = remote.fields if remote is not None else None
    if local is not None:
        met = remote is not None and not linked
        there = _steps(rule, local.fields, Side.REMOTE, theirs, met=met)
        back = _steps(rule, theirs if theirs is not None else _writes(there), Side.LOCAL, local.fields, met=met)
        first = there
    else:
        back = _steps(rule, theirs or {}, Side.LOCAL, None)
        there = _steps(rule, _writes(back), Side.REMOTE, theirs)
        first = back
    return RecordPreview(
        object_name,
        local.id if local is not None else None,
        remote.id if remote is not None else None,
        to_crm=tuple(step.shown() for step in there),
        to_local=tuple(step.shown() for step in back),
        round_trip=local is None or remote is None,
        rejected=any(step.whole_record for step in first),
    )


def compare_record(
    old: RecordRule, new: RecordRule, side: Side, record: Record, held: Fields | None
) -> RecordDifference | None:
    """What two mappings make of a record of the other side, where it is not the same."""
    before, after = (
        {step.target: step for step in _steps(rule, record.fields, side, held) if step.fate is not FieldFate.NOT_SHOWN}
        for rule in (old, new)
    )
    found = tuple(_differences(before, after))
    return RecordDifference(side, record.id, found) if found else None


def _differences(before: Mapping[str, _Step], after: Mapping[str, _Step]) -> Iterator[FieldDifference]:
    for name in sorted({*before, *after}):
        was, now = before.get(name), after.get(name)
        if was is not None and now is not None and _outcome(was, now.normal) == _outcome(now, now.normal):
            continue
        if _idle(was) and _idle(now):
            continue
        told = [("", "it is not mapped") if one is None else one.told() for one in (was, now)]
        yield FieldDifference(name, told[0][0], told[1][0], told[0][1], told[1][1])


def _outcome(step: _Step, normal: Normaliser) -> object:
    """What a field comes to: a value as it is compared, or that it is left as it is."""
    if step.fate in (FieldFate.WRITTEN, FieldFate.SAME):
        return normal(step.converted)
    return FieldFate.REJECTED if step.fate is FieldFate.REJECTED else FieldFate.KEPT


def _idle(step: _Step | None) -> bool:
    """Whether nothing is written, or only a blank where there is one."""
    return step is None or step.fate in (FieldFate.OFF, FieldFate.KEPT) or step.normal(step.converted) in _BLANKS


@attrs.frozen(slots=True)
class _Step:
    """One field on its way, with its values as they are."""

    source: str
    target: str
    fate: FieldFate
    value: object
    converted: object
    held: object
    why: str
    losses: tuple[str, ...]
    sensitive: bool
    whole_record: bool
    normal: Normaliser
    """Of the target."""

    def shown(self) -> FieldPreview:
        """The step as users see it."""
        value, converted, held = (self._open(each) for each in (self.value, self.converted, self.held))
        return FieldPreview(self.source, self.target, self.fate, value, converted, held, self.why, self.losses)

    def told(self) -> tuple[object, str]:
        """What is written, or why nothing is."""
        if self.fate in (FieldFate.WRITTEN, FieldFate.SAME):
            return self._open(self.converted), ""
        return None, self.why or str(self.fate)

    def _open(self, value: object) -> object:
        if value is MISSING or value is None:
            return None
        return MASK if self.sensitive else value


def _steps(rule: RecordRule, fields: Fields, side: Side, held: Fields | None, *, met: bool = False) -> list[_Step]:
    source, target = rule.computed.get(side.other), rule.computed.get(side)
    failures: Mapping[str, str] = {}
    if source is not None:
        fields, failures = source.worked_out(fields)
    shown = target.worked_out(held)[0] if target is not None and held is not None else held
    steps = [_Way(each, side, met).step(fields, shown, failures) for each in rule.rules]
    if target is not None:
        refused = target.expand(_writes(steps), held).refused
        steps = [
            attrs.evolve(step, fate=FieldFate.REJECTED, why=refused[step.target]) if step.target in refused else step
            for step in steps
        ]
    return _checked(rule, steps, held) if side is Side.LOCAL else steps


def _writes(steps: Sequence[_Step]) -> dict[str, object]:
    """The record that is made of these steps, as far as something is written."""
    return {step.target: step.converted for step in steps if step.fate is FieldFate.WRITTEN}


def _checked(rule: RecordRule, steps: list[_Step], held: Fields | None) -> list[_Step]:
    """The steps with what the local side's own rules refuse; each rule is asked of the whole record, once."""
    writes = _writes(steps)
    if rule.validation is None or (held is not None and not writes):
        return steps
    computed = rule.computed.get(Side.LOCAL)
    expansion = computed.expand(writes, held) if computed is not None else Expansion(writes)
    after: Fields = {**(held or {}), **expansion.fields}
    after = computed.attach(after) if computed is not None else after
    touched = None if held is None else {*writes, *expansion.fields}
    for failure in rule.validation.failures(after, touched):
        names = {*failure.fields, *(expansion.origins[name] for name in failure.fields if name in expansion.origins)}
        why, whole = failure.problem.message, failure.rejects_record
        steps = [
            attrs.evolve(step, fate=FieldFate.REJECTED, why=why, whole_record=whole)
            if step.target in names and step.fate is FieldFate.WRITTEN
            else step
            for step in steps
        ]
    return steps


@attrs.frozen(slots=True)
class _Way:
    """One rule in one direction; ``side`` is the side written. ``met``: two records meet for the first time."""

    rule: FieldRule
    side: Side
    met: bool

    def step(self, fields: Fields, held: Fields | None, failures: Mapping[str, str]) -> _Step:
        """What becomes of one record's field."""
        rule, remote = self.rule, self.side is Side.REMOTE
        source, target = (rule.local, rule.remote) if remote else (rule.remote, rule.local)
        there, here = (rule.normal_local, rule.normal_remote) if remote else (rule.normal_remote, rule.normal_local)
        value = fields.get(source, MISSING)
        blank = value is MISSING or there(value) in _BLANKS
        given = rule.default if blank and self._takes_default(held) else value
        conversion = (rule.to_remote if remote else rule.to_local)(given)
        before = MISSING if held is None else held.get(target, MISSING)
        fate, why = self._fate(value, conversion, before, here, creates=held is None)
        if source in failures:
            fate, why = FieldFate.REJECTED, failures[source]
        elif given is not value and fate is FieldFate.WRITTEN:
            why = "the source is blank: the default is written"
        return _Step(
            source,
            target,
            fate,
            value,
            conversion.value,
            before,
            why,
            tuple(f"{loss.kind}: {loss.message}" for loss in conversion.losses),
            rule.sensitive,
            conversion.rejected and conversion.whole_record,
            here,
        )

    def _takes_default(self, held: Fields | None) -> bool:
        return self.rule.default is not None and (held is None or self.rule.on_blank is OnBlank.DEFAULT)

    def _fate(
        self, value: object, conversion: Conversion, held: object, normal: Normaliser, *, creates: bool
    ) -> tuple[FieldFate, str]:
        rule = self.rule
        enforcement = rule.to_crm if self.side is Side.REMOTE else rule.from_crm
        if enforcement is Enforcement.OFF:
            return FieldFate.OFF, "nothing is synced in this direction"
        if conversion.rejected:
            return FieldFate.REJECTED, "; ".join(loss.message for loss in conversion.losses)
        if value is MISSING and conversion.value is MISSING and not (creates and rule.required):
            return FieldFate.NOT_SHOWN, "the source does not show the field"
        made, there = (None if each is MISSING else normal(each) for each in (conversion.value, held))
        if made in _BLANKS and rule.required:
            return FieldFate.REJECTED, "it must not be blank"
        if not creates and made == there:
            return FieldFate.SAME, ""
        if not creates and there not in _BLANKS:
            if made in _BLANKS and rule.on_blank is OnBlank.KEEP:
                return FieldFate.KEPT, "a blank does not clear it"
            if made in _BLANKS and self.met and enforcement is not Enforcement.MIRROR:
                return FieldFate.KEPT, "where two records meet for the first time a blank clears nothing"
            if enforcement is Enforcement.FILL_BLANK:
                return FieldFate.KEPT, "only blanks are filled"
        if not creates and enforcement is Enforcement.CREATE_ONLY:
            return FieldFate.KEPT, "it is only written when a record is created"
        return FieldFate.WRITTEN, ""
