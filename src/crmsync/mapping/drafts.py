"""A field mapping on its way to a rule: its two fields, what its values mean, and which way they flow."""

from __future__ import annotations

from typing import Final

import attrs

from crmsync.mapping.findings import Findings, MappingCode, closest, only_name_like
from crmsync.mapping.manner import Manner
from crmsync.mapping.pairs import meaning_of
from crmsync.mapping.virtual import ComputedSchema
from crmsync.mapping.zones import find_zone
from crmsync.models.checks import Fix
from crmsync.models.mappings import ConflictPolicy, Enforcement, FieldMapping, ObjectMapping, SyncDirection
from crmsync.models.records import Side
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema


@attrs.frozen(slots=True)
class Draft:
    """``local`` and ``remote`` are stand-ins of the meant type where an open side does not list the field.

    ``known`` False: a side has no such field, so nothing more can be said about it.
    """

    index: int
    mapping: FieldMapping
    local: FieldSchema
    remote: FieldSchema
    kind: FieldType
    to_crm: Enforcement
    from_crm: Enforcement
    policy: ConflictPolicy
    known: bool

    @property
    def two_way(self) -> bool:
        """Whether values flow both ways."""
        return self.to_crm is not Enforcement.OFF and self.from_crm is not Enforcement.OFF

    @property
    def sensitive(self) -> bool:
        """Whether values are kept nowhere: the mapping says so, or a side encrypts them."""
        return self.mapping.sensitive or FieldType.ENCRYPTED in (self.kind, self.local.type, self.remote.type)

    def manner(self, side: Side) -> Manner:
        """How the values of one side's field are meant: what its side says of it, else what the mapping says."""
        field, mapping = (self.local, self.mapping) if side is Side.LOCAL else (self.remote, self.mapping)
        unit = mapping.unit if side is Side.LOCAL else mapping.crm_unit
        return Manner(
            separator=mapping.separator if field.separator is None else field.separator,
            zone=find_zone(mapping.zone) if mapping.zone else None,
            unit=unit or field.unit,
            currency=mapping.currency,
        )

    def path(self, part: str) -> str:
        """Where a part of this field mapping stands."""
        return f"fields[{self.index}].{part}"


def draft(
    index: int,
    field: FieldMapping,
    mapping: ObjectMapping,
    sides: tuple[ObjectSchema, ObjectSchema],
    findings: Findings,
) -> Draft:
    """Look up a field mapping's fields and settle its type, directions and policy."""
    local = _find(index, "markmail_field", field.markmail_field, sides[0], findings)
    remote = _find(index, "crm_field", field.crm_field, sides[1], findings)
    known = (local is not None or sides[0].open) and (remote is not None or sides[1].open)
    kind = meaning_of(field.field_type, local, remote)
    local = local or FieldSchema(name=field.markmail_field, type=kind)
    remote = remote or FieldSchema(name=field.crm_field, type=kind)
    default = ConflictPolicy.SET_MERGE if kind.set_valued else mapping.policy
    return Draft(
        index=index,
        mapping=field,
        local=local,
        remote=remote,
        kind=kind,
        to_crm=_Flow(index, field, local, remote, Side.REMOTE, creates=mapping.create_in_crm).settle(findings),
        from_crm=_Flow(index, field, remote, local, Side.LOCAL, creates=mapping.create_in_local).settle(findings),
        policy=field.policy or default,
        known=known,
    )


def _find(index: int, part: str, name: str, schema: ObjectSchema, findings: Findings) -> FieldSchema | None:
    field = schema.field(name)
    if field is None and not schema.open:
        names = [each.name for each in schema.fields]
        meant = only_name_like(name, names)
        fix = Fix(index=index, settings={part: meant}) if meant else None
        message = f"{schema.name} has no field {name!r}"
        findings.fault(f"fields[{index}].{part}", MappingCode.UNKNOWN_FIELD, message, closest(name, names), fix)
    return field


