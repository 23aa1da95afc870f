"""What the CRM's administrator changed under a mapping, and how a run goes on without the fields concerned.

A CRM that hides a field and one that deleted it say the same: the field is not in the description. So a field that is
gone is treated as a hidden one: what both sides hold stays, its shadows stay, and when it is back everything is
compared anew. Only fields of the CRM are treated so, and never one that records are told by.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

import attrs

from crmsync.errors import MappingError
from crmsync.mapping.comparing import TextForm
from crmsync.mapping.compiler import CustomPolicy, compile_mapping
from crmsync.mapping.findings import MappingCode, only_name_like
from crmsync.mapping.pairs import Fit, fit_of
from crmsync.mapping.virtual import inputs_named
from crmsync.models.checks import Fix, MappingFinding, SchemaMemory, Severity
from crmsync.models.mappings import ObjectMapping
from crmsync.models.problems import Problem
from crmsync.models.records import Side
from crmsync.models.schema import FieldSchema, ObjectSchema
from crmsync.protocols.conversion import RecordRule

_NAMED: Final = 5
_NO_FORMS: Final[Mapping[str, TextForm]] = MappingProxyType({})

_BY_VALUE: Final = frozenset(
    {MappingCode.UNKNOWN_OPTION, MappingCode.DEFAULT_UNUSABLE, MappingCode.REQUIRED_NOT_COVERED}
)
"""Faults that hinder single values or creates, which are then rejected by themselves with the reason."""


def mapping_digest(mapping: ObjectMapping) -> str:
    """What tells one mapping from another, whatever the sides look like."""
    return _digest(mapping.model_dump(mode="json"))


def kept_for(memory: SchemaMemory | None, mapping: ObjectMapping) -> SchemaMemory | None:
    """What was kept, if it was kept for this mapping."""
    return memory if memory is not None and memory.mapping == mapping_digest(mapping) else None


def remember(
    mapping: ObjectMapping, remote: ObjectSchema, before: SchemaMemory | None, *, key: str, now: datetime
) -> SchemaMemory:
    """What to keep of the CRM's description. Fields with which something is wrong stay as they were while all was well.

    ``key`` is the digest of the mapping as it is stored; ``mapping`` may be cut to what both sides have. The answer is
    ``before`` itself, if nothing changed.
    """
    found = schema_drift(mapping, remote, before)
    names = _names(mapping, remote)
    now_there = {name: field for name in names if (field := remote.field(name)) is not None}
    kept = dict(now_there)
    if before is not None:
        wrong = {_name_of(finding, mapping) for finding in found}
        kept = {
            name: field
            for name in {*names, *(each.name for each in before.fields)}
            if (field := before.field(name) if name in wrong else now_there.get(name)) is not None
        }
    digest = _digest([field.model_dump(mode="json") for _, field in sorted(now_there.items())])
    memory = SchemaMemory(
        mapping=key,
        digest=digest,
        seen_at=now,
        fields=tuple(kept[name] for name in sorted(kept)),
        required=_required(remote) if before is None or not _newly_required(remote, before) else before.required,
        names=tuple(sorted(field.name for field in remote.fields)),
        drift=found,
    )
    if before is not None and memory.model_copy(update={"seen_at": before.seen_at, "names": before.names}) == before:
        return before
    # The names of the time when all was well tell a renamed field from one that was always there.
    return memory.model_copy(update={"names": before.names}) if before is not None and found else memory


def schema_drift(
    mapping: ObjectMapping, remote: ObjectSchema, before: SchemaMemory | None
) -> tuple[MappingFinding, ...]:
    """What the CRM's administrator broke of a mapping since; nothing without a memory."""
    if before is None:
        return ()
    found: list[MappingFinding] = []
    for name, path, index in _places(mapping):
        was = before.field(name)
        if was is not None:
            found += _Comparison(path, index, was, remote.field(name), remote, before).findings()
    mapped = {field.crm_field for field in mapping.fields}
    for name in (each for each in _newly_required(remote, before) if each not in mapped):
        message = f"{remote.name} now needs {name!r} to create a record"
        found.append(_finding("fields", MappingCode.NOW_REQUIRED, message, "map it, or give it a default in the CRM"))
    return tuple(found)


