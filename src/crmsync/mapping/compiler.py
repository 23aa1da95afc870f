"""From field mappings and two schemas to compiled rules, or to everything that is wrong with them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias

import attrs

from crmsync.errors import MappingError
from crmsync.mapping import checks
from crmsync.mapping.codecs import Route, ValueMap, converter_of
from crmsync.mapping.comparing import TEXT_FORMS, TextForm, comparing
from crmsync.mapping.directives import check_directives
from crmsync.mapping.drafts import Draft, draft
from crmsync.mapping.engine import whole_converter
from crmsync.mapping.findings import Findings, MappingCode
from crmsync.mapping.fitting import second_unit
from crmsync.mapping.normal import Likeness, normaliser_of, set_reader
from crmsync.mapping.options import options_of
from crmsync.mapping.setting_checks import check_settings
from crmsync.mapping.validating import LocalRules, add_validation
from crmsync.mapping.version import mapping_version
from crmsync.mapping.virtual import Virtual, add_computed, inputs_of, targets_of
from crmsync.models.mappings import ConflictPolicy, Enforcement, FieldMapping, MatchKeys, ObjectMapping
from crmsync.models.problems import Problem
from crmsync.models.records import Side
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.protocols.conversion import FieldRule, Normaliser, RecordRule

CustomPolicy: TypeAlias = Callable[[object, object], object]
"""A pure function of policy ``custom``: (local value, remote value in the local form) to the value both should hold."""

_FIELD_INDEX: Final = re.compile(r"fields\[([0-9]+)\]")
_NO_CUSTOM: Final[Mapping[str, CustomPolicy]] = MappingProxyType({})
_NO_FORMS: Final[Mapping[str, TextForm]] = MappingProxyType({})


def _nothing(_fault: Problem) -> bool:
    return False


def compile_mapping(
    mapping: ObjectMapping,
    local: ObjectSchema,
    remote: ObjectSchema,
    *,
    custom: Mapping[str, CustomPolicy] = _NO_CUSTOM,
    normalisers: Mapping[str, TextForm] = _NO_FORMS,
    tolerated: Callable[[Problem], bool] = _nothing,
) -> RecordRule:
    """Check a mapping against both sides and compile it. Rules are in order of their local names.

    ``custom`` holds the functions of policy ``custom`` by local field name, ``normalisers`` those of ``normalise`` by
    their own. A field mapping's ``field_type`` of text
    takes the type of the CRM's field, or else of the local one (see `crmsync.mapping.pairs.meaning_of`). A scale of a
    date-time or time field counts the digits after its seconds. Faults that are ``tolerated`` become warnings: the
    rules are good all the same, and single values will be rejected for them.

    :raises MappingError: with every fault there is, each with its path, a stable code (`MappingCode`, and
        `ExpressionCode` of computed fields) and a remedy.
    :raises MissingExtraError: it has computed fields, and the packages that read expressions are not installed.
    """
    seen = examine(mapping, local, remote, custom=custom, normalisers=normalisers)
    drafts, findings = seen.drafts, seen.findings
    faults = [fault for fault in findings.faults if not tolerated(fault)]
    if faults:
        raise MappingError(sorted(faults, key=by_field))
    return RecordRule(
        rules=tuple(sorted(seen.rules, key=lambda rule: (rule.local, rule.remote))),
        version=mapping_version(
            mapping,
            ((each.mapping, each.local, each.remote) for each in drafts),
            {**custom, **normalisers},
            seen.virtual.inputs(),
        ),
        match=mapping.match,
        local_fields=_read(drafts, Side.LOCAL, mapping.match, seen.validation.reads if seen.validation else ()),
        remote_fields=_read(drafts, Side.REMOTE, mapping.match),
        warnings=(*findings.warnings, *findings.faults),
        computed=seen.virtual.sides,
        validation=seen.validation,
        whole=whole_converter,
    )


@attrs.frozen(slots=True)
class Examination:
    """Everything that a mapping and two schemas tell. With ``findings.faults`` the rules are not to be used."""

    drafts: Sequence[Draft]
    rules: Sequence[FieldRule]
    findings: Findings
    virtual: Virtual
    validation: LocalRules | None


def examine(
    mapping: ObjectMapping,
    local: ObjectSchema,
    remote: ObjectSchema,
    *,
    custom: Mapping[str, CustomPolicy] = _NO_CUSTOM,
    normalisers: Mapping[str, TextForm] = _NO_FORMS,
) -> Examination:
    """Check a mapping against both sides, as far as it can be checked."""
    findings = Findings()
    forms = {**TEXT_FORMS, **normalisers}
    virtual = add_computed(mapping, local, remote, findings)
    local, remote = virtual.local, virtual.remote
    drafts = [draft(index, field, mapping, (local, remote), findings) for index, field in enumerate(mapping.fields)]
    for each in drafts:
        checks.check_field(each, custom, findings)
        check_settings(each, findings)
        check_directives(each, forms, findings)
    checks.check_duplicates(drafts, findings)
    checks.check_match(mapping, local, remote, findings)
    checks.check_archive(mapping, local, remote, findings)
    checks.check_required(drafts, mapping, (local, remote), Side.REMOTE, findings)
    checks.check_required(drafts, mapping, (local, remote), Side.LOCAL, findings)
    _check_custom(drafts, custom, findings)
    rules = [_rule(each, custom, forms) for each in drafts]
    _check_defaults(drafts, rules, findings)
    validation = add_validation(mapping, local, findings)
    _check_validation(mapping, drafts, findings)
    return Examination(drafts, rules, findings, virtual, validation)


def by_field(problem: Problem) -> tuple[int, str]:
    """Field mappings in their order, then what concerns all of them."""
    match = _FIELD_INDEX.match(problem.path)
    return (int(match[1]), "") if match else (sys.maxsize, problem.path)


def _rule(draft: Draft, custom: Mapping[str, CustomPolicy], forms: Mapping[str, TextForm]) -> FieldRule:
    mapping = draft.mapping
    outward, inward = _value_maps(mapping, two_way=draft.two_way)
    here, beyond = draft.manner(Side.LOCAL), draft.manner(Side.REMOTE)
    local, remote, kind = draft.local, draft.remote, draft.kind
    there = Route(local, remote, kind, here, beyond, outward, options=options_of(remote, mapping))
    back = Route(remote, local, kind, beyond, here, inward, names_first=True, options=options_of(local, mapping))
    by_custom = draft.policy is ConflictPolicy.CUSTOM
    asked = [forms[name] for name in mapping.normalise if name in forms]
    return FieldRule(
        local=draft.local.name,
        remote=draft.remote.name,
        to_crm=draft.to_crm,
        from_crm=draft.from_crm,
        policy=draft.policy,
        tie=mapping.tie,
        set_valued=draft.kind.set_valued,
        to_remote=converter_of(there, mapping.on_loss, sensitive=draft.sensitive),
        to_local=converter_of(back, mapping.on_loss, sensitive=draft.sensitive),
        normal_local=comparing(_normaliser(draft, Side.LOCAL, named=False), asked),
        normal_remote=comparing(
            _normaliser(draft, Side.REMOTE, named=bool(mapping.value_map or mapping.crm_value_map)), asked
        ),
        owns=_namespace(mapping.namespace),
        on_loss=mapping.on_loss,
        required=mapping.required,
        default=mapping.default,
        restrictive=mapping.restrictive,
        custom=custom.get(mapping.markmail_field) if by_custom else None,
        elements_local=set_reader(here.separator),
        elements_remote=set_reader(beyond.separator),
        join_local=_joiner(draft.local, here.separator),
        join_remote=_joiner(draft.remote, beyond.separator),
        room_local=_room(draft.local),
        room_remote=_room(draft.remote),
        on_blank=mapping.blank,
        sensitive=draft.sensitive,
        references=mapping.references if draft.kind in (FieldType.REFERENCE, FieldType.ID) else "",
    )


def _value_maps(mapping: FieldMapping, *, two_way: bool) -> tuple[ValueMap | None, ValueMap | None]:
    names = dict(mapping.value_map)
    inverse: dict[str, str] = {}
    for local, remote in names.items():
        inverse.setdefault(remote, local)
    inverse |= mapping.crm_value_map
    if mapping.case_fold:
        names = {name.casefold(): renamed for name, renamed in names.items()}
        inverse = {name.casefold(): renamed for name, renamed in inverse.items()}
    closed = (frozenset(inverse), frozenset(names)) if two_way else (frozenset[str](), frozenset[str]())
    outward = ValueMap(names, closed[0], mapping.case_fold) if names else None
    return outward, ValueMap(inverse, closed[1], mapping.case_fold) if inverse else None


def _joiner(field: FieldSchema, separator: str) -> Callable[[tuple[object, ...]], object]:
    """Makes a side's value of elements that were taken from that side or converted to it, and so fit it one by one."""
    if field.type.set_valued and field.separator is None:
        return tuple
    return lambda elements: separator.join(map(str, elements))


