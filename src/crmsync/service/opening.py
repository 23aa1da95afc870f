"""How the parts are put together: an open provider, its budget, a runner with a checked mapping."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypedDict

import anyio
import attrs
from pydantic import SecretStr

from crmsync.diff import PersonMarks
from crmsync.engine import DayBudget, RunBudget, RunJobs, RunLease, Runner, SystemClock
from crmsync.errors import ConfigurationError, StorageError, SyncPausedError, VaultError
from crmsync.mapping.drift import compile_in_spite, kept_for, mapping_digest, remember, with_lost_fields
from crmsync.models.audit import Actor
from crmsync.models.checks import SchemaMemory
from crmsync.models.integrations import CallLimits, Integration
from crmsync.models.mappings import Enforcement, ObjectMapping
from crmsync.models.problems import Problem
from crmsync.models.runs import RunOptions
from crmsync.models.schema import ObjectSchema
from crmsync.protocols.conversion import RecordRule
from crmsync.protocols.observers import Observer
from crmsync.protocols.provider import CRMProvider, ProviderContext, SupportsAdvice, Unfenced, UnkeptJobs
from crmsync.protocols.records import RecordStore
from crmsync.protocols.repository import SyncRepository
from crmsync.protocols.runtime import Clock
from crmsync.registry import Registry
from crmsync.security.audit import AuditWriter
from crmsync.security.credential_store import SealedCredentialStore
from crmsync.security.sealing import opened
from crmsync.security.turns import SharedTurns
from crmsync.security.vault import Vault
from crmsync.service.consents import AuditedConsents

SCHEMAS: Final = "schemas"
"""Where an integration's settings keep what the CRM said of its objects."""


class Functions(TypedDict):
    """Functions of the user's for one mapping: of policy ``custom``, and of ``normalise``."""

    custom: Mapping[str, Callable[[object, object], object]]
    normalisers: Mapping[str, Callable[[str], str]]


@attrs.frozen(slots=True)
class Sides:
    """A mapping, as far as both sides have its fields, with what they say of themselves.

    ``memory`` is what the CRM said when all was well, under this very mapping; ``key`` the digest of the stored one.
    """

    object_name: str
    mapping: ObjectMapping
    local: ObjectSchema
    remote: ObjectSchema
    memory: SchemaMemory | None
    key: str


@attrs.frozen(slots=True)
class Compiled:
    """A mapping ready to run."""

    sides: Sides
    rule: RecordRule


