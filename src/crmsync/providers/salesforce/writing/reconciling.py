"""Creates whose answer was lost: find out which took effect, and only then send the others.

A record that came of such a create was made by our user since the call began, and holds what was sent: its e-mail if
the row has one, else every text. What cannot be found out is reported as such and never sent a second time here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from crmsync.errors import CRMError, RejectedError
from crmsync.models.schema import FieldType
from crmsync.providers.salesforce import soql
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.retrieving import query_all
from crmsync.providers.salesforce.schema import SObject
from crmsync.providers.salesforce.writing.outcomes import Sent, saved
from crmsync.providers.salesforce.writing.rows import Row

Resend = Callable[[Sequence[Row], Sent], Awaitable[object]]

_GRACE: Final = timedelta(seconds=5)
"""How much earlier than the call a record may be stamped: CreatedDate has whole seconds, and clocks differ."""
_TEXTS: Final = frozenset({FieldType.TEXT, FieldType.PHONE, FieldType.URL, FieldType.PICKLIST, FieldType.EMAIL})
SETTLE_SECONDS: Final = 2.0
"""A call whose connection broke may still be at work; its commit is waited for."""

Identity = tuple[tuple[str, str], ...]


class Settler(Protocol):
    """Finds out what became of creates whose answer was lost."""

    async def settle(self, rows: Sequence[Row], began: datetime, sent: Sent, resend: Resend | None) -> None:
        """Answer every row of a call that began (by the server's clock) and whose answer was lost.

        Those that were created are answered as such, the others as they answer when sent once more; without ``resend``
        as unknown.
        """
        ...


class Reconciler:
    """Settles lost creates of one object. ``user_id`` says who we are, None if that is unknown."""

    def __init__(
        self, client: SalesforceClient, sobject: SObject, user_id: Callable[[], Awaitable[str | None]]
    ) -> None:
        self._client = client
        self._sobject = sobject
        self._user_id = user_id

    async def settle(self, rows: Sequence[Row], began: datetime, sent: Sent, resend: Resend | None) -> None:
        """See `Settler`."""
        claimed = {outcome.id for outcome in sent.outcomes.values() if outcome.id}
        identities = {row.position: self._identity(row.values) for row in rows}
        try:
            await self._client.clock.sleep(SETTLE_SECONDS)
            made = await self._made_since(began, identities.values())
        except CRMError:
            made = None
        missing: list[Row] = []
        for row in rows:
            identity = identities[row.position]
            if made is None or not identity:
                sent.fail([row], answer_lost())
                continue
            found = next((record_id for record_id in made.get(identity, ()) if record_id not in claimed), None)
            if found is None:
                missing.append(row)
            else:
                claimed.add(found)
                sent.answer(row, saved(row, found, created=True))
        if missing and resend is not None:
            await resend(missing, sent)
        else:
            sent.fail(missing, answer_lost())

    def _identity(self, values: Mapping[str, Any]) -> Identity:
        """What a record is recognised by; empty if there is nothing."""
        known = self._sobject.fields
        texts = {n: _plain(v) for n, v in values.items() if n in known and known[n].type in _TEXTS and _plain(v)}
        emails = {name: value for name, value in texts.items() if known[name].type is FieldType.EMAIL}
        return tuple(sorted((emails or texts).items()))

    async def _made_since(self, began: datetime, identities: Iterable[Identity]) -> Mapping[Identity, list[str]] | None:
        """Ids of what our user created since the call began, by each identity; None if that cannot be known."""
        user_id = await self._user_id()
        if user_id is None or not {"CreatedById", "CreatedDate"} <= self._sobject.fields.keys():
            return None
        shapes = {tuple(name for name, _ in identity) for identity in identities if identity}
        columns = dict.fromkeys(name for shape in shapes for name in shape)
        statement = soql.select(
            ("Id", *columns),
            self._sobject.schema.name,
            where=soql.every(
                soql.compare("CreatedById", "=", user_id), soql.compare("CreatedDate", ">=", began - _GRACE)
            ),
        )
        made: dict[Identity, list[str]] = {}
        for row in await query_all(self._client, statement):
            for shape in shapes:
                identity = tuple((name, _plain(row.get(name))) for name in shape)
                made.setdefault(identity, []).append(str(row.get("Id")))
        return made


def _plain(value: object) -> str:
    """A text as it is compared: Salesforce trims, and writes e-mails in lower case."""
    return value.strip().casefold() if isinstance(value, str) else ""


def answer_lost() -> RejectedError:
    """The error of a create of which nobody knows whether it took effect."""
    return RejectedError(
        "nobody knows whether the record was created: Salesforce's answer was lost; the next run looks for it",
        code="answer_lost",
    )
