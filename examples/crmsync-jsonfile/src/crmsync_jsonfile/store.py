"""The people of the file as a `RecordStore`: the one thing that crmsync's engine talks to."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from crmsync.errors import CRMError, CursorExpiredError, DuplicateError, RejectedError, SchemaChangedError
from crmsync.models.records import ChangePage, Operation, OperationKind, Outcome, OutcomeStatus, Record, StoreLimits
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync_jsonfile.document import Document, People

KEY = "markmail_id"
SCHEMA = ObjectSchema(
    name="Person",
    label="Person",
    fields=(
        FieldSchema(name="email", label="E-mail", type=FieldType.EMAIL),
        FieldSchema(name="first_name", label="First name", length=60),
        FieldSchema(name="last_name", label="Last name", length=60),
        FieldSchema(name="phone", label="Phone", type=FieldType.PHONE, length=40),
        FieldSchema(name="tags", label="Tags", type=FieldType.TAGS),
        FieldSchema(name="score", label="Score", type=FieldType.INTEGER, custom=True),
    ),
)
_TYPES: Mapping[FieldType, type] = {FieldType.TAGS: tuple, FieldType.INTEGER: int}


class JsonFileStore:
    """A file has no change feed, so every pass is a full scan, in order of id. Our key is kept beside each person."""

    name = SCHEMA.name
    limits = StoreLimits(write_batch=500, read_page=500, find_batch=500, change_feed=False, external_key=True)

    def __init__(self, document: Document) -> None:
        self._document = document

    async def describe(self) -> ObjectSchema:
        return SCHEMA

    async def changes(self, cursor: str | None, *, fields: Sequence[str], limit: int | None = None) -> ChangePage:
        """The cursor says after which id to go on, and what the file was when the pass began."""
        _check_known(fields)
        people = await self._document.read()
        state = _digest(people)
        after, began = _position(cursor, state)
        ids = sorted(id_ for id_ in people if id_ > after)
        size = min(limit or self.limits.read_page, self.limits.read_page)
        page, has_more = ids[:size], len(ids) > size
        position = [page[-1], began] if has_more else ["", ""]
        return ChangePage(
            records=tuple(_record(id_, people[id_], fields) for id_ in page),
            cursor=json.dumps(position),
            has_more=has_more,
            # Absence means deletion only if nothing moved under the scan.
            complete_scan=not has_more and began == state,
            total=len(people),
        )

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        _check_known(fields)
        people = await self._document.read()
        return {id_: _record(id_, people[id_], fields) for id_ in ids if id_ in people}

    async def find(self, field: str, values: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        _check_known((field, *fields))
        schema = SCHEMA.field(field)
        fold = str.lower if schema and schema.type is FieldType.EMAIL else str
        return await self._find(field, {fold(value) for value in values}, fields, fold)

    async def find_by_key(self, keys: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        _check_known(fields)
        return await self._find(KEY, set(keys), fields, str)

    async def _find(self, name: str, wanted: Collection[str], fields: Sequence[str], fold: Any) -> Sequence[Record]:
        people = await self._document.read()
        found = (id_ for id_, person in people.items() if person.get(name) is not None)
        return [_record(id_, people[id_], fields) for id_ in found if fold(str(people[id_][name])) in wanted]

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """All operations in one replacement of the file; what one of them does wrong is its own outcome."""
        if len(operations) > self.limits.write_batch:
            raise ValueError(f"at most {self.limits.write_batch} operations in one write")
        return await self._document.change(lambda people: [_outcome(people, each) for each in operations])


def _outcome(people: People, operation: Operation) -> Outcome:
    try:
        status, id_ = _apply(people, operation)
    except CRMError as error:
        return Outcome(operation.op_id, OutcomeStatus.FAILED, operation.id, error)
    # Nobody else writes meanwhile, so what is there now is what we stored: the engine need not read it back.
    stored = _record(id_, people[id_], tuple(operation.fields)) if id_ in people else None
    return Outcome(operation.op_id, status, id_, stored=stored)


def _apply(people: People, operation: Operation) -> tuple[OutcomeStatus, str]:
    values = {name: _checked(name, value) for name, value in operation.fields.items()}
    owner = next((id_ for id_, person in people.items() if operation.key and person.get(KEY) == operation.key), None)
    if operation.kind is OperationKind.CREATE:
        # A create that is sent again finds its first attempt by its key, and makes no second person.
        id_, status = (owner, OutcomeStatus.UPDATED) if owner else (uuid.uuid4().hex, OutcomeStatus.CREATED)
        people.setdefault(id_, {})
    else:
        id_, status = operation.id or "", OutcomeStatus.UPDATED
    if id_ not in people:
        return OutcomeStatus.MISSING, id_
    if operation.kind is OperationKind.DELETE:
        del people[id_]
        return OutcomeStatus.DELETED, id_
    if owner not in (None, id_):
        raise DuplicateError("another person carries this key", existing_id=owner)
    # A key that is empty (NO_KEY) takes away the one that is there.
    people[id_] |= values | ({} if operation.key is None else {KEY: operation.key or None})
    return status, id_


def _checked(name: str, value: object) -> object:
    """The value as JSON keeps it. Messages name the field and never the value."""
    schema = SCHEMA.field(name)
    if schema is None:
        raise RejectedError("there is no such field", code="unknown_field", field=name)
    if value is None:
        return None
    if type(value) is not _TYPES.get(schema.type, str):
        raise RejectedError("the value has the wrong type", code="wrong_type", field=name)
    if isinstance(value, str) and schema.length and len(value) > schema.length:
        raise RejectedError(f"longer than {schema.length} characters", code="too_long", field=name)
    return list(value) if isinstance(value, tuple) else value


def _record(id_: str, person: Mapping[str, Any], fields: Sequence[str]) -> Record:
    values = {name: person.get(name) for name in fields}
    return Record(
        id=id_,
        fields={name: tuple(value) if isinstance(value, list) else value for name, value in values.items()},
        key=person.get(KEY),
        version=_digest(person),
    )


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _position(cursor: str | None, state: str) -> tuple[str, str]:
    """After which id to read, and the state in which the pass began. A pass that begins begins now."""
    try:
        after, began = ("", "") if cursor is None else json.loads(cursor)
    except (ValueError, TypeError):
        raise CursorExpiredError("this is no cursor of this store") from None
    if not isinstance(after, str) or not isinstance(began, str):
        raise CursorExpiredError("this is no cursor of this store")
    return after, began or state


def _check_known(fields: Sequence[str]) -> None:
    for name in fields:
        if SCHEMA.field(name) is None:
            raise SchemaChangedError(f"a Person has no field {name!r}")
