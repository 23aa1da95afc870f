"""What a check of a mapping finds: problems with what would mend them, what is covered, what the CRM changed."""

from __future__ import annotations

import enum
from typing import Any

import attrs
from pydantic import AwareDatetime, Field

from crmsync.models.mappings import FieldMapping
from crmsync.models.problems import Problem
from crmsync.models.records import Side
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema, PublicModel


class Severity(enum.StrEnum):
    """How much a finding hinders a sync."""

    ERROR = "error"
    """The mapping is refused."""
    WARNING = "warning"
    """It works, and less well than its author may think."""
    INFO = "info"
    """Good to know."""


@attrs.frozen(slots=True)
class ObjectDescription:
    """One of the CRM's objects, and what of an integration's settings its runs may work better with."""

    schema: ObjectSchema
    warnings: tuple[Problem, ...] = ()


class Fix(PublicModel):
    """A change of the mapping that mends a finding.

    ``settings`` replace those of the field mapping at ``index``, or of the object where ``index`` is None. ``add`` are
    field mappings that are lacking. See `crmsync.mapping.fixed`, which carries it out.
    """

    index: int | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    add: tuple[FieldMapping, ...] = ()


@attrs.frozen(slots=True)
class MappingProblem(Problem):
    """A fault or a warning of a mapping. ``fix`` None: a person must decide."""

    fix: Fix | None = None


class MappingFinding(PublicModel):
    """One thing that a check found.

    ``path`` says where (``fields[3].crm_field``), ``code`` is stable (`crmsync.mapping.MappingCode`). ``message`` holds
    no record's value. ``fix`` None: there is no change that a program could make.
    """

    path: str
    code: str
    severity: Severity
    message: str
    remedy: str = ""
    fix: Fix | None = None


class FieldUse(enum.StrEnum):
    """What a mapping does with a field."""

    MAPPED = "mapped"
    """Values flow to or from it."""
    OFF = "off"
    """It is mapped, and nothing flows: by the mapping, or because it is hidden."""
    MATCHED = "matched"
    """Records are told by it, and it is not mapped."""
    UNMAPPED = "unmapped"


class CoveredField(PublicModel):
    """A field of a side, and what the mapping does with it. ``required``: no record is created without it."""

    name: str
    label: str = ""
    type: FieldType = FieldType.TEXT
    use: FieldUse
    required: bool = False
    writable: bool = True
    custom: bool = False


class Coverage(PublicModel):
    """How far a mapping covers a side. ``open``: the side takes more fields than it lists."""

    side: Side
    object_name: str
    open: bool = False
    fields: tuple[CoveredField, ...] = ()

    def names(self, use: FieldUse) -> tuple[str, ...]:
        """The fields with this use."""
        return tuple(field.name for field in self.fields if field.use is use)

    @property
    def missing(self) -> tuple[str, ...]:
        """Fields that a create needs and that nothing writes."""
        return tuple(field.name for field in self.fields if field.required and field.use is not FieldUse.MAPPED)


class MappingCheck(PublicModel):
    """Everything that is known of a mapping before a record is read.

    ``findings`` are in order of the field mappings, errors, warnings and notes together. ``drift`` are those of them
    that came from a change of the CRM's schema since the last run.
    """

    object_name: str
    findings: tuple[MappingFinding, ...] = ()
    drift: tuple[MappingFinding, ...] = ()
    coverage: tuple[Coverage, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether a sync would accept the mapping."""
        return not self.of(Severity.ERROR)

    def of(self, severity: Severity) -> tuple[MappingFinding, ...]:
        """The findings of this severity."""
        return tuple(finding for finding in self.findings if finding.severity is severity)


class SchemaMemory(PublicModel):
    """What the CRM said of an object's mapped fields when all was well with them.

    ``mapping`` is a digest of the mapping that it was kept for: under another one it says nothing. ``digest`` is that
    of the description at ``seen_at``. ``names`` are all fields that the object had. ``drift`` is what was wrong then.
    """

    mapping: str
    digest: str
    seen_at: AwareDatetime
    fields: tuple[FieldSchema, ...] = ()
    required: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    drift: tuple[MappingFinding, ...] = ()

    def field(self, name: str) -> FieldSchema | None:
        """The field of this exact name, or None."""
        return next((field for field in self.fields if field.name == name), None)
