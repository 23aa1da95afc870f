"""What an e-mail event changes on the person: opt-outs and bounces."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from crmsync.models.campaigns import EmailActivity, EmailActivityType
from crmsync.models.records import Operation, OperationKind
from crmsync.models.results import CRMSyncResult
from crmsync.models.schema import ObjectSchema
from crmsync.providers.salesforce.objects.finding import Found, OpenStore
from crmsync.providers.salesforce.objects.results import failure, result_of, write_all
from crmsync.providers.salesforce.schema import OPT_OUT

BOUNCE_REASON: Final = "EmailBouncedReason"
BOUNCE_DATE: Final = "EmailBouncedDate"
PERSON_FIELDS: Final = (OPT_OUT, BOUNCE_REASON, BOUNCE_DATE)
_OPTS_OUT: Final = (EmailActivityType.UNSUBSCRIBED, EmailActivityType.COMPLAINED)
TELLING: Final = frozenset({*_OPTS_OUT, EmailActivityType.BOUNCED})
"""Kinds of event that change the person."""
_REASON: Final = "Bounced, as MarkMail reports"


@attrs.frozen(slots=True)
class PersonChanges:
    """Carries events over to the people they concern."""

    open_store: OpenStore

    async def apply(self, news: Sequence[tuple[Found, Sequence[EmailActivity]]]) -> Mapping[str, CRMSyncResult]:
        """Write what follows from new events; the failures, by the person's id.

        An opt-out that cannot be written is a failure: the person would go on to be mailed from Salesforce. A bounce
        that cannot be written is not.
        """
        failures: dict[str, CRMSyncResult] = {}
        for object_name in ("Contact", "Lead"):
            concerned = [(found, events) for found, events in news if found.object_name == object_name]
            if not any(event.type in TELLING for _, events in concerned for event in events):
                continue
            store = await self.open_store(object_name)
            schema = await store.describe()
            operations = []
            for found, events in concerned:
                changes = _changes(found, events, schema)
                if isinstance(changes, CRMSyncResult):
                    failures[found.id] = changes
                elif changes:
                    operations.append(Operation(uuid.uuid4().hex, OperationKind.UPDATE, found.id, fields=changes))
            for operation, outcome in zip(operations, await write_all(store, operations), strict=True):
                if not outcome.ok:
                    failures[operation.id or ""] = result_of(outcome, missing="the person is gone")
        return failures


def _changes(found: Found, events: Sequence[EmailActivity], schema: ObjectSchema) -> dict[str, object] | CRMSyncResult:
    changes: dict[str, object] = {}
    held = found.record.fields
    if any(event.type in _OPTS_OUT for event in events) and held.get(OPT_OUT) is not True:
        if not _writable(schema, OPT_OUT):
            message = f"{OPT_OUT}: hidden from this user or read-only, so the opt-out does not reach Salesforce"
            return failure("not_writable", message, crm_id=found.id)
        changes[OPT_OUT] = True
    bounces = [event.occurred_at for event in events if event.type is EmailActivityType.BOUNCED]
    if bounces and _writable(schema, BOUNCE_REASON) and _writable(schema, BOUNCE_DATE):
        changes |= {BOUNCE_REASON: _REASON, BOUNCE_DATE: max(bounces)}
    return changes


def _writable(schema: ObjectSchema, name: str) -> bool:
    field = schema.field(name)
    return field is not None and field.updateable