def compile_in_spite(
    mapping: ObjectMapping,
    sides: tuple[ObjectSchema, ObjectSchema],
    before: SchemaMemory | None,
    *,
    custom: Mapping[str, CustomPolicy],
    normalisers: Mapping[str, TextForm] = _NO_FORMS,
) -> RecordRule:
    """Compile a mapping; fields that the CRM's administrator broke since are left out, and a warning says why.

    :raises MappingError: it has faults that no change of the CRM's schema explains, or records cannot be told any more.
    """
    local, remote = sides
    found = schema_drift(mapping, remote, before)
    if not found or before is None:
        return compile_mapping(mapping, local, remote, custom=custom, normalisers=normalisers)
    broken = {_name_of(finding, mapping) for finding in found} - {
        mapping.match.remote_email,
        mapping.remote_archive_field,
    }
    known = tuple(field for field in before.fields if field.name in broken)
    tolerated = _tolerated(found)
    suspended = tuple(field for field in known if remote.field(field.name) is None)
    try:
        rule = compile_mapping(
            mapping, local, standing_in(remote, suspended), custom=custom, normalisers=normalisers, tolerated=tolerated
        )
    except MappingError as error:
        at_fault = {_crm_field(problem, mapping) for problem in error.problems if not tolerated(problem)}
        suspended = (*suspended, *(field for field in known if field.name in at_fault))
        rule = compile_mapping(
            mapping, local, standing_in(remote, suspended), custom=custom, normalisers=normalisers, tolerated=tolerated
        )
    without = {field.name for field in suspended}
    return attrs.evolve(
        rule,
        warnings=(
            *(Problem(one.path, one.code, one.message, one.remedy) for one in found),
            *(each for each in rule.warnings if _crm_field(each, mapping) not in without and not tolerated(each)),
        ),
        suspended=tuple(sorted(without)),
    )


def standing_in(remote: ObjectSchema, suspended: Iterable[FieldSchema]) -> ObjectSchema:
    """A description in which these fields are there as they were, and hidden."""
    closed = {"readable": False, "createable": False, "updateable": False, "required": False}
    hidden = {field.name: field.model_copy(update=closed) for field in suspended}
    others = tuple(field for field in remote.fields if field.name not in hidden)
    return remote.model_copy(update={"fields": (*others, *hidden.values())})


def with_lost_fields(remote: ObjectSchema, before: SchemaMemory | None) -> ObjectSchema:
    """A description that still lists what is gone, so that a mapping cut to what both sides have keeps it."""
    gone = [field for field in before.fields if remote.field(field.name) is None] if before and not remote.open else []
    return standing_in(remote, gone)


@attrs.frozen(slots=True)
class _Comparison:
    """One field as it was, and as it is."""

    path: str
    index: int | None
    was: FieldSchema
    now: FieldSchema | None
    remote: ObjectSchema
    before: SchemaMemory

    def findings(self) -> Iterator[MappingFinding]:
        """Everything that became worse."""
        if self.now is None:
            if not self.remote.open:
                yield self._gone()
            return
        yield from self._changed(self.was, self.now)

    def _gone(self) -> MappingFinding:
        new = [field for field in self.remote.fields if field.name not in self.before.names]
        labelled = [field.name for field in new if field.label and field.label == self.was.label]
        alike = [field.name for field in new if field.type is self.was.type]
        name = labelled[0] if len(labelled) == 1 else only_name_like(self.was.name, alike)
        if name is None:
            message = f"{self.remote.name} has no field {self.was.name!r} any more, or hides it from the connected user"
            remedy = "give the connected user permission to see it, or unmap it: until then it is not synced"
            return _finding(self.path, MappingCode.FIELD_GONE, message, remedy)
        message = f"{self.was.name!r} is gone, and {name!r} is new: it seems to be renamed"
        fix = Fix(index=self.index, settings={"crm_field": name}) if self.index is not None else None
        remedy = f"map {name!r} instead: until then the field is not synced"
        return _finding(self.path, MappingCode.FIELD_RENAMED, message, remedy, fix)

    def _changed(self, was: FieldSchema, now: FieldSchema) -> Iterator[MappingFinding]:
        name = repr(was.name)
        if now.type is not was.type:
            refused = Fit.REFUSED in (fit_of(was.type, now.type), fit_of(now.type, was.type))
            message = f"{name} was {was.type} and is {now.type} now{'' if refused else '; values are converted'}"
            yield _finding(self.path, MappingCode.TYPE_CHANGED, message, "look whether the mapping still fits")
        if now.length and (was.length is None or now.length < was.length):
            message = f"{name} holds {now.length} characters now, {was.length or 'any number'} before"
            yield _finding(self.path, MappingCode.LENGTH_SHRUNK, message, "longer values are rejected from now on")
        if _less(was.scale, now.scale) or _less(was.precision, now.precision):
            message = f"{name} holds fewer digits than before"
            yield _finding(self.path, MappingCode.SCALE_SHRUNK, message, "finer values are rejected from now on")
        yield from self._options(was, now)
        lost = [power for power in ("readable", "createable", "updateable") if _lost(was, now, power)]
        if lost:
            message = f"the connected user lost a permission on {name}: it is not {', not '.join(lost)} any more"
            remedy = "give the permission back, or sync the field one way"
            yield _finding(self.path, MappingCode.PERMISSION_LOST, message, remedy)
        if now.unique and not was.unique:
            message = f"no two records may have the same {name} any more"
            yield _finding(self.path, MappingCode.NOW_UNIQUE, message, "the second record with a value is rejected")

    def _options(self, was: FieldSchema, now: FieldSchema) -> Iterator[MappingFinding]:
        if not now.restricted or not now.options:
            return
        removed = [option for option in was.options if option not in now.options]
        if not removed and was.restricted:
            return
        shown = ", ".join(map(repr, removed[:_NAMED])) + (
            f" and {len(removed) - _NAMED} more" if removed[_NAMED:] else ""
        )
        message = (
            f"{was.name!r} has no option {shown} any more" if removed else f"{was.name!r} takes only its options now"
        )
        remedy = "name other options in the value_map; until then such values are rejected"
        yield _finding(self.path, MappingCode.OPTIONS_REMOVED, message, remedy)


