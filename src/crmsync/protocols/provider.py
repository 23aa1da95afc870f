"""The contract of a CRM provider, and of the factory that an entry point names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import anyio
import attrs
from pydantic import SecretStr

from crmsync.protocols.records import RecordStore
from crmsync.protocols.runtime import CallBudget, Clock, JobLog, Turns, WritePermit

if TYPE_CHECKING:
    # Models take long to make, and nobody needs all of them.
    from crmsync.models.campaigns import CRMCampaign, EmailActivity
    from crmsync.models.contacts import CRMContact, CRMList
    from crmsync.models.mappings import FieldMapping, ObjectMapping
    from crmsync.models.problems import Problem
    from crmsync.models.results import BulkSyncResult, ConnectionReport, CRMFeature, CRMSyncResult
    from crmsync.models.schema import CustomField
    from crmsync.models.state import RemoteJob


@runtime_checkable
class CRMProvider(Protocol):
    """One open connection to one tenant's CRM.

    Verbs on single contacts never raise for a record's own fault: the result says it. They raise the `ProviderError`
    family when the call as a whole failed.
    """

    @property
    def provider_name(self) -> str:
        """The kind of CRM, as registered: ``salesforce``."""
        ...

    def supports_feature(self, feature: CRMFeature) -> bool:
        """Whether this connection can do it. A verb without its feature raises `ConfigurationError`."""
        ...

    async def test_connection(self) -> ConnectionReport:
        """Sign in, look at what is needed for a sync, and say what is missing. Changes nothing."""
        ...

    async def records(self, object_name: str) -> RecordStore:
        """Open the record store of one of the CRM's objects.

        :raises SchemaChangedError: the CRM has no such object, or hides it.
        """
        ...

    async def sync_contact(self, contact: CRMContact) -> CRMSyncResult:
        """Create the contact, or update the one with its id or e-mail. Running it again makes no second one."""
        ...

    async def get_contact(self, email: str) -> CRMContact | None:
        """The contact with this e-mail, whatever the case; None if there is none.

        :raises ConflictError: more than one contact has it.
        """
        ...

    async def update_contact(self, contact: CRMContact) -> CRMSyncResult:
        """Update the contact with this id (without an id: this e-mail); fails as ``not_found`` if there is none."""
        ...

    async def delete_contact(self, contact_id: str) -> CRMSyncResult:
        """Delete the contact with this CRM id. One that is gone already counts as unchanged."""
        ...

    async def bulk_sync_contacts(self, contacts: Sequence[CRMContact]) -> BulkSyncResult:
        """As `sync_contact` for many, in as few calls as the CRM allows; one result for each input, in input order."""
        ...

    async def sync_campaign(self, campaign: CRMCampaign) -> CRMSyncResult:
        """Create or update a campaign."""
        ...

    async def log_email_activity(self, activity: EmailActivity) -> CRMSyncResult:
        """Record an e-mail event with the contact it concerns. Logging it again records nothing."""
        ...

    async def log_email_activities(self, activities: Sequence[EmailActivity]) -> BulkSyncResult:
        """As `log_email_activity` for many, in as few calls as the CRM allows; one result for each, in input order."""
        ...

    async def sync_list_membership(self, members: CRMList, *, remove_others: bool = False) -> BulkSyncResult:
        """Make ``members.member_emails`` members of the CRM's list; one result for each of them, in order.

        An e-mail that nobody has fails as ``not_found``. Other members stay, unless ``remove_others`` is True.
        """
        ...

    async def get_custom_fields(self, object_name: str = "Contact") -> list[CustomField]:
        """The fields that the CRM's administrator added to an object."""
        ...

    async def map_custom_fields(self, mappings: Sequence[FieldMapping], object_name: str = "Contact") -> ObjectMapping:
        """Check field mappings against the CRM and make an object mapping of them.

        :raises MappingError: with every fault at once.
        """
        ...


@runtime_checkable
class SupportsRevocation(Protocol):
    """A provider that can end its own credentials at the CRM."""

    async def revoke(self) -> bool:
        """Make the CRM refuse what this connection signs in with, from now on; False if nothing is ours to end.

        :raises ProviderError: the CRM could not be asked, or refused.
        """
        ...


