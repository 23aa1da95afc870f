"""E-mail events as a `RecordStore`, so that the engine hands them to a CRM like any other object."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from pydantic import ValidationError

from crmsync.errors import RecordError, RejectedError, TransientError
from crmsync.models.campaigns import EmailActivity, EmailActivityType
from crmsync.models.mappings import Enforcement, FieldMapping, MatchKeys, ObjectMapping, SyncDirection
from crmsync.models.records import ChangePage, Operation, OperationKind, Outcome, OutcomeStatus, Record, StoreLimits
from crmsync.models.results import BulkSyncResult, CRMSyncResult, SyncAction
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema

EMAIL_ACTIVITY: Final = "EmailActivity"
"""The name of the object."""

MAX_EVENTS: Final = 10_000
"""Events in one write: the more at once, the fewer come after a younger one of their kind."""

LogEvents = Callable[[Sequence[EmailActivity]], Awaitable[BulkSyncResult]]
"""Records events, as `CRMProvider.log_email_activities` does: what is logged again counts once."""


def _field(name: str, type_: FieldType = FieldType.TEXT, *, required: bool = False, **known: object) -> FieldSchema:
    given = {"required": required, "nillable": not required, "updateable": False, **known}
    return FieldSchema.model_validate({"name": name, "type": type_, **given})


SCHEMA: Final = ObjectSchema(
    name=EMAIL_ACTIVITY,
    label="E-mail activity",
    fields=(
        _field("type", FieldType.PICKLIST, required=True, options=tuple(EmailActivityType), restricted=True),
        _field("email", FieldType.EMAIL, required=True, length=254),
        _field("occurred_at", FieldType.DATETIME, required=True),
        _field("message_id"),
        _field("campaign_id", FieldType.REFERENCE, reference_to=("Campaign",)),
        _field("subject"),
        _field("link"),
    ),
)
"""The fields of the model `EmailActivity`. They are given once: what happened does not change."""


def _told(local: str, remote: str, field_type: FieldType = FieldType.TEXT, *, required: bool = False) -> FieldMapping:
    return FieldMapping(
        markmail_field=local,
        crm_field=remote,
        field_type=field_type,
        sync_direction=SyncDirection.TO_CRM,
        to_crm=Enforcement.CREATE_ONLY,
        required=required,
    )


MAPPING: Final = ObjectMapping(
    local_object="activities",
    fields=(
        _told("type", "type", required=True),
        _told("email", "email", FieldType.EMAIL, required=True),
        _told("occurred_at", "occurred_at", FieldType.DATETIME, required=True),
        _told("message_id", "message_id"),
        _told("crm_campaign_id", "campaign_id", FieldType.REFERENCE),
        _told("subject", "subject"),
        _told("link", "link"),
    ),
    match=MatchKeys(local_email="", remote_email=""),
    create_in_local=False,
)
"""The default mapping: events go to the CRM, and nothing comes back."""


class ActivityRecords:
    """Events on their way into a CRM, which keeps what they come to and not the events.

    An event is known by its external key, which is also its id here. Nothing is read back: `changes` never has any,
    and whatever id is asked for is there, without a field; so an event that was handed over is never taken for gone or
    edited. It is created, and neither changed nor deleted.
    """

    def __init__(self, log: LogEvents) -> None:
        self._log = log

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    @property
    def name(self) -> str:
        return EMAIL_ACTIVITY

    @property
    def limits(self) -> StoreLimits:
        # One write at a time: two would race for the record that both count in.
        return StoreLimits(write_batch=MAX_EVENTS, concurrent_writes=1, external_key=True)

    async def describe(self) -> ObjectSchema:
        return SCHEMA

    async def changes(self, cursor: str | None, *, fields: Sequence[str], limit: int | None = None) -> ChangePage:
        return ChangePage((), cursor, has_more=False)

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        return {each: Record(each, key=each) for each in ids}

    async def find(self, field: str, values: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        return ()

    async def find_by_key(self, keys: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        return ()

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """Log the events, the oldest first."""
        if len(operations) > MAX_EVENTS:
            raise ValueError(f"{len(operations)} operations in one write; this store takes {MAX_EVENTS}")
        outcomes: dict[str, Outcome] = {}
        events: list[tuple[Operation, EmailActivity]] = []
        for operation in operations:
            try:
                events.append((operation, _event(operation)))
            except RecordError as error:
                outcomes[operation.op_id] = Outcome(operation.op_id, OutcomeStatus.FAILED, operation.id, error)
        events.sort(key=lambda pair: pair[1].occurred_at)
        logged = await self._log([event for _, event in events]) if events else BulkSyncResult()
        for (operation, _), result in zip(events, logged.results, strict=True):
            outcomes[operation.op_id] = _outcome(operation, result)
        return [outcomes[operation.op_id] for operation in operations]


def _event(operation: Operation) -> EmailActivity:
    """What a create says.

    :raises RecordError: it says nothing that could be logged.
    """
    if operation.kind is not OperationKind.CREATE:
        raise RejectedError("what was told of an event can be neither changed nor taken back", code="not_supported")
    if not operation.key:
        raise RejectedError("an event without an external key could not be told from others", code="no_key")
    try:
        return EmailActivity.model_validate(dict(operation.fields))
    except ValidationError as error:
        [fault, *_] = error.errors(include_url=False, include_context=False, include_input=False)
        name = str(fault["loc"][0]) if fault["loc"] else None
        raise RejectedError(fault["msg"], code="invalid", field=name) from None


def _outcome(operation: Operation, result: CRMSyncResult) -> Outcome:
    """An event that was counted before is there already: an update, in the words of record stores."""
    if result.success:
        known = result.action is SyncAction.UNCHANGED
        return Outcome(operation.op_id, OutcomeStatus.UPDATED if known else OutcomeStatus.CREATED, operation.key)
    message = result.error or "the CRM did not say why"
    error = TransientError(message) if result.retryable else RecordError(message, code=result.code or "rejected")
    return Outcome(operation.op_id, OutcomeStatus.FAILED, error=error)
