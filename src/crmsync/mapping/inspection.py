"""A mapping looked at as a whole: every finding at once, what is covered, and the mapping with what would mend it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from crmsync.mapping.advice import advise
from crmsync.mapping.comparing import TextForm
from crmsync.mapping.compiler import CustomPolicy, by_field, examine
from crmsync.mapping.drafts import Draft
from crmsync.mapping.findings import MappingCode
from crmsync.mapping.virtual import inputs_of
from crmsync.models.checks import (
    Coverage,
    CoveredField,
    FieldUse,
    Fix,
    MappingCheck,
    MappingFinding,
    MappingProblem,
    Severity,
)
from crmsync.models.mappings import Enforcement, FieldMapping, ObjectMapping
from crmsync.models.problems import Problem
from crmsync.models.records import Side
from crmsync.models.schema import FieldSchema, ObjectSchema

_NO_CUSTOM: Final[Mapping[str, CustomPolicy]] = MappingProxyType({})
_NO_FORMS: Final[Mapping[str, TextForm]] = MappingProxyType({})


def check_mapping(
    mapping: ObjectMapping,
    local: ObjectSchema,
    remote: ObjectSchema,
    *,
    custom: Mapping[str, CustomPolicy] = _NO_CUSTOM,
    normalisers: Mapping[str, TextForm] = _NO_FORMS,
) -> MappingCheck:
    """Everything that can be known of a mapping before a record is read. Raises nothing; see `compile_mapping`."""
    seen = examine(mapping, local, remote, custom=custom, normalisers=normalisers)
    for draft in seen.drafts:
        advise(draft, seen.findings)
    if all((draft.to_crm, draft.from_crm) == (Enforcement.OFF, Enforcement.OFF) for draft in seen.drafts):
        seen.findings.warn("fields", MappingCode.NOTHING_MAPPED, "no value flows in any direction", "map a field")
    kinds = {
        Severity.ERROR: seen.findings.faults,
        Severity.WARNING: seen.findings.warnings,
        Severity.INFO: seen.findings.advice,
    }
    found = ((problem, severity) for severity, problems in kinds.items() for problem in problems)
    return MappingCheck(
        object_name=remote.name,
        findings=tuple(finding_of(*each) for each in sorted(found, key=lambda each: by_field(each[0]))),
        coverage=(
            _coverage(Side.LOCAL, local, seen.drafts, mapping),
            _coverage(Side.REMOTE, remote, seen.drafts, mapping),
        ),
    )


def finding_of(problem: Problem, severity: Severity) -> MappingFinding:
    """A problem as users hold it."""
    return MappingFinding(
        path=problem.path,
        code=str(problem.code),
        severity=severity,
        message=problem.message,
        remedy=problem.remedy,
        fix=problem.fix if isinstance(problem, MappingProblem) else None,
    )


def fixed(mapping: ObjectMapping, fixes: Iterable[Fix]) -> ObjectMapping:
    """The mapping with these fixes carried out, each once and in order. The same place twice: the last one counts.

    :raises ValueError: a fix is none of this mapping's.
    """
    fields = [field.model_dump() for field in mapping.fields]
    rest = mapping.model_dump(exclude={"fields"})
    added: list[FieldMapping] = []
    for fix in fixes:
        if fix.index is not None and fix.index >= len(fields):
            msg = f"the mapping has no field mapping {fix.index}"
            raise ValueError(msg)
        _set(rest if fix.index is None else fields[fix.index], fix.settings)
        added += [field for field in fix.add if field not in added]
    return ObjectMapping.model_validate({**rest, "fields": [*fields, *(field.model_dump() for field in added)]})


def _set(settings: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """None leaves a setting to its default."""
    for name, value in changes.items():
        if value is None:
            settings.pop(name, None)
        else:
            settings[name] = value


def _coverage(side: Side, schema: ObjectSchema, drafts: Sequence[Draft], mapping: ObjectMapping) -> Coverage:
    match = mapping.match
    keys = {match.local_email, match.local_remote_id} if side is Side.LOCAL else {match.remote_email}
    flowing: dict[str, bool] = {}
    for draft in drafts:
        flows = (draft.to_crm, draft.from_crm) != (Enforcement.OFF, Enforcement.OFF)
        for name in inputs_of(draft.local if side is Side.LOCAL else draft.remote):
            flowing[name] = flowing.get(name, False) or flows

    def use(name: str) -> FieldUse:
        if name in flowing:
            return FieldUse.MAPPED if flowing[name] else FieldUse.OFF
        return FieldUse.MATCHED if name in keys else FieldUse.UNMAPPED

    fields = tuple(
        CoveredField(
            name=field.name,
            label=field.label,
            type=field.type,
            use=use(field.name),
            required=field.needed,
            writable=field.createable or field.updateable,
            custom=field.custom,
        )
        for field in (*schema.fields, *_unlisted(side, schema, drafts))
    )
    return Coverage(side=side, object_name=schema.name, open=schema.open, fields=fields)


def _unlisted(side: Side, schema: ObjectSchema, drafts: Sequence[Draft]) -> Iterator[FieldSchema]:
    """Fields that an open side takes without listing them."""
    if schema.open:
        ends = {end.name: end for draft in drafts for end in [draft.local if side is Side.LOCAL else draft.remote]}
        listed = (name for end in ends.values() for name in inputs_of(end) if schema.field(name) is None)
        yield from (ends.get(name) or FieldSchema(name=name) for name in dict.fromkeys(listed))
