"""Whom an e-mail address means: contacts before leads, and never one of several."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

import attrs

from crmsync.errors import SchemaChangedError
from crmsync.models.records import Record
from crmsync.models.results import CRMSyncResult
from crmsync.providers.salesforce.objects.results import failure
from crmsync.providers.salesforce.records import SalesforceRecordStore

OpenStore = Callable[[str], Awaitable[SalesforceRecordStore]]

CONVERTED: Final = "IsConverted"
LEAD_PREFIX: Final = "00Q"
KINDS: Final = ("Contact", "Lead")


@attrs.frozen(slots=True)
class Found:
    """Who has an e-mail: ``object_name`` is Contact or Lead."""

    object_name: str
    record: Record

    @property
    def id(self) -> str:
        return self.record.id


async def find_people(
    open_store: OpenStore, emails: Iterable[str], fields: Iterable[str] = ()
) -> Mapping[str, Found | CRMSyncResult]:
    """For each address (see `folded`) its one person, or why there is not one.

    Leads are looked at only for addresses that no contact has; converted ones are contacts already.
    """
    wanted = list(dict.fromkeys(folded(email) for email in emails))
    people: dict[str, Found | CRMSyncResult] = {}
    for object_name in KINDS:
        rest = [email for email in wanted if email not in people]
        if not rest:
            break
        try:
            store = await open_store(object_name)
        except SchemaChangedError:
            continue
        by_email: dict[str, list[Record]] = {}
        for record in await store.find("Email", rest, fields=("Email", *fields)):
            by_email.setdefault(folded(str(record.fields.get("Email") or "")), []).append(record)
        for email, records in by_email.items():
            people[email] = _one(object_name, records)
    nobody = failure("not_found", "no contact and no lead has this e-mail")
    return {email: people.get(email, nobody) for email in wanted}


def _one(object_name: str, records: list[Record]) -> Found | CRMSyncResult:
    if len(records) > 1:
        return failure("ambiguous", f"{len(records)} {object_name.lower()}s have this e-mail; merge them in Salesforce")
    return Found(object_name, records[0])


def folded(email: str) -> str:
    """An address as it is compared."""
    return email.strip().lower()
