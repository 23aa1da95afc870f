"""The links: which records belong together, and what a person does about it."""

from __future__ import annotations

from collections.abc import Sequence

from crmsync.errors import NotFoundError
from crmsync.models.runs import RunOptions, RunReport
from crmsync.models.state import Link, LinkStatus
from crmsync.protocols.records import RecordStore
from crmsync.service.opening import Opening


class LinkVerbs(Opening):
    """The part of `CRMSync` that shows, makes and separates links."""

    async def links(
        self,
        integration_id: str,
        object_name: str,
        *,
        statuses: Sequence[LinkStatus] = (),
        after: str = "",
        limit: int = 1000,
    ) -> list[Link]:
        """Links in the bookkeeping's order of ``markmail_id``, those after ``after``; of these statuses, or of all.

        In memory and in SQL that is by code point; SQL has UUIDs after all others.
        """
        return await self.repository.scan_links(
            integration_id, object_name, statuses=statuses, after=after, limit=limit
        )

    async def find_link(self, integration_id: str, object_name: str, record_id: str) -> Link:
        """The link of a record, by its local id or by the CRM's.

        :raises NotFoundError: neither side's id is known.
        """
        by_local = await self.repository.links_by_local(integration_id, object_name, [record_id])
        by_remote = await self.repository.links_by_remote(integration_id, object_name, [record_id])
        found = by_local.get(record_id) or by_remote.get(record_id)
        if found is None:
            msg = f"no record {record_id!r} of {object_name} is known to {integration_id!r}"
            raise NotFoundError(msg)
        return found

    async def link(
        self,
        integration_id: str,
        object_name: str,
        local: RecordStore,
        *,
        markmail_id: str,
        crm_id: str,
        options: RunOptions | None = None,
    ) -> RunReport:
        """Make a pair of two records, and merge them at once as a first meeting, under the mapping's policies.

        Two that are linked to each other are merged afresh: nothing of what was acknowledged before counts. The
        external key leaves the CRM's record that was linked before.

        :raises RecordError: one of the two is not there. :raises ConflictError: one is linked to another record.
        :raises ConcurrentUpdateError: a run is at work on this object.
        """
        async with self._runner(integration_id, object_name, local, options) as runner:
            return await runner.link(markmail_id, crm_id)

    async def unlink(
        self,
        integration_id: str,
        object_name: str,
        local: RecordStore,
        *,
        record_id: str,
        options: RunOptions | None = None,
    ) -> Link:
        """Separate a pair, named by either side's id. Both records live on; no run links them by itself again.

        The external key stays on the CRM's record. `link` undoes this.

        :raises NotFoundError: the record is not linked. :raises ConcurrentUpdateError: a run is at work on this object.
        """
        found = await self.find_link(integration_id, object_name, record_id)
        async with self._runner(integration_id, object_name, local, options) as runner:
            return await runner.unlink(found.markmail_id)
