"""Contacts against the records of a store: who is meant, what is to be written, and what came of it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import attrs
from pydantic import ValidationError

from crmsync.errors import (
    ConversionError,
    CRMError,
    ProviderError,
    RecordError,
    TransientError,
)
from crmsync.models.contacts import CRMContact
from crmsync.models.mappings import Enforcement, FieldMapping, MatchKeys, ObjectMapping, SyncDirection
from crmsync.models.records import MISSING, Fields, Operation, OperationKind, Outcome, OutcomeStatus, Record, Side
from crmsync.models.results import CRMSyncResult, SyncAction
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.protocols.conversion import FieldRule
from crmsync.protocols.records import RecordStore, SupportsPrecedence

if TYPE_CHECKING:
    from crmsync.mapping import RecordConverter

ATTRIBUTES: Final[tuple[str, ...]] = ("email", "first_name", "last_name", "company", "phone", "tags")
"""The attributes of `CRMContact` that a mapping names as local fields; every other local field is a custom one."""

CUSTOM: Final = "custom_fields."
LOCAL: Final = ObjectSchema(name="CRMContact", open=True)


@attrs.define(slots=True, eq=False)
class Person:
    """One record to be written. ``wanted`` is in the CRM's form; ``email`` is what the inputs so far make of it."""

    record: Record | None
    email: str
    wanted: dict[str, object] = attrs.field(factory=dict)
    inputs: list[int] = attrs.field(factory=list)

    @property
    def fields(self) -> Fields:
        """What the record holds once the inputs so far took effect."""
        return {**(self.record.fields if self.record else {}), **self.wanted}


class People:
    """Who the inputs are about: records that were found, and those that the inputs before make."""

    def __init__(self, by_id: Mapping[str, Record], found: Sequence[Record], email_field: str) -> None:
        records = {record.id: record for record in (*by_id.values(), *found)}
        people = {id_: Person(record, _folded(record.fields.get(email_field))) for id_, record in records.items()}
        self._by_id = {asked: people[record.id] for asked, record in by_id.items()}
        self._by_email: dict[str, list[Person]] = {}
        for person in people.values():
            self._by_email.setdefault(person.email, []).append(person)
        self._asked: dict[int, Person] = {}

    def person_of(self, contact: CRMContact, *, create: bool) -> Person | CRMSyncResult:
        """The one record of a contact (a new one with ``create``), or why there is not one."""
        if contact.id:
            return self._by_id.get(contact.id) or _failure("not_found", "there is no contact with this id")
        matches = self._by_email.get(_folded(contact.email), [])
        if len(matches) > 1:
            message = f"{len(matches)} contacts have this e-mail; merge them in the CRM, or give an id"
            return _failure("ambiguous", message)
        if matches:
            return matches[0]
        if not create:
            return _failure("not_found", "there is no contact with this e-mail")
        return Person(None, "")

    def note(self, person: Person, position: int, email: str, wanted: Mapping[str, object]) -> None:
        """Add what an input asks of a person; from now on its e-mail finds that person."""
        if person.email != _folded(email):
            others = self._by_email.get(person.email, [])
            if person in others:
                others.remove(person)
            person.email = _folded(email)
            self._by_email.setdefault(person.email, []).append(person)
        person.wanted.update(wanted)
        person.inputs.append(position)
        self._asked[id(person)] = person

    def asked(self) -> list[Person]:
        """The people whom inputs are about, in order of their first one."""
        return list(self._asked.values())