@attrs.frozen(slots=True)
class _Flow:
    """One direction of a field mapping. ``side`` is the side written, ``creates`` whether records are created there."""

    index: int
    mapping: FieldMapping
    source: FieldSchema
    target: FieldSchema
    side: Side
    creates: bool

    def settle(self, findings: Findings) -> Enforcement:
        """The enforcement that direction and permissions leave."""
        declared = self.mapping.to_crm if self.side is Side.REMOTE else self.mapping.from_crm
        against = SyncDirection.FROM_CRM if self.side is Side.REMOTE else SyncDirection.TO_CRM
        allowed = self.mapping.sync_direction is not against
        enforcement = declared or (Enforcement.PROPAGATE if allowed else Enforcement.OFF)
        if enforcement is Enforcement.OFF:
            return enforcement
        if not allowed:
            message = f"{enforcement} contradicts sync_direction {self.mapping.sync_direction}"
            remedy = 'set sync_direction = "bidirectional", or leave the enforcement out'
            fix = self._fix(**{self._direction: None})
            findings.fault(self._path, MappingCode.ENFORCEMENT_CONTRADICTS_DIRECTION, message, remedy, fix)
            return Enforcement.OFF
        return self._permitted(enforcement, findings)

    @property
    def _direction(self) -> str:
        return "to_crm" if self.side is Side.REMOTE else "from_crm"

    @property
    def _path(self) -> str:
        return f"fields[{self.index}].{self._direction}"

    def _fix(self, **settings: object) -> Fix:
        return Fix(index=self.index, settings=settings)

    def _end(self, side: Side) -> str:
        return f"fields[{self.index}].{'crm_field' if side is Side.REMOTE else 'markmail_field'}"

    def _permitted(self, enforcement: Enforcement, findings: Findings) -> Enforcement:
        source, target = self.source, self.target
        if _hidden(source) or _hidden(target):
            if _hidden(source) or self._writes_only:
                name = source.name if _hidden(source) else target.name
                message = f"{name!r} is hidden from the connected user: it is not synced"
                remedy = "give the connected user permission to read and edit the field, or unmap it"
                side = self.side.other if _hidden(source) else self.side
                findings.warn(self._end(side), MappingCode.UNREADABLE, message, remedy)
            return Enforcement.OFF
        if isinstance(target, ComputedSchema) and target.obstacle:
            message = f"{target.name!r} is computed and cannot be written: {target.obstacle}"
            only = SyncDirection.FROM_CRM if self.side is Side.REMOTE else SyncDirection.TO_CRM
            remedy = f'give it an inverse, or set sync_direction = "{only}"'
            one_way = self._fix(sync_direction=only.value)
            findings.fault(self._end(self.side), MappingCode.NO_INVERSE, message, remedy, one_way)
            return Enforcement.OFF
        if not target.createable and not target.updateable:
            message = f"{target.name!r} cannot be written"
            other = self._other_way()
            remedy = f'set sync_direction = "{other}"' if other else _CANNOT_EDIT
            fix = self._fix(sync_direction=other.value) if other else None
            findings.fault(self._end(self.side), MappingCode.NOT_WRITABLE, message, remedy, fix)
            return Enforcement.OFF
        if not source.readable:
            message = f"{source.name!r} cannot be read, so it is not synced from there"
            remedy = "give the connected user permission to read the field, or unmap it"
            findings.warn(self._end(self.side.other), MappingCode.UNREADABLE, message, remedy)
            return Enforcement.OFF
        if not target.readable and self._writes_only:
            message = f"{target.name!r} can be written but not read: edits there go unnoticed"
            remedy = "give the connected user permission to read the field"
            findings.warn(self._end(self.side), MappingCode.UNREADABLE, message, remedy)
        return self._updatable(enforcement, findings)

    @property
    def _writes_only(self) -> bool:
        # A two-way mapping hears of an unreadable field once, from the direction that reads it.
        return self.mapping.sync_direction is not SyncDirection.BIDIRECTIONAL

    def _updatable(self, enforcement: Enforcement, findings: Findings) -> Enforcement:
        target, path = self.target, self._end(self.side)
        if not target.updateable and enforcement is not Enforcement.CREATE_ONLY:
            message = f"{target.name!r} can only be given when a record is created; later changes are not written"
            fix = self._fix(**{self._direction: Enforcement.CREATE_ONLY.value})
            findings.warn(path, MappingCode.CREATE_ONLY, message, f'say {self._direction} = "create_only"', fix)
            return Enforcement.CREATE_ONLY
        if not target.createable and self.creates:
            message = f"{target.name!r} cannot be given when a record is created, only later"
            if enforcement is Enforcement.CREATE_ONLY:
                findings.fault(path, MappingCode.NOT_WRITABLE, message, "use another enforcement than create_only")
                return Enforcement.OFF
            remedy = "creates that carry it may be refused; ask the administrator for permission to create the field"
            findings.warn(path, MappingCode.NOT_CREATEABLE, message, remedy)
        return enforcement

    def _other_way(self) -> SyncDirection | None:
        """The direction that is left of a two-way mapping."""
        if self.mapping.sync_direction is SyncDirection.BIDIRECTIONAL and (
            self.source.createable or self.source.updateable
        ):
            return SyncDirection.FROM_CRM if self.side is Side.REMOTE else SyncDirection.TO_CRM
        return None


_CANNOT_EDIT: Final = "map another field, or give the connected user permission to edit this one"


def _hidden(field: FieldSchema) -> bool:
    """Whether the field is there, and the user may do nothing with it."""
    return not (field.readable or field.createable or field.updateable)