class Opening:
    """What every verb of the facade works with."""

    def __init__(
        self,
        repository: SyncRepository,
        *,
        vault: Vault,
        registry: Registry | None = None,
        clock: Clock | None = None,
        observers: Sequence[Observer] = (),
        custom_policies: Mapping[str, Callable[[object, object], object]] | None = None,
        normalisers: Mapping[str, Callable[[str], str]] | None = None,
        actor: Actor | None = None,
    ) -> None:
        self.repository = repository
        self._vault = vault
        self._registry = registry or Registry()
        self._clock = clock or SystemClock()
        self._observers = tuple(observers)
        self._custom = dict(custom_policies or {})
        self._normalisers = dict(normalisers or {})
        self._locks: dict[str, anyio.Lock] = {}
        self._audit = AuditWriter(repository, vault, self._clock, actor or Actor("application"))

    @asynccontextmanager
    async def _budget(self, integration: Integration, max_calls: int | None = None) -> AsyncIterator[RunBudget]:
        """The calls of one opening; what it took from the integration's day and did not use is given back."""
        limits = CallLimits.model_validate(integration.settings.get("limits", {}))
        day = DayBudget(self.repository, integration.id, limits, self._clock)
        try:
            yield RunBudget(max_calls, day=day)
        finally:
            # Calls that cannot be given back are lost to the day; how the work ended is what matters.
            with anyio.CancelScope(shield=True), suppress(StorageError):
                await day.close()

    @asynccontextmanager
    async def _connected(
        self,
        integration: Integration,
        budget: RunBudget,
        lease: RunLease | None = None,
        *,
        purpose: str,
        object_name: str = "",
    ) -> AsyncIterator[CRMProvider]:
        """The provider, open. ``purpose`` is for the audit log: this is where credentials are used, once a run."""
        factory = self._registry.provider(integration.provider)
        settings = integration.settings.get("provider", {})
        remembered = integration.settings.get("remembered", {})
        store = self._credential_store(integration.id)
        jobs = RunJobs(lease, self._observers) if lease else UnkeptJobs()
        context = ProviderContext(
            self._clock,
            budget,
            memory=dict(remembered),
            credentials=store,
            jobs=jobs,
            permit=lease or Unfenced(),
            turns=self._turns(integration.id),
        )
        credentials = await self._used_credentials(integration, purpose, object_name)
        async with factory.open(settings, credentials, context) as provider:
            try:
                yield provider
            finally:
                if context.memory != remembered:
                    # What is not remembered is found out again.
                    with anyio.CancelScope(shield=True), suppress(StorageError):
                        await self._remember(integration.id, context.memory)

    async def _used_credentials(
        self, integration: Integration, purpose: str, object_name: str
    ) -> Mapping[str, SecretStr]:
        about: dict[str, Any] = {"entity_type": object_name, "purpose": purpose}
        try:
            held = await opened(self._vault, integration)
        except VaultError as error:
            await self._audit.write("credentials.used", integration.id, result="failed", reason=error.reason, **about)
            raise
        await self._audit.write("credentials.used", integration.id, credentials=sorted(held.credentials), **about)
        return held.credentials

    @asynccontextmanager
    async def _runner(
        self,
        integration_id: str,
        object_name: str,
        local: RecordStore,
        options: RunOptions | None,
        *,
        writes: bool = True,
        even_paused: bool = False,
        mapping: ObjectMapping | None = None,
    ) -> AsyncIterator[Runner]:
        options = options or RunOptions()
        integration = await self.repository.get_integration(integration_id)
        if writes and not even_paused and not integration.sync_enabled:
            raise SyncPausedError(integration_id)
        if mapping is not None:
            integration = trying(integration, object_name, mapping)
        lease = RunLease(self.repository, integration_id, object_name, self._clock)
        async with (
            self._budget(integration, options.max_calls) as budget,
            self._connected(
                integration, budget, lease, purpose="run" if writes else "dry run", object_name=object_name
            ) as provider,
        ):
            remote = await provider.records(object_name)
            compiled = await self._compiled(integration, object_name, local, remote)
            rule = compiled.rule
            if writes:
                await self._keep(integration, compiled.sides)
            written = {each.remote for each in rule.rules if each.to_crm is not Enforcement.OFF}
            rule = attrs.evolve(rule, warnings=(*rule.warnings, *await advice_of(provider, object_name, written)))
            digest_key = (await opened(self._vault, integration)).digest_key
            yield Runner(
                integration_id=integration_id,
                entity_type=object_name,
                mapping=compiled.sides.mapping,
                rule=rule,
                local=local,
                remote=remote,
                repository=self.repository,
                clock=self._clock,
                budget=budget,
                digest_key=digest_key,
                opening_calls=budget.used,
                options=options,
                observers=self._observers,
                lease=lease,
                consents=AuditedConsents(self._audit, PersonMarks(digest_key), integration_id, object_name),
            )

    async def _compiled(
        self, integration: Integration, object_name: str, local: RecordStore, remote: RecordStore
    ) -> Compiled:
        sides = await self._described(integration, object_name, local, remote)
        functions = self._functions_of(sides.mapping)
        rule = compile_in_spite(sides.mapping, (sides.local, sides.remote), sides.memory, **functions)
        return Compiled(sides, rule)

    async def _described(
        self, integration: Integration, object_name: str, local: RecordStore, remote: RecordStore
    ) -> Sides:
        stored = integration.field_mappings.get(object_name)
        if stored is None:
            raise unmapped(integration, object_name)
        ours, theirs = await local.describe(), await remote.describe()
        memory = kept_for(schema_memory(integration, object_name), stored)
        mapping = stored
        if object_name in default_objects(integration):
            mapping = fitted(stored, ours, with_lost_fields(theirs, memory))
        return Sides(object_name, mapping, ours, theirs, memory, mapping_digest(stored))

    def _functions_of(self, mapping: ObjectMapping) -> Functions:
        """What the user gave that a mapping needs."""
        asked = {name for field in mapping.fields for name in field.normalise}
        names = (field.markmail_field for field in mapping.fields)
        return {
            "custom": {name: self._custom[name] for name in names if name in self._custom},
            "normalisers": {name: form for name, form in self._normalisers.items() if name in asked},
        }

    async def _keep(self, integration: Integration, sides: Sides) -> None:
        """Note what the CRM says of the mapped fields, if it says anything else than the last time."""
        memory = remember(sides.mapping, sides.remote, sides.memory, key=sides.key, now=self._clock.now())
        if memory is sides.memory:
            return
        held = memory.model_dump(mode="json", exclude_defaults=True)

        def keeping(found: Integration) -> Integration:
            schemas = {**found.settings.get(SCHEMAS, {}), sides.object_name: held}
            return found.model_copy(update={"settings": {**found.settings, SCHEMAS: schemas}})

        await self.repository.change_integration(integration.id, keeping)

    def _credential_store(self, integration_id: str) -> SealedCredentialStore:
        turns = self._turns(integration_id)
        return SealedCredentialStore(self.repository, self._vault, integration_id, turns=turns, audit=self._audit)

    def _turns(self, integration_id: str) -> SharedTurns:
        return SharedTurns(self.repository, self._clock, integration_id, locks=self._locks)

    async def _remember(self, integration_id: str, memory: Mapping[str, str]) -> None:
        def remembering(integration: Integration) -> Integration:
            return integration.model_copy(update={"settings": {**integration.settings, "remembered": dict(memory)}})

        await self.repository.change_integration(integration_id, remembering)