@attrs.frozen(slots=True)
class Desk:
    """The open store with its compiled mapping; ``rules`` by local name, custom fields with a prefix."""

    store: RecordStore
    remote: ObjectSchema
    email: str
    rules: Mapping[str, FieldRule]
    to_remote: RecordConverter
    to_local: RecordConverter
    fields: tuple[str, ...]

    async def find(self, emails: Sequence[str], fields: Sequence[str]) -> list[Record]:
        """Whoever has one of these e-mails; of a person who is several kinds of record, the kind that comes first."""
        found = await self.store.find(self.email, emails, fields=(*fields, self.email))
        if not isinstance(self.store, SupportsPrecedence):
            return list(found)
        by_email: dict[str, list[Record]] = {}
        for record in found:
            by_email.setdefault(_folded(record.fields.get(self.email)), []).append(record)
        return [record for records in by_email.values() for record in self.store.foremost(records)]

    def wanted(self, contact: CRMContact, person: Person) -> dict[str, object] | CRMSyncResult:
        """The contact's values in the CRM's form, or why it has none."""
        given = {name: getattr(contact, name) for name in ATTRIBUTES if name in contact.model_fields_set}
        given |= {CUSTOM + name: value for name, value in contact.custom_fields.items()}
        lost = [name for name, value in given.items() if name not in self.rules and (value or name.startswith(CUSTOM))]
        if lost:
            return _failure("unmapped_field", f"the CRM has no field for: {', '.join(sorted(lost))}")
        held = person.fields
        local: dict[str, object] = {}
        for name, value in given.items():
            rule = self.rules.get(name)
            if rule is None:
                continue
            if self._writes(rule, person, held):
                local[name] = _with_foreign(rule, value, held)
            elif self._refuses(rule, person) and not _same(rule, rule.to_remote(value).value, held.get(rule.remote)):
                return _failure("not_writable", f"{rule.remote}: the field cannot be changed in the CRM")
        values, _, problems = self.to_remote(local)
        if problems:
            return _failure(problems[0].code, f"{problems[0].path}: {problems[0].message}")
        return values

    def _writes(self, rule: FieldRule, person: Person, held: Fields) -> bool:
        if rule.to_crm is Enforcement.CREATE_ONLY:
            return person.record is None
        if rule.to_crm is Enforcement.FILL_BLANK:
            return _is_blank(rule.normal_remote(held.get(rule.remote)))
        return rule.to_crm is not Enforcement.OFF

    def _refuses(self, rule: FieldRule, person: Person) -> bool:
        """Whether it is the CRM, and not the mapping's own wish, that keeps the value from being written."""
        field = self.remote.field(rule.remote)
        return field is not None and not (field.updateable if person.record else field.createable)

    def operation(self, person: Person) -> Operation | CRMSyncResult:
        """The write of what is different, or the result if there is nothing to write."""
        creates = person.record is None
        fields = dict(person.wanted)
        for rule in self.rules.values():
            if creates and rule.default is not None and _is_blank(rule.normal_remote(fields.get(rule.remote))):
                fields[rule.remote] = rule.to_remote(rule.default).value
            checked = rule.required and rule.to_crm is not Enforcement.OFF and (creates or rule.remote in fields)
            if checked and _is_blank(rule.normal_remote(fields.get(rule.remote))):
                return _failure("required", f"{rule.remote}: must not be blank")
        by_remote = {rule.remote: rule for rule in self.rules.values()}
        held = person.record.fields if person.record else dict.fromkeys(fields)
        changed = {name: v for name, v in fields.items() if not _same(by_remote[name], v, held.get(name, MISSING))}
        if person.record is None:
            return Operation(uuid.uuid4().hex, OperationKind.CREATE, None, fields=changed)
        if changed:
            return Operation(uuid.uuid4().hex, OperationKind.UPDATE, person.record.id, fields=changed)
        return CRMSyncResult(action=SyncAction.UNCHANGED, crm_id=person.record.id)

    def contact_of(self, record: Record) -> CRMContact:
        """A record as a contact; blank fields are left out."""
        values, _, problems = self.to_local(record.fields)
        if problems:
            raise ConversionError(f"{problems[0].path}: {problems[0].message}", code=problems[0].code)
        present = {name: value for name, value in values.items() if value is not None}
        own = {name: v if name == "tags" else str(v) for name, v in present.items() if name in ATTRIBUTES}
        custom = {name.removeprefix(CUSTOM): value for name, value in present.items() if name not in ATTRIBUTES}
        try:
            return CRMContact.model_validate({"id": record.id, **own, "custom_fields": custom})
        except ValidationError as error:
            names = ", ".join(sorted({str(fault["loc"][0]) for fault in error.errors(include_input=False)}))
            raise ConversionError(f"the CRM's record is no contact because of: {names}", code="invalid") from None


def make_desk(store: RecordStore, mapping: ObjectMapping, remote: ObjectSchema, named: set[str]) -> Desk:
    """Compile the mapping with what the CRM offers; ``named`` are custom fields that an open object need not list."""
    from crmsync.mapping import RecordConverter, compile_mapping  # noqa: PLC0415 - runs convert without these verbs

    # The verbs' local side is a contact, not the records that expressions are written for.
    computed = {each.name for each in mapping.computed}
    listed = [
        each
        for each in mapping.fields
        if computed.isdisjoint((each.markmail_field, each.crm_field))
        and (remote.open or remote.field(each.crm_field) is not None)
    ]
    taken = {each.crm_field for each in listed}
    # A compound is its parts, which are fields of their own.
    offered = (f for f in remote.fields if f.type is not FieldType.ID and not f.parts)
    others = {f.name: f.type for f in offered if _writable(f) or f.custom}
    if remote.open:
        mapped = {each.markmail_field for each in listed}
        others = {**dict.fromkeys(sorted(named - mapped), FieldType.TEXT), **others}
    extra = [
        FieldMapping(markmail_field=CUSTOM + name, crm_field=name, field_type=kind)
        for name, kind in others.items()
        if name not in taken
    ]
    email = mapping.match.remote_email or next(
        (each.crm_field for each in listed if each.markmail_field == "email"), "Email"
    )
    fitted = mapping.model_copy(
        update={
            "fields": tuple(_directed(remote, each) for each in (*listed, *extra)),
            "computed": (),
            "validation": (),
            "match": MatchKeys(local_email="email", remote_email=email),
            "create_in_local": False,
        }
    )
    rule = compile_mapping(fitted, LOCAL, remote)
    return Desk(
        store=store,
        remote=remote,
        email=email,
        rules={each.local: each for each in rule.rules},
        to_remote=RecordConverter(rule, Side.REMOTE),
        to_local=RecordConverter(rule, Side.LOCAL, every_field=True),
        fields=rule.remote_fields,
    )