def _room(field: FieldSchema) -> int | None:
    """How long the elements of a set may be together, where the field's length says so."""
    return field.length if field.type is not FieldType.TAGS or field.separator is not None else None


def _normaliser(draft: Draft, side: Side, *, named: bool) -> Normaliser:
    field = draft.local if side is Side.LOCAL else draft.remote
    # A text field is compared as what it means, unless a value map gave its texts names that have no such meaning.
    carries = field.type is FieldType.TEXT or (field.type is FieldType.JSON and draft.kind.compound)
    meant = draft.kind if carries and (not named or draft.kind.set_valued) else field.type
    clocks = (each for each in (draft.local, draft.remote) if each.type in (FieldType.DATETIME, FieldType.TIME))
    unit = max(map(second_unit, clocks), default=1)
    likeness = Likeness(draft.manner(side), unit, draft.mapping.region, draft.mapping.case_fold)
    return normaliser_of(meant, field, likeness)


def _namespace(prefix: str) -> Callable[[str], bool]:
    return lambda element: element.startswith(prefix)


def _read(drafts: Iterable[Draft], side: Side, match: MatchKeys, judged: Iterable[str] = ()) -> tuple[str, ...]:
    """The fields to ask a side for: those that flow, as far as it shows them, that records match by, and ``judged``."""
    ends = ((each, each.local if side is Side.LOCAL else each.remote) for each in drafts)
    flowing = {
        name
        for each, field in ends
        if field.readable and (each.to_crm, each.from_crm) != (Enforcement.OFF,) * 2
        for name in inputs_of(field)
    }
    keys = (match.local_email, match.local_remote_id) if side is Side.LOCAL else (match.remote_email,)
    return tuple(sorted(flowing | {key for key in keys if key} | set(judged)))


