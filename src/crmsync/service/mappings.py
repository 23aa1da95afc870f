"""The mappings of an integration: look at them, try others out, change them."""

from __future__ import annotations

from crmsync.errors import ConfigurationError
from crmsync.mapping.changes import mapping_changes
from crmsync.models.integrations import Integration
from crmsync.models.mappings import ObjectMapping
from crmsync.models.plans import MappingPreview
from crmsync.models.runs import RunOptions
from crmsync.protocols.records import RecordStore
from crmsync.service.opening import Opening, trying, unmapped


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

        Both sides are read from the start, as the first sync under a changed mapping does.

        :raises MappingError: with every fault of the mapping at once. :raises ProviderError: a side failed as a whole.
        """
        integration = await self.repository.get_integration(integration_id)
        changes = mapping_changes(integration.field_mappings.get(object_name), mapping)
        async with self._runner(integration_id, object_name, local, options, writes=False, mapping=mapping) as runner:
            return MappingPreview(changes, await runner.plan())

    async def change_mapping(self, integration_id: str, object_name: str, mapping: ObjectMapping | None) -> Integration:
        """Give an object another mapping, or None. Links, shadows and tombstones stay.

        The next sync reads both sides from the start. Values that both mappings project alike are not written; a field
        that is new is filled under its policy; one that is gone keeps its values on both sides.

        :raises NotFoundError: there is no such integration. :raises ConfigurationError: it would map nothing.
        """

        def changed(found: Integration) -> Integration:
            if mapping is not None:
                tried = trying(found, object_name, mapping)
            else:
                others = {name: one for name, one in found.field_mappings.items() if name != object_name}
                tried = found.model_copy(update={"field_mappings": others})
            if not tried.field_mappings:
                msg = f"integration {integration_id!r} must map at least one object; pause or remove it instead"
                raise ConfigurationError(msg)
            return tried.model_copy(update={"updated_at": self._clock.now()})

        return await self.repository.change_integration(integration_id, changed)