def _directed(remote: ObjectSchema, mapping: FieldMapping) -> FieldMapping:
    """A field mapping of the verbs, one-way where the CRM's permissions leave no other."""
    field = remote.field(mapping.crm_field)
    changes: dict[str, object] = {}
    if mapping.markmail_field not in ATTRIBUTES and not mapping.markmail_field.startswith(CUSTOM):
        changes["markmail_field"] = CUSTOM + mapping.markmail_field
    if field is not None and not _writable(field):
        changes |= {"sync_direction": SyncDirection.FROM_CRM, "to_crm": None}
    return mapping.model_copy(update=changes)


async def look_up(desk: Desk, contacts: Sequence[CRMContact]) -> People:
    """Read what the inputs touch and no more: an object may have hundreds of fields."""
    given = {name for contact in contacts for name in contact.model_fields_set.intersection(ATTRIBUTES)}
    given |= {CUSTOM + name for contact in contacts for name in contact.custom_fields}
    touched = {desk.rules[name].remote for name in given if name in desk.rules} | {desk.email}
    fields = [name for name in desk.fields if name in touched]
    ids = list(dict.fromkeys(contact.id for contact in contacts if contact.id))
    emails = list({_folded(contact.email): contact.email for contact in contacts if not contact.id}.values())
    by_id = await desk.store.get(ids, fields=fields) if ids else {}
    found = await desk.find(emails, fields) if emails else ()
    return People(by_id, found, desk.email)


async def send(desk: Desk, people: Sequence[Person], results: dict[int, CRMSyncResult]) -> None:
    """Write what is asked of these people, and note the result of each input by its position.

    :raises ProviderError: the first call failed, so that nothing was written.
    """
    operations: list[tuple[Person, Operation]] = []
    for person in people:
        operation = desk.operation(person)
        if isinstance(operation, Operation):
            operations.append((person, operation))
        else:
            results.update(dict.fromkeys(person.inputs, operation))
    size = desk.store.limits.write_batch
    for start in range(0, len(operations), size):
        batch = operations[start : start + size]
        try:
            outcomes = await desk.store.write([operation for _, operation in batch])
        except ProviderError as error:
            if start == 0:
                raise
            # Calls before took effect, and an exception would lose their results.
            outcomes = [Outcome(operation.op_id, OutcomeStatus.FAILED, error=error) for _, operation in batch]
        for (person, _), outcome in zip(batch, outcomes, strict=True):
            first, again = result_of(outcome), result_of(outcome)
            if first.action is SyncAction.CREATED:
                again = first.model_copy(update={"action": SyncAction.UPDATED})
            results.update(dict.fromkeys(person.inputs, again) | {person.inputs[0]: first})


def _with_foreign(rule: FieldRule, value: object, held: Fields) -> object:
    """A set with those of its elements in the CRM that are outside the mapping's namespace, and not ours to remove."""
    if not rule.set_valued:
        return value
    there = rule.elements_local(rule.to_local(held.get(rule.remote)).value)
    kept = [element for element in there if not rule.owns(str(element))]
    if not kept:
        return value
    return rule.join_local((*kept, *(each for each in rule.elements_local(value) if each not in kept)))


def _same(rule: FieldRule, one: object, other: object) -> bool:
    return other is not MISSING and rule.normal_remote(one) == rule.normal_remote(other)


def _writable(field: FieldSchema) -> bool:
    return field.createable or field.updateable


def needed(field: FieldSchema) -> bool:
    """Whether a create has to give the field (ids and external keys are the engine's to give)."""
    return field.required and field.createable and field.type is not FieldType.ID and not field.external_id


def match_of(remote: ObjectSchema) -> MatchKeys:
    """How records of an object without a mapping of its own find each other: by the first e-mail field."""
    email = next((field.name for field in remote.fields if field.type is FieldType.EMAIL and field.readable), "")
    return MatchKeys(local_email="email" if email else "", remote_email=email)


def _folded(email: object) -> str:
    return str(email).strip().lower()


def _failure(code: str, message: str) -> CRMSyncResult:
    return CRMSyncResult(action=SyncAction.FAILED, code=code, error=message)


def result_of(outcome: Outcome) -> CRMSyncResult:
    """What a write came to, in the words of the verbs."""
    if outcome.ok:
        warnings = tuple(error.message for error in outcome.unwritten)
        return CRMSyncResult(action=SyncAction(outcome.status.value), crm_id=outcome.id, warnings=warnings)
    if outcome.status is OutcomeStatus.MISSING:
        return _failure("not_found", "there is no contact with this id (any more)")
    error = outcome.error or CRMError("the CRM did not say why")
    # The stable word for an error of a whole call is its class: UnavailableError is "unavailable".
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__.removesuffix("Error")).lower()
    return CRMSyncResult(
        action=SyncAction.FAILED,
        crm_id=outcome.id,
        code=error.code if isinstance(error, RecordError) else name,
        error=error.message,
        retryable=isinstance(error, TransientError),
    )


def _is_blank(normal: object) -> bool:
    from crmsync.diff.directions import is_blank  # noqa: PLC0415 - with all of the merge, which runs alone need

    return is_blank(normal)
