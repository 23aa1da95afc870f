"""Operations into rows, and rows into rounds. Pure.

A create with an external key is an upsert, so it can be sent again; a create without one never is.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import attrs

from crmsync.errors import CRMError, DuplicateError, RejectedError
from crmsync.models.records import MISSING, Fields, Operation, OperationKind, Outcome, OutcomeStatus
from crmsync.providers.salesforce.compounds import taken_apart
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.schema import SObject
from crmsync.providers.salesforce.values import write_value


class Verb(enum.Enum):
    """What a row does. Bulk API 2.0 names its operations like this."""

    UPSERT = "upsert"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"

    @property
    def repeatable(self) -> bool:
        """Whether sending a row twice does no more than sending it once."""
        return self is not Verb.INSERT


@attrs.frozen(slots=True)
class Row:
    """One operation, ready to be sent.

    ``target`` identifies the record: the 18-character id, or the external key of an upsert, or (for an insert) nothing
    that another row could share. ``parent`` is the record's account: rows of one account go together, since saving a
    contact locks its account. ``values`` are as JSON takes them, with ``Id`` or the external key among them; a field
    that is absent stays untouched.
    """

    position: int
    op_id: str
    verb: Verb
    target: str
    parent: str
    record_id: str | None
    values: Mapping[str, object] = attrs.field(repr=False)


class Sends(Protocol):
    """Takes operations on the records of one object."""

    async def write(self, operations: Sequence[Operation]) -> list[Outcome]:
        """See `Writer.write`."""
        ...


class Writes(Sends, Protocol):
    """Writes the records of one object, as a `Writer` does."""

    @property
    def batch(self) -> int:
        """See `Writer.batch`."""
        ...


@attrs.frozen(slots=True)
class WritePlan:
    """What is answered without asking, and the rest in rounds: rows of one record are in different ones, in order."""

    outcomes: Mapping[int, Outcome]
    rounds: tuple[Mapping[Verb, Sequence[Row]], ...]


def plan_writes(operations: Sequence[Operation], sobject: SObject, key_field: str | None) -> WritePlan:
    """Put operations into rounds; within a round and verb, rows are in the order that avoids lock clashes."""
    outcomes: dict[int, Outcome] = {}
    rounds: list[dict[Verb, list[Row]]] = []
    seen: Counter[str] = Counter()
    spellings: dict[str, str] = {}
    for position, operation in enumerate(operations):
        try:
            row = _row(position, operation, sobject, key_field)
            if row is not None and row.verb is Verb.UPSERT and key_field and operation.key is not None:
                _require_one_spelling(spellings, sobject, key_field, operation.key)
        except CRMError as error:
            outcomes[position] = Outcome(operation.op_id, OutcomeStatus.FAILED, operation.id, error)
            continue
        if row is None:
            outcomes[position] = Outcome(operation.op_id, OutcomeStatus.MISSING, operation.id)
            continue
        number = seen[row.target]
        seen[row.target] += 1
        if number == len(rounds):
            rounds.append({})
        rounds[number].setdefault(row.verb, []).append(row)
    return WritePlan(outcomes, tuple({verb: by_parent(rows) for verb, rows in each.items()} for each in rounds))


def _require_one_spelling(spellings: dict[str, str], sobject: SObject, key_field: str, key: str) -> None:
    """:raises DuplicateError: another key of the batch is the same one to the org, and the later row would overwrite.

    Within 200 rows Salesforce refuses the later one itself; further apart, and in the next call, it does not notice.
    """
    if spellings.setdefault(sobject.compared(key_field, key), key) != key:
        raise DuplicateError(
            f"another record's key differs from this one only in letter case or spaces, which {key_field} ignores",
            code="DUPLICATE_EXTERNAL_ID",
            field=key_field,
        )


def by_parent(rows: Iterable[Row]) -> list[Row]:
    """Rows with those of one account together: calls in flight at once then seldom want the same lock."""
    return sorted(rows, key=lambda row: (row.parent, row.target))


def chunks(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    """Slices of at most ``size``."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _row(position: int, operation: Operation, sobject: SObject, key_field: str | None) -> Row | None:
    """The operation as a row; None if it is for a record that cannot exist."""
    creates = operation.kind is OperationKind.CREATE
    record_id = None if creates else full_id(operation.id or "")
    if not creates and record_id is None:
        return None
    if operation.kind is OperationKind.DELETE:
        target = record_id or ""
        return Row(position, operation.op_id, Verb.DELETE, target, "", operation.id, {"Id": record_id})
    values: dict[str, object] = {"Id": record_id} if record_id else {}
    for name, value in columns(sobject, operation.fields, creates=creates):
        if value is not MISSING and name != key_field:
            values[name] = _value(sobject, name, value, creates=creates)
    if key_field and operation.key is not None:
        values[key_field] = operation.key or None
    parent = values.get("AccountId")
    parent = parent if isinstance(parent, str) else ""
    if record_id:
        verb, target = Verb.UPDATE, record_id
    elif key_field and operation.key is not None:
        verb, target = Verb.UPSERT, f"key {operation.key}"
    else:
        verb, target = Verb.INSERT, f"new {position}"
    return Row(position, operation.op_id, verb, target, parent, operation.id, values)


def columns(sobject: SObject, fields: Fields, *, creates: bool) -> Iterator[tuple[str, object]]:
    """What is written, compounds by their parts."""
    for name, value in fields.items():
        field = sobject.fields.get(name)
        if field is not None and field.parts and value is not MISSING:
            yield from taken_apart(field, value, creates=creates)
        else:
            yield name, value


def _value(sobject: SObject, name: str, value: object, *, creates: bool) -> object:
    field = sobject.fields.get(name)
    if field is None:
        raise RejectedError(f"{sobject.schema.name} has no field {name}", code="INVALID_FIELD", field=name)
    if not (field.createable if creates else field.updateable):
        raise RejectedError(f"{name} cannot be written", code="INVALID_FIELD_FOR_INSERT_UPDATE", field=name)
    return write_value(field, value)
