"""What a mapping that works may still do to values: cut, round, refuse, or bring back changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import attrs

from crmsync.mapping.drafts import Draft
from crmsync.mapping.findings import Findings, MappingCode
from crmsync.mapping.fitting import NUMBERS
from crmsync.mapping.options import options_of
from crmsync.mapping.pairs import Fit, fit_of
from crmsync.models.checks import Fix
from crmsync.models.mappings import Enforcement, OnLoss
from crmsync.models.records import Side
from crmsync.models.schema import FieldSchema, FieldType

_SIZED: Final = frozenset(
    {FieldType.TEXT, FieldType.EMAIL, FieldType.PHONE, FieldType.URL, FieldType.MULTI_PICKLIST, FieldType.TAGS}
)
_ANY_TEXT: Final = frozenset({FieldType.PHONE, FieldType.URL})
"""Types that take any text as it is."""

_NAMED: Final = 5


@attrs.frozen(slots=True)
class _Way:
    """One direction in which values of a field mapping flow."""

    draft: Draft
    source: FieldSchema
    target: FieldSchema
    side: Side
    """The side written."""

    @property
    def end(self) -> str:
        return self.draft.path("crm_field" if self.side is Side.REMOTE else "markmail_field")


def advise(draft: Draft, findings: Findings) -> None:
    """Look at the directions of one field mapping in which values flow."""
    if not draft.known:
        return
    if draft.remote.type is FieldType.ENCRYPTED and (draft.from_crm, draft.to_crm) != (Enforcement.OFF,) * 2:
        message = (
            f"{draft.remote.name!r} is encrypted: as long as it is masked for the connected user, nothing is synced"
        )
        remedy = "give the user the permission to view encrypted data, if they have not got it"
        findings.advise(draft.path("crm_field"), MappingCode.MAY_BE_MASKED, message, remedy)
    losing = False
    for way in _ways(draft):
        losing |= _sizes(way, findings) | _types(way, findings)
        _options(way, findings)
        _unique(way, findings)
        _blanks(way, findings)
    if losing and draft.two_way and draft.mapping.on_loss in (OnLoss.REPORT, OnLoss.ACCEPT):
        message = "a value that loses something on its way cannot come back as it was, and both sides may be edited"
        remedy = 'set on_loss = "reject_field", or sync this field one way'
        fix = Fix(index=draft.index, settings={"on_loss": OnLoss.REJECT_FIELD.value})
        findings.warn(draft.path("on_loss"), MappingCode.NOT_INVERTIBLE, message, remedy, fix)


def _ways(draft: Draft) -> Iterator[_Way]:
    if draft.to_crm is not Enforcement.OFF:
        yield _Way(draft, draft.local, draft.remote, Side.REMOTE)
    if draft.from_crm is not Enforcement.OFF:
        yield _Way(draft, draft.remote, draft.local, Side.LOCAL)


def _sizes(way: _Way, findings: Findings) -> bool:
    source, target = way.source, way.target
    found = False
    if {source.type, target.type} <= _SIZED and source.length and target.length and source.length > target.length:
        message = f"{source.name!r} holds {source.length} characters, {target.name!r} {target.length}"
        findings.warn(way.end, MappingCode.SHORTER, message, _FATE[way.draft.mapping.on_loss])
        found = True
    if {source.type, target.type} <= NUMBERS and _finer(source, target):
        message = f"{source.name!r} holds {_digits(source)}, {target.name!r} {_digits(target)}"
        findings.warn(way.end, MappingCode.LESS_PRECISE, message, _FATE[way.draft.mapping.on_loss])
        found = True
    return found


_FATE: Final[Mapping[OnLoss, str]] = {
    OnLoss.REJECT_FIELD: "values that do not fit are rejected and reported; give the field more room, or set on_loss",
    OnLoss.REJECT_RECORD: "records with values that do not fit are rejected; give the field more room, or set on_loss",
    OnLoss.REPORT: "values that do not fit are written as far as they fit, and reported; give the field more room",
    OnLoss.ACCEPT: "values that do not fit are written as far as they fit; give the field more room",
}


def _finer(source: FieldSchema, target: FieldSchema) -> bool:
    finer = target.scale is not None and _after_point(source) > _after_point(target)
    return finer or bool(target.precision and _before_point(source) > _before_point(target))


def _after_point(field: FieldSchema) -> int:
    """The digits after the point that a field is sure to hold."""
    return 0 if field.type is FieldType.INTEGER else field.scale or 0


def _before_point(field: FieldSchema) -> int:
    return (field.precision or 0) - _after_point(field) if field.precision else 0


def _digits(field: FieldSchema) -> str:
    after = _after_point(field)
    whole = f"{_before_point(field)} digits before and " if field.precision else ""
    return f"{whole}{after} after the point"


def _types(way: _Way, findings: Findings) -> bool:
    kind, source, target = way.draft.kind, way.source, way.target
    if Fit.LOSSY not in (fit_of(source.type, kind), fit_of(kind, target.type)):
        return False
    text = source.type is FieldType.TEXT
    if text and target.type in _ANY_TEXT:
        return False
    message = f"not every {source.type} of {source.name!r} can stand as {target.type} in {target.name!r}"
    # A text holds anything: that is why it is read as what the other side means, and no news.
    report = findings.advise if text else findings.warn
    report(way.end, MappingCode.LOSSY_TYPES, message, "values that cannot are rejected and reported, as on_loss says")
    return not text


def _options(way: _Way, findings: Findings) -> None:
    source, target, mapping = way.source, way.target, way.draft.mapping
    options = options_of(target, mapping)
    if options is None:
        return
    names = mapping.value_map
    if way.side is Side.LOCAL:
        names = {**{theirs: ours for ours, theirs in names.items()}, **mapping.crm_value_map}
    lacking = [option for option in source.options if options.chosen(names.get(option, option), []) is None]
    if not lacking:
        return
    shown = ", ".join(map(repr, lacking[:_NAMED])) + (f" and {len(lacking) - _NAMED} more" if lacking[_NAMED:] else "")
    message = f"{target.name!r} has no option for {shown} of {source.name!r}"
    remedy = "add the options there, or name them in the value_map: until then such values are rejected"
    findings.warn(way.draft.path("value_map"), MappingCode.OPTIONS_DIFFER, message, remedy, _paired(way, lacking))


def _paired(way: _Way, lacking: list[str]) -> Fix | None:
    """A value map for the options that the other side spells in another case."""
    spelled: dict[str, str] = {}
    for option in way.target.options:
        spelled.setdefault(option.strip().casefold(), option)
    pairs = {option: spelled[key] for option in lacking if (key := option.strip().casefold()) in spelled}
    if way.side is Side.LOCAL:
        pairs = {ours: theirs for theirs, ours in pairs.items()}
    names = {**way.draft.mapping.value_map, **pairs}
    if not pairs or len(set(names.values())) < len(names):
        return None
    return Fix(index=way.draft.index, settings={"value_map": names})


def _unique(way: _Way, findings: Findings) -> None:
    if not way.target.unique or way.source.unique:
        return
    message = f"no two records may have the same {way.target.name!r}; {way.source.name!r} does not promise that"
    remedy = "the second record with a value is rejected; make the source unique, or map another field"
    findings.advise(way.end, MappingCode.NOT_UNIQUE, message, remedy)


def _blanks(way: _Way, findings: Findings) -> None:
    target, mapping = way.target, way.draft.mapping
    given = mapping.required or mapping.default is not None
    if target.nillable or given or target.type is FieldType.BOOLEAN or not way.source.nillable:
        return
    message = f"{target.name!r} must not be blank, {way.source.name!r} may be"
    remedy = "set required = true, or give a default"
    fix = Fix(index=way.draft.index, settings={"required": True})
    findings.warn(way.end, MappingCode.BLANK_REFUSED, message, remedy, fix)