def _check_validation(mapping: ObjectMapping, drafts: Sequence[Draft], findings: Findings) -> None:
    flowing = (draft.local for draft in drafts if draft.from_crm is not Enforcement.OFF)
    written = {name for field in flowing for name in (field.name, *targets_of(field))}
    for place, rule in enumerate(mapping.validation):
        if rule.field and rule.field not in written and not rule.condition:
            message = f"nothing is written to {rule.field!r}"
            remedy = "map it from the CRM, or remove the rule"
            findings.warn(f"validation[{place}].field", MappingCode.RULE_UNUSED, message, remedy)


def _check_custom(drafts: Sequence[Draft], custom: Iterable[str], findings: Findings) -> None:
    used = {each.mapping.markmail_field for each in drafts if each.policy is ConflictPolicy.CUSTOM}
    for name in sorted(set(custom) - used):
        message = f"the custom function for {name!r} is never called"
        findings.warn("custom", MappingCode.CUSTOM_UNUSED, message, 'set policy = "custom" on that field mapping')


def _check_defaults(drafts: Sequence[Draft], rules: Sequence[FieldRule], findings: Findings) -> None:
    for each, rule in zip(drafts, rules, strict=True):
        if each.mapping.default is None or not each.known or each.to_crm is Enforcement.OFF:
            continue
        conversion = rule.to_remote(each.mapping.default)
        if conversion.rejected:
            message = f"the default cannot be written to {rule.remote!r}: {conversion.losses[0].message}"
            remedy = "give a default in the local field's form that the CRM's field can hold"
            findings.fault(each.path("default"), MappingCode.DEFAULT_UNUSABLE, message, remedy)