def schema_memory(integration: Integration, object_name: str) -> SchemaMemory | None:
    """What was kept of the CRM's description of an object."""
    held = integration.settings.get(SCHEMAS, {}).get(object_name)
    return SchemaMemory.model_validate(held) if held else None


async def advice_of(provider: CRMProvider, object_name: str, written: Collection[str]) -> Sequence[Problem]:
    """What the provider has to say of its settings, if it does, to whoever writes these fields of the CRM."""
    return await provider.advice(object_name, written) if isinstance(provider, SupportsAdvice) else ()


def unmapped(integration: Integration, object_name: str) -> ConfigurationError:
    """The error of an object that an integration does not map."""
    known = ", ".join(sorted(integration.field_mappings)) or "none"
    return ConfigurationError(
        f"integration {integration.id!r} has no mapping for {object_name!r} (mapped objects: {known})"
    )


def default_objects(integration: Integration) -> set[str]:
    """The objects whose mapping is the provider's default: it is cut to the fields that both sides have."""
    stored = integration.settings.get("default_mappings", [])
    return set(integration.field_mappings) if stored is True else set(stored or ())


def trying(integration: Integration, object_name: str, mapping: ObjectMapping) -> Integration:
    """An integration with another mapping of one object, not stored."""
    mappings = {**integration.field_mappings, object_name: mapping}
    defaults = sorted(default_objects(integration) - {object_name})
    settings = {**integration.settings, "default_mappings": defaults}
    return integration.model_copy(update={"field_mappings": mappings, "settings": settings})


def fitted(mapping: ObjectMapping, local: ObjectSchema, remote: ObjectSchema) -> ObjectMapping:
    """A provider's default mapping without the fields that a side does not have."""

    def offered(schema: ObjectSchema, name: str) -> bool:
        return schema.open or schema.field(name) is not None

    kept = tuple(f for f in mapping.fields if offered(local, f.markmail_field) and offered(remote, f.crm_field))
    return mapping.model_copy(update={"fields": kept})