class CredentialStore(Protocol):
    """The credentials of one integration, as they are kept. A provider that renews a secret saves it here."""

    async def load(self) -> Mapping[str, SecretStr]:
        """What is kept now; another process may have renewed it since the provider was opened.

        :raises StorageError: it cannot be read.
        """
        ...

    async def save(self, changes: Mapping[str, SecretStr | None]) -> None:
        """Keep these, encrypted, beside the others; None forgets one. Call it BEFORE the new secret is used.

        :raises StorageError: nothing was kept.
        """
        ...

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        """Wait until no other task and no other process is in here for this integration, and keep them out.

        A process that dies within gives way by itself, after some seconds. It is not reentrant.
        """
        ...


class UnkeptCredentials:
    """A `CredentialStore` in memory, for providers that are opened by hand: what is saved ends with the process."""

    def __init__(self) -> None:
        self._held: dict[str, SecretStr] = {}
        self._lock = anyio.Lock()

    async def load(self) -> Mapping[str, SecretStr]:
        return dict(self._held)

    async def save(self, changes: Mapping[str, SecretStr | None]) -> None:
        merged = {**self._held, **changes}
        self._held = {name: value for name, value in merged.items() if value is not None}

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        async with self._lock:
            yield


class UnkeptJobs:
    """A `JobLog` in memory, for providers that are opened outside a run: no later run asks for the jobs."""

    def __init__(self) -> None:
        self._held: dict[str, RemoteJob] = {}

    async def add(self, job: RemoteJob) -> None:
        self._held[job.job_id] = job

    async def remove(self, job_id: str) -> None:
        self._held.pop(job_id, None)

    async def unfinished(self) -> Sequence[RemoteJob]:
        return list(self._held.values())

    def progressed(self, job: RemoteJob, processed: int) -> None:
        """Nobody watches."""


class Unfenced:
    """A `WritePermit` for providers that are opened outside a run: nobody takes over."""

    async def confirm(self) -> None:
        """Always permitted."""


class UnsharedTurns:
    """`Turns` of one connection, for providers that are opened by hand."""

    def __init__(self) -> None:
        self._locks: dict[str, anyio.Lock] = {}

    @asynccontextmanager
    async def exclusive(self, name: str, *, org: str = "") -> AsyncIterator[None]:
        async with self._locks.setdefault(name, anyio.Lock()):
            yield


@attrs.frozen(slots=True)
class ProviderContext:
    """What the owner lends to a provider while it is open.

    ``memory`` is what the provider found out and need not ask again when it is next opened (a negotiated version, whose
    token it is). It is stored in clear: no secret belongs there. It may be emptied at any time. Secrets that the
    provider renews go to ``credentials``. Jobs that outlive the process are noted in ``jobs``. The engine
    confirms ``permit`` before each `RecordStore.write`; a provider that makes several calls of one does so before each.
    ``turns`` are for what it must not do at the same moment as another process, or another integration with its org.
    """

    clock: Clock
    budget: CallBudget
    retry_attempts: int = 5
    memory: dict[str, str] = attrs.field(factory=dict)
    credentials: CredentialStore = attrs.field(factory=UnkeptCredentials)
    jobs: JobLog = attrs.field(factory=UnkeptJobs)
    permit: WritePermit = attrs.field(factory=Unfenced)
    turns: Turns = attrs.field(factory=UnsharedTurns)


@runtime_checkable
class ProviderFactory(Protocol):
    """What an entry point of the group ``crmsync.providers`` names: an object, or a class without arguments."""

    @property
    def name(self) -> str:
        """The name it is registered under."""
        ...

    def default_mappings(self) -> Mapping[str, ObjectMapping]:
        """A sensible mapping for each object that a newcomer would sync, by object name."""
        ...

    def open(
        self, settings: Mapping[str, Any], credentials: Mapping[str, SecretStr], context: ProviderContext
    ) -> AbstractAsyncContextManager[CRMProvider]:
        """Connect; leaving the context closes what was opened.

        :raises ConfigurationError: a setting or credential is missing or unusable; the message names it.
        """
        ...


@runtime_checkable
class SupportsParents(Protocol):
    """A `ProviderFactory` that knows which of its objects build on others."""

    def parents(self) -> Mapping[str, frozenset[str]]:
        """By object, those whose records its own are about: while a guard stops one of them, the object waits.

        Objects that a mapping's ``references`` name need not be told.
        """
        ...


@runtime_checkable
class SupportsAdvice(Protocol):
    """A `CRMProvider` that knows what of its settings a run may work better with."""

    async def advice(self, object_name: str, written: Collection[str]) -> Sequence[Problem]:
        """What a run of this object should warn of, if these fields of the CRM are written. The paths name settings.

        Asked once a run or description, when the object's record store is open; takes no more calls than that did.
        """
        ...
