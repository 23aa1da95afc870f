"""The mappings of an integration: look at them, try others out, change them."""

from __future__ import annotations

from crmsync.errors import ConfigurationError, MappingError
from crmsync.mapping import check_mapping, schema_drift
from crmsync.mapping.changes import mapping_changes
from crmsync.models.audit import AuditNote
from crmsync.models.checks import MappingCheck, MappingProblem, Severity
from crmsync.models.integrations import Integration
from crmsync.models.mappings import ObjectMapping
from crmsync.models.plans import MappingPreview
from crmsync.models.runs import RunOptions
from crmsync.protocols.conversion import RecordRule
from crmsync.protocols.records import RecordStore
from crmsync.service.foreseeing import planned
from crmsync.service.given import changed_fields
from crmsync.service.leavings import ended_fields
from crmsync.service.opening import SCHEMAS, Opening, trying, unmapped


class MappingVerbs(Opening):
    """The part of `CRMSync` that shows and changes mappings."""

    async def mapping(self, integration_id: str, object_name: str) -> ObjectMapping:
        """The mapping that the next sync of an object works with.

        :raises NotFoundError: there is no such integration. :raises ConfigurationError: it has no such mapping.
        """
        integration = await self.repository.get_integration(integration_id)
        if object_name not in integration.field_mappings:
            raise unmapped(integration, object_name)
        return integration.field_mappings[object_name]

    async def check_mapping(
        self, integration_id: str, object_name: str, local: RecordStore, *, mapping: ObjectMapping | None = None
    ) -> MappingCheck:
        """Look at everything that can be known of an object's mapping, or of another one, before a record is read.

        Asks both sides to describe themselves, and reads no record. What the CRM's administrator changed since the last
        run is among the findings; `status` shows it from now on.

        :raises NotFoundError: there is no such integration. :raises ConfigurationError: it has no such mapping.
        :raises ProviderError: a side failed as a whole.
        """
        integration = await self.repository.get_integration(integration_id)
        if mapping is not None:
            integration = trying(integration, object_name, mapping)
        async with (
            self._budget(integration) as budget,
            self._connected(integration, budget, purpose="check", object_name=object_name) as provider,
        ):
            sides = await self._described(integration, object_name, local, await provider.records(object_name))
        found = check_mapping(sides.mapping, sides.local, sides.remote, **self._functions_of(sides.mapping))
        drift = schema_drift(sides.mapping, sides.remote, sides.memory)
        if sides.memory is not None:
            await self._keep(integration, sides)
        return found.model_copy(update={"drift": drift, "findings": (*found.findings, *drift)})

    async def accept_mapping(
        self, integration_id: str, object_name: str, mapping: ObjectMapping, local: RecordStore
    ) -> None:
        """Make sure that a sync would accept a mapping.

        :raises MappingError: with every fault at once. :raises ProviderError: a side failed as a whole.
        """
        check = await self.check_mapping(integration_id, object_name, local, mapping=mapping)
        found = check.of(Severity.ERROR)
        if found:
            raise MappingError([MappingProblem(one.path, one.code, one.message, one.remedy, one.fix) for one in found])

    async def compiled_mapping(self, integration_id: str, object_name: str, local: RecordStore) -> RecordRule:
        """An object's mapping as a run would work with it now.

        :raises MappingError: with every fault at once.
        """
        integration = await self.repository.get_integration(integration_id)
        async with (
            self._budget(integration) as budget,
            self._connected(integration, budget, purpose="check", object_name=object_name) as provider,
        ):
            compiled = await self._compiled(integration, object_name, local, await provider.records(object_name))
            return compiled.rule

    async def accept_schema(self, integration_id: str, object_name: str) -> None:
        """Take the CRM's schema as it is now for the way it ought to be: what drifted is no longer reported.

        A field that is gone is a fault of the mapping from then on, and stops runs until it is unmapped.

        :raises NotFoundError: there is no such integration.
        """

        def forgetting(found: Integration) -> Integration:
            schemas = {name: one for name, one in found.settings.get(SCHEMAS, {}).items() if name != object_name}
            return found.model_copy(update={"settings": {**found.settings, SCHEMAS: schemas}})

        note = (await self._audit.pen()).note("schema.accepted", integration_id, entity_type=object_name)
        await self.repository.audited(lambda _: note).change_integration(integration_id, forgetting)

    async def preview_mapping(
        self,
        integration_id: str,
        object_name: str,
        mapping: ObjectMapping,
        local: RecordStore,
        *,
        options: RunOptions | None = None,
    ) -> MappingPreview:
        """What the next sync would do if an object had this mapping. Writes nothing, and changes no mapping.

        Conflicts and rejects of a field that goes end with it; the preview counts them.

        Both sides are read from the start, as the first sync under a changed mapping does.

        :raises MappingError: with every fault of the mapping at once. :raises ProviderError: a side failed as a whole.
        """
        integration = await self.repository.get_integration(integration_id)
        old = integration.field_mappings.get(object_name)
        async with self._runner(integration_id, object_name, local, options, writes=False, mapping=mapping) as runner:
            plan = await planned(runner)
        ended = await ended_fields(self.repository, integration_id, object_name, old, mapping)
        return MappingPreview(mapping_changes(old, mapping), plan, ended)

    async def change_mapping(
        self,
        integration_id: str,
        object_name: str,
        mapping: ObjectMapping | None,
        *,
        local: RecordStore | None = None,
    ) -> Integration:
        """Give an object another mapping, or None. Links, shadows and tombstones stay.

        With ``local``, the object's local side, the mapping is checked against both sides before it is stored; without,
        the next run does that.

        The next sync reads both sides from the start. Values that both mappings project alike are not written; a field
        that is new is filled under its policy; one that is gone keeps its values on both sides.

        :raises NotFoundError: there is no such integration. :raises ConfigurationError: it would map nothing.
        :raises MappingError: with every fault of the mapping at once; nothing is changed.
        """
        if local is not None and mapping is not None:
            await self.accept_mapping(integration_id, object_name, mapping, local)

        before = list[Integration]()

        def changed(found: Integration) -> Integration:
            before[:] = [found]
            if mapping is not None:
                tried = trying(found, object_name, mapping)
            else:
                others = {name: one for name, one in found.field_mappings.items() if name != object_name}
                tried = found.model_copy(update={"field_mappings": others})
            if not tried.field_mappings:
                msg = f"integration {integration_id!r} must map at least one object; pause or remove it instead"
                raise ConfigurationError(msg)
            return tried.model_copy(update={"updated_at": self._clock.now()})

        pen = await self._audit.pen()

        def told(saved: Integration) -> AuditNote | None:
            fields = changed_fields(before[0], saved, object_name)
            return (
                pen.note("mapping.changed", integration_id, entity_type=object_name, fields=fields) if fields else None
            )

        return await self.repository.audited(told).change_integration(integration_id, changed)
