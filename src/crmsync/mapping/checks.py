"""What can be known to be wrong with a mapping before any record is read, field by field and as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from crmsync.mapping.drafts import Draft
from crmsync.mapping.findings import Findings, MappingCode, closest, only_name_like
from crmsync.mapping.pairs import Fit, fit_of
from crmsync.mapping.virtual import ComputedSchema, targets_of
from crmsync.models.checks import Fix
from crmsync.models.mappings import (
    ConflictPolicy,
    DeletePolicy,
    Enforcement,
    FieldMapping,
    ObjectMapping,
    SyncDirection,
    two_way,
)
from crmsync.models.records import Side
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema

_UNORDERED: Final = frozenset({FieldType.BOOLEAN, FieldType.JSON, FieldType.MULTI_PICKLIST, FieldType.TAGS})


def check_field(draft: Draft, custom: Iterable[str], findings: Findings) -> None:
    """Everything that one field mapping and its two fields show."""
    _check_policy(draft, custom, findings)
    if draft.known:
        _check_types(draft, findings)
        _check_separator(draft, findings)
    _check_value_map(draft, findings)
    if draft.mapping.namespace:
        _check_namespace(draft, findings)


def _check_namespace(draft: Draft, findings: Findings) -> None:
    path = draft.path("namespace")
    if not draft.kind.set_valued:
        message = f"a namespace means nothing for a {draft.kind} field"
        fix = Fix(index=draft.index, settings={"namespace": None})
        findings.warn(path, MappingCode.NAMESPACE_UNUSED, message, "leave it out", fix)
    elif draft.policy is not ConflictPolicy.SET_MERGE:
        message = f"under policy {draft.policy} the set is written as a whole, with the elements outside the namespace"
        fix = Fix(index=draft.index, settings={"policy": None})
        findings.warn(path, MappingCode.NAMESPACE_UNUSED, message, "leave the policy out: it is then set_merge", fix)


def _check_policy(draft: Draft, custom: Iterable[str], findings: Findings) -> None:
    policy, kind = draft.policy, draft.kind
    path = draft.path("policy")
    if policy is ConflictPolicy.CUSTOM and draft.mapping.markmail_field not in custom:
        message = "policy custom without a function"
        remedy = (
            f"pass custom={{{draft.mapping.markmail_field!r}: function}} to compile_mapping, or choose another policy"
        )
        findings.fault(path, MappingCode.CUSTOM_MISSING, message, remedy)
    unfit = {
        ConflictPolicy.SET_MERGE: not kind.set_valued,
        ConflictPolicy.MOST_RESTRICTIVE: kind is not FieldType.BOOLEAN,
        ConflictPolicy.MAX: kind in _UNORDERED,
        ConflictPolicy.MIN: kind in _UNORDERED,
    }
    remedies = {
        ConflictPolicy.SET_MERGE: 'set field_type = "tags", or choose another policy',
        ConflictPolicy.MOST_RESTRICTIVE: 'set field_type = "boolean", or choose another policy',
    }
    if unfit.get(policy, False):
        remedy = remedies.get(policy, "choose another policy for this field")
        message = f"policy {policy} does not fit a {kind} field"
        findings.fault(
            path, MappingCode.POLICY_UNFIT, message, remedy, Fix(index=draft.index, settings={"policy": None})
        )


def _check_types(draft: Draft, findings: Findings) -> None:
    routes = {
        (draft.local.type, draft.remote.type): draft.to_crm,
        (draft.remote.type, draft.local.type): draft.from_crm,
    }
    for (source, target), enforcement in routes.items():
        if enforcement is Enforcement.OFF:
            continue
        if Fit.REFUSED in (fit_of(source, draft.kind), fit_of(draft.kind, target)):
            message = f"{draft.local.name!r} is {draft.local.type}, {draft.remote.name!r} is {draft.remote.type}"
            if draft.kind not in (source, target):
                message += f", field_type is {draft.kind}"
            remedy = "map fields of types that can stand for each other, or declare another field_type"
            findings.fault(draft.path("field_type"), MappingCode.INCOMPATIBLE_TYPES, message, remedy)
            return


def _check_separator(draft: Draft, findings: Findings) -> None:
    if not draft.kind.set_valued:
        return
    for field in (draft.local, draft.remote):
        as_text = not field.type.set_valued or field.separator is not None
        if as_text and not (draft.mapping.separator if field.separator is None else field.separator):
            message = f"{field.name!r} holds a set as one text and no separator is given"
            fix = Fix(index=draft.index, settings={"separator": ";"})
            findings.fault(draft.path("separator"), MappingCode.NO_SEPARATOR, message, 'set separator = ";"', fix)


def _check_value_map(draft: Draft, findings: Findings) -> None:
    names, path = draft.mapping.value_map, draft.path("value_map")
    if draft.two_way and len(set(names.values())) < len(names):
        shared = sorted(name for name in set(names.values()) if list(names.values()).count(name) > 1)
        message = f"two local values share the CRM value {', '.join(map(repr, shared))}: which one would it become?"
        remedy = "map each to a value of its own, or sync this field one way"
        fix = Fix(index=draft.index, settings={"sync_direction": SyncDirection.TO_CRM.value})
        findings.fault(path, MappingCode.VALUE_MAP_NOT_ONE_TO_ONE, message, remedy, fix)
    if draft.to_crm is not Enforcement.OFF:
        _check_options(draft, draft.remote, names.values(), findings)
    if draft.from_crm is not Enforcement.OFF:
        _check_options(draft, draft.local, names, findings)


def _check_options(draft: Draft, field: FieldSchema, names: Iterable[str], findings: Findings) -> None:
    if not field.restricted or not field.options:
        return
    for name in sorted(set(names) - set(field.options)):
        message = f"{field.name!r} has no option {name!r}"
        fix = _renamed(draft, name, only_name_like(name, field.options))
        findings.fault(draft.path("value_map"), MappingCode.UNKNOWN_OPTION, message, closest(name, field.options), fix)


def _renamed(draft: Draft, wrong: str, right: str | None) -> Fix | None:
    """The value map with one of its names spelt as its field spells it."""
    if right is None:
        return None
    names = {right if a == wrong else a: right if b == wrong else b for a, b in draft.mapping.value_map.items()}
    return Fix(index=draft.index, settings={"value_map": names})


def check_duplicates(drafts: Sequence[Draft], findings: Findings) -> None:
    """No field is written by two field mappings."""
    for side in (Side.REMOTE, Side.LOCAL):
        seen: dict[str, int] = {}
        for draft in drafts:
            flows = draft.to_crm if side is Side.REMOTE else draft.from_crm
            if flows is Enforcement.OFF:
                continue
            part = "crm_field" if side is Side.REMOTE else "markmail_field"
            field = draft.remote if side is Side.REMOTE else draft.local
            for name in targets_of(field):
                first = seen.setdefault(name, draft.index)
                if first == draft.index or _shared(name, field, drafts[first], side):
                    continue
                message = f"{name!r} is already written by fields[{first}]"
                other = "from_crm" if side is Side.REMOTE else "to_crm"
                remedy = f'remove one of the two, or set sync_direction = "{other}" on one'
                findings.fault(draft.path(part), MappingCode.DUPLICATE_TARGET, message, remedy)
                break


def _shared(name: str, field: FieldSchema, other: Draft, side: Side) -> bool:
    """Whether two computed fields each change a part of a field and leave the rest to the other."""
    ends = (field, other.remote if side is Side.REMOTE else other.local)
    parts = all(isinstance(each, ComputedSchema) and name in each.shared for each in ends)
    return parts and ends[0].name != ends[1].name


def check_match(mapping: ObjectMapping, local: ObjectSchema, remote: ObjectSchema, findings: Findings) -> None:
    """The fields by which unlinked records find each other exist and can be read."""
    match = mapping.match
    _check_readable("match.local_email", match.local_email, local, findings)
    _check_readable("match.remote_email", match.remote_email, remote, findings)
    _check_readable("match.local_remote_id", match.local_remote_id, local, findings)
    if bool(match.local_email) != bool(match.remote_email):
        path = "match.remote_email" if match.local_email else "match.local_email"
        remedy = "name the e-mail field of both sides, or leave both empty to switch e-mail matching off"
        off = match.model_copy(update={"local_email": "", "remote_email": ""})
        fix = Fix(settings={"match": off.model_dump(mode="json")})
        findings.fault(path, MappingCode.MATCH_INCOMPLETE, "only one side's e-mail field is named", remedy, fix)


def _check_readable(path: str, name: str, schema: ObjectSchema, findings: Findings) -> None:
    field = schema.field(name)
    if not name or (field is None and schema.open):
        return
    if field is None:
        remedy = f"{closest(name, (each.name for each in schema.fields))}; an empty name switches this off"
        findings.fault(path, MappingCode.UNKNOWN_FIELD, f"{schema.name} has no field {name!r}", remedy)
    elif not field.readable:
        remedy = "give the connected user permission to read it; an empty name switches this off"
        findings.fault(path, MappingCode.UNREADABLE, f"{name!r} cannot be read", remedy)


def check_archive(mapping: ObjectMapping, local: ObjectSchema, remote: ObjectSchema, findings: Findings) -> None:
    """A side whose deletes archive has a field to say so in."""
    ends: Mapping[str, tuple[str, DeletePolicy, ObjectSchema]] = {
        "remote_archive_field": (mapping.remote_archive_field, mapping.delete_in_crm, remote),
        "local_archive_field": (mapping.local_archive_field, mapping.delete_in_local, local),
    }
    for path, (name, policy, schema) in ends.items():
        if policy is not DeletePolicy.ARCHIVE:
            continue
        field = schema.field(name)
        names = (each.name for each in schema.fields if each.type is FieldType.BOOLEAN and each.updateable)
        if not name:
            message = "deletes are to archive, and no field is named for it"
            findings.fault(
                path, MappingCode.ARCHIVE_FIELD_MISSING, message, f"name a true-or-false field of {schema.name}"
            )
        elif field is None and not schema.open:
            findings.fault(
                path, MappingCode.UNKNOWN_FIELD, f"{schema.name} has no field {name!r}", closest(name, names)
            )
        elif field is not None and not field.updateable:
            findings.fault(path, MappingCode.NOT_WRITABLE, f"{name!r} cannot be written", closest(name, names))


def check_required(
    drafts: Sequence[Draft],
    mapping: ObjectMapping,
    sides: tuple[ObjectSchema, ObjectSchema],
    side: Side,
    findings: Findings,
) -> None:
    """Fields without which no record can be created are written by some field mapping."""
    remote = side is Side.REMOTE
    other, schema = sides if remote else reversed(sides)
    if not (mapping.create_in_crm if remote else mapping.create_in_local):
        return
    flowing = (draft for draft in drafts if (draft.to_crm if remote else draft.from_crm) is not Enforcement.OFF)
    written = {name for draft in flowing for name in targets_of(draft.remote if remote else draft.local)}
    switch = "create_in_crm" if remote else "create_in_local"
    for field in schema.fields:
        if not field.needed or field.name in written:
            continue
        message = f"{schema.name} needs {field.name!r} to create a record, and nothing writes it"
        report = findings.warn if field.nillable else findings.fault
        proposed = _covering(field, other, mapping, remote=remote)
        fix = Fix(add=(proposed,)) if proposed is not None else Fix(settings={switch: False})
        report("fields", MappingCode.REQUIRED_NOT_COVERED, message, f"map it, or set {switch} = false", fix)


def _covering(needed: FieldSchema, other: ObjectSchema, mapping: ObjectMapping, *, remote: bool) -> FieldMapping | None:
    """A field mapping that writes a field which nothing writes, from the one of the other side that is called like it.

    One way, if that is all there is to it; None also where either of them is mapped already.
    """
    source = other.field(only_name_like(needed.name, (each.name for each in other.fields if each.readable)) or "")
    if source is None or Fit.REFUSED in (fit_of(source.type, needed.type), fit_of(needed.type, source.type)):
        return None
    ends = (source.name, needed.name) if remote else (needed.name, source.name)
    if any(ends[0] == each.markmail_field or ends[1] == each.crm_field for each in mapping.fields):
        return None
    back = needed.readable and source.createable and source.updateable
    one_way = SyncDirection.TO_CRM if remote else SyncDirection.FROM_CRM
    direction = SyncDirection.BIDIRECTIONAL if back else one_way
    return two_way(*ends, required=True, sync_direction=direction)
