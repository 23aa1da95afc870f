"""Repositories that break a promise about integrations, their sealed texts or templates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio
import attrs

from crmsync.models.integrations import Integration, MappingTemplate
from crmsync.protocols.sealed import SealedChange
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.repository import RepositoryContract
from tests.contract.breaches.promise import Breaches


class KeepsBothTemplates(MemoryRepository):
    async def save_template(self, template: MappingTemplate) -> None:
        self._templates = {**self._templates, (template.provider, f"{template.name} {template.id}"): template}


class DeletesOnlyTheIntegration(MemoryRepository):
    """As without foreign keys: the rows wait for the next integration of that id."""

    async def delete_integration(self, integration_id: str) -> None:
        self._gone = self._integrations[integration_id]
        await super().delete_integration(integration_id)

    async def save_integration(self, integration: Integration) -> None:
        gone = getattr(self, "_gone", None)
        if gone is not None and gone.integration.id == integration.id:
            self._integrations[integration.id] = gone
        await super().save_integration(integration)


class DropsWhenSavedAgain(MemoryRepository):
    """As with ``INSERT OR REPLACE`` and cascading foreign keys."""

    async def save_integration(self, integration: Integration) -> None:
        self._integrations.pop(integration.id, None)
        await super().save_integration(integration)


class ChangesInTwoSteps(MemoryRepository):
    """Reads, gives way to others, and saves over what they saved."""

    async def change_integration(
        self, integration_id: str, change: Callable[[Integration], Integration]
    ) -> Integration:
        found = await self.get_integration(integration_id)
        await anyio.lowlevel.checkpoint()
        await self.save_integration(change(found))
        return await self.get_integration(integration_id)


class SharesWithTheCaller(MemoryRepository):
    async def get_integration(self, integration_id: str) -> Integration:
        await super().get_integration(integration_id)
        return self._integrations[integration_id].integration


class ReplacesBlindly(MemoryRepository):
    async def replace_sealed(self, changes: Sequence[SealedChange]) -> set[str]:
        present = {one.integration_id: one.text for one in await self.scan_sealed()}
        known = [change for change in changes if change.integration_id in present]
        return await super().replace_sealed([attrs.evolve(one, before=present[one.integration_id]) for one in known])


class TouchesWhatItRewraps(MemoryRepository):
    async def replace_sealed(self, changes: Sequence[SealedChange]) -> set[str]:
        replaced = await super().replace_sealed(changes)
        for one in replaced:
            await self.change_integration(one, lambda found: found.model_copy(update={"sync_enabled": False}))
        return replaced


BREACHES: Breaches = [
    (KeepsBothTemplates, RepositoryContract.test_a_template_replaces_the_one_of_its_provider_and_name),
    (DeletesOnlyTheIntegration, RepositoryContract.test_a_deleted_integration_takes_everything_with_it),
    (DropsWhenSavedAgain, RepositoryContract.test_saving_again_replaces_and_keeps_what_belongs_to_it),
    (ChangesInTwoSteps, RepositoryContract.test_changes_at_the_same_time_all_take_effect),
    (SharesWithTheCaller, RepositoryContract.test_what_is_stored_shares_nothing_with_the_caller),
    (ReplacesBlindly, RepositoryContract.test_a_text_that_was_written_meanwhile_or_is_gone_is_left_alone),
    (TouchesWhatItRewraps, RepositoryContract.test_a_text_is_replaced_and_nothing_else_changes),
]
