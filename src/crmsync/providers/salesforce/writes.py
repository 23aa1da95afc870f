"""Operations into calls of sObject Collections, and their results into outcomes.

Up to 200 rows a call, each with its own result ("sObject Collections", REST API Developer Guide). A create with an
external key is an upsert, so it can be sent again; a create without one is never.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import anyio
import attrs

from crmsync.errors import CRMError, RejectedError, TransientError, UnexpectedResponseError
from crmsync.models.records import MISSING, Operation, OperationKind, Outcome, OutcomeStatus
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.errors import is_gone, is_malformed, row_error
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.schema import SObject
from crmsync.providers.salesforce.values import encode_rows, write_value

MAX_ROWS: Final = 200


class Verb(enum.Enum):
    """The four collection calls."""

    UPSERT = "upsert"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"


@attrs.frozen(slots=True)
class Row:
    """One operation, ready to be sent. ``target`` identifies the record: two rows with one target never share a call.

    ``parent`` is the record's account: rows of one account go together, since saving a contact locks its account.
    """

    position: int
    verb: Verb
    target: str
    parent: str
    values: Mapping[str, object] = attrs.field(repr=False)


@attrs.frozen(slots=True)
class Batch:
    """The rows of one call."""

    verb: Verb
    rows: tuple[Row, ...]


@attrs.frozen(slots=True)
class WritePlan:
    """What is answered without asking, and the calls: the batches of one round run together, rounds one by one."""

    outcomes: Mapping[int, Outcome]
    rounds: tuple[tuple[Batch, ...], ...]

    @property
    def calls(self) -> int:
        """How many calls the plan takes."""
        return sum(len(batches) for batches in self.rounds)


def plan_writes(operations: Sequence[Operation], sobject: SObject, key_field: str | None) -> WritePlan:
    """Put operations into calls. Pure."""
    outcomes: dict[int, Outcome] = {}
    rounds: list[dict[Verb, list[Row]]] = []
    seen: Counter[str] = Counter()
    for position, operation in enumerate(operations):
        try:
            row = _row(position, operation, sobject, key_field)
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
    return WritePlan(outcomes, tuple(tuple(_batches(by_verb)) for by_verb in rounds))


def _batches(by_verb: Mapping[Verb, list[Row]]) -> Iterator[Batch]:
    for verb, rows in by_verb.items():
        ordered = sorted(rows, key=lambda row: (row.parent, row.target))
        for start in range(0, len(ordered), MAX_ROWS):
            yield Batch(verb, tuple(ordered[start : start + MAX_ROWS]))


def _row(position: int, operation: Operation, sobject: SObject, key_field: str | None) -> Row | None:
    """The operation as a row; None if it is for a record that cannot exist."""
    creates = operation.kind is OperationKind.CREATE
    record_id = None if creates else full_id(operation.id or "")
    if not creates and record_id is None:
        return None
    if operation.kind is OperationKind.DELETE:
        return Row(position, Verb.DELETE, record_id or "", "", {})
    values: dict[str, object] = {"attributes": {"type": sobject.schema.name}}
    if record_id:
        values["Id"] = record_id
    for name, value in operation.fields.items():
        if value is not MISSING and name != key_field:
            values[name] = _value(sobject, name, value, creates=creates)
    if key_field and operation.key is not None:
        values[key_field] = operation.key
    parent = values.get("AccountId")
    parent = parent if isinstance(parent, str) else ""
    if record_id:
        return Row(position, Verb.UPDATE, record_id, parent, values)
    if key_field and operation.key is not None:
        return Row(position, Verb.UPSERT, f"key {operation.key}", parent, values)
    return Row(position, Verb.INSERT, f"new {position}", parent, values)


def _value(sobject: SObject, name: str, value: object, *, creates: bool) -> object:
    field = sobject.fields.get(name)
    if field is None:
        raise RejectedError(f"{sobject.schema.name} has no field {name}", code="INVALID_FIELD", field=name)
    if not (field.createable if creates else field.updateable):
        raise RejectedError(f"{name} cannot be written", code="INVALID_FIELD_FOR_INSERT_UPDATE", field=name)
    return write_value(field, value)


class BatchWriter:
    """Sends the calls of a plan, several at once."""

    def __init__(
        self, client: SalesforceClient, object_name: str, key_field: str | None, limiter: anyio.CapacityLimiter
    ) -> None:
        self._client = client
        self._object = object_name
        self._key_field = key_field
        self._limiter = limiter

    async def run(self, operations: Sequence[Operation], plan: WritePlan) -> list[Outcome]:
        """Carry out a plan; one outcome for each operation, in order.

        :raises BudgetExceededError: before anything was sent.
        :raises ProviderError: every call failed as a whole.
        """
        outcomes = dict(plan.outcomes)
        failures: list[CRMError] = []
        if plan.calls:
            await self._client.spend(plan.calls)
        for batches in plan.rounds:
            async with anyio.create_task_group() as group:
                for batch in batches:
                    group.start_soon(self._batch, batch, operations, outcomes, failures)
        if failures and len(failures) == plan.calls:
            raise _worst(failures)
        return [outcomes[position] for position in range(len(operations))]

    async def _batch(
        self, batch: Batch, operations: Sequence[Operation], outcomes: dict[int, Outcome], failures: list[CRMError]
    ) -> None:
        async with self._limiter:
            try:
                results = await self._send(batch.verb, batch.rows, prepaid=True)
            except CRMError as error:
                failures.append(error)
                results = [error] * len(batch.rows)
        for row, result in zip(batch.rows, results, strict=True):
            outcomes[row.position] = _outcome(operations[row.position], batch.verb, row, result)

    async def _send(self, verb: Verb, rows: Sequence[Row], *, prepaid: bool) -> list[Any]:
        """Each row's result or error. Rows that make a call malformed are found by halving it."""
        try:
            answer = await self._client.call(**self._request(verb, rows), prepaid=prepaid)
        except CRMError as error:
            if not is_malformed(error) or len(rows) == 1:
                raise
            return await self._halves(verb, rows)
        results = answer.body
        if not isinstance(results, list) or len(results) != len(rows):
            raise UnexpectedResponseError("Salesforce's answer to a collection has not one result for each row")
        return results

    async def _halves(self, verb: Verb, rows: Sequence[Row]) -> list[Any]:
        results: list[Any] = []
        middle = len(rows) // 2
        for half in (rows[:middle], rows[middle:]):
            try:
                results += await self._send(verb, half, prepaid=False)
            except CRMError as error:
                results += [error] * len(half)
        return results

    def _request(self, verb: Verb, rows: Sequence[Row]) -> dict[str, Any]:
        if verb is Verb.DELETE:
            params = {"ids": ",".join(row.target for row in rows), "allOrNone": "false"}
            return {"method": "DELETE", "path": "/composite/sobjects", "params": params}
        content = encode_rows((row.values for row in rows), allOrNone=False)
        if verb is Verb.UPSERT:
            path = f"/composite/sobjects/{self._object}/{self._key_field}"
            return {"method": "PATCH", "path": path, "content": content}
        if verb is Verb.UPDATE:
            return {"method": "PATCH", "path": "/composite/sobjects", "content": content}
        return {"method": "POST", "path": "/composite/sobjects", "content": content, "repeatable": False}


