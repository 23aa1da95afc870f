"""The contact-level verbs of a provider, written once over its record store.

A provider that has `records()` and a mapping between `CRMContact` and its contact object gets all of them.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence

import anyio

from crmsync.errors import (
    ConfigurationError,
    ConflictError,
    ProviderError,
)
from crmsync.models.campaigns import EmailActivity
from crmsync.models.contacts import CRMContact
from crmsync.models.mappings import FieldMapping, ObjectMapping, SyncDirection
from crmsync.models.records import Operation, OperationKind, Outcome, OutcomeStatus
from crmsync.models.results import BulkSyncResult, CRMSyncResult, SyncAction
from crmsync.models.schema import CustomField
from crmsync.protocols.records import RecordStore
from crmsync.providers.contact_desk import (
    ATTRIBUTES,
    CUSTOM,
    LOCAL,
    Desk,
    Person,
    look_up,
    make_desk,
    match_of,
    needed,
    result_of,
    send,
)

__all__ = ["ATTRIBUTES", "ContactVerbs"]


class ContactVerbs(ABC):
    """Implements the verbs on contacts and custom fields of `CRMProvider`.

    A contact is identified by its id, else by its e-mail. An attribute that was not passed when the `CRMContact` was
    made is left as it is; one that was passed as None or empty is cleared. Custom fields are named as in
    `contact_mapping`, others as the CRM names them. A contact with a value that the CRM has no field for, or cannot
    hold as it is, fails as a whole: nothing of it is written, and the result names the field.

    What the CRM offers is looked up once a connection, when a verb is first used.
    """

    contact_object: str = "Contact"
    """The object that the verbs on contacts work with."""

    def __init__(self) -> None:
        self._desk: Desk | None = None
        self._desk_lock = anyio.Lock()

    @property
    @abstractmethod
    def provider_name(self) -> str:
        """See `CRMProvider.provider_name`."""

    @abstractmethod
    async def records(self, object_name: str) -> RecordStore:
        """See `CRMProvider.records`."""

    @abstractmethod
    def contact_mapping(self) -> ObjectMapping:
        """The mapping between `ATTRIBUTES` (as local fields) and the contact object.

        Fields that the CRM does not have are left out; other fields of the CRM need not be listed.
        """

    async def sync_contact(self, contact: CRMContact) -> CRMSyncResult:
        """See `CRMProvider.sync_contact`."""
        return (await self._save([contact], create=True)).results[0]

    async def get_contact(self, email: str) -> CRMContact | None:
        """See `CRMProvider.get_contact`.

        :raises ConversionError: the CRM holds something that a `CRMContact` cannot; the error names the field.
        """
        desk = await self._open_desk()
        found = await desk.find([email], desk.fields)
        if len(found) > 1:
            ids = [record.id for record in found]
            raise ConflictError(f"{len(ids)} contacts have this e-mail", candidates=ids)
        return desk.contact_of(found[0]) if found else None

    async def update_contact(self, contact: CRMContact) -> CRMSyncResult:
        """See `CRMProvider.update_contact`."""
        return (await self._save([contact], create=False)).results[0]

    async def delete_contact(self, contact_id: str) -> CRMSyncResult:
        """See `CRMProvider.delete_contact`."""
        store = await self.records(self.contact_object)
        [outcome] = await store.write([Operation(uuid.uuid4().hex, OperationKind.DELETE, contact_id)])
        if outcome.status is OutcomeStatus.MISSING:
            return CRMSyncResult(action=SyncAction.UNCHANGED, crm_id=contact_id)
        return result_of(outcome)

    async def bulk_sync_contacts(self, contacts: Sequence[CRMContact]) -> BulkSyncResult:
        """See `CRMProvider.bulk_sync_contacts`.

        Inputs take effect in their order: the same person twice is one record, on which the later input's values stay.
        When a call fails after others took effect, its rows' results say so instead of an exception.
        """
        return await self._save(contacts, create=True)

    async def log_email_activity(self, activity: EmailActivity) -> CRMSyncResult:
        """See `CRMProvider.log_email_activity`.

        :raises ConfigurationError: a provider that takes events puts its own in this place.
        """
        raise ConfigurationError("this CRM takes no e-mail activity; ask supports_feature() first")

    async def log_email_activities(self, activities: Sequence[EmailActivity]) -> BulkSyncResult:
        """See `CRMProvider.log_email_activities`: one after the other here; a CRM that takes many at once does better.

        When a call fails after others took effect, the rest's results say so instead of an exception.
        """
        results: list[CRMSyncResult] = []
        for activity in activities:
            try:
                results.append(await self.log_email_activity(activity))
            except ProviderError as error:
                if not results:
                    raise
                missing = result_of(Outcome("", OutcomeStatus.FAILED, error=error))
                results += [missing] * (len(activities) - len(results))
                break
        return BulkSyncResult(results=tuple(results))

    async def get_custom_fields(self, object_name: str = "Contact") -> list[CustomField]:
        """See `CRMProvider.get_custom_fields`."""
        schema = await (await self.records(object_name)).describe()
        return [CustomField(**field.model_dump()) for field in schema.fields if field.custom]

    async def map_custom_fields(self, mappings: Sequence[FieldMapping], object_name: str = "Contact") -> ObjectMapping:
        """See `CRMProvider.map_custom_fields`.

        The local side is taken to have every field that is named. Where the mappings do not cover what the CRM needs
        to create a record, the object mapping creates none (``create_in_crm`` False).
        """
        from crmsync.mapping import compile_mapping  # noqa: PLC0415 - runs convert without these verbs

        remote = await (await self.records(object_name)).describe()
        match = self.contact_mapping().match if object_name == self.contact_object else match_of(remote)
        mapping = ObjectMapping(fields=tuple(mappings), match=match, create_in_crm=False)
        compile_mapping(mapping, LOCAL, remote)
        written = {each.crm_field for each in mappings if each.sync_direction is not SyncDirection.FROM_CRM}
        covered = written.issuperset(field.name for field in remote.fields if needed(field))
        return mapping.model_copy(update={"create_in_crm": covered})

    async def _open_desk(self, contacts: Sequence[CRMContact] = ()) -> Desk:
        named = {name for contact in contacts for name in contact.custom_fields}
        async with self._desk_lock:
            desk = self._desk
            if desk is None:
                store = await self.records(self.contact_object)
                desk = make_desk(store, self.contact_mapping(), await store.describe(), named)
            elif desk.remote.open and any(CUSTOM + name not in desk.rules for name in named):
                known = {name.removeprefix(CUSTOM) for name in desk.rules if name.startswith(CUSTOM)}
                desk = make_desk(desk.store, self.contact_mapping(), desk.remote, known | named)
            self._desk = desk
            return desk

    async def _save(self, contacts: Sequence[CRMContact], *, create: bool) -> BulkSyncResult:
        desk = await self._open_desk(contacts)
        people = await look_up(desk, contacts)
        results: dict[int, CRMSyncResult] = {}
        for position, contact in enumerate(contacts):
            person = people.person_of(contact, create=create)
            wanted = person if isinstance(person, CRMSyncResult) else desk.wanted(contact, person)
            if isinstance(wanted, CRMSyncResult):
                results[position] = wanted
            elif isinstance(person, Person):
                people.note(person, position, contact.email, wanted)
        await send(desk, people.asked(), results)
        return BulkSyncResult(results=tuple(results[position] for position in range(len(contacts))))
