"""A configured facade: the file, the vault, the bookkeeping and the local sides, opened together."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial

import anyio.to_thread
import attrs
from pydantic import SecretStr

from crmsync.cli.collecting import keep_what_is_there
from crmsync.cli.config import Config, IntegrationSection, configuration_fault
from crmsync.cli.exits import UsageProblemError
from crmsync.cli.local_sides import LocalSides
from crmsync.cli.options import Selection, login_name
from crmsync.cli.references import VAULT, from_environment, key_source
from crmsync.errors import MappingError, NotFoundError, ProviderError
from crmsync.models.audit import Actor
from crmsync.models.checks import ObjectDescription, Severity
from crmsync.models.integrations import CallLimits
from crmsync.models.mappings import ObjectMapping
from crmsync.models.plans import Plan
from crmsync.models.problems import Problem
from crmsync.models.runs import RunOptions
from crmsync.protocols.observers import Observer
from crmsync.protocols.records import RecordStore
from crmsync.registry import Registry
from crmsync.security.vault import Vault
from crmsync.service import CRMSync
from crmsync.service.opening import default_objects


@attrs.frozen
class Target:
    """One object of one integration to work on."""

    integration: IntegrationSection
    object_name: str

    def __str__(self) -> str:
        return f"{self.integration.id} {self.object_name}"


@attrs.frozen
class Session:
    """What a command works with while it is open."""

    config: Config
    crm: CRMSync
    registry: Registry
    sides: LocalSides

    async def register(self, section: IntegrationSection, given: Mapping[str, SecretStr] | None = None) -> None:
        """Bring the bookkeeping's integration up to the file. ``given`` are new values for credentials in the vault.

        Mappings that the file changed are not stored before they are known to hold: see `adopt`.

        :raises UsageProblemError: a credential is neither in the environment nor in the vault.
        """
        credentials = {**from_environment(section.credentials), **(given or {})}
        missing = [
            name for name, reference in section.credentials.items() if reference == VAULT and name not in credentials
        ]
        if missing:
            await self._check_stored(section, missing)
        mapped = self.config.objects[section.id]
        kept, own = await self._stored(section)
        readable = any(one.mapping for one in mapped.values())
        await self.crm.add_integration(
            section.id,
            provider=section.provider,
            settings=section.settings,
            credentials=credentials,
            mappings=kept if kept or readable else None,
            defaults=[name for name in self.objects(section) if name not in mapped or name in own],
            user_id=section.user_id,
            keep=missing,
            limits=CallLimits(max_calls_per_day=section.max_calls_per_day, max_org_percent=section.max_org_percent),
        )

    async def prepare(self, target: Target) -> RecordStore:
        """Register an object's integration, and take the object's mapping over from the file; its local side.

        :raises UsageProblemError: see `register` and `local`. :raises MappingError: the mapping has faults.
        """
        await self.register(target.integration)
        local = await self.local(target)
        with self.locating(target):
            await self.adopt(target, local)
        return local

    async def adopt(self, target: Target, local: RecordStore | None) -> None:
        """Store the file's mapping of an object if it is another one, after both sides were asked whether it holds.

        With ``local`` None they have been asked already.

        :raises MappingError: it has faults; the stored one stays. :raises ProviderError: a side failed as a whole.
        """
        mapping = await self.changed_mapping(target)
        if mapping is not None:
            await self.crm.change_mapping(target.integration.id, target.object_name, mapping, local=local)

    async def changed_mapping(self, target: Target) -> ObjectMapping | None:
        """The file's mapping of an object, if it is not the one that is stored."""
        given = self.config.objects[target.integration.id].get(target.object_name)
        if given is None or given.mapping is None:
            return None
        integration = await self.crm.repository.get_integration(target.integration.id)
        stored = integration.field_mappings.get(target.object_name)
        if stored is None or target.object_name in default_objects(integration):
            return given.mapping
        same = stored.model_dump(mode="json") == given.mapping.model_dump(mode="json")
        return None if same else given.mapping

    async def plan(self, target: Target, local: RecordStore, options: RunOptions) -> Plan:
        """What a sync under the file's mapping would write; neither that nor the mapping is stored."""
        place = (target.integration.id, target.object_name)
        mapping = await self.changed_mapping(target)
        if mapping is None:
            return await self.crm.plan(*place, local, options=options)
        return (await self.crm.preview_mapping(*place, mapping, local, options=options)).plan

    async def describe(self, target: Target) -> ObjectDescription:
        """An object of the CRM, with what its runs under the file's mapping would warn of."""
        mapping = await self.changed_mapping(target)
        return await self.crm.describe(target.integration.id, target.object_name, mapping=mapping)

    async def known(self, integration_id: str | None) -> list[IntegrationSection]:
        """The sections, or the one of this id, that the bookkeeping has met."""
        known = {one.id for one in await self.crm.integrations()}
        return [section for section in self.sections(integration_id) if section.id in known]

    async def local(self, target: Target) -> RecordStore:
        """Open the local side of an object, once in a session.

        :raises UsageProblemError: the file has none for it, or with an option that the record store does not know.
        """
        return await self.sides.open(target.integration, target.object_name)

    async def opened(self, selection: Selection) -> list[tuple[Target, RecordStore]]:
        """What is selected, each with its local side: all of them are open before anything is done with the first.

        :raises UsageProblemError: what is selected is not configured, or a local side is not, or is there for nothing.
        """
        self.sides.check()
        return [(target, await self.local(target)) for target in self.targets(selection)]

    def objects(self, section: IntegrationSection) -> list[str]:
        """See `LocalSides.objects`."""
        return self.sides.objects(section)

    def parents(self, target: Target) -> frozenset[str]:
        """See `LocalSides.parents`."""
        return self.sides.parents(target.integration, target.object_name)

    def sections(self, integration_id: str | None) -> tuple[IntegrationSection, ...]:
        """All integrations, or the one of this id.

        :raises UsageProblemError: there is none.
        """
        several = self.config.content.integrations if integration_id is None else ()
        return several or (self.config.integration(integration_id),)

    def targets(self, selection: Selection) -> Iterator[Target]:
        """What to work on: everything that is configured, or the selected part of it.

        :raises UsageProblemError: what is selected is not configured.
        """
        for section in self.sections(selection.integration):
            names = self.objects(section)
            if selection.object_name is not None and selection.object_name not in names:
                there = ", ".join(names)
                raise UsageProblemError(f"{section.id} maps no object {selection.object_name!r} (there are: {there})")
            for name in names if selection.object_name is None else (selection.object_name,):
                yield Target(section, name)

    async def check(self, target: Target, local: RecordStore) -> None:
        """Report the faults of a mapping that the file shows, together with those that only the sides can tell.

        Does nothing (and asks nobody) if the file shows none: the run checks the rest by itself.

        :raises UsageProblemError: ``problems`` has all of them.
        """
        shown = self.config.mapping_problems
        if not shown:
            return
        found: Sequence[Problem] = ()
        with suppress(ProviderError):  # where the CRM cannot be asked now, what the file shows is fault enough
            check = await self.crm.check_mapping(target.integration.id, target.object_name, local)
            section = self.config.objects[target.integration.id].get(target.object_name)
            faults = [Problem(one.path, one.code, one.message, one.remedy) for one in check.of(Severity.ERROR)]
            found = [section.located(fault) for fault in faults] if section else faults
        raise configuration_fault(self.config.path, merged(shown, found))

    @contextmanager
    def locating(self, target: Target) -> Iterator[None]:
        """Give the problems of a `MappingError` the paths they have in the file."""
        try:
            yield
        except MappingError as error:
            section = self.config.objects[target.integration.id].get(target.object_name)
            if section is None:
                raise
            raise MappingError([section.located(problem) for problem in error.problems]) from None

    async def _stored(self, section: IntegrationSection) -> tuple[dict[str, ObjectMapping], set[str]]:
        """Of the objects that the file maps, the mappings that are stored, and those that have the provider's still."""
        mapped = self.config.objects[section.id]
        for integration in await self.crm.integrations():
            if integration.id == section.id:
                own = default_objects(integration) & mapped.keys()
                held = integration.field_mappings.items()
                return {name: one for name, one in held if name in mapped and name not in own}, own
        return {}, set()

    async def _check_stored(self, section: IntegrationSection, names: Sequence[str]) -> None:
        """Make sure that `crmsync connect` put these into the vault earlier."""
        try:
            held = await self.crm.credential_names(section.id)
        except NotFoundError:
            held = ()
        absent = [name for name in names if name not in held]
        if absent:
            msg = (
                f"{section.id}: the vault has no {', '.join(absent)} yet; run `crmsync connect {section.provider}` to"
                " sign in, or `crmsync connect` to store what you have"
            )
            raise UsageProblemError(msg)