def _outcome(operation: Operation, verb: Verb, row: Row, result: Any) -> Outcome:
    if isinstance(result, CRMError):
        return Outcome(operation.op_id, OutcomeStatus.FAILED, operation.id, result)
    if not isinstance(result, Mapping):
        error = UnexpectedResponseError("a row's result is not as documented")
        return Outcome(operation.op_id, OutcomeStatus.FAILED, operation.id, error)
    found = result.get("id")
    record_id = full_id(found) if isinstance(found, str) else operation.id
    if result.get("success") is True:
        return Outcome(operation.op_id, _STATUS[verb, result.get("created") is True], record_id)
    errors: Iterable[Any] = result.get("errors") or ()
    if verb in (Verb.UPDATE, Verb.DELETE) and is_gone(errors):
        return Outcome(operation.op_id, OutcomeStatus.MISSING, operation.id)
    sent = [value for name, value in row.values.items() if name != "attributes"]
    return Outcome(operation.op_id, OutcomeStatus.FAILED, operation.id, row_error(errors, sent))


_STATUS = {
    (Verb.UPSERT, True): OutcomeStatus.CREATED,
    (Verb.UPSERT, False): OutcomeStatus.UPDATED,
    (Verb.INSERT, True): OutcomeStatus.CREATED,
    (Verb.INSERT, False): OutcomeStatus.CREATED,
    (Verb.UPDATE, True): OutcomeStatus.UPDATED,
    (Verb.UPDATE, False): OutcomeStatus.UPDATED,
    (Verb.DELETE, True): OutcomeStatus.DELETED,
    (Verb.DELETE, False): OutcomeStatus.DELETED,
}


def _worst(failures: Sequence[CRMError]) -> CRMError:
    """The failure to raise: one that waiting does not mend, if there is one."""
    return next((error for error in failures if not isinstance(error, TransientError)), failures[0])
