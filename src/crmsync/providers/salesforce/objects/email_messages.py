"""E-mail messages of Enhanced Email, each with the task that Salesforce makes for it.

A message that was sent is immutable ("EmailMessage", Object Reference), so what becomes of it is told on its task. It
is found again by ``MessageIdentifier``; so one whose creation nobody answered is looked for before it is made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import attrs

from crmsync.errors import CRMError, UnavailableError
from crmsync.models.results import CRMSyncResult
from crmsync.providers.salesforce import retrieving, soql
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.errors import row_error
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.objects.finding import Found
from crmsync.providers.salesforce.objects.results import failed
from crmsync.providers.salesforce.values import encode_rows, format_datetime

_SENT: Final = "3"
"""The picklist's value for a message that was sent."""
_ROWS: Final = 200


@attrs.frozen(slots=True)
class Sent:
    """A message to be made."""

    key: str
    person: Found
    subject: str
    at: datetime | None
    campaign_id: str | None

    @property
    def row(self) -> dict[str, Any]:
        """As sObject Collections take it."""
        values = {
            "attributes": {"type": "EmailMessage"},
            "MessageIdentifier": self.key,
            "Subject": self.subject,
            "Status": _SENT,
            "Incoming": False,
            "ToIds": [self.person.id],
            "ToAddress": self.person.record.fields.get("Email"),
            "MessageDate": format_datetime(self.at) if self.at else None,
            "RelatedToId": full_id(self.campaign_id) if self.campaign_id else None,
        }
        return {name: value for name, value in values.items() if value is not None}


@attrs.frozen(slots=True)
class EmailMessages:
    """Makes messages."""

    client: SalesforceClient

    async def make(self, messages: Sequence[Sent]) -> Mapping[str, str | CRMSyncResult]:
        """The task's id of each message, by key, or why there is none."""
        tasks: dict[str, str | CRMSyncResult] = dict(await self._tasks(message.key for message in messages))
        missing = [message for message in messages if message.key not in tasks]
        for start in range(0, len(missing), _ROWS):
            await self._create(missing[start : start + _ROWS], tasks)
        made = [message.key for message in missing if message.key not in tasks]
        tasks |= await self._tasks(made)
        lost = failed(UnavailableError("Salesforce has made no task for the message yet"))
        return {message.key: tasks.get(message.key, lost) for message in messages}

    async def _create(self, messages: Sequence[Sent], answers: dict[str, str | CRMSyncResult]) -> None:
        content = encode_rows((message.row for message in messages), allOrNone=False)
        try:
            answer = await self.client.call("POST", "/composite/sobjects", content=content, repeatable=False)
        except CRMError as error:
            answers |= {message.key: failed(error) for message in messages}
            return
        for message, result in zip(messages, answer.body or (), strict=False):
            if not (isinstance(result, Mapping) and result.get("success") is True):
                errors = result.get("errors") if isinstance(result, Mapping) else ()
                answers[message.key] = failed(row_error(errors or (), message.row.values()))

    async def _tasks(self, keys: Iterable[str]) -> Mapping[str, str]:
        columns = ("Id", "ActivityId", "MessageIdentifier")
        found: dict[str, str] = {}
        for statement in soql.select_in(columns, "EmailMessage", "MessageIdentifier", keys):
            for row in await retrieving.query_all(self.client, statement):
                task = full_id(str(row.get("ActivityId")))
                if task:
                    found[str(row.get("MessageIdentifier"))] = task
        return found