@asynccontextmanager
async def open_session(config: Config, observers: Sequence[Observer] = ()) -> AsyncIterator[Session]:
    """Open the facade that a configuration describes, and close it after.

    :raises ConfigurationError: the vault's key cannot be had.
    :raises StorageError: the bookkeeping cannot be opened.
    """
    registry = Registry()
    vault = await open_vault(config, registry)
    async with (
        CRMSync.open(
            config.storage,
            vault=vault,
            registry=registry,
            observers=observers,
            actor=Actor(login_name(), f"command line on {socket.gethostname()}"),
        ) as crm,
        AsyncExitStack() as stack,
    ):
        keep_what_is_there()
        yield Session(config, crm, registry, LocalSides(config, registry, stack))


async def open_vault(config: Config, registry: Registry) -> Vault:
    """The vault that a configuration describes.

    :raises ConfigurationError: its key cannot be had.
    """
    source = key_source(config.vault_keys, registry)
    return await anyio.to_thread.run_sync(partial(Vault, source, environment=config.content.vault.environment))


def new_key() -> str:
    """A key for the vault's key file."""
    return Vault.generate_key()


def merged(shown: Sequence[Problem], found: Sequence[Problem]) -> list[Problem]:
    """The problems of the file and those of the sides, each place once: what was left out may cause the latter."""
    at_fault = {problem.path for problem in shown}
    sections = {path.rpartition(".")[0] for path in at_fault}
    return [*shown, *(one for one in found if one.path not in at_fault and one.path not in sections)]