def _less(was: int | None, now: int | None) -> bool:
    return now is not None and was is not None and now < was


def _lost(was: FieldSchema, now: FieldSchema, power: str) -> bool:
    return bool(getattr(was, power)) and not getattr(now, power)


def _finding(path: str, code: MappingCode, message: str, remedy: str, fix: Fix | None = None) -> MappingFinding:
    return MappingFinding(
        path=path, code=code.value, severity=Severity.WARNING, message=message, remedy=remedy, fix=fix
    )


def _tolerated(found: Iterable[MappingFinding]) -> Callable[[Problem], bool]:
    """Faults that only concern single values, where the CRM's schema is to blame for them."""
    paths = {finding.path for finding in found}
    blamed = {path.rpartition(".")[0] for path in paths if "." in path}

    def tolerated(fault: Problem) -> bool:
        return fault.code in _BY_VALUE and (fault.path in paths or fault.path.rpartition(".")[0] in blamed)

    return tolerated


def _places(mapping: ObjectMapping) -> Iterator[tuple[str, str, int | None]]:
    """The CRM's fields that a mapping relies on, where it names them."""
    for index, field in enumerate(mapping.fields):
        yield field.crm_field, f"fields[{index}].crm_field", index
    mapped = {field.crm_field for field in mapping.fields}
    for path, name in (
        ("match.remote_email", mapping.match.remote_email),
        ("remote_archive_field", mapping.remote_archive_field),
    ):
        if name and name not in mapped:
            yield name, path, None
    for name, path in inputs_named(mapping, Side.REMOTE):
        if name not in mapped:
            yield name, path, None


def _names(mapping: ObjectMapping, remote: ObjectSchema) -> set[str]:
    return {name for name, _, _ in _places(mapping) if remote.field(name) is not None}


def _name_of(finding: MappingFinding, mapping: ObjectMapping) -> str:
    """The CRM's field that a finding of `schema_drift` is about; empty if it is about the object."""
    return next((name for name, path, _ in _places(mapping) if path == finding.path), "")


def _crm_field(problem: Problem, mapping: ObjectMapping) -> str:
    """The CRM's field of the field mapping that a problem is about; empty if it is about none."""
    at = problem.path.partition(".")[0]
    return next((field.crm_field for index, field in enumerate(mapping.fields) if at == f"fields[{index}]"), "")


def _required(remote: ObjectSchema) -> tuple[str, ...]:
    return tuple(sorted(field.name for field in remote.fields if field.needed))


def _newly_required(remote: ObjectSchema, before: SchemaMemory) -> list[str]:
    return [name for name in _required(remote) if name not in before.required]


def _digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
