"""What the provider contract asks of an implementer: how to open one, and the names that differ in its CRM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import ClassVar

from crmsync.engine import RunBudget, SystemClock
from crmsync.models.campaigns import EmailActivity, EmailActivityType
from crmsync.models.contacts import CRMContact
from crmsync.models.records import Operation, OperationKind
from crmsync.protocols.provider import CRMProvider, ProviderContext
from crmsync.testing.record_subject import read_pass

MISFIT = "misfit-value-that-nobody-may-log"


class ProviderSetting:
    """What a subclass gives: `open`, and the names that differ in its CRM."""

    contact_object: ClassVar[str] = "Contact"
    """The object that the verbs on contacts work with."""
    email_field: ClassVar[str] = "Email"
    """Its e-mail field."""
    required_fields: ClassVar[Mapping[str, object]] = {}
    """What else a record of it needs, with a value."""
    secrets: ClassVar[Sequence[str]] = ()
    """The credentials that `open` uses; none may show."""

    def open(self) -> AbstractAsyncContextManager[CRMProvider]:
        """Connect to a CRM without contacts, campaigns and lists; a new one at each call."""
        raise NotImplementedError

    def context(self) -> ProviderContext:
        """What an owner lends to a provider."""
        return ProviderContext(SystemClock(), RunBudget())

    def contact(self, number: int, **changes: object) -> CRMContact:
        """The n-th person; different for each."""
        given = {"email": f"person{number}@example.com", "first_name": f"First {number}", "last_name": f"Last {number}"}
        return CRMContact.model_validate(given | changes)

    def event(self, number: int, minute: int = 0) -> EmailActivity:
        """The n-th person opens a message at a minute of its own."""
        return EmailActivity(
            type=EmailActivityType.OPENED,
            email=f"person{number}@example.com",
            occurred_at=datetime(2026, 3, 1, 12, minute, tzinfo=UTC),
            message_id="m-1",
            subject="Hello",
        )

    def misfit(self, number: int) -> CRMContact:
        """A contact with the value `MISFIT` where the CRM cannot hold it, such as in a field that it does not have."""
        return self.contact(number, custom_fields={"no_such_field": MISFIT})

    async def add_contact(self, provider: CRMProvider, email: str) -> str:
        """Add a contact as another user of the CRM, whatever other contacts have this e-mail; its id."""
        store = await provider.records(self.contact_object)
        fields = {self.email_field: email, **self.required_fields}
        [outcome] = await store.write([Operation("outside", OperationKind.CREATE, None, fields=fields)])
        assert outcome.ok, outcome.error
        assert outcome.id is not None
        return outcome.id

    async def emails(self, provider: CRMProvider) -> list[str]:
        """The e-mails of all contacts, sorted: what the CRM holds in the end."""
        store = await provider.records(self.contact_object)
        everything = await read_pass(store, None, [self.email_field])
        live = (record for record in everything.newest().values() if not record.deleted)
        return sorted(str(record.fields[self.email_field]).lower() for record in live)
