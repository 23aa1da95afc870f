"""`CRMSync`, the facade over everything, and the place where the parts are put together."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC
from typing import Any

import anyio
from pydantic import SecretStr

from crmsync.engine import DayBudget, RunBudget, RunJobs, Runner, SystemClock
from crmsync.errors import ConfigurationError, CRMError, NotFoundError
from crmsync.mapping import compile_mapping
from crmsync.models.integrations import CallLimits, Integration
from crmsync.models.mappings import ObjectMapping
from crmsync.models.plans import Plan
from crmsync.models.records import Side
from crmsync.models.results import ConnectionReport, Disconnection
from crmsync.models.runs import ObjectStatus, RunOptions, RunReport
from crmsync.models.schema import ObjectSchema
from crmsync.models.state import CallUsage, Conflict, ConflictStatus, LinkStatus, SyncLog
from crmsync.protocols.conversion import RecordRule
from crmsync.protocols.observers import Observer
from crmsync.protocols.provider import CRMProvider, ProviderContext, SupportsRevocation, UnkeptJobs
from crmsync.protocols.records import RecordStore
from crmsync.protocols.repository import SyncRepository
from crmsync.protocols.runtime import Clock, JobLog
from crmsync.registry import STORAGE, Registry
from crmsync.security.credential_store import SealedCredentialStore
from crmsync.security.sealing import Secrets, given, masked, seal, unseal
from crmsync.security.vault import Vault


class CRMSync:
    """Connect CRMs, map fields, plan and run syncs, look at what happened.

    The owner passes what this works with and closes it; `open` does both for a storage URL. ``custom_policies`` are the
    pure functions of field mappings with policy ``custom``, by local field name: (local value, the CRM's value in local
    form) to the value that both sides should hold.
    """

    def __init__(
        self,
        repository: SyncRepository,
        *,
        vault: Vault,
        registry: Registry | None = None,
        clock: Clock | None = None,
        observers: Sequence[Observer] = (),
        custom_policies: Mapping[str, Callable[[object, object], object]] | None = None,
    ) -> None:
        self.repository = repository
        self._vault = vault
        self._registry = registry or Registry()
        self._clock = clock or SystemClock()
        self._observers = tuple(observers)
        self._custom = dict(custom_policies or {})
        self._locks: dict[str, anyio.Lock] = {}

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        storage: str,
        *,
        vault: Vault,
        registry: Registry | None = None,
        clock: Clock | None = None,
        observers: Sequence[Observer] = (),
        custom_policies: Mapping[str, Callable[[object, object], object]] | None = None,
    ) -> AsyncIterator[CRMSync]:
        """Open the bookkeeping at a URL (``sqlite:///crmsync.db``, ``postgresql://...``, ``memory://``), then close it.

        :raises UnknownProviderError: no installed storage has this URL scheme.
        :raises StorageError: it cannot be opened.
        """
        registry = registry or Registry()
        scheme = storage.partition(":")[0]
        open_repository = registry.load(STORAGE, scheme)
        async with open_repository(storage) as repository:
            yield cls(
                repository,
                vault=vault,
                registry=registry,
                clock=clock,
                observers=observers,
                custom_policies=custom_policies,
            )

    async def add_integration(
        self,
        integration_id: str,
        *,
        provider: str,
        settings: Mapping[str, Any],
        credentials: Mapping[str, SecretStr | str],
        mappings: Mapping[str, ObjectMapping] | None = None,
        user_id: str = "",
        keep: Collection[str] = (),
        limits: CallLimits | None = None,
    ) -> Integration:
        """Add an integration, or replace its settings, credentials and mappings; links and cursors stay.

        ``keep`` names further credentials that stay as they are stored. Giving the same credentials as the last time
        keeps what the provider has renewed since (a rotated refresh token, say); others replace all of them.
        ``mappings`` None takes the provider's defaults, less the fields that either side does not have. ``limits`` None
        lifts those on the integration's API calls.

        :raises UnknownProviderError: no such provider is installed.
        :raises ConfigurationError: a credential to ``keep`` is not stored.
        """
        factory = self._registry.provider(provider)
        now = self._clock.now()

        def configured(existing: Integration | None) -> Integration:
            held = unseal(self._vault, existing) if existing else Secrets({}, {}, secrets.token_bytes(32))
            sealed = given(held, masked(credentials), keep)
            kept: dict[str, Any] = {}
            if existing and sealed is held and existing.settings.get("provider") == dict(settings):
                kept = {"remembered": existing.settings.get("remembered", {})}
            return Integration(
                id=integration_id,
                user_id=user_id,
                provider=provider,
                org_id=existing.org_id if existing else None,
                credentials=seal(self._vault, integration_id, sealed),
                settings={
                    "provider": dict(settings),
                    "default_mappings": mappings is None,
                    "limits": (limits or CallLimits()).model_dump(mode="json"),
                    **kept,
                },
                field_mappings=dict(factory.default_mappings() if mappings is None else mappings),
                last_sync_at=existing.last_sync_at if existing else None,
                created_at=existing.created_at if existing else now,
                updated_at=now,
            )

        try:
            return await self.repository.change_integration(integration_id, configured)
        except NotFoundError:
            integration = configured(None)
        await self.repository.save_integration(integration)
        return integration

    async def credentials(self, integration_id: str) -> Mapping[str, SecretStr]:
        """What is sealed for an integration, still masked in every ``repr``.

        :raises NotFoundError: there is no such integration. :raises ConfigurationError: the vault's key is another one.
        """
        return unseal(self._vault, await self.repository.get_integration(integration_id)).credentials

    async def integrations(self, user_id: str | None = None) -> list[Integration]:
        """All integrations, or one user's."""
        return await self.repository.list_integrations(user_id)

    async def remove_integration(self, integration_id: str) -> None:
        """Forget an integration with its links, conflicts and logs. Neither side's records are touched.

        :raises NotFoundError: there is none.
        """
        await self.repository.delete_integration(integration_id)

    async def disconnect(self, integration_id: str, *, forget: bool = False) -> Disconnection:
        """Revoke the credentials at the CRM and forget them here; with ``forget`` the integration with its links too.

        They are forgotten also if the CRM cannot be asked: then what was not revoked there stays good until someone
        does it, and the answer says why.

        :raises NotFoundError: there is no such integration.
        :raises ConfigurationError: the vault's key is another one, and the integration is not to be forgotten.
        """
        integration = await self.repository.get_integration(integration_id)
        revoked, reason = await self._revoked(integration)
        if forget:
            await self.repository.delete_integration(integration_id)
        else:
            await self.repository.change_integration(integration_id, self._without_credentials)
        return Disconnection(revoked=revoked, reason=reason)

    async def _revoked(self, integration: Integration) -> tuple[bool, str]:
        try:
            async with self._connected(integration, RunBudget()) as provider:
                if not isinstance(provider, SupportsRevocation):
                    return False, f"the provider {integration.provider!r} cannot revoke credentials"
                revoked = await provider.revoke()
        except CRMError as error:
            return False, error.message
        return revoked, "" if revoked else "there was nothing of ours to revoke"

    def _without_credentials(self, integration: Integration) -> Integration:
        digest_key = unseal(self._vault, integration).digest_key
        sealed = seal(self._vault, integration.id, Secrets({}, {}, digest_key))
        return integration.model_copy(update={"credentials": sealed, "updated_at": self._clock.now()})

    @asynccontextmanager
    async def provider(self, integration_id: str, *, max_calls: int | None = None) -> AsyncIterator[CRMProvider]:
        """Open the provider of an integration, for its contact-level verbs.

        :raises NotFoundError: there is no such integration. :raises ConfigurationError: its settings are unusable.
        """
        integration = await self.repository.get_integration(integration_id)
        async with self._budget(integration, max_calls) as budget, self._connected(integration, budget) as provider:
            yield provider

    async def test_connection(self, integration_id: str) -> ConnectionReport:
        """Sign in and look at what a sync needs.

        :raises AuthenticationError: the credential is refused. :raises UnavailableError: the CRM does not answer.
        """
        async with self.provider(integration_id) as provider:
            return await provider.test_connection()

    async def fields(self, integration_id: str, object_name: str) -> ObjectSchema:
        """The fields of one of the CRM's objects, as the integration's credential sees them."""
        async with self.provider(integration_id) as provider:
            return await (await provider.records(object_name)).describe()

    async def check_mapping(self, integration_id: str, object_name: str, local: RecordStore) -> RecordRule:
        """Check an object's mapping against both sides.

        :raises MappingError: with every fault at once.
        """
        integration = await self.repository.get_integration(integration_id)
        async with self._budget(integration) as budget, self._connected(integration, budget) as provider:
            _, rule = await self._compiled(integration, object_name, local, await provider.records(object_name))
            return rule

    async def plan(
        self, integration_id: str, object_name: str, local: RecordStore, *, options: RunOptions | None = None
    ) -> Plan:
        """The dry run: what `sync` would write now. Writes nothing on either side.

        :raises MappingError: the mapping has faults. :raises ProviderError: a side failed as a whole.
        """
        async with self._runner(integration_id, object_name, local, options) as runner:
            return await runner.plan()

    async def apply(self, plan: Plan, local: RecordStore, *, options: RunOptions | None = None) -> RunReport:
        """Write what a plan holds and nothing else; records that changed since are left for the next run.

        :raises StaleRecordError: the mapping changed since the plan was made.
        """
        async with self._runner(plan.integration_id, plan.entity_type, local, options) as runner:
            report = await runner.apply(plan)
        await self._note_sync(plan.integration_id)
        return report

    async def sync(
        self, integration_id: str, object_name: str, local: RecordStore, *, options: RunOptions | None = None
    ) -> RunReport:
        """Read, plan, write, acknowledge, page by page. The report's status says how it ended.

        :raises SafetyStopError: a guard stopped it (also logged). :raises ProviderError: a side failed as a whole.
        :raises ConcurrentUpdateError: another process is running this object.
        :raises MappingError: see `check_mapping`.
        """
        async with self._runner(integration_id, object_name, local, options) as runner:
            report = await runner.sync()
        await self._note_sync(integration_id)
        return report

    async def status(self, integration_id: str) -> list[ObjectStatus]:
        """Where each mapped object stands."""
        integration = await self.repository.get_integration(integration_id)
        return [await self._object_status(integration_id, name) for name in sorted(integration.field_mappings)]

    async def call_usage(self, integration_id: str) -> CallUsage:
        """The API calls of the present day of UTC: what the integration's processes took, what the CRM said last.

        :raises NotFoundError: there is no such integration.
        """
        await self.repository.get_integration(integration_id)
        return await self.repository.get_call_usage(integration_id, self._clock.now().astimezone(UTC).date())

    async def conflicts(
        self,
        integration_id: str,
        object_name: str | None = None,
        *,
        statuses: Sequence[ConflictStatus] = (ConflictStatus.OPEN,),
        limit: int = 1000,
    ) -> list[Conflict]:
        """Conflicts of these statuses, oldest first."""
        return await self.repository.list_conflicts(integration_id, object_name, statuses=statuses, limit=limit)

    async def conflict(self, integration_id: str, conflict_id: str) -> Conflict:
        """:raises NotFoundError: there is none."""
        return await self.repository.get_conflict(integration_id, conflict_id)

    async def resolve_conflict(self, integration_id: str, conflict_id: str, winner: Side) -> Conflict:
        """Decide an open conflict; the next run writes the winner's value to the other side.

        :raises NotFoundError: there is none, or it is resolved already.
        """
        return await self.repository.decide_conflict(integration_id, conflict_id, winner, now=self._clock.now())

    async def logs(self, integration_id: str, object_name: str | None = None, *, limit: int = 100) -> list[SyncLog]:
        """Past runs, newest first."""
        return await self.repository.list_logs(integration_id, object_name, limit=limit)

    @asynccontextmanager
    async def _budget(self, integration: Integration, max_calls: int | None = None) -> AsyncIterator[RunBudget]:
        """The calls of one opening; what it took from the integration's day and did not use is given back."""
        limits = CallLimits.model_validate(integration.settings.get("limits", {}))
        day = DayBudget(self.repository, integration.id, limits, self._clock)
        try:
            yield RunBudget(max_calls, day=day)
        finally:
            with anyio.CancelScope(shield=True):
                await day.close()

    @asynccontextmanager
    async def _connected(
        self, integration: Integration, budget: RunBudget, jobs: JobLog | None = None
    ) -> AsyncIterator[CRMProvider]:
        factory = self._registry.provider(integration.provider)
        settings = integration.settings.get("provider", {})
        remembered = integration.settings.get("remembered", {})
        store = self._credential_store(integration.id)
        jobs = jobs or UnkeptJobs()
        context = ProviderContext(self._clock, budget, memory=dict(remembered), credentials=store, jobs=jobs)
        async with factory.open(settings, unseal(self._vault, integration).credentials, context) as provider:
            try:
                yield provider
            finally:
                if context.memory != remembered:
                    with anyio.CancelScope(shield=True):
                        await self._remember(integration.id, context.memory)

    @asynccontextmanager
    async def _runner(
        self, integration_id: str, object_name: str, local: RecordStore, options: RunOptions | None
    ) -> AsyncIterator[Runner]:
        options = options or RunOptions()
        integration = await self.repository.get_integration(integration_id)
        if not integration.sync_enabled:
            msg = f"sync is switched off for integration {integration_id!r}"
            raise ConfigurationError(msg)
        async with (
            self._budget(integration, options.max_calls) as budget,
            self._connected(
                integration, budget, RunJobs(self.repository, integration_id, object_name, self._observers)
            ) as provider,
        ):
            remote = await provider.records(object_name)
            mapping, rule = await self._compiled(integration, object_name, local, remote)
            yield Runner(
                integration_id=integration_id,
                entity_type=object_name,
                mapping=mapping,
                rule=rule,
                local=local,
                remote=remote,
                repository=self.repository,
                clock=self._clock,
                budget=budget,
                digest_key=unseal(self._vault, integration).digest_key,
                options=options,
                observers=self._observers,
            )

    async def _compiled(
        self, integration: Integration, object_name: str, local: RecordStore, remote: RecordStore
    ) -> tuple[ObjectMapping, RecordRule]:
        mapping = integration.field_mappings.get(object_name)
        if mapping is None:
            known = ", ".join(sorted(integration.field_mappings)) or "none"
            msg = f"integration {integration.id!r} has no mapping for {object_name!r} (mapped objects: {known})"
            raise ConfigurationError(msg)
        ours, theirs = await local.describe(), await remote.describe()
        if integration.settings.get("default_mappings"):
            mapping = fitted(mapping, ours, theirs)
        custom = {
            f.markmail_field: self._custom[f.markmail_field] for f in mapping.fields if f.markmail_field in self._custom
        }
        return mapping, compile_mapping(mapping, ours, theirs, custom=custom)

    async def _object_status(self, integration_id: str, object_name: str) -> ObjectStatus:
        counts = await self.repository.count_links(integration_id, object_name)
        logs = await self.repository.list_logs(integration_id, object_name, limit=1)
        return ObjectStatus(
            entity_type=object_name,
            synced=counts.get(LinkStatus.SYNCED, 0),
            conflicts=counts.get(LinkStatus.CONFLICT, 0),
            rejected=counts.get(LinkStatus.REJECTED, 0),
            quarantined=counts.get(LinkStatus.QUARANTINED, 0),
            deleted=counts.get(LinkStatus.DELETED, 0),
            last_run=RunReport.model_validate(logs[0].error_details["report"]) if logs else None,
        )

    def _credential_store(self, integration_id: str) -> SealedCredentialStore:
        lock = self._locks.setdefault(integration_id, anyio.Lock())
        return SealedCredentialStore(self.repository, self._vault, self._clock, integration_id, lock=lock)

    async def _remember(self, integration_id: str, memory: Mapping[str, str]) -> None:
        def remembering(integration: Integration) -> Integration:
            return integration.model_copy(update={"settings": {**integration.settings, "remembered": dict(memory)}})

        await self.repository.change_integration(integration_id, remembering)

    async def _note_sync(self, integration_id: str) -> None:
        noted = {"last_sync_at": self._clock.now()}
        await self.repository.change_integration(integration_id, lambda found: found.model_copy(update=noted))


def fitted(mapping: ObjectMapping, local: ObjectSchema, remote: ObjectSchema) -> ObjectMapping:
    """A provider's default mapping without the fields that a side does not have."""

    def offered(schema: ObjectSchema, name: str) -> bool:
        return schema.open or schema.field(name) is not None

    kept = tuple(f for f in mapping.fields if offered(local, f.markmail_field) and offered(remote, f.crm_field))
    return mapping.model_copy(update={"fields": kept})
