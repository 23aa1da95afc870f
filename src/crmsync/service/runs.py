"""Runs: check a mapping, plan, apply, sync, and what became of them."""

from __future__ import annotations

from crmsync.mapping.drift import kept_for
from crmsync.models.integrations import Integration
from crmsync.models.plans import Plan
from crmsync.models.runs import ObjectStatus, RunOptions, RunReport, RunWarning
from crmsync.models.state import LinkStatus, SyncLog
from crmsync.models.verification import VerifyOptions, VerifyReport
from crmsync.protocols.records import RecordStore
from crmsync.service.foreseeing import planned
from crmsync.service.opening import Opening, schema_memory


class RunVerbs(Opening):
    """The part of `CRMSync` that runs syncs."""

    async def plan(
        self, integration_id: str, object_name: str, local: RecordStore, *, options: RunOptions | None = None
    ) -> Plan:
        """The dry run: what `sync` would write now. Writes nothing on either side.

        :raises MappingError: the mapping has faults. :raises ProviderError: a side failed as a whole.
        """
        async with self._runner(integration_id, object_name, local, options, writes=False) as runner:
            return await planned(runner)

    async def apply(self, plan: Plan, local: RecordStore, *, options: RunOptions | None = None) -> RunReport:
        """Write what a plan holds and nothing else; records that changed since are left for the next run.

        :raises StaleRecordError: the mapping changed since the plan was made.
        :raises SyncPausedError: somebody paused the integration's syncs.
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
        :raises SyncPausedError: somebody paused the integration's syncs.
        :raises ConcurrentUpdateError: another process is running this object.
        :raises LeaseLostError: this process stood still, and another took over.
        :raises MappingError: with every fault of the mapping at once. Fields that the CRM's administrator broke since
            the last run are left out instead, as far as that is safe, and the report's warnings say why.
        """
        async with self._runner(integration_id, object_name, local, options) as runner:
            report = await runner.sync()
        await self._note_sync(integration_id)
        return report

    async def verify(
        self,
        integration_id: str,
        object_name: str,
        local: RecordStore,
        *,
        verify: VerifyOptions | None = None,
        options: RunOptions | None = None,
    ) -> VerifyReport:
        """Compare both sides without believing cursors or shadows, and repair if ``verify`` says so.

        What changed since the last sync counts as out of step, too: verify right after one. Syncs may run meanwhile,
        except while it repairs.

        :raises SafetyStopError: a guard stopped the repair. :raises ProviderError: a side failed as a whole.
        :raises ConcurrentUpdateError: it was to repair, and another process is running this object.
        :raises SyncPausedError: it was to repair, and somebody paused the integration's syncs.
        """
        verify = verify or VerifyOptions()
        async with self._runner(integration_id, object_name, local, options, writes=verify.repair) as runner:
            return await runner.verify(verify)

    async def status(self, integration_id: str) -> list[ObjectStatus]:
        """Where each mapped object stands."""
        integration = await self.repository.get_integration(integration_id)
        paused = not integration.sync_enabled
        names = sorted(integration.field_mappings)
        found = [await self._object_status(integration_id, name, paused=paused) for name in names]
        return [one.model_copy(update={"drift": _drift(integration, one.entity_type)}) for one in found]

    async def logs(self, integration_id: str, object_name: str | None = None, *, limit: int = 100) -> list[SyncLog]:
        """Past runs, newest first."""
        return await self.repository.list_logs(integration_id, object_name, limit=limit)

    async def _object_status(self, integration_id: str, object_name: str, *, paused: bool) -> ObjectStatus:
        counts = await self.repository.count_links(integration_id, object_name)
        logs = await self.repository.list_logs(integration_id, object_name, limit=1)
        return ObjectStatus(
            entity_type=object_name,
            synced=counts.get(LinkStatus.SYNCED, 0),
            conflicts=counts.get(LinkStatus.CONFLICT, 0),
            rejected=counts.get(LinkStatus.REJECTED, 0),
            quarantined=counts.get(LinkStatus.QUARANTINED, 0),
            ignored=counts.get(LinkStatus.IGNORED, 0),
            deleted=counts.get(LinkStatus.DELETED, 0),
            unlinked=counts.get(LinkStatus.UNLINKED, 0),
            paused=paused,
            last_run=RunReport.model_validate(logs[0].error_details["report"]) if logs else None,
        )

    async def _note_sync(self, integration_id: str) -> None:
        noted = {"last_sync_at": self._clock.now()}
        await self.repository.change_integration(integration_id, lambda found: found.model_copy(update=noted))


def _drift(integration: Integration, object_name: str) -> tuple[RunWarning, ...]:
    memory = kept_for(schema_memory(integration, object_name), integration.field_mappings[object_name])
    return tuple(
        RunWarning(path=one.path, code=one.code, message=one.message, remedy=one.remedy)
        for one in (memory.drift if memory else ())
    )
